package launch

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// Region is the region that the parent environment stands for: AWS_REGION,
// AWS_DEFAULT_REGION, or that of its profile in the AWS config file, since the
// agent gets neither that profile nor that file. "" when there is none.
func Region(parent []string) string {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if v := lookup(parent, name); v != "" {
			return v
		}
	}
	file := lookup(parent, "AWS_CONFIG_FILE")
	if file == "" {
		home := lookup(parent, "HOME")
		if home == "" {
			return ""
		}
		file = filepath.Join(home, ".aws", "config")
	}
	section := "default"
	for _, name := range []string{"AWS_DEFAULT_PROFILE", "AWS_PROFILE"} {
		if v := lookup(parent, name); v != "" && v != "default" {
			section = "profile " + v
		}
	}
	return regionIn(file, section)
}

// regionIn reads `region = x` of one section of an AWS config file.
func regionIn(file, section string) string {
	f, err := os.Open(file) //nolint:gosec // the caller's own AWS config file, read as every SDK does
	if err != nil {
		return "" // as for the SDKs, no file is no setting
	}
	defer f.Close()
	in := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			in = strings.Join(strings.Fields(line[1:len(line)-1]), " ") == section
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok && in && strings.TrimSpace(key) == "region" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

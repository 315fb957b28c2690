// Command gen converts gitleaks' rules (config/gitleaks.toml of the Go module
// github.com/zricethezav/gitleaks/v8, MIT) into the form that package detect
// loads, and copies their licence beside them. The same input gives the same bytes.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

func main() {
	module := flag.String("module", "", "folder of the unpacked gitleaks module")
	version := flag.String("version", "", "version of the module, v8.x.y")
	out := flag.String("out", "rules", "folder to write gitleaks.json and gitleaks.LICENSE into")
	flag.Parse()
	if err := run(*module, *version, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

type upstream struct {
	Rules []struct {
		ID         string  `toml:"id"`
		Regex      string  `toml:"regex"`
		Entropy    float64 `toml:"entropy"`
		Group      int     `toml:"secretGroup"`
		Allowlists []struct {
			Regexes   []string `toml:"regexes"`
			Stopwords []string `toml:"stopwords"`
			Target    string   `toml:"regexTarget"`
		} `toml:"allowlists"`
	} `toml:"rules"`
}

type rule struct {
	ID      string   `json:"id"`
	Regex   string   `json:"regex"`
	Keyword string   `json:"keyword,omitempty"`
	Lead    int      `json:"lead,omitempty"`
	Group   int      `json:"group,omitempty"`
	Entropy float64  `json:"entropy,omitempty"`
	Allow   []string `json:"allow,omitempty"`
	Stop    []string `json:"stop,omitempty"`
}

func run(module, version, out string) error {
	var in upstream
	if _, err := toml.DecodeFile(filepath.Join(module, "config", "gitleaks.toml"), &in); err != nil {
		return err
	}
	rules, err := convert(in)
	if err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(module, "LICENSE"))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err = e.Encode(struct {
		Source  string `json:"source"`
		Version string `json:"version"`
		Licence string `json:"licence"`
		Set     string `json:"set"`
		Rules   []rule `json:"rules"`
	}{
		"github.com/zricethezav/gitleaks/v8 config/gitleaks.toml, changed by mask/detect/gen", version,
		"MIT, Copyright (c) 2019 Zachary Rice, see gitleaks.LICENSE", "tokens", rules,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "gitleaks.json"), b.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "gitleaks.LICENSE"), licence, 0o644)
}

// Upstream's way to say that a secret ends. It looks at source code; in AWS's
// answers a secret also ends at markup, a comma, a bracket or an ampersand.
const (
	endOfSecret = "(?:[\\x60'\"\\s;]|\\\\[nr]|$)"
	ourEnd      = `(?:[^\w+/=-]|$)`
)

// A keyword's word in front, which masking has no use for: it is lazy and optional.
var inFront = regexp.MustCompile(`^(\(\?i\))?\[\\w\.-\]\{0,50\}\?(\(\?i:)?(\[\\w\.-\]\{0,50\}\?)?`)

func convert(in upstream) ([]rule, error) {
	var out []rule
	left := map[string]bool{}
	for _, r := range in.Rules {
		if _, ok := leaveOut[r.ID]; ok {
			left[r.ID] = true
			continue
		}
		regex := r.Regex
		if o, ok := override[r.ID]; ok {
			left[r.ID] = true
			o.ID, o.Entropy = r.ID, r.Entropy
			out = append(out, o)
			continue
		}
		regex = inFront.ReplaceAllString(regex, "$1$2")
		regex = strings.ReplaceAll(regex, endOfSecret, ourEnd)
		n := rule{ID: r.ID, Regex: regex, Group: r.Group, Entropy: r.Entropy}
		for _, a := range r.Allowlists {
			// What is allowed for the text around it cannot be judged in a window.
			if a.Target == "" {
				n.Allow = append(n.Allow, a.Regexes...)
				n.Stop = append(n.Stop, a.Stopwords...)
			}
		}
		out = append(out, n)
	}
	for id := range leaveOut {
		if !left[id] {
			return nil, fmt.Errorf("upstream has no rule %s any more: take it off the list of those left out", id)
		}
	}
	for id := range override {
		if !left[id] {
			return nil, fmt.Errorf("upstream has no rule %s any more: take it off the list of those changed", id)
		}
	}
	return out, nil
}

package class_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/awsapi/class"
)

// testdata/threats.txt is the threat model's list of operations that hand out
// credentials, run code elsewhere, move data or end the audit: "class
// service:Glob ...". Each meets an operation, and each it meets has the class.
func TestThreatsAreClassed(t *testing.T) {
	f, err := os.Open("testdata/threats.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	met := map[string]int{}
	var lines [][]string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if w := strings.Fields(sc.Text()); len(w) > 1 && !strings.HasPrefix(w[0], "#") {
			if !slices.Contains(class.All(), class.Class(w[0])) {
				t.Errorf("%s is no class", w[0])
			}
			lines = append(lines, w)
		}
	}
	each(t, func(s *catalog.Service, op string, _ *catalog.Detail) {
		for _, w := range lines {
			for _, name := range w[1:] {
				service, glob, _ := strings.Cut(name, ":")
				if service != s.ID || !class.Matches(glob, op) {
					continue
				}
				met[name]++
				if !slices.Contains(class.Of(s.ID, op), class.Class(w[0])) {
					t.Errorf("%s:%s is not %s", s.ID, op, w[0])
				}
			}
		}
	})
	for _, w := range lines {
		for _, name := range w[1:] {
			if met[name] == 0 {
				t.Errorf("%s meets no operation", name)
			}
		}
	}
}

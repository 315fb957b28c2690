package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What upstream no longer has is an error, so that the lists of exceptions stay true;
// the word in front of a name goes, and a secret may end at markup.
func TestConvert(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	var b strings.Builder
	add := func(id, regex string) {
		b.WriteString("[[rules]]\nid = \"" + id + "\"\nregex = '''" + regex + "'''\nentropy = 2\n" +
			"[[rules.allowlists]]\nstopwords = [\"x\"]\n[[rules.allowlists]]\nregexTarget = \"line\"\nregexes = [\"y\"]\n")
	}
	add("named", `(?i)[\w.-]{0,50}?(?:acme)([a-z]{8})`+endOfSecret)
	for id := range leaveOut {
		add(id, "a")
	}
	write := func() {
		if err := os.MkdirAll(filepath.Join(dir, "config"), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"config/gitleaks.toml": b.String(), "LICENSE": "MIT"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	write()
	if err := run(dir, "v1", out); err == nil || !strings.Contains(err.Error(), "upstream has no rule") {
		t.Fatalf("got %v", err)
	}
	for id := range override {
		add(id, "a")
	}
	write()
	if err := run(dir, "v1", out); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(out, "gitleaks.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Version string
		Rules   []rule
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	r := got.Rules[0]
	if got.Version != "v1" || len(got.Rules) != 1+len(override) || r.Regex != `(?i)(?:acme)([a-z]{8})`+ourEnd || len(r.Stop) != 1 || len(r.Allow) != 0 {
		t.Errorf("%+v", got)
	}
}

package policy

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden messages in testdata")

// Each testdata/bad-*.yaml has its messages beside it.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test files", err)
	}
	for _, file := range files {
		_, err := Load([]string{file})
		if err == nil {
			t.Errorf("%s was accepted", file)
			continue
		}
		golden := strings.TrimSuffix(file, ".yaml") + ".txt"
		got := strings.ReplaceAll(err.Error(), "testdata/", "") + "\n"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("%s (%v):\n got\n%s\nwant\n%s", file, err, got, want)
		}
	}
}

func TestNamesAreUniqueOverFiles(t *testing.T) {
	one := File{"a.yaml", []byte("rules:\n" + everything)}
	_, err := Parse([]File{one, {"b.yaml", one.Data}})
	if err == nil || !strings.Contains(err.Error(), "b.yaml:3:12: rules[0].name: the name all is taken by the rule at a.yaml:3") {
		t.Errorf("%v", err)
	}
	if _, err := Load([]string{"testdata/missing.yaml"}); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestCheckTargets(t *testing.T) {
	e := engine(t, everything+rule("no", "deny", "actions: ['*']"))
	if err := e.CheckTargets([]string{"dev"}); err != nil {
		t.Error(err)
	}
	if err := e.CheckTargets([]string{"prod"}); err == nil || !strings.Contains(err.Error(), `rule no: the target "dev" matches none of the configured targets: prod`) {
		t.Errorf("%v", err)
	}
}

// Any bytes give an engine or problems; an engine decides without a panic.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"good.yaml", "bad-rules.yaml"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Parse([]File{{"f", data}})
		if err != nil {
			return
		}
		d := e.Decide(ask(call("Read", "s3:GetObject", bucket)))
		if d.Effect == Allow && len(d.Rules) == 0 {
			t.Errorf("allowed by no rule: %+v", d)
		}
	})
}

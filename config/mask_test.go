package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// All that is wrong with the mask section is said at once, with what to write.
func TestMaskProblems(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sallyport.yaml")
	text := `identity: {local: true}
targets: {dev: {role_arn: "arn:aws:iam::111122223333:role/x"}}
mask:
  detectors: [aws-keys, creditcards]
  objects: maybe
  max_body: 1KiB
  patterns:
    - {name: "a b", regex: 'x+y'}
    - {name: twice, regex: '(', entropy: 9}
    - {name: twice, regex: '^abc$'}
  presidio: {url: "ftp://x", threshold: 2, timeout: 1h, language: english}
`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(name)
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, want := range []string{
		"mask.detectors", `"creditcards"`, "mask.objects", "mask.max_body", "mask.patterns[0].name", "mask.patterns[1].regex", "mask.patterns[1].entropy",
		"mask.patterns[2].name", "mask.patterns[2].regex", "mask.presidio.url", "mask.presidio.threshold", "mask.presidio.timeout", "mask.presidio.language",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not said in\n%v", want, err)
		}
	}
}

// Nothing configured means the default detectors; [] means none.
func TestScanner(t *testing.T) {
	s, err := DefaultMask().Scanner()
	if err != nil || s == nil || len(s.Find("", []byte("AKIAIOSFODNN7EXAMPLE"))) != 1 {
		t.Errorf("%v %v", s, err)
	}
	if s, err := (Mask{}).Scanner(); s != nil || err != nil {
		t.Errorf("%v %v", s, err)
	}
	s, err = Mask{Patterns: []Pattern{{Name: "e", Regex: `E-(?P<secret>[0-9]{6})`}}}.Scanner()
	if err != nil || len(s.Find("", []byte("x E-123456"))) != 1 {
		t.Errorf("%v %v", s, err)
	}
}

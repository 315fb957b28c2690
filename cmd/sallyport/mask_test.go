package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/logtest"
)

// maskIn runs `sallyport mask` on an answer, in an empty folder.
func maskIn(t *testing.T, answer string, args ...string) result {
	t.Helper()
	var stdout, stderr logtest.Buffer
	code := run(t.Context(), append([]string{"mask"}, args...), strings.NewReader(answer), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// Rules are tried as the gateway would apply them: without a configuration with the
// defaults, else with what it says.
func TestMask(t *testing.T) {
	t.Chdir(t.TempDir())
	secret := []string{"--service", "secretsmanager", "--operation", "GetSecretValue"}
	item := []string{"--service", "dynamodb", "--operation", "GetItem"}
	for name, c := range map[string]struct {
		answer   string
		args     []string
		code     int
		out, err string // what is in them
	}{
		"a marked member": {`{"SecretString":"hunter2"}`, secret, exitDone, `{"SecretString":"sallyport/masked"}`, "SecretString  aws"},
		"a path":          {`{"Item":{"a":{"S":"long enough 1234"}}}`, append(item, "--path", "Item.a.S", "--as", "last4"), exitDone, `"sallyport:masked:1234"`, "Item.a.S  rule"},
		"a detector":      {`{"Item":{"a":{"S":"ghp_1234567890abcdefghijklmnopqrstuvwxyz"}}}`, append(item, "--json"), exitDone, `{"S":"sallyport/masked"}`, `"source":"detector"`},
		"nothing":         {`{"Item":{"a":{"S":"x"}}}`, item, exitDone, `{"S":"x"}`, "nothing was masked"},
		"unmask":          {`{"SecretString":"hunter2"}`, append(secret, "--unmask", "SecretString"), exitDone, "hunter2", "nothing was masked"},
		"withheld":        {`{"SecretString":"hunter2"`, secret, exitFailed, "", "it is not one JSON document"},
		"a bad path":      {`{}`, append(item, "--path", "@this"), exitUsage, "", "modifier"},
		"no operation":    {`{}`, []string{"--service", "dynamodb"}, exitUsage, "", "--operation"},
		"a misspelt one":  {`{}`, []string{"--service", "dynamodb", "--operation", "getitem"}, exitFailed, "", "did you mean GetItem?"},
		"a bad style":     {`{}`, append(item, "--as", "none"), exitUsage, "", "redact, fingerprint, last4, drop"},
		"no such file":    {`{}`, append(item, "--config", "missing.yaml"), exitFailed, "", "missing.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			r := maskIn(t, c.answer, c.args...)
			if r.code != c.code || !strings.Contains(r.stdout, c.out) || !strings.Contains(r.stderr, c.err) {
				t.Errorf("%+v", r)
			}
			if c.code != exitDone && (r.stdout != "" || strings.Contains(r.stderr, "hunter2")) {
				t.Errorf("something of a withheld answer is shown: %+v", r)
			}
		})
	}
	t.Run("a configuration", func(t *testing.T) {
		must(t, "init")
		text, err := os.ReadFile("sallyport.yaml")
		if err != nil {
			t.Fatal(err)
		}
		ours := strings.Replace(string(text), "  detectors: [aws-keys, private-keys, jwt, tokens]", `  detectors: [emails]
  patterns: [{name: employee, regex: 'E-([0-9]{6})', keywords: [E-]}]`, 1)
		if err := os.WriteFile("sallyport.yaml", []byte(ours), 0o600); err != nil {
			t.Fatal(err)
		}
		abs, err := filepath.Abs("sallyport.yaml")
		if err != nil {
			t.Fatal(err)
		}
		r := maskIn(t, `{"Item":{"a":{"S":"E-123456 <ann@example.com> ghp_1234567890abcdefghijklmnopqrstuvwxyz"}}}`, append(item, "--config", abs)...)
		if r.code != exitDone || !strings.Contains(r.stdout, `"E-sallyport/masked <sallyport/masked> ghp_1234567890abcdefghijklmnopqrstuvwxyz"`) || !strings.Contains(r.stderr, "employee") {
			t.Errorf("%+v", r)
		}
	})
}

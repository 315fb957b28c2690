package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A target with web identity says what must be there in AWS for it.
func TestWebIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(path, []byte(`identity: {issuers: [{issuer: "https://idp.example.com/", audience: sallyport}]}
targets: {dev: {role_arn: "arn:aws:iam::111122223333:role/agent-dev", credentials: web-identity}, ops: {role_arn: "arn:aws:iam::111122223333:role/ops", default: true}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Targets["dev"].Credentials != WebIdentity || c.Targets["ops"].Credentials != AssumeRole {
		t.Errorf("%+v", c.Targets)
	}
	w := c.Warnings()
	if len(w) != 1 || w[0].Line != 2 || !strings.Contains(w[0].String(), "IAM OIDC provider for https://idp.example.com/ (client id sallyport)") {
		t.Errorf("%v", w)
	}
}

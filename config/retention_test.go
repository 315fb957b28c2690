package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const forRecord = `identity: {issuers: [{issuer: "https://idp.example.com/", audience: sallyport}]}
targets: {dev: {role_arn: "arn:aws:iam::111122223333:role/agent-dev"}}
`

func loadRecord(t *testing.T, text string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(path, []byte(forRecord+text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

// What a recorder may be called, and when it may let bodies go.
func TestRetention(t *testing.T) {
	c, err := loadRecord(t, "record: {name: second, retention: {bodies_for: 720h, bodies_size: 10GiB}}\n")
	if err != nil || c.Record.Name != "second" || c.Record.Retention.BodiesFor != 720*time.Hour || c.Record.Retention.BodiesSize != 10<<30 {
		t.Fatalf("%v", err)
	}
	if c, err = loadRecord(t, ""); err != nil || c.Record.Name != "recorder" || c.Record.Retention != (Retention{}) {
		t.Fatalf("default %v", err)
	}
	for text, want := range map[string]string{
		"{name: A}": "record.name", `{name: ""}`: "record.name", "{name: a.b}": "record.name",
		"{retention: {bodies_for: 1h}}": "bodies_for", "{retention: {bodies_for: -24h}}": "bodies_for", "{retention: {bodies_size: 1MiB}}": "bodies_size",
	} {
		if _, err := loadRecord(t, "record: "+text+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

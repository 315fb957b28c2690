package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/policy"
)

func TestRecord(t *testing.T) {
	load := func(record string) (*Config, error) {
		name := filepath.Join(t.TempDir(), "sallyport.yaml")
		text := "identity: {local: true}\ntargets: {dev: {role_arn: \"arn:aws:iam::111122223333:role/x\"}}\n" + record
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return Load(name)
	}
	for text, want := range map[string]Record{
		"":                         {Bodies: policy.BodiesFull, BodyLimit: 8 << 20},
		"record: {bodies: digest}": {Bodies: policy.BodiesDigest, BodyLimit: 8 << 20},
		"record: {body_limit: 0}":  {Bodies: policy.BodiesFull, BodyLimit: 0},
		"record: {bodies: full, body_limit: 64KiB}": {Bodies: policy.BodiesFull, BodyLimit: 64 << 10},
	} {
		c, err := load(text)
		if err != nil || c.Record.Bodies != want.Bodies || c.Record.BodyLimit != want.BodyLimit {
			t.Errorf("%s: %v, %v", text, c, err)
			continue
		}
		if d := c.Record.Default(); d.Bodies != want.Bodies || *d.BodyLimit != want.BodyLimit {
			t.Errorf("%s: %+v", text, d)
		}
	}
	for text, want := range map[string]string{
		"record: {bodies: none}":     "record.bodies",
		"record: {body_limit: -1}":   "record.body_limit",
		"record: {bodylimit: 1MiB}":  "body_limit",
		"record: {bodies: [digest]}": "record.bodies",
	} {
		if _, err := load(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The committed tables are what the data folder gives.
func TestTablesAreCurrent(t *testing.T) {
	data := "../../../../shared/data"
	if _, err := os.Stat(filepath.Join(data, "partitions.json")); err != nil {
		t.Skip("no data folder beside the repository to generate from")
	}
	out := t.TempDir()
	if err := run(data, out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"index.json.gz", "services.bin"} {
		got, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("..", "tables", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the data gives; run go generate ./awsapi/catalog", name)
		}
	}
}

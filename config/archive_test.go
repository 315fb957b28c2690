package config

import (
	"strings"
	"testing"
)

// Where the record is copied to: a bucket, and nothing that sends it in the clear.
func TestArchive(t *testing.T) {
	c, err := loadRecord(t, "record: {archive: {bucket: acme-record, prefix: a/b/, endpoint: \"https://minio.example.com:9000\", region: eu-west-1, path_style: true}}\n")
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Record.Archive; a.Bucket != "acme-record" || a.Prefix != "a/b/" || a.Endpoint.String() != "https://minio.example.com:9000" || a.Region != "eu-west-1" || !a.PathStyle {
		t.Errorf("%+v", a)
	}
	for _, text := range []string{"", "{archive: {bucket: abc}}", `{archive: {bucket: abc, endpoint: "http://127.0.0.1:9000"}}`, `{archive: {bucket: abc, endpoint: "http://localhost:9000/"}}`} {
		if text != "" {
			text = "record: " + text + "\n"
		}
		if _, err := loadRecord(t, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"{prefix: a/}": "record.archive", "{path_style: true}": "record.archive",
		"{bucket: ab}": "bucket", "{bucket: Abc}": "bucket", "{bucket: a/bc}": "bucket", "{bucket: a..b}": "bucket", "{bucket: 192.168.5.4}": "bucket",
		"{bucket: abc, prefix: a}": "prefix", "{bucket: abc, prefix: /}": "prefix", "{bucket: abc, prefix: ../}": "prefix", "{bucket: abc, prefix: a/./}": "prefix",
		"{bucket: abc, region: mars}":                                   "region",
		`{bucket: abc, endpoint: "http://minio.example.com:9000"}`:      "unencrypted",
		`{bucket: abc, endpoint: "https://minio.example.com:9000/b"}`:   "endpoint",
		`{bucket: abc, endpoint: "https://minio.example.com:9000?a=b"}`: "endpoint",
		`{bucket: abc, endpoint: "ftp://minio.example.com"}`:            "endpoint",
	} {
		if _, err := loadRecord(t, "record: {archive: "+text+"}\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

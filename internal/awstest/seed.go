package awstest

import (
	"crypto/md5" // S3's ETag is an MD5
	"encoding/hex"
	"time"
)

// data is what the simulated accounts hold. Guarded by Server.mu.
type data struct {
	buckets   map[string]*bucket
	uploads   map[string]*upload
	tables    map[string]map[string]map[string]any // table, key, item
	secrets   map[string]*secretValue
	instances map[string]*instance
	tags      map[string]map[string]string // by ARN
}

type bucket struct {
	owner   string
	created time.Time
	objects map[string]*object
}

type object struct {
	body        []byte
	contentType string
	etag        string
	modified    time.Time
}

type upload struct {
	bucket, key, contentType string
	parts                    map[int][]byte
}

type secretValue struct{ arn, value string }

type instance struct{ id, kind, state, name string }

func newObject(body []byte, contentType string, now time.Time) *object {
	sum := md5.Sum(body) // S3's ETag is an MD5
	if contentType == "" {
		contentType = "binary/octet-stream"
	}
	return &object{body: body, contentType: contentType, etag: `"` + hex.EncodeToString(sum[:]) + `"`, modified: now}
}

// seed is the data of the demo.
func seed(now time.Time) *data {
	text := func(s string) *object { return newObject([]byte(s), "text/plain; charset=utf-8", now) }
	return &data{
		buckets: map[string]*bucket{
			"acme-dev-reports": {owner: Account, created: now, objects: map[string]*object{
				"2026/q3.csv":                      newObject([]byte("region,revenue\nnorth,120\nsouth,95\n"), "text/csv", now),
				"2026/notes.txt":                   text("Numbers are preliminary.\n"),
				"2026/größe und länge (final).txt": text("UTF-8 and spaces in the key.\n"),
			}},
			"partner-exfil": {owner: ForeignAccount, created: now, objects: map[string]*object{"inbox/readme.txt": text("Not your account.\n")}},
		},
		uploads: map[string]*upload{}, tags: map[string]map[string]string{},
		tables: map[string]map[string]map[string]any{"Customers": {
			"S:c-1001": {"id": map[string]any{"S": "c-1001"}, "name": map[string]any{"S": "Ada Example"}, "ssn": map[string]any{"S": "078-05-1120"}},
			"S:c-1002": {"id": map[string]any{"S": "c-1002"}, "name": map[string]any{"S": "Bo Sample"}, "ssn": map[string]any{"S": "219-09-9999"}},
		}},
		secrets: map[string]*secretValue{"prod/db": {
			arn: "arn:aws:secretsmanager:" + Region + ":" + Account + ":secret:prod/db-Ab3dE6", value: `{"username":"app","password":"correct-horse-battery-staple"}`,
		}},
		instances: map[string]*instance{
			"i-0abc1234567890def": {id: "i-0abc1234567890def", kind: "t3.micro", state: "running", name: "web-1"},
			"i-0abc1234567890aaa": {id: "i-0abc1234567890aaa", kind: "t3.large", state: "running", name: "db-1"},
		},
	}
}

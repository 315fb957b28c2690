package approvals

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/postform"
)

func canonical(t *testing.T, method, host, target, body string, header ...string) awsapi.Canonical {
	t.Helper()
	id, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	head, err := id.Head(awsapi.Request{Method: method, Host: host, Target: target, Header: h, ContentLength: int64(len(body)), Account: "111122223333"})
	if err != nil {
		t.Fatal(err)
	}
	var judged []byte
	if !head.Streams() {
		judged = []byte(body)
	}
	call, err := head.Call(judged)
	if err != nil {
		t.Fatal(err)
	}
	return call.Canonical()
}

// formed is a form upload to the store.
func formed(t *testing.T, fields ...string) awsapi.Canonical {
	t.Helper()
	id, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := 0; i+1 < len(fields); i += 2 {
		fmt.Fprintf(&b, "--b\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", fields[i], fields[i+1])
	}
	b.WriteString("--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhello\r\n--b--")
	head, err := id.Head(awsapi.Request{Method: http.MethodPost, Host: store, Target: "/", Header: http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}, ContentLength: int64(b.Len())})
	if err != nil {
		t.Fatal(err)
	}
	form, err := postform.Read(strings.NewReader(b.String()), "b", int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if head, err = head.WithForm(form, ""); err != nil {
		t.Fatal(err)
	}
	call, err := head.Call(nil)
	if err != nil {
		t.Fatal(err)
	}
	return call.Canonical()
}

const (
	dynamo = "dynamodb.us-east-1.amazonaws.com"
	store  = "acme.s3.us-east-1.amazonaws.com"
)

// Every difference that matters gives another digest, and no two of them the same.
func TestDigestTellsCallsApart(t *testing.T) {
	get := []string{"X-Amz-Target", "DynamoDB_20120810.GetItem", "Content-Type", "application/x-amz-json-1.0"}
	base := Subject{Issuer: "i", Subject: "s", Target: "dev", RoleARN: "r", Account: "a", PolicyVersion: "v"}
	item := canonical(t, "POST", dynamo, "/", `{"TableName":"t"}`, get...)
	seen := map[string]string{}
	add := func(name, digest string) {
		t.Helper()
		if other, twice := seen[digest]; twice {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[digest] = name
	}
	add("base", Digest(base, item))
	for name, s := range map[string]Subject{
		"issuer":           {Issuer: "i2", Subject: "s", Target: "dev", RoleARN: "r", Account: "a", PolicyVersion: "v"},
		"subject":          {Issuer: "i", Subject: "s2", Target: "dev", RoleARN: "r", Account: "a", PolicyVersion: "v"},
		"shifted":          {Issuer: "is", Subject: "", Target: "dev", RoleARN: "r", Account: "a", PolicyVersion: "v"},
		"target":           {Issuer: "i", Subject: "s", Target: "prod", RoleARN: "r", Account: "a", PolicyVersion: "v"},
		"role":             {Issuer: "i", Subject: "s", Target: "dev", RoleARN: "r2", Account: "a", PolicyVersion: "v"},
		"account":          {Issuer: "i", Subject: "s", Target: "dev", RoleARN: "r", Account: "a2", PolicyVersion: "v"},
		"policy's version": {Issuer: "i", Subject: "s", Target: "dev", RoleARN: "r", Account: "a", PolicyVersion: "v2"},
	} {
		add(name, Digest(s, item))
	}
	add("body", Digest(base, canonical(t, "POST", dynamo, "/", `{"TableName":"u"}`, get...)))
	add("host", Digest(base, canonical(t, "POST", "dynamodb.eu-west-1.amazonaws.com", "/", `{"TableName":"t"}`, get...)))
	add("header", Digest(base, canonical(t, "POST", dynamo, "/", `{"TableName":"t"}`, "X-Amz-Target", "DynamoDB_20120810.PutItem", "Content-Type", "application/x-amz-json-1.0")))
	add("object", Digest(base, canonical(t, "GET", store, "/k", "")))
	add("method", Digest(base, canonical(t, "HEAD", store, "/k", "")))
	add("path", Digest(base, canonical(t, "GET", store, "/k%20", "")))
	add("query", Digest(base, canonical(t, "GET", store, "/k?versionId=1", "")))
	add("upload", Digest(base, canonical(t, "PUT", store, "/k", "12", "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")))
	add("form", Digest(base, formed(t, "key", "k")))
	add("form's key", Digest(base, formed(t, "key", "l")))
	add("form's field", Digest(base, formed(t, "key", "k", "acl", "private")))
	add("form's field's value", Digest(base, formed(t, "key", "k", "acl", "public-read")))
	add("form's answer", Digest(base, formed(t, "key", "k", "success_action_status", "201")))
	if Digest(base, formed(t, "key", "k")) != Digest(base, formed(t, "key", "k", "policy", "p", "x-ignore-a", "b")) {
		t.Error("what does not go on is in the digest")
	}
	add("upload's length", Digest(base, canonical(t, "PUT", store, "/k", "123", "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")))
}

// The attempts of one call have one digest: SDKs change these headers on each.
func TestDigestOfARetry(t *testing.T) {
	first := canonical(t, "GET", store, "/k", "", "Amz-Sdk-Invocation-Id", "1", "Amz-Sdk-Request", "attempt=1", "User-Agent", "a")
	second := canonical(t, "GET", store, "/k", "", "Amz-Sdk-Invocation-Id", "1", "Amz-Sdk-Request", "attempt=2; max=3", "User-Agent", "a retry")
	if Digest(Subject{}, first) != Digest(Subject{}, second) {
		t.Error("a retry has another digest")
	}
}

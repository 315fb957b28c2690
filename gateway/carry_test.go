package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/awstest"
)

// The real SDK does what it does without us: the simulated AWS verifies each
// signature, checksum and session policy.
func TestSDK(t *testing.T) {
	r := newRig(t, rigOptions{})
	ctx := t.Context()
	cfg := r.sdk(r.token(), "dev")
	files := s3.NewFromConfig(cfg)
	bucket := aws.String("acme-dev-reports")
	for _, key := range []string{"plain", "with space+plus", "größe/€ (1)!'*", "a//b", "/leading", "..", "a/../b", "%2F", "~"} {
		if _, err := files.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader("hello " + key), Metadata: map[string]string{"a": "b"}}); err != nil {
			t.Errorf("put %q: %v", key, err)
			continue
		}
		got, err := files.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &key})
		if err != nil {
			t.Errorf("get %q: %v", key, err)
			continue
		}
		if b, err := io.ReadAll(got.Body); err != nil || string(b) != "hello "+key {
			t.Errorf("%q holds %q, %v", key, b, err)
		}
	}
	part, err := files.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("2026/q3.csv"), Range: aws.String("bytes=0-5")})
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(part.Body); string(b) != "region" || aws.ToString(part.ContentRange) == "" {
		t.Errorf("range: %q %v", b, aws.ToString(part.ContentRange))
	}
	head, err := files.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("2026/q3.csv")})
	if err != nil || aws.ToInt64(head.ContentLength) != 34 {
		t.Errorf("head: %+v %v", head, err)
	}
	list, err := files.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("2026/")})
	if err != nil || len(list.Contents) != 3 {
		t.Errorf("list: %v", err)
	}
	if _, err := files.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("plain")}); err != nil {
		t.Errorf("delete: %v", err)
	}
	_, err = files.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("plain")})
	if api, ok := errorAs[smithy.APIError](err); !ok || api.ErrorCode() != "NoSuchKey" {
		t.Errorf("get after delete: %v", err)
	}
	_, err = files.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("partner-exfil"), Key: aws.String("inbox/readme.txt")})
	if api, ok := errorAs[smithy.APIError](err); !ok || api.ErrorCode() != "AccessDenied" || strings.HasPrefix(api.ErrorMessage(), "sallyport: ") {
		t.Errorf("a foreign bucket: %v, want AWS's own refusal by the session policy", err)
	}

	table := dynamodb.NewFromConfig(cfg)
	item, err := table.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("Customers"), Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "c-1001"}}})
	if err != nil {
		t.Fatal(err)
	}
	ssn, _ := item.Item["ssn"].(*types.AttributeValueMemberS)
	name, _ := item.Item["name"].(*types.AttributeValueMemberS)
	if ssn == nil || name == nil || ssn.Value != "sallyport/masked" || name.Value != "Ada Example" {
		t.Errorf("%v", item.Item)
	}
	value, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("prod/db")})
	if err != nil || aws.ToString(value.SecretString) != "sallyport/masked" || aws.ToString(value.Name) != "prod/db" {
		t.Errorf("%+v %v", value, err)
	}
	// One AssumeRole for each call.
	sts, calls := r.upstream()
	if len(sts) != len(calls) {
		t.Errorf("%d AssumeRole for %d calls", len(sts), len(calls))
	}
	used := map[string]bool{}
	for _, x := range calls {
		if used[x.KeyID] || x.KeyID == "" {
			t.Errorf("key %q signed twice", x.KeyID)
		}
		used[x.KeyID] = true
	}
}

// The access key id names the target; nothing else of the signature counts.
func TestTargetByAccessKey(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := r.tunnel(t, dynamoHost, r.token())
	for _, test := range []struct {
		key, role string
		real      bool
	}{
		{"dev", "agent-dev", false}, {"wide", "agent-wide", false}, {"unknown", "agent-dev", false},
		{"AKIAIOSFODNN7EXAMPLE", "agent-dev", true}, {"ASIAIOSFODNN7EXAMPLE", "agent-dev", true},
	} {
		r.aws.Forget()
		a := c.do(t, http.MethodPost, "/", getItem, append(jsonCall("DynamoDB_20120810.GetItem"), c.signature(test.key))...)
		passed(t, a, http.StatusOK)
		sts, _ := r.upstream()
		if len(sts) != 1 || !strings.HasSuffix(sts[0].Resource, ":role/"+test.role) {
			t.Errorf("%s became %v, want %s", test.key, sts, test.role)
		}
		list := r.exchange(t, a.id())
		if d := data[*event.Request](t, list); d.RealKeySeen != test.real {
			t.Errorf("%s: real key seen is %v", test.key, d.RealKeySeen)
		}
		if d := data[*event.Credential](t, list); !strings.HasSuffix(d.RoleARN, "/"+test.role) {
			t.Errorf("%s: %+v", test.key, d)
		}
	}
	// A refusal says it too.
	a := c.do(t, http.MethodPost, "/", "{}", append(jsonCall("DynamoDB_20120810.Nothing"), c.signature("AKIAIOSFODNN7EXAMPLE"))...)
	if d := data[*event.Refused](t, r.exchange(t, a.id())); !d.RealKeySeen {
		t.Errorf("%+v", d)
	}
}

// Statuses without a body, and answers whose length is not that of their body.
func TestBodilessAnswers(t *testing.T) {
	r, _ := newScripted(t, rigOptions{}, func(w net.Conn, q *http.Request) bool {
		switch {
		case q.Method == http.MethodHead && q.URL.Path == "/acme-dev-reports/gone":
			return say("HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\nContent-Length: 300\r\n\r\n", true)(w, q)
		case q.Method == http.MethodHead:
			return say("HTTP/1.1 200 OK\r\nContent-Length: 123456789\r\nETag: \"e\"\r\n\r\n", true)(w, q)
		case q.Method == http.MethodDelete:
			return say("HTTP/1.1 204 No Content\r\nx-amz-version-id: v1\r\n\r\n", true)(w, q)
		case q.Header.Get("If-None-Match") == `"e"`:
			return say("HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n", true)(w, q)
		}
		return say(whole("200 OK", "text/plain", "", "ETag: \"e\""), true)(w, q)
	})
	c := r.tunnel(t, s3Host, r.token())
	for _, test := range []struct {
		method, key string
		header      string
		status      int
		length      string
	}{
		{http.MethodHead, "k", "Accept: */*", 200, "123456789"},
		{http.MethodHead, "gone", "Accept: */*", 404, ""},
		{http.MethodDelete, "k", "Accept: */*", 204, ""},
		{http.MethodGet, "k", `If-None-Match: "e"`, 304, ""},
		{http.MethodGet, "empty", "Accept: */*", 200, "0"},
	} {
		a := c.do(t, test.method, "/acme-dev-reports/"+test.key, "", test.header)
		passed(t, a, test.status)
		if len(a.body) != 0 || (test.length != "" && a.Header.Get("Content-Length") != test.length) {
			t.Errorf("%s %s: %v %q", test.method, test.key, a.Header, a.body)
		}
		if d := data[*event.Response](t, r.exchange(t, a.id())); d.Status != test.status {
			t.Errorf("%+v", d)
		}
	}
}

// zeros is size bytes without memory.
func zeros(size int64) io.Reader { return io.LimitReader(zero{}, size) }

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Objects pass through without being held: 64 MiB up and down in a few MiB of heap. Where
// they are recorded the embedded NATS server, which is in this process too, keeps blocks
// of its store in memory, and so does the file of events while it is published.
func TestObjectsStream(t *testing.T) {
	for _, test := range []struct {
		record string
		most   int64 // bytes of heap
	}{
		{"record: {bodies: digest}", 8 << 20},
		{"", 56 << 20},
	} {
		t.Run(test.record, func(t *testing.T) { objectsStream(t, test.record, test.most) })
	}
}

func objectsStream(t *testing.T, record string, limit int64) {
	t.Helper()
	const size = 64 << 20
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var most int64
	var received string
	r, _ := newScripted(t, rigOptions{extra: record}, func(w net.Conn, q *http.Request) bool {
		if q.Method == http.MethodGet {
			_, _ = fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
			_, _ = io.Copy(w, zeros(size/2))
			most = max(most, heap())
			_, _ = io.Copy(w, zeros(size/2))
			return true
		}
		sum := sha256.New()
		_, _ = io.CopyN(sum, q.Body, size-1)
		most = max(most, heap())
		n, _ := io.Copy(sum, q.Body)
		received = fmt.Sprint(n, " ", hex.EncodeToString(sum.Sum(nil)))
		return say(whole("200 OK", "text/plain", ""), true)(w, q)
	})
	c := r.tunnel(t, s3Host, r.token())
	passed(t, c.do(t, http.MethodGet, "/acme-dev-reports/warm", "", "Range: bytes=0-1"), http.StatusOK)
	most = 0
	before := heap()
	sum := sha256.New()
	_, err := io.Copy(sum, zeros(size))
	must(t, err)
	want := hex.EncodeToString(sum.Sum(nil))

	_, err = fmt.Fprintf(c, "PUT /acme-dev-reports/big HTTP/1.1\r\nHost: %s\r\n%s\r\nX-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\nContent-Length: %d\r\n\r\n", s3Host, c.signature("dev"), size)
	must(t, err)
	_, err = io.Copy(c, zeros(size))
	must(t, err)
	put := c.read(t, http.MethodPut)
	passed(t, put, http.StatusOK)
	if received != "1 "+want {
		t.Errorf("AWS got %s", received)
	}
	if d := data[*event.Response](t, r.exchange(t, put.id())); d.RequestBody == nil || d.RequestBody.Size != size || d.RequestBody.SHA256 != want {
		t.Errorf("%+v", d.RequestBody)
	}

	_, err = io.WriteString(c, c.request(http.MethodGet, "/acme-dev-reports/big", ""))
	must(t, err)
	resp, err := http.ReadResponse(c.r, nil)
	must(t, err)
	sum.Reset()
	n, err := io.Copy(sum, resp.Body)
	if err != nil || n != size || hex.EncodeToString(sum.Sum(nil)) != want {
		t.Errorf("got %d bytes, %v", n, err)
	}
	if d := data[*event.Response](t, r.exchange(t, resp.Header.Get("X-Sallyport-Request-Id"))); d.ResponseBody.Size != size || d.ResponseBody.SHA256 != want {
		t.Errorf("%+v", d.ResponseBody)
	}
	if grown := most - before; most == 0 || grown > limit {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
}

// Bodies in chunks are judged whole, and sent with a length.
func TestChunkedRequest(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := r.tunnel(t, dynamoHost, r.token())
	a := c.raw(t, http.MethodPost, fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\n%s\r\nTransfer-Encoding: chunked\r\n%s\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", dynamoHost, c.signature("dev"),
		lines(jsonCall("DynamoDB_20120810.GetItem")), 10, getItem[:10], len(getItem)-10, getItem[10:]))
	passed(t, a, http.StatusOK)
	_, calls := r.upstream()
	if len(calls) != 1 || string(calls[0].Body) != getItem || calls[0].Header.Get("Content-Length") != fmt.Sprint(len(getItem)) {
		t.Errorf("%+v", calls)
	}
	if d := data[*event.Request](t, r.exchange(t, a.id())); d.RequestBody.Size != int64(len(getItem)) || d.RecipientAccountID != awstest.Account {
		t.Errorf("%+v", d)
	}
}

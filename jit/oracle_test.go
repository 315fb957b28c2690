package jit

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awstest"
)

// eachOracle calls f with the Call of every request in awsapi's committed sample of
// real SDK requests, or in the file that SALLYPORT_ORACLE names. What awsapi
// refuses is left out: its own tests count that.
func eachOracle(t *testing.T, f func(*awsapi.Call)) {
	t.Helper()
	name := "../awsapi/testdata/oracle.jsonl.gz"
	if v := os.Getenv("SALLYPORT_ORACLE"); v != "" {
		name = v
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	id, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if call := oracleCall(t, id, lines.Bytes()); call != nil {
			f(call)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func oracleCall(t *testing.T, id *awsapi.Identifier, line []byte) *awsapi.Call {
	t.Helper()
	var sample struct {
		Request struct {
			Method, URL, BodyBase64 string
			Headers                 map[string]string
		}
	}
	if err := json.Unmarshal(line, &sample); err != nil {
		t.Fatal(err)
	}
	r := sample.Request
	body, err := base64.StdEncoding.DecodeString(r.BodyBase64)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, target, _ := strings.Cut(r.URL, "://")
	if i := strings.IndexAny(target, "/?"); i >= 0 {
		target = target[i:]
	} else {
		target = "/"
	}
	if target[0] == '?' {
		target = "/" + target
	}
	header, length := http.Header{}, int64(len(body))
	for k, v := range r.Headers {
		header.Set(k, v)
	}
	if v := header.Get("Content-Length"); v != "" {
		length, _ = strconv.ParseInt(v, 10, 64)
	}
	header.Del("Content-Length")
	head, err := id.Head(awsapi.Request{Method: r.Method, Host: strings.ToLower(u.Host), Target: target, Header: header, ContentLength: length, Account: awstest.Account})
	if err != nil {
		return nil
	}
	call, err := head.Call(body)
	if err != nil {
		if call, err = head.Call(nil); err != nil {
			return nil
		}
	}
	return call
}

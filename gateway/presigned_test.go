package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
)

// Whatever a client signs with, or if it does not, AWS sees our signature, verified
// by the simulated AWS, and nothing of the client's.
func TestEveryWayToSign(t *testing.T) {
	r := newRig(t, rigOptions{})
	token := r.token()
	const host = "acme-dev-reports.s3.us-east-1.amazonaws.com"
	const presigned = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=dev%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20200101T000000Z&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Security-Token=" + clientSignature + "&X-Amz-Signature=" + clientSignature
	for name, c := range map[string]struct {
		method, target, body, authorization string
		real                                bool
	}{
		"presigned GET":          {"GET", "/2026/q3.csv?" + presigned, "", "", false},
		"presigned HEAD":         {"HEAD", "/2026/q3.csv?" + presigned, "", "", false},
		"presigned PUT":          {"PUT", "/presigned?" + presigned + "&x-amz-meta-a=b", "hello", "", false},
		"presigned, version 2":   {"GET", "/2026/q3.csv?AWSAccessKeyId=dev&Expires=1&Signature=" + clientSignature, "", "", false},
		"signature version 2":    {"GET", "/2026/q3.csv", "", "AWS dev:" + clientSignature, false},
		"anonymous":              {"GET", "/2026/q3.csv", "", "-", false},
		"bearer":                 {"GET", "/2026/q3.csv", "", "Bearer bedrock-api-key-" + clientSignature, true},
		"a real-looking key, v2": {"GET", "/2026/q3.csv", "", "AWS AKIAIOSFODNN7EXAMPLE:" + clientSignature, true},
	} {
		tun := r.tunnel(t, host, token)
		head := c.method + " " + c.target + " HTTP/1.1\r\nHost: " + host + "\r\n"
		if c.authorization != "-" && c.authorization != "" {
			head += "Authorization: " + c.authorization + "\r\n"
		}
		if c.body != "" {
			head += "Content-Length: 5\r\n"
		}
		a := tun.raw(t, c.method, head+"\r\n"+c.body)
		passed(t, a, http.StatusOK)
		_, calls := r.upstream()
		got := calls[len(calls)-1]
		if got.KeyID == "" || strings.Contains(string(got.Head), clientSignature) || strings.Contains(strings.ToLower(got.Target), "signature") || strings.Contains(got.Target, "Expires") {
			t.Errorf("%s: arrived\n%s", name, got.Head)
		}
		if c.method == "PUT" && (got.Header.Get("X-Amz-Meta-A") != "b" || string(got.Body) != "hello") {
			t.Errorf("%s: arrived\n%s", name, got.Head)
		}
		if d := data[*event.Request](t, r.exchange(t, a.id())); d.RealKeySeen != c.real {
			t.Errorf("%s: a real key seen: %t", name, d.RealKeySeen)
		}
	}
}

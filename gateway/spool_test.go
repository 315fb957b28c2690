package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/spool"
)

const invokePolicy = `rules:
  - {name: invoke, who: {groups: [ai-agents]}, targets: [dev], actions: ["lambda:InvokeFunction"], resources: ["arn:aws:lambda:*:*:function:ok"], effect: allow}
`

const invokeOK = "/2015-03-31/functions/ok/invocations"

// A streaming body that must be hashed is read whole first, and arrives under a
// signature that AWS verifies, however the client framed it.
func TestHashedStreams(t *testing.T) {
	r := newRig(t, rigOptions{policy: invokePolicy})
	token := r.token()
	for name, n := range map[string]int{"small": 5, "in a file": spool.InMemory + 3, "at the edge": spool.InMemory} {
		body := strings.Repeat("x", n)
		sum := sha256.Sum256([]byte(body))
		want := hex.EncodeToString(sum[:])
		chunked := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: AWS4-HMAC-SHA256 Credential=dev/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=00\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
			invokeOK, lambdaHost, n, body)
		for framing, send := range map[string]func(*tunnel) answer{
			"length":  func(c *tunnel) answer { return c.do(t, http.MethodPost, invokeOK, body) },
			"chunked": func(c *tunnel) answer { return c.raw(t, http.MethodPost, chunked) },
		} {
			a := send(r.tunnel(t, lambdaHost, token))
			if a.reason() != "" {
				t.Fatalf("%s, %s: %d %s %s", name, framing, a.StatusCode, a.reason(), a.body)
			}
			_, calls := r.upstream()
			got := calls[len(calls)-1]
			if got.KeyID == "" || got.BodySHA256 != want || got.Header.Get("Content-Length") != fmt.Sprint(n) || got.Header.Get("X-Amz-Content-Sha256") != "" {
				t.Errorf("%s, %s: arrived %+v", name, framing, got)
			}
			d := data[*event.Response](t, r.exchange(t, a.id()))
			if d.RequestBody == nil || d.RequestBody.SHA256 != want || d.RequestBody.Size != int64(n) {
				t.Errorf("%s, %s: on record is %+v", name, framing, d.RequestBody)
			}
		}
	}
	if left, err := os.ReadDir(filepath.Join(r.state, "spool")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What is denied is not read, and what breaks off is not sent.
func TestHashedStreamsRefused(t *testing.T) {
	r := newRig(t, rigOptions{policy: invokePolicy})
	c := r.tunnel(t, lambdaHost, r.token())
	a := c.raw(t, http.MethodPost, "POST /2015-03-31/functions/other/invocations HTTP/1.1\r\nHost: "+lambdaHost+"\r\n"+c.signature("dev")+"\r\nContent-Length: 1000000\r\n\r\n")
	refused(t, a, http.StatusForbidden, "denied")
	c = r.tunnel(t, lambdaHost, r.token())
	a = c.raw(t, http.MethodPost, "POST /2015-03-31/functions/ok/invocations HTTP/1.1\r\nHost: "+lambdaHost+"\r\n"+c.signature("dev")+"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
	refused(t, a, http.StatusBadRequest, "malformed")
	r.nothingSent(t)
}

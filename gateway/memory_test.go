package gateway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/event"
)

// One identity that declares large bodies and does not send them gets its share
// of memory and of disk and no more: others are served meanwhile.
func TestOneIdentityCannotTakeAllRoom(t *testing.T) {
	for name, test := range map[string]struct {
		host, head     string
		tunnels, share int
		other          func(t *testing.T, c *tunnel) answer
	}{
		"memory": { // 16 MiB each, of 64 MiB for one identity
			dynamoHost, "POST / HTTP/1.1\r\nHost: " + dynamoHost + "\r\nX-Amz-Target: DynamoDB_20120810.PutItem\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 16777216", 20, 4,
			func(t *testing.T, c *tunnel) answer { return c.getItem(t) },
		},
		"disk": { // 1 GiB each, of 2 GiB
			lambdaHost, "POST " + invokeOK + " HTTP/1.1\r\nHost: " + lambdaHost + "\r\nContent-Length: 1073741824", 6, 2,
			func(t *testing.T, c *tunnel) answer { return c.do(t, http.MethodPost, invokeOK, "{}") },
		},
		"disk, length unknown": { // which counts as 1 GiB
			lambdaHost, "POST " + invokeOK + " HTTP/1.1\r\nHost: " + lambdaHost + "\r\nTransfer-Encoding: chunked", 6, 2,
			func(t *testing.T, c *tunnel) answer { return c.do(t, http.MethodPost, invokeOK, "{}") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := defaultPolicy
			if test.host == lambdaHost {
				policy = invokePolicy
			}
			r := newRig(t, rigOptions{policy: policy})
			greedy := r.tokenOf("agent-greedy", "ai-agents")
			turnedAway := make(chan error, test.tunnels)
			for range test.tunnels {
				c := r.tunnel(t, test.host, greedy)
				must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
				_, err := io.WriteString(c, test.head+"\r\n"+c.signature("dev")+"\r\n\r\n1")
				must(t, err)
				go func() {
					resp, err := http.ReadResponse(bufio.NewReader(c), nil)
					if err == nil {
						_ = resp.Body.Close()
						if resp.StatusCode != http.StatusServiceUnavailable {
							err = fmt.Errorf("answered %s", resp.Status)
						}
					}
					turnedAway <- err
				}()
			}
			for range test.tunnels - test.share {
				if err := <-turnedAway; err != nil {
					t.Fatal(err)
				}
			}
			if a := test.other(t, r.tunnel(t, test.host, r.token())); a.reason() != "" || a.id() == "" || a.err != nil {
				t.Errorf("another identity's request: %d %s, %v", a.StatusCode, a.reason(), a.err)
			}
		})
	}
}

// A few bytes can ask a decoder for windows of many MiB, and the client may stop there.
// What decoding holds counts against its identity's share: a body that finds no room is
// not looked into, for the record, and goes through all the same.
func TestDecodersAreBounded(t *testing.T) {
	arrived := make(chan struct{}, 1)
	r, _ := newScripted(t, rigOptions{}, func(w net.Conn, q *http.Request) bool {
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, q.Body)
		_, _ = io.WriteString(w, whole("200 OK", "text/plain", ""))
		return true
	})
	body := []byte("hello")
	for range 4 {
		var b bytes.Buffer
		z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		must(t, err)
		_, err = z.Write(body)
		must(t, err)
		must(t, z.Close())
		body = b.Bytes()
	}
	begin := func() *tunnel {
		c := r.tunnel(t, s3Host, r.token())
		_, err := fmt.Fprintf(c, "PUT /acme-dev-reports/k HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Encoding: zstd, zstd, zstd, zstd\r\nContent-Length: %d\r\n\r\n%s", s3Host, c.signature("dev"), len(body), body[:9])
		must(t, err)
		<-arrived
		return c
	}
	finish := func(c *tunnel) (string, string) {
		_, err := c.Write(body[9:])
		must(t, err)
		resp, err := http.ReadResponse(c.r, nil)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s", resp.Status)
		}
		got, told := bodyOnRecord(t, r.exchange(t, resp.Header.Get("X-Sallyport-Request-Id")), event.PartRequest)
		return got, told.Omitted
	}
	first, second := begin(), begin() // 36 MiB each, of 64
	if got, omitted := finish(second); got != "" || omitted != event.OmittedEncoded {
		t.Errorf("beside another: %q, omitted %q", got, omitted)
	}
	if got, omitted := finish(first); got != "hello" || omitted != "" {
		t.Errorf("the first: %q, omitted %q", got, omitted)
	}
	if got, omitted := finish(begin()); got != "hello" || omitted != "" {
		t.Errorf("after it: %q, omitted %q", got, omitted)
	}
}

package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
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

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
// of memory and no more: others are served meanwhile.
func TestOneIdentityCannotTakeAllMemory(t *testing.T) {
	const tunnels, share = 20, 4 // 16 MiB each, of 64 MiB for one identity
	r := newRig(t, rigOptions{})
	greedy := r.tokenOf("agent-greedy", "ai-agents")
	turnedAway := make(chan error, tunnels)
	for range tunnels {
		c := r.tunnel(t, dynamoHost, greedy)
		must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
		_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: "+dynamoHost+"\r\nX-Amz-Target: DynamoDB_20120810.PutItem\r\n"+
			"Content-Type: application/x-amz-json-1.0\r\nContent-Length: 16777216\r\n\r\n{")
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
	for range tunnels - share {
		if err := <-turnedAway; err != nil {
			t.Fatal(err)
		}
	}
	passed(t, r.tunnel(t, dynamoHost, r.token()).getItem(t), http.StatusOK)
}

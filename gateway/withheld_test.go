package gateway_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
)

// No client ever sees a complete answer that is not on record: the record fails behind
// the answer's middle, or behind its header where there is nothing else.
func TestEndIsWithheld(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 40_000)
	for name, test := range map[string]struct {
		method       string
		head         string // of AWS's answer
		first, rest  string // its body; the record fails between the two
		most         int    // bytes of the body that a client may see
		completeHead bool   // the client may see the header; else it sees why not
	}{
		"length":       {http.MethodGet, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", "hello", " world", 10, true},
		"one byte":     {http.MethodGet, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", "", "x", 0, true},
		"long":         {http.MethodGet, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 5+len(long)), "hello", long, 4 + len(long), true},
		"chunks":       {http.MethodGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n", "6\r\n world\r\n0\r\n\r\n", 11, true},
		"empty chunks": {http.MethodGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", "0\r\n\r\n", 0, true},
		"empty":        {http.MethodGet, "HTTP/1.1 200 OK\r\n", "", "Content-Length: 0\r\n\r\n", 0, false},
		"no content":   {http.MethodGet, "HTTP/1.1 204 No Content\r\n", "", "\r\n", 0, false},
		"not modified": {http.MethodGet, "HTTP/1.1 304 Not Modified\r\n", "", "\r\n", 0, false},
		"head":         {http.MethodHead, "HTTP/1.1 200 OK\r\n", "", "Content-Length: 11\r\n\r\n", 0, false},
	} {
		for _, record := range []string{"", "record: {bodies: digest}"} {
			for client, get := range clients {
				if client != "raw" && (record != "" || name != "length" && name != "chunks" && name != "head") {
					continue
				}
				t.Run(name+"/"+record+"/"+client, func(t *testing.T) {
					t.Parallel()
					var r *rig
					r, _ = newScripted(t, rigOptions{externalBus: true, extra: record}, func(w net.Conn, q *http.Request) bool {
						_, _ = io.Copy(io.Discard, q.Body)
						_, _ = io.WriteString(w, test.head+test.first)
						r.bus.Shutdown()
						_, err := io.WriteString(w, test.rest)
						return err == nil
					})
					status, n, err := get(t, r, test.method)
					if err == nil && status < 500 {
						t.Errorf("status %d with %d bytes looks complete", status, n)
					}
					if n > test.most || !test.completeHead && status != http.StatusServiceUnavailable {
						t.Errorf("status %d, %d bytes, %v", status, n, err)
					}
				})
			}
		}
	}
}

// clients give the status (0: none), the body's length, and whether it looks complete. Of
// a refusal the body does not count.
var clients = map[string]func(t *testing.T, r *rig, method string) (status, n int, err error){
	"raw": func(t *testing.T, r *rig, method string) (int, int, error) {
		c := r.tunnel(t, s3Host, r.token())
		_, err := io.WriteString(c, c.request(method, "/acme-dev-reports/k", ""))
		must(t, err)
		resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
		if err != nil {
			return 0, 0, err
		}
		return bodyOf(resp)
	},
	"net/http": func(t *testing.T, r *rig, method string) (int, int, error) {
		q, err := http.NewRequestWithContext(t.Context(), method, "https://"+s3Host+"/acme-dev-reports/k", nil)
		must(t, err)
		q.Header.Set("Authorization", strings.TrimPrefix((&tunnel{host: s3Host}).signature("dev"), "Authorization: "))
		resp, err := r.sdk(r.token(), "dev").HTTPClient.Do(q)
		if err != nil {
			return 0, 0, err
		}
		return bodyOf(resp)
	},
	"curl": func(t *testing.T, r *rig, method string) (int, int, error) {
		curl, err := exec.LookPath("curl")
		if err != nil {
			t.Skip("curl is not installed: its part of this test is left out")
		}
		args := []string{"-sS", "--proxy", "http://" + label + ":" + r.token() + "@" + r.srv.Proxy.String(), "--cacert", filepath.Join(r.state, "ca", "root.crt"),
			"--max-time", "20", "--http1.1", "-H", (&tunnel{host: s3Host}).signature("dev"), "-o", "/dev/null", "-w", "%{http_code} %{size_download}"}
		if method == http.MethodHead {
			args = append(args, "--head")
		}
		out, failed := exec.CommandContext(t.Context(), curl, append(args, "https://"+s3Host+"/acme-dev-reports/k")...).Output()
		var status, n int
		_, err = fmt.Sscan(string(out), &status, &n)
		must(t, err)
		if status >= 500 {
			n = 0
		}
		return status, n, failed
	},
}

func bodyOf(resp *http.Response) (status, n int, err error) {
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if resp.StatusCode >= 500 {
		b = nil
	}
	return resp.StatusCode, len(b), err
}

// HTTP/1.0 ends an answer without a length by closing, as a cut does: it is not spoken.
func TestHTTP10IsRefused(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := r.tunnel(t, s3Host, r.token())
	refused(t, c.raw(t, http.MethodGet, strings.Replace(c.request(http.MethodGet, "/acme-dev-reports/2026/q3.csv", ""), "HTTP/1.1", "HTTP/1.0", 1)), http.StatusBadRequest, "malformed")
	r.nothingSent(t)
}

// What is withheld is not more than the end: what came before reaches the client while
// AWS pauses.
func TestOnlyTheEndIsWithheld(t *testing.T) {
	for name, answer := range map[string][2]string{
		"length": {"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello", " world"},
		"chunks": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "6\r\n world\r\n0\r\n\r\n"},
	} {
		seen := make(chan struct{})
		r, _ := newScripted(t, rigOptions{}, func(w net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(w, answer[0])
			select {
			case <-seen:
			case <-time.After(10 * time.Second):
			}
			_, err := io.WriteString(w, answer[1])
			return err == nil
		})
		c := r.tunnel(t, s3Host, r.token())
		_, err := io.WriteString(c, c.request(http.MethodGet, "/acme-dev-reports/k", ""))
		must(t, err)
		resp, err := http.ReadResponse(c.r, nil)
		must(t, err)
		first := make([]byte, 5)
		start := time.Now()
		_, err = io.ReadFull(resp.Body, first)
		if err != nil || string(first) != "hello" || time.Since(start) > 9*time.Second {
			t.Errorf("%s: %q %v: what came is held back", name, first, err)
		}
		close(seen)
		rest, err := io.ReadAll(resp.Body)
		if err != nil || string(rest) != " world" {
			t.Errorf("%s: %q %v", name, rest, err)
		}
		d := data[*event.Response](t, r.exchange(t, resp.Header.Get("X-Sallyport-Request-Id")))
		if d.ResponseBody.Size != 11 {
			t.Errorf("%s: %+v", name, d.ResponseBody)
		}
	}
}

package launch

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// fakeGateway is a real CONNECT proxy that sends every tunnel to one address and
// keeps what it was asked.
type fakeGateway struct {
	*httptest.Server
	to string

	mu       sync.Mutex
	status   int
	requests []*http.Request
}

func newFakeGateway(t *testing.T, secure bool, to string) *fakeGateway {
	g := &fakeGateway{to: to, status: 200}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(g.serve))
	if secure {
		g.StartTLS()
	} else {
		g.Start()
	}
	t.Cleanup(g.Close)
	return g
}

func (g *fakeGateway) rootPEM() []byte {
	if g.Certificate() == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw})
}

func (g *fakeGateway) serve(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.requests = append(g.requests, r)
	status := g.status
	g.mu.Unlock()
	if status != 200 {
		w.Header().Set("Proxy-Authenticate", `Basic realm="sallyport"`)
		w.Header().Set("X-Sallyport-Reason", "identity")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "the gateway's words")
		return
	}
	up, err := net.Dial("tcp", g.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	down, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
	relay(context.Background(), &bufferedConn{down, buf.Reader}, up)
	down.Close()
	up.Close()
}

func (g *fakeGateway) seen() []*http.Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests
}

// counting gives another token each time.
type counting struct {
	mu  sync.Mutex
	n   int
	err error
}

func (c *counting) Token(context.Context) (secret.String, time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return secret.New(fmt.Sprintf("a.b.%d", c.n)), time.Time{}, c.err
}

// startHelper runs h until the test ends, and checks that it ends.
func startHelper(t *testing.T, h *Helper) string {
	t.Helper()
	h.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	l, err := Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ProxyURL(l)
}

func gatewayFor(t *testing.T, g *fakeGateway) *Gateway {
	t.Helper()
	gw, err := NewGateway(g.URL, g.rootPEM())
	if err != nil {
		t.Fatal(err)
	}
	return gw
}

func TestHelperTunnels(t *testing.T) {
	aws := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d", r.Host, r.URL.Path, len(body))
	}))
	defer aws.Close()
	for _, secure := range []bool{false, true} {
		g := newFakeGateway(t, secure, aws.Listener.Addr().String())
		proxy, _ := url.Parse(startHelper(t, &Helper{Gateway: gatewayFor(t, g), Tokens: &counting{}, Label: "my label"}))
		roots := x509.NewCertPool()
		roots.AddCert(aws.Certificate())
		client := &http.Client{Transport: &http.Transport{
			Proxy:              http.ProxyURL(proxy),
			ProxyConnectHeader: http.Header{"Proxy-Authorization": {"Basic b3duOm93bg=="}, "X-Other": {"x"}},
			TLSClientConfig:    &tls.Config{RootCAs: roots},
			DisableKeepAlives:  true,
		}}
		for i := 1; i <= 2; i++ {
			resp, err := client.Post("https://example.com/path", "text/plain", strings.NewReader(strings.Repeat("x", 1<<20)))
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(b) != "example.com /path 1048576" {
				t.Errorf("answer %q", b)
			}
			r := g.seen()[i-1]
			want := "Basic " + base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("my label:a.b.%d", i)))
			if got := r.Header.Values("Proxy-Authorization"); len(got) != 1 || got[0] != want {
				t.Errorf("Proxy-Authorization %q, want %q alone", got, want)
			}
			if r.Host != "example.com:443" || r.RequestURI != "example.com:443" || r.Header.Get("X-Other") != "" {
				t.Errorf("CONNECT %q, Host %q, %v", r.RequestURI, r.Host, r.Header)
			}
		}
	}
}

// raw sends bytes to the helper and reads the answer.
func raw(t *testing.T, proxy, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(proxy, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, ""
	}
	b, _ := io.ReadAll(resp.Body)
	return resp, string(b)
}

const connect = "CONNECT s3.amazonaws.com:443 HTTP/1.1\r\nHost: s3.amazonaws.com:443\r\n\r\n"

func TestHelperRefuses(t *testing.T) {
	g := newFakeGateway(t, false, "127.0.0.1:1")
	proxy := startHelper(t, &Helper{Gateway: gatewayFor(t, g), Tokens: &counting{}})
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"plain http":      {"GET http://s3.amazonaws.com/ HTTP/1.1\r\nHost: s3.amazonaws.com\r\n\r\n", 405},
		"origin form":     {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		"no port":         {"CONNECT s3.amazonaws.com HTTP/1.1\r\nHost: s3.amazonaws.com\r\n\r\n", 400},
		"path for host":   {"CONNECT /x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"user info":       {"CONNECT u@s3.amazonaws.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"header too long": {"CONNECT s3.amazonaws.com:443 HTTP/1.1\r\nX: " + strings.Repeat("x", 200<<10) + "\r\n\r\n", 431},
	} {
		if resp, body := raw(t, proxy, c.request); resp.StatusCode != c.status {
			t.Errorf("%s: %d %q, want %d", name, resp.StatusCode, body, c.status)
		}
	}
	if n := len(g.seen()); n != 0 {
		t.Errorf("%d requests reached the gateway", n)
	}
	g.mu.Lock()
	g.status = 403
	g.mu.Unlock()
	resp, body := raw(t, proxy, "CONNECT s3.amazonaws.com:443 HTTP/1.0\r\n\r\n")
	if resp.StatusCode != http.StatusForbidden || body != "the gateway's words" || resp.Header.Get("X-Sallyport-Reason") != "identity" {
		t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
	}
	g.mu.Lock()
	g.status = 407
	g.mu.Unlock()
	if resp, _ := raw(t, proxy, connect); resp.StatusCode != http.StatusForbidden || resp.Header.Get("Proxy-Authenticate") != "" {
		t.Errorf("407 came through: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestHelperWithoutGatewayOrToken(t *testing.T) {
	g := newFakeGateway(t, false, "")
	gw := gatewayFor(t, g)
	g.Close()
	resp, body := raw(t, startHelper(t, &Helper{Gateway: gw, Tokens: &counting{}}), connect)
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "cannot be reached") || strings.Contains(body, "a.b.") {
		t.Errorf("gateway away: %d %q", resp.StatusCode, body)
	}
	resp, body = raw(t, startHelper(t, &Helper{Gateway: gw, Tokens: &counting{err: errors.New("the login ended")}}), connect)
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "the login ended") {
		t.Errorf("no token: %d %q", resp.StatusCode, body)
	}
	other := newFakeGateway(t, true, "")
	wrong, err := NewGateway(other.URL, selfSigned(t))
	if err != nil {
		t.Fatal(err)
	}
	resp, body = raw(t, startHelper(t, &Helper{Gateway: wrong, Tokens: &counting{}}), connect)
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "TLS") || len(other.seen()) != 0 {
		t.Errorf("a gateway with another CA: %d %q", resp.StatusCode, body)
	}
}

// A stranger's connection gets nothing, and the token source is not even asked.
func TestHelperOwner(t *testing.T) {
	g := newFakeGateway(t, false, "127.0.0.1:1")
	tokens := &counting{}
	h := &Helper{Gateway: gatewayFor(t, g), Tokens: tokens}
	h.owner = func(client, server netip.AddrPort) error {
		if err := sameUser(client, server); err != nil {
			t.Errorf("our own connection: %v", err)
		}
		return errors.New("of another user")
	}
	resp, _ := raw(t, startHelper(t, h), connect)
	if resp.StatusCode != http.StatusForbidden || len(g.seen()) != 0 || tokens.n != 0 {
		t.Errorf("%d, %d at the gateway, %d tokens", resp.StatusCode, len(g.seen()), tokens.n)
	}
}

func TestHelperListensOnLoopbackOnly(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Helper).Serve(context.Background(), l); err == nil {
		t.Error("served on every address")
	}
}

func TestNewGateway(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:3128", "ftp://127.0.0.1", "http://gateway.example.com:3128", "http://10.0.0.1", "https://gateway.example.com", "http://u:p@127.0.0.1", "http://127.0.0.1/x"} {
		if _, err := NewGateway(bad, nil); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	for in, want := range map[string]string{"http://127.0.0.1": "127.0.0.1:3128", "http://localhost:1/": "localhost:1", "http://[::1]:9": "[::1]:9"} {
		if g, err := NewGateway(in, nil); err != nil || g.address != want {
			t.Errorf("%q: %v %v", in, g, err)
		}
	}
}

// The reason goes with every CONNECT, whatever is in it; a client's own beats it.
func TestHelperPassesTheReason(t *testing.T) {
	g := newFakeGateway(t, false, "127.0.0.1:1")
	g.status = http.StatusForbidden
	for _, test := range []struct{ reason, own, want string }{
		{"", "", ""},
		{"räumt auf\r\nX-Evil: 1", "", "r%C3%A4umt%20auf%0D%0AX-Evil:%201"},
		{"for all", "just%20this", "just%20this"},
	} {
		proxy, _ := url.Parse(startHelper(t, &Helper{Gateway: gatewayFor(t, g), Tokens: &counting{}, Reason: test.reason}))
		header := http.Header{}
		if test.own != "" {
			header.Set("X-Sallyport-Stated-Reason", test.own)
		}
		client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), ProxyConnectHeader: header}}
		if resp, err := client.Get("https://example.com/"); err == nil {
			resp.Body.Close()
			t.Error("it went through")
		}
		all := g.seen()
		if r := all[len(all)-1]; strings.Join(r.Header.Values("X-Sallyport-Stated-Reason"), "|") != test.want || r.Header.Get("X-Evil") != "" {
			t.Errorf("%q: %v", test.reason, r.Header)
		}
	}
}

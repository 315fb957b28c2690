package mitm_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/mitm"
)

// far is a server that stands for the cloud.
type far struct {
	*httptest.Server
	conns atomic.Int64
}

// newFar serves handler under TLS with leaf.
func newFar(tb testing.TB, leaf *tls.Certificate, handler http.Handler) *far {
	tb.Helper()
	f := &far{Server: httptest.NewUnstartedServer(handler)}
	f.TLS = &tls.Config{Certificates: []tls.Certificate{*leaf}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	f.EnableHTTP2 = true
	f.Config.ErrorLog = quiet
	f.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			f.conns.Add(1)
		}
	}
	f.StartTLS()
	tb.Cleanup(f.Close)
	return f
}

// upstream leads every connection to address.
func upstream(tb testing.TB, scheme, address string, roots *x509.CertPool) *mitm.Upstream {
	tb.Helper()
	u := &mitm.Upstream{Endpoint: &url.URL{Scheme: scheme, Host: address}, RootCAs: roots}
	tb.Cleanup(u.Close)
	return u
}

func (f *far) address() string { return f.Listener.Addr().String() }

func request(tb testing.TB, method, url, body string) *http.Request {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	tb.Cleanup(cancel)
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	must(tb, err)
	return req
}

// fetch makes a round trip and gives status and body.
func fetch(tb testing.TB, rt http.RoundTripper, req *http.Request) (*http.Response, string) {
	tb.Helper()
	resp, err := rt.RoundTrip(req)
	must(tb, err)
	body, err := io.ReadAll(resp.Body)
	must(tb, err)
	must(tb, resp.Body.Close())
	return resp, string(body)
}

func TestUpstreamVerifies(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	for name, leaf := range map[string]*tls.Certificate{
		"another name":      ours.leaf(t, hour, "evil.example"),
		"endpoint's name":   ours.leaf(t, hour, "127.0.0.1"), // the request's host counts, not the address
		"expired":           ours.leaf(t, time.Now().Add(-time.Hour), host),
		"another authority": other.leaf(t, hour, host),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFar(t, leaf, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
			resp, err := upstream(t, "https", f.address(), ours.pool).For("k").RoundTrip(request(t, "PUT", "https://"+host+"/", "secret"))
			if err == nil {
				_ = resp.Body.Close()
				t.Error("the certificate was taken")
			}
			if f.conns.Load() == 0 {
				t.Error("nothing was dialled: the test shows nothing")
			}
		})
	}
	old := newFar(t, ours.leaf(t, hour, host), nobody)
	old.TLS.MinVersion, old.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if resp, err := upstream(t, "https", old.address(), ours.pool).For("k").RoundTrip(request(t, "GET", "https://"+host+"/", "")); err == nil {
		_ = resp.Body.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

// The request arrives as it was given: no header added, HTTP/1.1, SNI and Host its
// own; and the answer as it was sent, redirects and compression included.
func TestUpstreamAddsNothing(t *testing.T) {
	for _, v := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(v, "http://127.0.0.1:1")
	}
	ours := newAuthority(t)
	var sni atomic.Value
	seen := make(chan string, 16)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil {
			sni.Store(r.TLS.ServerName)
		}
		seen <- fmt.Sprintf("%s %s %s %s %d %v %v", r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength, r.TransferEncoding, r.Header)
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Location", "https://evil.example/")
		w.WriteHeader(http.StatusTemporaryRedirect)
		_, _ = io.WriteString(w, "not gzip")
	})
	secure := newFar(t, ours.leaf(t, time.Now().Add(time.Hour), host), handler)
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	for _, u := range []*mitm.Upstream{
		upstream(t, "https", secure.address(), ours.pool),
		upstream(t, "http", plain.Listener.Addr().String(), nil),
	} {
		// PUT and POST without a body must not become chunked.
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
			req := request(t, method, "https://"+host+"/a%2Fb?x", "")
			req.Body = http.NoBody
			req.Header.Set("User-Agent", "agent")
			resp, body := fetch(t, u.For("k"), req)
			want := fmt.Sprintf("%s /a%%2Fb?x HTTP/1.1 %s 0 [] map[User-Agent:[agent]]", method, host)
			if method == "POST" || method == "PUT" {
				want = fmt.Sprintf("%s /a%%2Fb?x HTTP/1.1 %s 0 [] map[Content-Length:[0] User-Agent:[agent]]", method, host)
			}
			if got := <-seen; got != want {
				t.Errorf("arrived: %q\nwant: %q", got, want)
			}
			if resp.StatusCode != 307 || resp.Uncompressed || (method != "HEAD" && body != "not gzip") {
				t.Errorf("answered %d %q", resp.StatusCode, body)
			}
		}
	}
	if sni.Load() != host {
		t.Errorf("SNI was %v", sni.Load())
	}
	if resp, err := upstream(t, "http", plain.Listener.Addr().String(), nil).For("k").RoundTrip(request(t, "GET", "http://"+host+"/", "")); err == nil {
		_ = resp.Body.Close()
		t.Error("a plain http request was sent")
	}
	if resp, err := new(mitm.Upstream).For("k").RoundTrip(request(t, "GET", "https://"+host+"/", "")); err == nil {
		_ = resp.Body.Close()
		t.Error("an upstream without a dialer dials")
	}
}

// No connection ever carries two keys, at whatever concurrency.
func TestPoolPerKey(t *testing.T) {
	ours := newAuthority(t)
	var mu sync.Mutex
	keys := map[string]map[string]bool{} // keys by client address
	f := newFar(t, ours.leaf(t, time.Now().Add(time.Hour), host), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if keys[r.RemoteAddr] == nil {
			keys[r.RemoteAddr] = map[string]bool{}
		}
		keys[r.RemoteAddr][r.Header.Get("X-Key")] = true
	}))
	u := upstream(t, "https", f.address(), ours.pool)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for n := range 40 {
				key := fmt.Sprint((i + n) % 5)
				req := request(t, "GET", "https://"+host+"/", "")
				req.Header.Set("X-Key", key)
				resp, err := u.For(key).RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	wait.Wait()
	mu.Lock()
	for addr, k := range keys {
		if len(k) > 1 {
			t.Errorf("the connection from %s carried the keys %v", addr, k)
		}
	}
	mu.Unlock()
	if n := f.conns.Load(); n > 60 {
		t.Errorf("320 requests made %d connections: they are not kept", n)
	}

	// A closed key starts anew, others go on.
	before := f.conns.Load()
	u.CloseKey("1")
	fetch(t, u.For("2"), request(t, "GET", "https://"+host+"/", ""))
	if n := f.conns.Load() - before; n != 0 {
		t.Errorf("another key opened %d connections", n)
	}
	fetch(t, u.For("1"), request(t, "GET", "https://"+host+"/", ""))
	if n := f.conns.Load() - before; n != 1 {
		t.Errorf("a closed key opened %d connections", n)
	}
	// So does one that thousands of others have displaced.
	for i := range 5000 {
		u.For(fmt.Sprint("many ", i))
	}
	fetch(t, u.For("2"), request(t, "GET", "https://"+host+"/", ""))
	if n := f.conns.Load() - before; n != 2 {
		t.Errorf("a displaced key opened %d connections", n-1)
	}
}

// scripted answers the n-th request on each connection with answers[n], and closes
// when there is none. What arrived comes out of the channel.
func scripted(t *testing.T, answers ...string) (u *mitm.Upstream, arrived <-chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	got := make(chan string, 16)
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				defer func() { _ = c.Close() }()
				_ = c.SetDeadline(time.Now().Add(patient))
				br := bufio.NewReader(c)
				for i := 0; ; i++ {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					got <- r.Method + " " + r.RequestURI
					if i >= len(answers) {
						return
					}
					_, _ = io.WriteString(c, answers[i])
				}
			})
		}
	})
	u = upstream(t, "http", ln.Addr().String(), nil)
	t.Cleanup(func() {
		_ = ln.Close()
		u.Close()
		wait.Wait()
	})
	return u, got
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// A kept connection that breaks under a request breaks the request: it went out
// once, and whether it was acted on is not known.
func TestNothingIsReplayed(t *testing.T) {
	for _, c := range []struct{ method, body string }{
		{"GET", ""}, {"HEAD", ""}, {"OPTIONS", ""}, {"DELETE", ""}, {"PUT", ""}, {"POST", ""}, {"GET", "x"}, {"PUT", "x"}, {"POST", "x"},
	} {
		t.Run(c.method+c.body, func(t *testing.T) {
			u, arrived := scripted(t, ok)
			fetch(t, u.For("k"), request(t, "GET", "https://"+host+"/first", ""))
			<-arrived
			req := request(t, c.method, "https://"+host+"/second", c.body) // has GetBody
			if resp, err := u.For("k").RoundTrip(req); err == nil {
				_ = resp.Body.Close()
				t.Error("the broken connection was hidden")
			}
			if got := <-arrived; got != c.method+" /second" {
				t.Errorf("arrived: %s", got)
			}
			select {
			case again := <-arrived:
				t.Errorf("sent again: %s", again)
			default:
			}
		})
	}
}

func TestUpstreamAnswers(t *testing.T) {
	u, _ := scripted(t, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"+ok)
	if resp, body := fetch(t, u.For("k"), request(t, "GET", "https://"+host+"/", "")); resp.StatusCode != 200 || body != "ok" {
		t.Errorf("after informational answers: %d %q", resp.StatusCode, body)
	}
	for name, bad := range map[string]string{
		"switching protocols": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw",
		"a huge head":         "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\n",
		"no HTTP":             "SSH-2.0-x\r\n",
	} {
		u, _ := scripted(t, bad)
		if resp, err := u.For("k").RoundTrip(request(t, "GET", "https://"+host+"/", "")); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s was taken as %d", name, resp.StatusCode)
		}
	}
}

// These headers tell net/http that any method may be sent again, by being there.
func TestNothingIsReplayedForItsKey(t *testing.T) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		for _, body := range []string{"", "x"} {
			u, arrived := scripted(t, ok)
			fetch(t, u.For("k"), request(t, "GET", "https://"+host+"/first", ""))
			<-arrived
			req := request(t, "POST", "https://"+host+"/second", body)
			req.Header.Set(name, "1")
			if resp, err := u.For("k").RoundTrip(req); err == nil {
				_ = resp.Body.Close()
				t.Errorf("%s %q: the broken connection was hidden", name, body)
			}
			if want := len(body); len(arrived) != want {
				t.Errorf("%s %q: %d requests arrived, want %d", name, body, len(arrived), want)
			}
		}
	}
}

// Big answers to requests with bodies are never cut, with the server's connection
// on one side and the transport's on the other.
func TestBigAnswers(t *testing.T) {
	ours := newAuthority(t)
	big := bytes.Repeat([]byte("x"), 200<<10)
	f := newFar(t, ours.leaf(t, time.Now().Add(time.Hour), host), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(big)
	}))
	u := upstream(t, "https", f.address(), ours.pool)
	r := start(t, intercepting(forward(u)))
	const clients, each = 16, 125
	var wait sync.WaitGroup
	for range clients {
		c := r.tls()
		must(t, c.SetDeadline(time.Now().Add(time.Minute)))
		wait.Go(func() {
			br := bufio.NewReader(c)
			for n := range each {
				if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 300\r\n\r\n"+strings.Repeat("b", 300)); err != nil {
					t.Errorf("request %d: %v", n, err)
					return
				}
				resp, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Errorf("request %d: %v", n, err)
					return
				}
				if m, err := io.Copy(io.Discard, resp.Body); err != nil || m != int64(len(big)) {
					t.Errorf("request %d: %d bytes, %v", n, m, err)
					return
				}
			}
		})
	}
	wait.Wait()
	if n := f.conns.Load(); n > 4*clients {
		t.Errorf("%d requests made %d connections upstream", clients*each, n)
	}
}

// forward sends a request on as the gateway does: the body ends by itself.
func forward(u *mitm.Upstream) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := (&http.Request{
			Method: r.Method, URL: &url.URL{Scheme: "https", Host: r.Host, Opaque: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery}, Host: r.Host,
			Header: http.Header{"User-Agent": {"x"}}, ContentLength: r.ContentLength, Body: http.NoBody,
		}).WithContext(r.Context())
		if r.ContentLength > 0 {
			req.Body = io.NopCloser(io.LimitReader(r.Body, r.ContentLength))
		}
		resp, err := u.For("k").RoundTrip(req)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		w.Header()["Content-Length"] = resp.Header["Content-Length"]
		w.WriteHeader(resp.StatusCode)
		if _, err := io.Copy(w, resp.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
}

// An upstream that takes a request and never answers does not hold it for ever; one
// that is slow with a body that has begun is waited for.
func TestAnswerTimeout(t *testing.T) {
	ours := newAuthority(t)
	hold, begin := make(chan struct{}), make(chan struct{})
	f := newFar(t, ours.leaf(t, time.Now().Add(time.Hour), host), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/never" {
			<-hold
			return
		}
		_, _ = io.WriteString(w, "one")
		must(t, http.NewResponseController(w).Flush())
		<-begin
		_, _ = io.WriteString(w, "two")
	}))
	defer close(hold)
	u := upstream(t, "https", f.address(), ours.pool)
	u.AnswerTimeout = 100 * time.Millisecond
	if resp, err := u.For("k").RoundTrip(request(t, "POST", "https://"+host+"/never", "x")); err == nil {
		_ = resp.Body.Close()
		t.Error("an answer that never came was had")
	}
	resp, err := u.For("k").RoundTrip(request(t, "GET", "https://"+host+"/slow", ""))
	must(t, err)
	first := make([]byte, 3)
	_, err = io.ReadFull(resp.Body, first)
	must(t, err)
	if resp, err := u.For("k").RoundTrip(request(t, "POST", "https://"+host+"/never", "x")); err == nil { // as long as the timeout
		_ = resp.Body.Close()
		t.Error("an answer that never came was had")
	}
	close(begin)
	rest, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	if string(first)+string(rest) != "onetwo" {
		t.Errorf("read %q", string(first)+string(rest))
	}
}

// Connections that were needed at once are kept: with net/http's own limit of two
// idle ones a host, every round of concurrent requests would open the others anew.
func TestIdleConnectionsAreKept(t *testing.T) {
	ours := newAuthority(t)
	const at = 16
	var inside sync.WaitGroup
	f := newFar(t, ours.leaf(t, time.Now().Add(time.Hour), host), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		inside.Done()
		inside.Wait() // all of a round are here at once
		_, _ = io.WriteString(w, "ok")
	}))
	u := upstream(t, "https", f.address(), ours.pool)
	for range 3 {
		inside.Add(at)
		var round sync.WaitGroup
		for range at {
			round.Go(func() { fetch(t, u.For("k"), request(t, "GET", "https://"+host+"/", "")) })
		}
		round.Wait()
	}
	// A connection may come back a moment after its answer was read.
	if n := f.conns.Load(); n > at+at/2 {
		t.Errorf("%d connections for rounds of %d requests at once", n, at)
	}
}

package gateway

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/mask"
	"github.com/sallyport/sallyport/refusal"
	"github.com/sallyport/sallyport/revocation"
)

// switchboard revokes one subject, at once.
type switchboard struct {
	r atomic.Pointer[revocation.Revocation]
}

func (s *switchboard) Refusal(_ context.Context, c revocation.Caller) *refusal.Error {
	if r := s.r.Load(); r != nil && r.Covers(c) {
		return revocation.Refuse(*r)
	}
	return nil
}

// metered is a connection to AWS that knows whether a write has succeeded after the
// revocation was confirmed.
type metered struct {
	net.Conn
	confirmed    *atomic.Bool
	writes, late *atomic.Int64
}

func (m *metered) Write(p []byte) (int, error) {
	n, err := m.Conn.Write(p)
	m.writes.Add(1)
	if n > 0 && m.confirmed.Load() {
		m.late.Add(1)
	}
	return n, err
}

// dripping is an upload that never stops, unless the test has failed.
type dripping struct{ failed *atomic.Int64 }

func (d dripping) Read(p []byte) (int, error) {
	if d.failed.Load() > 0 {
		return 0, io.EOF
	}
	return copy(p, strings.Repeat("x", 512)), nil
}

// However requests and a revocation fall together: when Revoke has returned no write of
// the subject to AWS succeeds any more, and every request ended with the refusal.
func TestNoWriteAfterRevoke(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	aws := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }), ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() { defer close(served); _ = aws.Serve(ln) }()
	defer func() { _ = aws.Close(); <-served }()
	masker := mask.New(mask.Options{})
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	cut := 0
	for range rounds {
		var confirmed atomic.Bool
		var writes, late atomic.Int64
		transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, ln.Addr().String())
			return &metered{c, &confirmed, &writes, &late}, err
		}}
		board := &switchboard{}
		g := &Gateway{Config: Config{Revocations: board, Sessions: &identity.Sessions{}, Masker: masker}}
		h := &handler{Gateway: g, caller: &caller{label: "l", principal: &identity.Principal{Issuer: "i", Subject: "bob"}}}
		var wait sync.WaitGroup
		for i := range 4 {
			wait.Go(func() {
				for {
					x := &exchange{r: httptest.NewRequest("GET", "/", nil), caller: h.caller, session: &identity.Session{ID: "s"}}
					ctx, err := h.enter(t.Context(), x)
					if err == nil {
						var body io.Reader = strings.NewReader("judged")
						if i%2 == 0 {
							body = dripping{&late}
						}
						if i == 0 { // net/http may notice late that a request was cancelled: here it never does
							ctx = context.WithoutCancel(ctx)
						}
						var q *http.Request
						if q, err = http.NewRequestWithContext(x.live.onWire(ctx), http.MethodPut, "http://aws/", body); err == nil {
							var resp *http.Response
							if resp, err = transport.RoundTrip(q); err == nil {
								_, err = io.Copy(io.Discard, resp.Body)
								_ = resp.Body.Close()
							}
						}
					}
					if err != nil {
						if e := x.revoked(refusal.Of(err)); e.Reason != refusal.Identity {
							t.Errorf("a request ended with %v", err)
						}
					}
					for _, f := range x.release {
						f()
					}
					if err != nil {
						return
					}
				}
			})
		}
		for moment := rand.Int64N(100); writes.Load() < moment; {
			runtime.Gosched()
		}
		r := revocation.Revocation{Subject: "bob", Reason: "x"}
		board.r.Store(&r)
		e := g.Revoke(t.Context(), r)
		confirmed.Store(true)
		cut += e.Requests
		wait.Wait()
		transport.CloseIdleConnections()
		if late.Load() > 0 {
			t.Fatalf("%d writes after the revocation", late.Load())
		}
	}
	if cut == 0 {
		t.Error("no request was ever cut")
	}
	t.Logf("%d requests cut in %d rounds", cut, rounds)
}

// A request whose connection comes only after it was cut sends nothing on it.
func TestConnectionAfterTheCut(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	l := &liveRequest{cancel: cancel, ended: make(chan struct{})}
	var writes, late atomic.Int64
	confirmed := &atomic.Bool{}
	confirmed.Store(true)
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		stop(refusal.New(refusal.Identity, "revoked"), l)
		a, b := net.Pipe()
		go func() { _, _ = b.Read(make([]byte, 1)); _ = b.Close() }()
		return &metered{a, confirmed, &writes, &late}, nil
	}}
	// The transport's own look at the context is left out: it comes too early or too late.
	q, err := http.NewRequestWithContext(l.onWire(context.WithoutCancel(ctx)), http.MethodPut, "http://aws/", strings.NewReader("judged"))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := transport.RoundTrip(q); err == nil {
		_ = resp.Body.Close()
		t.Error("it was answered")
	}
	if late.Load() > 0 {
		t.Error("it was sent")
	}
	if ctx.Err() == nil {
		t.Error("it was not cancelled")
	}
}

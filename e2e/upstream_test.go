package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// upstream stands between the gateway and moto: it knows what was sent, and can
// hold a request back.
type upstream struct {
	url string

	mu   sync.Mutex
	seen []string // "METHOD host/path", in order
	hold string   // what is held back, part of the above; "" nothing
	let  chan struct{}
}

// watch puts an upstream between w's gateway, which does not run yet, and moto.
func (w *world) watch() *upstream {
	w.t.Helper()
	m, err := theMoto()
	if err != nil {
		w.t.Fatal(err)
	}
	to, err := url.Parse(m.url)
	if err != nil {
		w.t.Fatal(err)
	}
	u := &upstream{let: make(chan struct{})}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // moto goes by it
	}}
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		what := r.Method + " " + r.Host + r.URL.Path
		u.mu.Lock()
		u.seen = append(u.seen, what)
		held := u.hold != "" && strings.Contains(what, u.hold)
		u.mu.Unlock()
		if held {
			<-u.let
		}
		proxy.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(s.Close)
	w.t.Cleanup(sync.OnceFunc(func() { u.release() }))
	u.url = s.URL
	w.edit(m.url, u.url)
	return u
}

// holdBack keeps requests with this text waiting until release.
func (u *upstream) holdBack(text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.hold = text
}

func (u *upstream) release() {
	u.mu.Lock()
	defer u.mu.Unlock()
	select {
	case <-u.let:
	default:
		close(u.let)
	}
}

func (u *upstream) requests() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen)
}

func (u *upstream) has(text string) bool {
	return slices.ContainsFunc(u.requests(), func(s string) bool { return strings.Contains(s, text) })
}

// nothingSent runs f and fails if anything went upstream meanwhile.
func (u *upstream) nothingSent(t *testing.T, f func()) {
	t.Helper()
	before := len(u.requests())
	f()
	if after := u.requests(); len(after) != before {
		t.Errorf("sent upstream: %v", after[before:])
	}
}

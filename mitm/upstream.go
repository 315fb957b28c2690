package mitm

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	maxPools         = 4096
	handshakeTimeout = 10 * time.Second
	idlePerHost      = 256 // net/http's default of 2 makes every third concurrent request a new handshake
)

// Upstream is the way out: HTTP/1.1 over verified TLS, with a pool of connections
// for each key, so that no two identities ever share one. It follows no
// redirect, takes no proxy from the environment, and adds no header. Dialer is
// required. Fields must not change after first use.
type Upstream struct {
	Dialer *Dialer
	// Endpoint gets every connection in place of the request's host; Host header
	// and SNI stay the request's. http or https with host:port; nil: none.
	Endpoint *url.URL
	RootCAs  *x509.CertPool // nil: the system's
	// AnswerTimeout is how long an answer may take to begin once the request is out; 0
	// is 16 minutes. Lambda's Invoke answers after up to 15, SQS's ReceiveMessage after
	// 20 seconds. Uploads and answers that have begun take as long as they take: TCP's
	// keep-alive finds a peer that is gone.
	AnswerTimeout time.Duration

	once  sync.Once
	pools *lru.Cache[string, *http.Transport]
}

func (u *Upstream) setUp() {
	u.pools, _ = lru.NewWithEvict(maxPools, func(_ string, t *http.Transport) { t.CloseIdleConnections() }) // errs only for size < 1
}

// For is the pool of key.
func (u *Upstream) For(key string) http.RoundTripper {
	u.once.Do(u.setUp)
	if t, ok := u.pools.Get(key); ok {
		return &pool{u, t}
	}
	t := u.transport()
	if prev, ok, _ := u.pools.PeekOrAdd(key, t); ok {
		t = prev
	}
	return &pool{u, t}
}

// CloseKey closes key's idle connections and forgets the pool.
func (u *Upstream) CloseKey(key string) {
	u.once.Do(u.setUp)
	u.pools.Remove(key)
}

// Close closes all idle connections.
func (u *Upstream) Close() {
	u.once.Do(u.setUp)
	u.pools.Purge()
}

func (u *Upstream) transport() *http.Transport {
	config := &tls.Config{RootCAs: u.RootCAs, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(32)}
	return &http.Transport{
		Proxy:       nil,
		DialContext: u.dial,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return u.dialTLS(ctx, network, address, config)
		},
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
		DisableCompression:     true,                                                   // or it would ask for gzip and decode in silence
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        10 * time.Second,
		ExpectContinueTimeout:  time.Second, // then the body goes, whether it was asked for or not
		ResponseHeaderTimeout:  cmp.Or(u.AnswerTimeout, 16*time.Minute),
		MaxResponseHeaderBytes: 256 << 10,
		// Larger than a record, they would make the wait for an answer a large Read.
		WriteBufferSize: record,
		ReadBufferSize:  record,
	}
}

func (u *Upstream) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := u.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &answering{Conn: c, closed: make(chan struct{})}, nil
}

func (u *Upstream) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if u.Endpoint != nil { // the operator's own word: it may be on loopback
		return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, endpointAddress(u.Endpoint))
	}
	if u.Dialer == nil {
		return nil, errors.New("mitm: an upstream without a dialer dials nothing")
	}
	return u.Dialer.DialContext(ctx, network, address)
}

// dialTLS makes net/http's handshake, on a batched connection.
func (u *Upstream) dialTLS(ctx context.Context, network, address string, config *tls.Config) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	c, err := u.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	config.ServerName = host
	t := newBatched(c, tls.Client, config)
	t.whole = true // an answer may say where it ends by that alone
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return t, nil
}

// overtaking is how long an answer that has arrived has to be read, once a Write has failed.
const overtaking = 250 * time.Millisecond

// answering is a connection on which an answer overtakes the error of a Write. Who refuses
// an upload may close with bytes unread, which resets the connection; net/http would tell
// of the broken pipe and not of the answer that came before it.
type answering struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

// Write implements io.Writer.
func (c *answering) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		t := time.NewTimer(overtaking)
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.closed:
		}
	}
	return n, err
}

// Close implements net.Conn.
func (c *answering) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// NetConn is the connection under it.
func (c *answering) NetConn() net.Conn { return c.Conn }

func endpointAddress(e *url.URL) string {
	if e.Port() != "" {
		return e.Host
	}
	if e.Scheme == "http" {
		return net.JoinHostPort(e.Hostname(), "80")
	}
	return net.JoinHostPort(e.Hostname(), "443")
}

type pool struct {
	u *Upstream
	t *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (p *pool) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, errors.New("mitm: upstream requests are https")
	}
	clone := r.Clone(r.Context())
	if p.u.Endpoint != nil {
		clone.URL.Scheme = p.u.Endpoint.Scheme
	}
	// net/http sends some requests a second time when a kept connection breaks under
	// them. A request is on record once and goes out once, and an AWS query GET can be a
	// write. A body that cannot be had twice prevents it; an empty one is left out on the
	// wire.
	clone.GetBody = nil
	if empty := clone.Body == nil || clone.Body == http.NoBody; empty && replayable(clone) {
		clone.Body = io.NopCloser(strings.NewReader(""))
	} else if empty && (clone.Header["Idempotency-Key"] != nil || clone.Header["X-Idempotency-Key"] != nil) {
		return nil, errors.New("mitm: net/http would send a request with such a header again")
	}
	resp, err := p.t.RoundTrip(clone)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		_ = resp.Body.Close()
		return nil, errors.New("mitm: the upstream switched protocols unasked")
	}
	return resp, nil
}

// replayable reports whether net/http takes r's method for one that may be sent
// again. Others keep http.NoBody: an empty body of ours would make a POST without
// one chunked, which S3 refuses.
func replayable(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

package mitm

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// intercepted is the decrypted connection of a tunnel.
type intercepted struct {
	*batched
	host    string
	handler http.Handler
}

type tunnelKey struct{}

// intercept speaks TLS with the client and queues the connection for the inner
// server.
func (p *Proxy) intercept(c net.Conn, host string, _ uint16, a Admission) {
	_ = c.SetDeadline(time.Now().Add(p.HandshakeTimeout))
	if _, err := io.WriteString(c, established); err != nil {
		_ = c.Close()
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.HandshakeTimeout)
	defer cancel()
	t := newBatched(&stalling{Conn: c, timeout: p.StallTimeout}, tls.Server, &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"}, // HTTP/2 is not offered, and so never spoken
		Time:       p.Now,
		// A resumed handshake asks for no certificate, and would pass by checks made
		// where one is got. None can be resumed, and the check stands before.
		SessionTicketsDisabled: true,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			// The certificate is the CONNECT host's in any case. Another SNI, or none,
			// means that the client has another host in mind than was admitted.
			if !sameName(hello.ServerName, host) {
				return nil, errors.New("mitm: SNI is not the CONNECT host")
			}
			return nil, nil
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.Certificate(ctx, host) },
	})
	// Whatever is not a TLS handshake (plaintext HTTP, an HTTP/2 preface) fails here.
	if err := t.HandshakeContext(ctx); err != nil {
		p.Log.DebugContext(ctx, "TLS with the client failed", "host", host, "cause", err.Error())
		_ = c.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	if !p.queue.put(&intercepted{batched: t, host: host, handler: a.Handler}) {
		_ = t.Close()
	}
}

// serveInner checks what every decrypted request must be, and hands it to the
// tunnel's handler. net/http has parsed it: two Host headers, a malformed header
// or framing never get here. Where Content-Length and chunked framing both stood,
// net/http has taken the latter; what goes on to AWS is framed anew, on a
// connection that no other identity uses, so the two cannot be played off
// against each other.
func (p *Proxy) serveInner(w http.ResponseWriter, r *http.Request) {
	t, ok := r.Context().Value(tunnelKey{}).(*intercepted)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	c := http.NewResponseController(w)
	if r.ContentLength != 0 {
		// net/http reads on in a body that nobody wanted, to see where the next
		// request begins. Without a deadline, one byte withheld would hold the
		// connection for ever.
		_ = c.SetReadDeadline(time.Now().Add(p.StallTimeout))
	}
	switch {
	case len(r.RequestURI) == 0 || r.RequestURI[0] != '/' || r.Method == http.MethodConnect:
		refuse(w, http.StatusBadRequest, "sallyport: the request's target must be a path (origin form)")
	case !sameHost(r.Host, t.host):
		refuse(w, http.StatusMisdirectedRequest, "sallyport: the Host header is not the host of the CONNECT")
	case r.Header.Get("Upgrade") != "" || r.Header.Get("Http2-Settings") != "":
		refuse(w, http.StatusBadRequest, "sallyport: upgrades (WebSocket, HTTP/2) are not carried")
	case r.Header.Get("Trailer") != "" || len(r.Trailer) > 0:
		refuse(w, http.StatusBadRequest, "sallyport: HTTP trailers are not carried")
	default:
		// A copy: net/http looks at its own request again when the answer begins, to
		// see whether the client still waits for 100 Continue.
		inner := r.WithContext(r.Context())
		inner.Host = t.host
		inner.Body = &stallingBody{ReadCloser: r.Body, conn: t, c: c, timeout: p.StallTimeout, chunked: r.ContentLength < 0}
		t.handler.ServeHTTP(w, inner)
	}
}

// stalling gives each record that is written to the client a deadline of its own: a
// client that stops reading is cut, one that reads slowly for hours is not.
type stalling struct {
	net.Conn
	timeout time.Duration
}

func (c *stalling) Write(b []byte) (int, error) {
	sent := 0
	for {
		if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
			return sent, err
		}
		n, err := c.Conn.Write(b[sent:])
		sent += n
		if n < record || !errors.Is(err, os.ErrDeadlineExceeded) {
			return sent, err
		}
	}
}

// stallingBody does the same for a request's body.
type stallingBody struct {
	io.ReadCloser
	conn    io.Reader // that it comes on
	c       *http.ResponseController
	timeout time.Duration
	chunked bool
	broken  atomic.Bool // net/http reads no more of it
	ended   atomic.Bool // it was read to its end

	mu    sync.Mutex // a read may begin while another goroutine bounds it
	end   time.Time  // no read waits longer; zero: no end
	pause time.Duration
}

// Bound holds what is still read of the body to an end, and each read to a pause. A
// read that waits is bounded, too. An end that has passed ends reading; a later one
// takes it up again, if only by Discard. A body that was read to its end is bounded by
// nothing: net/http waits for the client's next request then.
func (b *stallingBody) Bound(end time.Time, pause time.Duration) error {
	if b.ended.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end, b.pause = end, pause
	return b.c.SetReadDeadline(b.deadline())
}

func (b *stallingBody) deadline() time.Time {
	if b.end.IsZero() {
		return time.Now().Add(b.timeout)
	}
	if d := time.Now().Add(b.pause); d.Before(b.end) {
		return d
	}
	return b.end
}

func (b *stallingBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	_ = b.c.SetReadDeadline(b.deadline())
	b.mu.Unlock()
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		// From here on the server itself reads, to notice that the client went away.
		// After any other error the deadline stays: the server reads what is left.
		b.ended.Store(true)
		_ = b.c.SetReadDeadline(time.Time{})
	}
	if b.chunked && errors.Is(err, os.ErrDeadlineExceeded) {
		b.broken.Store(true) // its reader of chunks keeps any error for ever
	}
	return n, err
}

// Discard reads up to so many bytes of what the client still sends, and throws them
// away. It comes last: no other request can follow on the connection.
func (b *stallingBody) Discard(most int) {
	buf, _ := batches.Get().(*[]byte)
	defer batches.Put(buf)
	read, past := b.Read, false
	for most > 0 {
		n, err := read(*buf)
		most -= n
		switch {
		case err == nil:
		case b.broken.Load() && !past:
			read, past = b.readPast, true
		default:
			return
		}
	}
}

// readPast reads what is on the connection, past net/http. Where the body ends cannot be
// known: who reads goes on until the client closes, or pauses.
func (b *stallingBody) readPast(p []byte) (int, error) {
	b.mu.Lock()
	_ = b.c.SetReadDeadline(b.deadline())
	b.mu.Unlock()
	return b.conn.Read(p)
}

// queue is a net.Listener whose connections are put in by hand.
type queue struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newQueue() *queue {
	q := &queue{conns: make(chan net.Conn), closed: make(chan struct{})}
	q.close = sync.OnceFunc(func() { close(q.closed) })
	return q
}

func (q *queue) put(c net.Conn) bool {
	select {
	case q.conns <- c:
		return true
	case <-q.closed:
		return false
	}
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *queue) Close() error { q.close(); return nil }

// Addr implements net.Listener; there is none.
func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }

package mitm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// tunnel passes bytes untouched between the client and the CONNECT host, once the
// client has shown by its SNI that this is the host it means.
func (p *Proxy) tunnel(c net.Conn, host string, port uint16, _ Admission) {
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(p.ctx, func() { _ = c.Close() })()
	ctx, cancel := context.WithTimeout(p.ctx, p.HandshakeTimeout)
	defer cancel()
	up, err := p.Dial(ctx, "tcp", hostPort(host, port))
	if err != nil {
		p.Log.InfoContext(ctx, "tunnel: the host could not be reached", "host", host, "cause", err.Error())
		_ = response(Admission{Status: http.StatusBadGateway, Message: "sallyport: " + host + " could not be reached"}).Write(c)
		return
	}
	defer func() { _ = up.Close() }()
	_ = c.SetDeadline(time.Now().Add(p.HandshakeTimeout))
	if _, err := io.WriteString(c, established); err != nil {
		return
	}
	hello, name, err := readHello(ctx, c)
	if err != nil || !sameName(name, host) {
		p.Log.InfoContext(ctx, "tunnel: the client's SNI is not the CONNECT host, or it speaks no TLS", "host", host)
		return
	}
	_ = c.SetDeadline(time.Time{})
	if _, err := up.Write(hello); err != nil {
		return
	}
	idle := newIdle(p.IdleTimeout, c, up)
	defer idle.stop()
	stop := context.AfterFunc(p.ctx, idle.cut)
	defer stop()
	var wait sync.WaitGroup
	for _, pair := range [][2]net.Conn{{c, up}, {up, c}} {
		wait.Go(func() {
			_, _ = io.Copy(pair[0], &touching{pair[1], idle})
			_ = closeWrite(pair[0])
		})
	}
	wait.Wait()
}

var errHello = errors.New("hello read")

// readHello reads a ClientHello and gives its bytes and its SNI.
func readHello(ctx context.Context, c net.Conn) (hello []byte, name string, err error) {
	var seen bytes.Buffer
	// crypto/tls parses it; the error from the callback ends the handshake before
	// anything is answered, and the connection it writes to is not the client's.
	t := tls.Server(&listening{Conn: c, r: io.TeeReader(io.LimitReader(c, 64<<10), &seen)}, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name = h.ServerName
			return nil, errHello
		},
	})
	if err := t.HandshakeContext(ctx); !errors.Is(err, errHello) {
		return nil, "", errors.New("no TLS ClientHello")
	}
	return seen.Bytes(), name, nil
}

// listening only reads.
type listening struct {
	net.Conn
	r io.Reader
}

func (l *listening) Read(p []byte) (int, error)  { return l.r.Read(p) }
func (l *listening) Write(p []byte) (int, error) { return len(p), nil }
func (l *listening) Close() error                { return nil }

// idle cuts connections through which nothing has passed for a while.
type idle struct {
	timer   *time.Timer
	timeout time.Duration
	conns   []net.Conn
}

func newIdle(timeout time.Duration, conns ...net.Conn) *idle {
	i := &idle{timeout: timeout, conns: conns}
	i.timer = time.AfterFunc(timeout, i.cut)
	return i
}

func (i *idle) touch() { i.timer.Reset(i.timeout) }
func (i *idle) stop()  { i.timer.Stop() }

func (i *idle) cut() {
	for _, c := range i.conns {
		_ = c.Close()
	}
}

type touching struct {
	net.Conn
	idle *idle
}

func (t *touching) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.idle.touch()
	return n, err
}

package mitm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// socket counts the calls that write, and can fail them or keep what they write.
type socket struct {
	net.Conn
	writes atomic.Int64
	broken atomic.Bool
	kept   *bytes.Buffer // nil: written
}

func (s *socket) Write(p []byte) (int, error) {
	s.writes.Add(1)
	switch {
	case s.broken.Load():
		return 0, os.ErrDeadlineExceeded
	case s.kept != nil:
		return s.kept.Write(p)
	}
	return s.Conn.Write(p)
}

// ends are a batched connection and its peer, which is crypto/tls alone.
type ends struct {
	ours      *batched
	peer      *tls.Conn
	near, far *socket // under ours and under peer
}

func newEnds(t *testing.T, version uint16) *ends {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer func() { _ = ln.Close() }()
	out, err := net.Dial("tcp", ln.Addr().String())
	check(t, err)
	in, err := ln.Accept()
	check(t, err)
	near, far := &socket{Conn: in}, &socket{Conn: out}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"a.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	leaf, err := x509.ParseCertificate(der)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	e := &ends{near: near, far: far}
	e.ours = newBatched(near, tls.Client, &tls.Config{ServerName: "a.example", RootCAs: roots, MinVersion: version, MaxVersion: version})
	e.peer = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: version, DynamicRecordSizingDisabled: true})
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	limit := time.Now().Add(15 * time.Second)
	_, _ = near.SetDeadline(limit), far.SetDeadline(limit)
	var wait sync.WaitGroup
	wait.Go(func() { check(t, e.peer.Handshake()) })
	check(t, e.ours.Handshake())
	wait.Wait()
	return e
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
		t.FailNow()
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// Whatever the sizes of reads and writes, both ways, the bytes are the bytes.
func TestBatchedCarries(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		e := newEnds(t, version)
		there, back := noise(3<<20), noise(3<<20)
		var wait sync.WaitGroup
		send := func(c net.Conn, b []byte, whole bool) {
			for len(b) > 0 {
				n := min(len(b), 1+mrand.IntN(3*atOnce))
				if _, err := c.Write(b[:n]); err != nil {
					t.Error(err)
				}
				b = b[n:]
			}
			if whole {
				_ = e.peer.CloseWrite()
			}
		}
		receive := func(c net.Conn, want []byte) {
			var got []byte
			for buf := make([]byte, 3*atOnce); len(got) < len(want); {
				n, err := c.Read(buf[:1+mrand.IntN(len(buf))])
				got = append(got, buf[:n]...)
				if err != nil && !(errors.Is(err, io.EOF) && len(got) == len(want)) {
					t.Error(err)
					return
				}
			}
			if !bytes.Equal(got, want) {
				t.Error("the bytes are others")
			}
		}
		wait.Go(func() { send(e.ours, there, false) })
		wait.Go(func() { send(e.peer, back, true) })
		wait.Go(func() { receive(e.peer, there) })
		receive(e.ours, back)
		wait.Wait()
		if n, err := e.ours.Read(make([]byte, atOnce)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("after close_notify: %d, %v", n, err)
		}
		if e.ours.wire.in != nil || e.ours.wire.out != nil {
			t.Error("an idle connection holds a buffer")
		}
	}
}

// crypto/tls takes a connection that was cut between two records for one that was
// closed. An answer that ends with its connection would look complete.
func TestBatchedCutOff(t *testing.T) {
	for _, size := range []int{100, 3 * atOnce} { // of the buffer
		for name, c := range map[string]struct {
			end  func(*ends) error
			want error
		}{
			"closed":   {func(e *ends) error { return e.peer.CloseWrite() }, io.EOF},
			"cut off":  {func(e *ends) error { return e.far.Close() }, io.ErrUnexpectedEOF},
			"and both": {func(e *ends) error { return e.peer.Close() }, io.EOF},
		} {
			e := newEnds(t, tls.VersionTLS13)
			e.ours.whole = true
			_, err := e.peer.Write(noise(1000))
			check(t, err)
			check(t, c.end(e))
			total := 0
			for buf := make([]byte, size); err == nil; {
				var n int
				n, err = e.ours.Read(buf)
				total += n
			}
			if total != 1000 || !errors.Is(err, c.want) {
				t.Errorf("%s: %d bytes, %v, want %v", name, total, err, c.want)
			}
		}
	}
}

// Many records take one call, small ones do not wait for company, and what has
// arrived is given although the next record is there only in part.
func TestBatchedCalls(t *testing.T) {
	e := newEnds(t, tls.VersionTLS13)
	e.ours.wire.gather() // past the small records with which crypto/tls begins
	_, err := e.ours.Conn.Write(make([]byte, 1<<20))
	check(t, errors.Join(err, e.ours.wire.flush()))
	_, err = io.ReadFull(e.peer, make([]byte, 1<<20))
	check(t, err)

	before := e.near.writes.Load()
	_, err = e.ours.Write(make([]byte, 4*record))
	check(t, err)
	if n := e.near.writes.Load() - before; n != 1 {
		t.Errorf("4 records were sent in %d calls", n)
	}
	before = e.near.writes.Load()
	_, err = e.ours.Write([]byte("now"))
	check(t, err)
	if n := e.near.writes.Load() - before; n != 1 {
		t.Errorf("a small write made %d calls", n)
	}
	_, err = io.ReadFull(e.peer, make([]byte, 4*record+3))
	check(t, err)

	e.far.kept = &bytes.Buffer{}
	for _, text := range []string{"first", "second", "third"} {
		_, err = e.peer.Write([]byte(text))
		check(t, err)
	}
	sealed := e.far.kept.Bytes()
	third := 5 + len("third") + 17 // header, text, type and tag (RFC 8446, section 5.2)
	buf := make([]byte, atOnce)
	for _, step := range []struct {
		bytes int
		want  string
	}{{len(sealed) - third + 7, "firstsecond"}, {third - 7, "third"}} {
		_, err = e.far.Conn.Write(sealed[:step.bytes])
		check(t, err)
		sealed = sealed[step.bytes:]
		n, err := e.ours.Read(buf)
		check(t, err)
		if got := string(buf[:n]); got != step.want {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
}

// After a batch that was lost nothing is sent: it would be noise to the peer.
func TestBatchedFails(t *testing.T) {
	e := newEnds(t, tls.VersionTLS13)
	e.near.broken.Store(true)
	if n, err := e.ours.Write(make([]byte, 4*record)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d, %v", n, err)
	}
	e.near.broken.Store(false)
	before := e.near.writes.Load()
	for _, n := range []int{1, 4 * record} {
		if _, err := e.ours.Write(make([]byte, n)); err == nil {
			t.Error("a write after a lost one is no error")
		}
	}
	if e.near.writes.Load() != before {
		t.Error("something was sent after a lost batch")
	}
}

// Close ends a Write that waits for its peer, and does not wait with it.
func TestBatchedClose(t *testing.T) {
	e := newEnds(t, tls.VersionTLS13)
	stuck := &stuck{Conn: e.near, began: make(chan struct{}), closed: make(chan struct{})}
	e.ours.wire.Conn = stuck
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := e.ours.Write(make([]byte, 4*record)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	<-stuck.began
	check(t, e.ours.Close())
	wait.Wait()
}

// stuck is a connection whose peer does not read.
type stuck struct {
	net.Conn
	began, closed chan struct{}
}

func (s *stuck) Write([]byte) (int, error) {
	close(s.began)
	<-s.closed
	return 0, net.ErrClosed
}

func (s *stuck) Close() error { close(s.closed); return nil }

// A batch may take as long as its records might one by one, and no longer.
func TestStalling(t *testing.T) {
	for taken, whole := range map[int]bool{record: true, record - 1: false} {
		n, err := (&stalling{Conn: slow{taken: taken}, timeout: time.Minute}).Write(make([]byte, 4*record))
		if whole && (n != 4*record || err != nil) || !whole && (n != taken || !errors.Is(err, os.ErrDeadlineExceeded)) {
			t.Errorf("%d bytes within each deadline: %d, %v", taken, n, err)
		}
	}
}

// slow takes so many bytes until a deadline.
type slow struct {
	net.Conn
	taken int
}

func (s slow) Write(p []byte) (int, error) {
	if len(p) <= s.taken {
		return len(p), nil
	}
	return s.taken, os.ErrDeadlineExceeded
}

func (slow) SetWriteDeadline(time.Time) error { return nil }

// A body that has ended is bounded by nothing: it is net/http that reads then, and takes
// a read that ends for a client that has left.
func TestBoundOfNothing(t *testing.T) {
	seen, left := make(chan struct{}), make(chan error, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		b := &stallingBody{ReadCloser: r.Body, c: c, timeout: time.Hour}
		_, err := io.Copy(io.Discard, b)
		if err = errors.Join(err, b.Bound(time.Unix(1, 0), 0), c.Flush()); err != nil {
			t.Error(err)
		}
		<-seen // the head is at the client: net/http had all the time it takes
		left <- r.Context().Err()
	}))
	defer srv.Close()
	resp, err := http.Post(srv.URL, "text/plain", strings.NewReader("x"))
	close(seen)
	check(t, err)
	if err := <-left; err != nil { // before the client leaves
		t.Error(err)
	}
	_ = resp.Body.Close()
}

// A body's reads are held to the bound that is set while one waits, and before the
// next; an end that has passed ends reading, and a later one takes it up again.
func TestBound(t *testing.T) {
	results := make(chan error, 8)
	took := make(chan struct{}, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := &stallingBody{ReadCloser: r.Body, c: http.NewResponseController(w), timeout: time.Hour}
		read := func() error { _, err := b.Read(make([]byte, 1)); return err }
		results <- read() // the byte that is there
		waiting := make(chan error, 1)
		go func() { waiting <- read() }()
		<-took
		if err := b.Bound(time.Unix(1, 0), 0); err != nil {
			t.Error(err)
		}
		results <- <-waiting
		results <- read()
		if err := b.Bound(time.Now().Add(time.Hour), time.Millisecond); err != nil {
			t.Error(err)
		}
		results <- read()
	}))
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"); err != nil {
		t.Fatal(err)
	}
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	took <- struct{}{}
	for range 3 {
		if err := <-results; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
	}
}

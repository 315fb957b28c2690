package mitm

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

const (
	record = 16 << 10  // the most that a TLS record holds (RFC 8446, section 5.1)
	atOnce = 128 << 10 // what goes through one system call
)

var batches = sync.Pool{New: func() any { b := make([]byte, atOnce); return &b }}

// batched is a TLS connection on which a large Read takes all records that have
// arrived, and a large Write puts all of its records into one system call: crypto/tls
// alone makes one call for each record, which costs as much as the encryption. What
// has arrived is never held back for more to come. Buffers are held only while a large
// Read or Write lasts, or more has arrived than it could take.
type batched struct {
	*tls.Conn
	wire  *wire
	whole bool // an end without a close_notify is an error (RFC 9112, section 9.8)

	reading sync.Mutex
	writing sync.Mutex
	writes  atomic.Int32
}

// newBatched gives c's TLS side, made by tls.Client or tls.Server.
func newBatched(c net.Conn, side func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) *batched {
	w := &wire{Conn: c}
	return &batched{Conn: side(w, config), wire: w}
}

// NetConn is the connection under TLS, whose closing waits for nobody.
func (c *batched) NetConn() net.Conn { return c.wire.Conn }

// Read implements io.Reader.
func (c *batched) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	n, err := c.read(p)
	if errors.Is(err, io.EOF) && c.whole && c.wire.ended {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *batched) read(p []byte) (int, error) {
	if len(p) <= record {
		n, err := c.Conn.Read(p)
		c.wire.give()
		return n, err
	}
	c.wire.ahead = true
	n, err := c.Conn.Read(p)
	c.wire.ahead, c.wire.ready = false, true
	for err == nil && n < len(p) {
		var k int
		k, err = c.Conn.Read(p[n:])
		n += k
	}
	c.wire.ready = false
	c.wire.give()
	if errors.Is(err, errNothing) {
		err = nil
	}
	return n, err
}

// Write implements io.Writer.
func (c *batched) Write(p []byte) (int, error) {
	if len(p) <= record {
		return c.Conn.Write(p)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.writes.Add(1)
	defer c.writes.Add(-1)
	c.wire.gather()
	n, err := c.Conn.Write(p)
	if lost := c.wire.flush(); lost != nil {
		return 0, lost // what crypto/tls has counted was not sent
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom, for net/http, whose own buffer holds two records.
func (c *batched) ReadFrom(r io.Reader) (int64, error) {
	buf, _ := batches.Get().(*[]byte)
	defer batches.Put(buf)
	var total int64
	for {
		n, err := r.Read(*buf)
		if n > 0 {
			k, werr := c.Write((*buf)[:n])
			total += int64(k)
			if werr != nil {
				return total, werr
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// Close does not wait for a Write that waits for the other side, as tls.Conn's does not.
func (c *batched) Close() error {
	if c.writes.Load() > 0 {
		return c.wire.Conn.Close()
	}
	return c.Conn.Close()
}

// nothing is a timeout, after which crypto/tls can read on where it was.
type nothing struct{}

func (nothing) Error() string   { return "nothing more has arrived" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

var errNothing = nothing{}

// wire is what is under a batched connection's TLS.
type wire struct {
	net.Conn

	// guarded by batched.reading
	ended bool // by the other side, and not within TLS
	ahead bool // read as much as there is, into in
	ready bool // read only what is there
	in    *[]byte
	rest  []byte // of in, not yet read

	mu        sync.Mutex
	gathering bool    // guarded by mu
	out       *[]byte // guarded by mu
	err       error   // guarded by mu; what is encrypted after a lost record is of no use
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		switch {
		case w.ready:
			return 0, errNothing
		case !w.ahead:
			n, err := w.Conn.Read(p)
			w.ended = errors.Is(err, io.EOF)
			return n, err
		}
		if w.in == nil {
			w.in, _ = batches.Get().(*[]byte)
		}
		n, err := w.Conn.Read(*w.in)
		w.ended = errors.Is(err, io.EOF)
		if n == 0 {
			return 0, err
		}
		w.rest = (*w.in)[:n]
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// give gives the buffer back when all of it was read.
func (w *wire) give() {
	if w.in != nil && len(w.rest) == 0 {
		batches.Put(w.in)
		w.in, w.rest = nil, nil
	}
}

func (w *wire) gather() {
	w.mu.Lock()
	defer w.mu.Unlock()
	out, _ := batches.Get().(*[]byte)
	*out = (*out)[:0]
	w.out, w.gathering = out, true
}

// Write implements io.Writer.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	if !w.gathering {
		n, err := w.Conn.Write(p)
		w.err = err
		return n, err
	}
	if len(*w.out)+len(p) > cap(*w.out) {
		if err := w.send(); err != nil {
			return 0, err
		}
	}
	*w.out = append(*w.out, p...)
	return len(p), nil
}

func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.send()
	*w.out = (*w.out)[:cap(*w.out)]
	batches.Put(w.out)
	w.out, w.gathering = nil, false
	return err
}

func (w *wire) send() error {
	if w.err == nil && len(*w.out) > 0 {
		_, w.err = w.Conn.Write(*w.out)
		*w.out = (*w.out)[:0]
	}
	return w.err
}

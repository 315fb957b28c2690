package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/event"
)

// digesting hashes and counts what is read through it, for the record. A long body is
// hashed beside its way, on another core: hashed in line, SHA-256 would take as long
// as TLS on both sides. It keeps at most ahead pieces, whatever the body's length.
//
// Read belongs to one goroutine; sum and size may be asked by another while a body
// still goes out, since AWS may answer before the upload has ended: they speak of
// what was read until then.
type digesting struct {
	r     io.Reader
	ended atomic.Bool // there is no more to read

	mu     sync.Mutex
	h      hash.Hash // guarded by mu until work runs, then work's own
	n      int64     // guarded by mu
	work   chan []byte
	free   chan []byte
	done   chan struct{}
	closed bool // guarded by mu
}

const (
	inLine = 256 << 10 // a body up to this long is hashed in line
	ahead  = 2
)

// digest is a digesting for a request's body, which ends with the request.
func (h *handler) digest(x *exchange, r io.Reader) *digesting {
	d := newDigesting(r)
	x.release = append(x.release, func() { d.sum() })
	return d
}

func newDigesting(r io.Reader) *digesting { return &digesting{r: r, h: sha256.New()} }

func (d *digesting) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if n > 0 {
		d.add(p[:n])
	}
	if err != nil {
		d.ended.Store(true)
	}
	return n, err
}

func (d *digesting) add(p []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed { // the sum was told already
		return
	}
	d.n += int64(len(p))
	if d.work == nil {
		if d.n <= inLine {
			_, _ = d.h.Write(p)
			return
		}
		d.start()
	}
	for len(p) > 0 {
		buf := <-d.free
		n := copy(buf, p)
		d.work <- buf[:n]
		p = p[n:]
	}
}

func (d *digesting) start() {
	d.work, d.free, d.done = make(chan []byte, ahead), make(chan []byte, ahead), make(chan struct{})
	for range ahead {
		buf, _ := buffers.Get().(*[]byte)
		d.free <- *buf
	}
	go func() {
		defer close(d.done)
		for p := range d.work {
			_, _ = d.h.Write(p)
			d.free <- p[:atOnce]
		}
	}()
}

// sum is the SHA-256, in hex, of what was read, and its length. It ends the hashing;
// what is read afterwards counts for nothing.
func (d *digesting) sum() (string, int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed && d.work != nil {
		close(d.work)
		<-d.done
		for range ahead {
			buf := <-d.free
			buffers.Put(&buf)
		}
	}
	d.closed = true
	return hex.EncodeToString(d.h.Sum(nil)), d.n
}

// digest is sum for an event; nil of no body.
func (d *digesting) digest() *event.Digest {
	if d == nil {
		return nil
	}
	sum, size := d.sum()
	return &event.Digest{SHA256: sum, Size: size}
}

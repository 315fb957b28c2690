package gateway

import (
	"errors"
	"io"
	"runtime/debug"
	"sync/atomic"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/mask"
	"github.com/sallyport/sallyport/refusal"
)

// copying takes a body on its way and puts it on record, masked. Where it is masked for
// the record alone a goroutine of its own does that, at the pace of the body: Write
// waits for it, and keeps nothing. A body of which nothing is recorded has one too.
//
// Write belongs to one goroutine, end may be called by another meanwhile: AWS may answer
// while an upload still goes out. What is written after end counts for nothing.
type copying struct {
	tape  *tape
	off   bool           // nothing is recorded
	in    *io.PipeWriter // nil: what is written is what may be recorded
	done  chan struct{}  // of the goroutine
	whole atomic.Bool    // the body was written to its end
}

var (
	errNoMore = errors.New("gateway: no more of this body is recorded")
	errNoEnd  = errors.New("gateway: a body without an end")
)

// record copies what is written as it is: it is masked already.
func (t *tape) record() *copying { return &copying{tape: t} }

// nothing is a body of which nothing is recorded, for a reason.
func (t *tape) nothing(why string) *copying {
	t.drop(why)
	return &copying{tape: t, off: true}
}

// maskedBy copies what is written through clean.
func (t *tape) maskedBy(clean func(io.Reader) (io.Reader, error), e edges) *copying {
	r, w := io.Pipe()
	c := &copying{tape: t, in: w, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		_ = r.CloseWithError(t.taken(r, clean, e))
	}()
	return c
}

// taken is take where a panic costs the record of this body only. In a goroutine of its
// own nobody else would stop it, and what a client sends is decoded here.
func (t *tape) taken(r io.Reader, clean func(io.Reader) (io.Reader, error), e edges) (err error) {
	defer func() {
		if recover() != nil { // its text may hold what was sent
			t.h.Log.ErrorContext(t.ctx, "panic while a body was recorded", "requestID", t.common.RequestID, "stack", string(debug.Stack()))
			t.drop(event.OmittedMasking)
			err = errNoMore
		}
	}()
	return t.take(r, clean, e)
}

// take records what clean makes of r until its end. The error is for who writes to r.
func (t *tape) take(r io.Reader, clean func(io.Reader) (io.Reader, error), e edges) error {
	from, err := clean(r)
	if err != nil {
		t.drop(event.OmittedEncoded)
		return errNoMore
	}
	buf, _ := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	to := &edged{tape: t, edges: e}
	for {
		n, err := from.Read(*buf)
		if werr := to.write((*buf)[:n]); werr != nil {
			return werr
		}
		switch {
		case t.full:
			return errNoMore
		case err == io.EOF:
			if werr := to.end(); werr != nil {
				return werr
			}
			return errNoMore
		case errors.Is(err, errNoEnd):
			t.rec.Omitted = event.OmittedBroken
			return errNoMore
		case err != nil:
			t.drop(whyUnmasked(err))
			return errNoMore
		}
	}
}

// whyUnmasked says why a body could not be masked for the record.
func whyUnmasked(err error) string {
	var chunks *awschunked.Error
	var masking *refusal.Error
	switch {
	case errors.As(err, &chunks):
		return event.OmittedBroken // which ends the upload, too
	case errors.As(err, &masking):
		return event.OmittedMasking
	}
	return event.OmittedEncoded
}

// Write implements io.Writer. An error means that the body must not go on: it is a
// *refusal.Error.
func (c *copying) Write(p []byte) (int, error) {
	switch {
	case c.off:
		return len(p), nil
	case c.in == nil:
		return c.tape.Write(p)
	}
	_, err := c.in.Write(p)
	var failed *refusal.Error
	if errors.As(err, &failed) {
		return 0, failed
	}
	return len(p), nil // it ended, or is full
}

// Close says that the body was written to its end.
func (c *copying) Close() error {
	c.whole.Store(true)
	return nil
}

// end tells what is on record, with the event that is still to be recorded. A nil
// copying is of no body.
func (c *copying) end() (*event.Recorded, []event.Event, *refusal.Error) {
	if c == nil {
		return nil, nil, nil
	}
	why, err := event.OmittedBroken, errNoEnd
	if c.whole.Load() {
		why, err = "", io.EOF
	}
	if c.in != nil {
		_ = c.in.CloseWithError(err)
		<-c.done
	}
	return c.tape.end(why)
}

// copied is a body that is copied as it is read.
type copied struct {
	r    io.Reader
	to   *copying
	left int64 // bytes until its end, where that is known; else negative
}

// Read implements io.Reader.
func (c *copied) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n > 0 {
		if _, werr := c.to.Write(p[:n]); werr != nil {
			return 0, werr
		}
	}
	// net/http does not read on where it knows the length.
	if c.left -= int64(n); c.left == 0 || err == io.EOF {
		_ = c.to.Close()
	}
	return n, err
}

// guarded is the body of a request to AWS. net/http reads it in a goroutine of its own,
// where a panic would take every agent's tunnel along: it costs this request only.
type guarded struct {
	io.ReadCloser
	x *exchange
	h *handler
}

var errPanic = errors.New("gateway: panic while a body was read")

// Read implements io.Reader.
func (g *guarded) Read(p []byte) (n int, err error) {
	defer func() {
		if recover() != nil { // its text may hold what was sent
			g.h.Log.Error("panic while a body went out", "requestID", g.x.id, "stack", string(debug.Stack()))
			n, err = 0, errPanic
		}
	}()
	return g.ReadCloser.Read(p)
}

// edges are the sides at which a body was cut out of something larger: a range of an
// object, a part of an upload. A secret may lie across such a cut, where no detector
// finds it, and its halves must not be on record.
type edges struct{ front, back bool }

// edged writes asterisks for what is nearer to a cut than a secret may be long.
type edged struct {
	*tape
	edges
	n    int    // bytes written
	held []byte // the last ones, where the end is a cut
}

func (e *edged) write(p []byte) error {
	if e.front && e.n < mask.Window {
		fill(p[:min(len(p), mask.Window-e.n)])
	}
	e.n += min(len(p), mask.Window)
	if !e.back {
		_, err := e.tape.Write(p)
		return err
	}
	e.held = append(e.held, p...)
	if over := len(e.held) - mask.Window; over > 0 {
		if _, err := e.tape.Write(e.held[:over]); err != nil {
			return err
		}
		e.held = e.held[:copy(e.held, e.held[over:])]
	}
	return nil
}

func (e *edged) end() error {
	fill(e.held)
	_, err := e.tape.Write(e.held)
	return err
}

func fill(p []byte) {
	for i := range p {
		p[i] = '*'
	}
}

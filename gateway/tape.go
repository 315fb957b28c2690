package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/mask"
	"github.com/sallyport/sallyport/refusal"
)

// pieceSize is how many bytes one body event carries at the most.
const pieceSize = 256 << 10

// tape puts what is written to it on record, piece by piece, up to a limit. What is
// written must be masked. It keeps one piece, and waits where the recorder does; where
// that fails, so does Write, and the body must not go on. It belongs to one goroutine at
// a time.
type tape struct {
	h      *handler
	ctx    context.Context
	common event.Common
	part   string
	limit  int64 // in bytes; 0: none
	object bool  // of which the first bytes say whether it can be looked into

	rec  event.Recorded
	sum  hash.Hash
	buf  []byte // the next piece: handed over whole, and never used again
	full bool   // nothing more is taken
	err  *refusal.Error

	ended  bool
	before *event.Recorded // what is told where the last piece could not be recorded
}

func (h *handler) newTape(ctx context.Context, x *exchange, part, contentType string, limit int64) *tape {
	return &tape{h: h, ctx: context.WithoutCancel(ctx), common: event.Common{RequestID: x.id, SessionID: x.session.ID}, part: part, limit: limit, sum: sha256.New(),
		rec: event.Recorded{Form: event.FormBody, ContentType: h.Masker.Text(contentType)}}
}

// Write implements io.Writer. It keeps nothing of p.
func (t *tape) Write(p []byte) (int, error) {
	n := len(p)
	if n > 0 && t.err != nil {
		return 0, t.err
	}
	if t.full {
		return n, nil
	}
	if left := t.limit - t.rec.Size - int64(len(t.buf)); t.limit > 0 && int64(n) > left {
		p, t.full = p[:left], true
		t.rec.Omitted = event.OmittedLimit
	}
	for len(p) > 0 && t.rec.Omitted != event.OmittedEncoded {
		k := min(len(p), pieceSize-len(t.buf))
		t.buf = append(t.buf, p[:k]...)
		if p = p[k:]; len(t.buf) == pieceSize {
			if err := t.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// whole is Write and end for a body that lies in memory and does not change any more.
// Of what it gives nothing is copied.
func (t *tape) whole(b []byte) (*event.Recorded, []event.Event, *refusal.Error) {
	if t.limit > 0 && int64(len(b)) > t.limit {
		b, t.rec.Omitted = b[:t.limit], event.OmittedLimit
	}
	for len(b) > pieceSize {
		t.buf, b = b[:pieceSize:pieceSize], b[pieceSize:]
		if err := t.flush(); err != nil {
			return nil, nil, err
		}
	}
	t.buf = b
	return t.end("")
}

// flush hands the piece over.
func (t *tape) flush() *refusal.Error {
	before := t.told(event.OmittedBroken)
	e, ok := t.piece(false)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, recordTimeout)
	defer cancel()
	if err := t.h.Recorder.Queue(ctx, e); err != nil {
		t.h.Metrics.unrecorded.Inc()
		t.err = refusal.Wrap(refusal.Unavailable, err, "the bodies of this exchange could not be recorded, so it was broken off; whether AWS acted on the request is not known")
		t.before = before
	}
	return t.err
}

// piece makes an event of what is there. only says that it is all there is.
func (t *tape) piece(only bool) (event.Event, bool) {
	b := t.buf
	t.buf = nil
	if t.object && t.rec.Pieces == 0 && mask.Opaque(b[:min(len(b), 16)]) {
		t.drop(event.OmittedEncoded)
		return event.Event{}, false
	}
	if len(b) == 0 {
		return event.Event{}, false
	}
	if !only {
		_, _ = t.sum.Write(b)
	}
	c := t.common
	c.EventTime = t.h.Now()
	e := t.h.newEvent(event.NewBody(c, t.part, t.rec.Pieces, t.rec.Size, b))
	t.rec.Pieces++
	t.rec.Size += int64(len(b))
	return e, true
}

// drop ends the recording: nothing more of the body may be on record, for a reason.
func (t *tape) drop(why string) {
	t.full, t.buf, t.rec.Omitted = true, nil, why
}

// end tells what is on record, and gives the event that is still to be recorded with
// what ends the exchange. why is the reason that the body has no end, "" if it has one.
// Asked again, because that event could not be recorded, it tells what was on record
// before.
func (t *tape) end(why string) (*event.Recorded, []event.Event, *refusal.Error) {
	if t.ended || t.err != nil {
		return t.before, nil, t.err
	}
	t.ended = true
	t.before = t.told(event.OmittedBroken)
	only := t.rec.Pieces == 0
	e, ok := t.piece(only)
	t.full = true
	if !ok {
		t.before = t.told(why)
		return t.before, nil, nil
	}
	told := t.told(why)
	if d, ok := e.Data.(*event.Body); ok && only {
		told.SHA256 = d.SHA256 // hashed once
	}
	return told, []event.Event{e}, nil
}

// told is what is on record now.
func (t *tape) told(why string) *event.Recorded {
	rec := t.rec
	if rec.Omitted == "" {
		rec.Omitted = why
	}
	if rec.Pieces > 0 {
		rec.SHA256 = hex.EncodeToString(t.sum.Sum(nil))
	}
	return &rec
}

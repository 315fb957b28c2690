package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/mask"
	"github.com/sallyport/sallyport/refusal"
)

// outliveTime is how long an approved call goes on after its client has left.
const outliveTime = 60 * time.Second

// outlive gives a context that ends some time after parent does, which left is told of. What people approved
// is seen through: a client that gives up would else leave nobody who knows whether AWS
// acted.
func outlive(parent context.Context, grace time.Duration, left func()) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		left()
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); cancel() }
}

// walkAsked is the rest of the walk of a request that people decide.
func (h *handler) walkAsked(ctx context.Context, x *exchange) error {
	if err := h.askPeople(ctx, x); err != nil {
		return err
	}
	if x.ask.found.Turn == approvals.Give {
		return h.give(ctx, x)
	}
	defer h.settle(x)
	client := ctx
	ctx, cancel := outlive(client, h.outlive, func() {
		h.Log.InfoContext(client, "the client of an approved call has left; the call is seen through", "requestID", x.id)
	})
	defer cancel()
	return h.carryOut(ctx, x)
}

// settle ends what has no outcome yet when the walk is over, by how far it came.
func (h *handler) settle(x *exchange) {
	ctx := context.WithoutCancel(x.r.Context())
	switch {
	case x.ask.running == nil || x.ask.ended:
	case !x.recorded, x.stage == "", x.stage == "credential":
		h.noted(x, x.ask.running.Forget(ctx))
	default: // a status of 0 says that whether AWS acted is not known
		h.noted(x, x.ask.running.End(ctx, approvals.Result{Status: x.ask.status}, "it could not be passed on"))
	}
}

// keep stores an answer for a retry. Nothing is kept that records may not hold.
func (h *handler) keep(x *exchange, p *permit, status int, header http.Header, body []byte, size int64) {
	if x.ask == nil || x.ask.running == nil || x.ask.ended {
		return
	}
	x.ask.ended = true
	missing := ""
	switch {
	case size > approvals.MaxResult || int64(len(body)) != size:
		missing = "it is too large to be kept, or there was no room for it"
	case len(x.decision.Unmask) > 0:
		missing = "it may hold what only the agent may see"
	case size > 0 && status < 300 && p.plan.PassesObject():
		missing = "objects are not kept unless they are masked"
	}
	h.noted(x, x.ask.running.End(context.WithoutCancel(x.r.Context()), approvals.Result{Status: status, Header: header, Body: body}, missing))
}

// delivered notes that the client has the answer to its end, or cuts the exchange where
// it has left. What net/http still holds goes out now: a client that left would not be
// noticed otherwise.
func (h *handler) delivered(x *exchange, left bool) {
	if x.ask == nil || x.ask.running == nil {
		return
	}
	if left || http.NewResponseController(x.w).Flush() != nil {
		h.cut(x, errClientLeft)
	}
	h.noted(x, x.ask.running.Delivered(context.WithoutCancel(x.r.Context())))
}

// surviving passes an answer on to the client for as long as there is one, and reads it
// to its end in any case.
type surviving struct {
	http.ResponseWriter
	client context.Context
	left   bool
	body   []byte // what went by
	most   int    // bytes of it
}

func (s *surviving) Write(p []byte) (int, error) {
	s.body = append(s.body, p[:min(len(p), max(s.most-len(s.body), 0))]...)
	if s.left = s.left || s.client.Err() != nil; s.left {
		return len(p), nil
	}
	if _, err := s.ResponseWriter.Write(p); err != nil || http.NewResponseController(s.ResponseWriter).Flush() != nil {
		s.left = true
	}
	return len(p), nil
}

// FlushError has nothing to do: Write has flushed.
func (s *surviving) FlushError() error { return nil }

// answerSurviving is answerStream for a call that people approved: it is read to its end
// and kept also where the client leaves.
func (h *handler) answerSurviving(ctx context.Context, x *exchange, p *permit, status int, res mask.Result) {
	w := &surviving{ResponseWriter: x.w, client: x.r.Context()}
	if _, err := h.memory.take(ctx, x, approvals.MaxResult); err == nil { // else it is not kept
		w.most = approvals.MaxResult
	}
	h.writeHeader(x, res.Header, status)
	src := newDigesting(res.Stream)
	defer src.sum()
	if err := h.copy(w, src); err != nil {
		if ctx.Err() != nil && err.Reason == refusal.Unavailable {
			err = errClientLeft
		}
		h.cut(x, err)
	}
	h.countMasked(res)
	sum, size := src.sum()
	out := outcome{status: status, header: res.Header, size: size, sha256: sum, findings: res.Findings()}
	if err := h.Append(ctx, h.responseEvent(x, p, out)); err != nil {
		h.cut(x, refusal.Of(h.notDurableAnswer(err)))
	}
	h.keep(x, p, status, res.Header, w.body, size)
	// Without a length the answer's end is a chunk that is still to come: a client that
	// has left did not get it.
	h.delivered(x, w.left || res.Header.Get("Content-Length") == "" && x.r.Context().Err() != nil)
}

package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/refusal"
)

// outliveTime is how long an approved call goes on after its client has left.
const outliveTime = 60 * time.Second

// outlive gives a context that ends some time after parent does, which left is told of. What people approved
// is seen through: a client that gives up would else leave nobody who knows whether AWS
// acted. One that was revoked ends at once.
func outlive(parent context.Context, grace time.Duration, left func()) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		var revoked *refusal.Error
		if errors.As(context.Cause(parent), &revoked) {
			cancel()
			return
		}
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
	case x.ask.running == nil:
	case x.ask.ended:
		if x.ask.told && !x.ask.got {
			h.noted(x, x.ask.running.Undelivered(ctx))
		}
	case !x.recorded, x.stage == "", x.stage == "credential":
		h.giveBack(ctx, x)
		h.noted(x, x.ask.running.Forget(ctx))
	default: // a status of 0 says that whether AWS acted is not known
		h.noted(x, x.ask.running.End(ctx, approvals.Result{Status: x.status}, "it could not be passed on", false))
	}
}

// giveBack lets a retry have the leave of a call of which nothing was sent: people would
// else be asked again because STS could not be reached. A revoked caller's is spent.
func (h *handler) giveBack(ctx context.Context, x *exchange) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	revoked := func() bool { return h.Revocations.Refusal(ctx, x.live.who) != nil }
	if x.ask.claimed.UsedBy != x.id || x.ask.claimed.Grant != nil {
		return
	}
	if err := h.Approvals.Return(ctx, x.ask.approval, x.digest, x.id, revoked); err != nil {
		h.Log.WarnContext(ctx, "the approval of a call that was not sent could not be given back: it will be asked for again", "requestID", x.id, "cause", err.Error())
	}
}

// keep stores an answer for a retry, before its end goes out; left says that the client
// is gone. Nothing is kept that records may not hold.
func (h *handler) keep(x *exchange, p *permit, status int, header http.Header, body []byte, size int64, left bool) {
	if x.ask == nil || x.ask.running == nil || x.ask.ended {
		return
	}
	x.ask.ended, x.ask.told = true, !left
	missing := ""
	switch {
	case size > approvals.MaxResult || int64(len(body)) != size:
		missing = "it is too large to be kept, or there was no room for it"
	case len(x.decision.Unmask) > 0:
		missing = "it may hold what only the agent may see"
	case size > 0 && status < 300 && p.plan.PassesObject():
		missing = "objects are not kept unless they are masked"
	}
	h.noted(x, x.ask.running.End(context.WithoutCancel(x.r.Context()), approvals.Result{Status: status, Header: header, Body: body}, missing, !left))
}

// delivered sees that the client has the answer to its end, or cuts the exchange where
// it has left. What net/http still holds goes out now: a client that left would not be
// noticed otherwise.
func (h *handler) delivered(x *exchange, left bool) {
	if x.ask == nil || x.ask.running == nil {
		return
	}
	if left || http.NewResponseController(x.w).Flush() != nil {
		h.cut(x, errClientLeft)
	}
	x.ask.got = true
}

// survive reads the answer to a call that people approved to its end, whether or not the
// client stays, and keeps it for a retry as far as there is room.
func (h *handler) survive(ctx context.Context, s *streamed) {
	if s.x.ask == nil || s.x.ask.running == nil {
		return
	}
	s.survives = true
	if _, err := h.memory.take(ctx, s.x, approvals.MaxResult); err == nil { // else it is not kept
		s.most = approvals.MaxResult
	}
}

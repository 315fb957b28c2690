package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/refusal"
)

// This file is what a retry of a call gets that people had approved: the outcome of the
// exchange that was sent, and never a second execution that nobody agreed to.

// Calls knows what became of approved calls. It is *approvals.Calls.
type Calls interface {
	Meet(ctx context.Context, digest string, from approvals.Caller) (approvals.Found, error)
	Await(ctx context.Context, digest string, from approvals.Caller) (approvals.Found, error)
	Begin(ctx context.Context, digest string, e approvals.Execution) (*approvals.Running, approvals.Found, error)
	Lost(ctx context.Context, digest, exchange string) error
}

// from is who sends this request, as far as retries go.
func (x *exchange) from() approvals.Caller {
	return approvals.Caller{
		Session:    approvals.SessionKey(x.session.Issuer, x.session.Subject, x.caller.label),
		Invocation: approvals.InvocationKey(x.r.Header.Values("Amz-Sdk-Invocation-Id")),
	}
}

// meet looks whether the call was let through before, and waits where it is on its way.
// With Give in what it returns nothing may be asked for or sent.
func (h *handler) meet(ctx context.Context, x *exchange, needed []approvals.Needed) (approvals.Found, error) {
	f, err := h.Calls.Meet(ctx, x.digest, x.from())
	if err == nil && f.Turn == approvals.Await {
		f, err = h.await(ctx, x, f, needed)
	}
	var refused *refusal.Error
	if err != nil && !errors.As(err, &refused) {
		return f, refusal.Wrap(refusal.Unavailable, err, "whether this call was let through before cannot be seen; nothing was sent to AWS, try again later")
	}
	return f, err
}

// await waits for an exchange with the same call, as long as a request may be held.
func (h *handler) await(ctx context.Context, x *exchange, f approvals.Found, needed []approvals.Needed) (approvals.Found, error) {
	e := f.Execution
	h.Log.DebugContext(ctx, "a retry waits for the outcome of its call", "requestID", x.id, "outcomeOf", e.Exchange)
	f, err := held(ctx, h, x, func(ctx context.Context) (approvals.Found, error) { return h.Calls.Await(ctx, x.digest, x.from()) }, nil)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, approvals.ErrClosed), errors.Is(err, approvals.ErrHeld):
		return f, stillOut(e, err)
	case err != nil:
		return f, err
	}
	if err = h.judgeAgain(x, needed); err == nil && ctx.Err() != nil {
		err = stillOut(e, ctx.Err())
	}
	if err != nil {
		h.lost(x, f)
	}
	return f, err
}

func stillOut(e approvals.Execution, err error) error {
	return refusal.Wrap(refusal.Pending, err, "this call was let through as request %s (approval %s), and its outcome is not there yet; it was not sent again. Send the very same call again later: it gets that outcome", e.Exchange, e.Approval)
}

// noteOut notes that the call goes out, under an approval and until when its outcome is of
// use: whoever comes after that waits. nil without an error is where another exchange was
// faster: x.ask.found is set to Give then, and this one gets its outcome.
func (h *handler) noteOut(ctx context.Context, x *exchange, approval string, keep time.Time, needed []approvals.Needed) (*approvals.Running, error) {
	from := x.from()
	e := approvals.Execution{Exchange: x.id, Approval: approval, Session: from.Session, Invocation: from.Invocation, Keep: keep}
	run, f, err := h.Calls.Begin(ctx, x.digest, e)
	for tries := 0; err == nil && run == nil; tries++ {
		if f.Turn == approvals.Give {
			x.ask.found = f
			return nil, nil
		}
		if tries == approvals.MaxHeld {
			return nil, stillOut(f.Execution, nil)
		}
		if f, err = h.await(ctx, x, f, needed); err == nil && f.Turn != approvals.Give {
			run, f, err = h.Calls.Begin(ctx, x.digest, e)
		}
	}
	var refused *refusal.Error
	if err != nil && !errors.As(err, &refused) {
		err = refusal.Wrap(refusal.Unavailable, err, "that this call goes out could not be noted, so it was not sent; try again later")
	}
	return run, err
}

// claim takes the leave to send, and notes first that the call goes out.
func (h *handler) claim(ctx context.Context, x *exchange, rec approvals.Record, needed []approvals.Needed) error {
	run, err := h.noteOut(ctx, x, x.ask.approval, rec.Deadline(), needed)
	if run == nil {
		return err
	}
	claimed, err := h.Approvals.Claim(ctx, x.ask.approval, x.digest, x.id)
	if err != nil {
		h.noted(x, run.Forget(context.WithoutCancel(ctx)))
		return h.notClaimed(x, claimed, err)
	}
	x.ask.claimed, x.ask.running = claimed, run
	return nil
}

// goesOut notes that a call goes out under a grant that was used for it.
func (h *handler) goesOut(ctx context.Context, x *exchange, needed []approvals.Needed) error {
	run, err := h.noteOut(ctx, x, x.grant.Request.Approval, x.grant.Leave.Until, needed)
	x.ask.running = run
	return err
}

// earlier is what approvers are told of an execution that nobody knows the outcome of.
func earlier(f approvals.Found) *event.Earlier {
	if f.Execution.Exchange == "" {
		return nil
	}
	return &event.Earlier{RequestID: f.Execution.Exchange, At: f.Execution.At}
}

// give answers with the outcome of an earlier exchange. Nothing is minted or sent.
func (h *handler) give(ctx context.Context, x *exchange) error {
	e, res := x.ask.found.Execution, x.ask.found.Result
	x.ask.approval = e.Approval
	if res == nil {
		why := e.Missing
		if why == "" {
			why = "it can no longer be read"
		}
		return refusal.New(refusal.Pending, "this call was let through as request %s (approval %s) at %s, and AWS answered it with status %d. The answer cannot be given again: %s. The call was not sent a second time; sent again as a new one, it is asked for anew",
			e.Exchange, e.Approval, e.At.UTC().Format(time.RFC3339), e.Status, why)
	}
	recording, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	sum := sha256.Sum256(res.Body)
	out := outcome{status: res.Status, header: res.Header, size: int64(len(res.Body)), sha256: hex.EncodeToString(sum[:])}
	if err := h.Recorder.Append(recording, h.decisionEvent(x, nil), h.responseEvent(x, out)); err != nil {
		h.lost(x, x.ask.found)
		return h.notDurable(err)
	}
	x.recorded, x.ended = true, true
	gone := ctx.Err() != nil
	h.writeHeader(x, res.Header, res.Status)
	_, err := x.w.Write(res.Body)
	if gone || err != nil && x.r.Method != http.MethodHead || http.NewResponseController(x.w).Flush() != nil {
		h.lost(x, x.ask.found)
		h.cut(x, errClientLeft)
	}
	return nil
}

// lost lets the next retry have an outcome that this exchange could not give.
func (h *handler) lost(x *exchange, f approvals.Found) {
	if f.Turn == approvals.Give {
		h.noted(x, h.Calls.Lost(context.WithoutCancel(x.r.Context()), x.digest, f.Execution.Exchange))
	}
}

// noted logs what could not be noted of a call: a retry is asked for anew then, and
// people are told that its outcome is not known.
func (h *handler) noted(x *exchange, err error) {
	if err != nil {
		h.Log.ErrorContext(x.r.Context(), "what became of an approved call could not be noted", "requestID", x.id, "cause", err.Error())
	}
}

package gateway

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/refusal"
)

// useGrant lets a call through that people agreed to when they were asked for
// another of its session. false means that they must be asked for this one.
//
// The decision was made a moment ago, and nobody waits here: there is nothing to judge
// again, and a denied call does not come this far.
func (h *handler) useGrant(ctx context.Context, x *exchange, needed []approvals.Needed) (bool, error) {
	r := h.approvalRequest(x, needed, event.Event{})
	r.Region = x.call.Region
	g, err := h.Approvals.UseGrant(ctx, r, x.call)
	if errors.Is(err, approvals.ErrNoGrant) {
		return false, nil
	}
	if err != nil {
		return false, refusal.Wrap(refusal.Unavailable, err, "the grant that covers this call could not be used; nothing was sent to AWS, try again later")
	}
	x.grant = &g
	return true, nil
}

// useGrantHeld is useGrant for a call that waits while a grant begins: a plan's calls
// come side by side, and who lets the plan through is not to answer each of the first.
// Nobody needs its own approval then.
func (h *handler) useGrantHeld(ctx context.Context, x *exchange, rec approvals.Record) (bool, error) {
	if err := h.judgeAgain(x, rec.Request.Approvers); err != nil {
		return false, err
	}
	granted, err := h.useGrant(ctx, x, rec.Request.Approvers)
	if !granted {
		return false, err
	}
	if err := h.Approvals.Withdraw(context.WithoutCancel(ctx), rec.Request.Approval, x.digest); err != nil && !errors.Is(err, approvals.ErrEnded) {
		h.Log.WarnContext(ctx, "an approval that is not needed any more could not be ended; it expires", "approval", rec.Request.Approval, "cause", err.Error())
	}
	return true, nil
}

// extent is approvals.Extent of a call, "" where people see a resource masked: two
// that look alike to them may be two.
func (h *handler) extent(c *awsapi.Call) string {
	for _, a := range c.Actions {
		for _, r := range a.Resources {
			if h.Masker.Text(r.ARN) != r.ARN {
				return ""
			}
		}
	}
	return approvals.Extent(c)
}

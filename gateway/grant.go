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

package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/jit"
	"github.com/sallyport/sallyport/mask"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/refusal"
)

// permit is the leave to send one judged request. Only (*handler).permit makes
// one, from an allowing decision; its zero value sends nothing.
type permit struct {
	call  *awsapi.Call
	plan  *mask.Plan
	scope policy.Scope
	sent  bool
	body  *digesting // a streamed request's body as it goes out
}

// permit turns an allowing decision into a permit. How the answer will be masked
// is settled here too, before anything is sent: an answer that cannot be masked
// must never be asked for.
func (h *handler) permit(x *exchange) (*permit, error) {
	if x.decision == nil || x.decision.Effect != policy.Allow {
		reason := "no rule allows this request"
		if x.decision != nil {
			reason = x.decision.Reason
		}
		return nil, refusal.New(refusal.Denied, "%s", reason)
	}
	plan, err := h.Masker.PlanCall(x.call, x.decision.Mask, x.decision.Unmask)
	if err != nil {
		return nil, err
	}
	return &permit{call: x.call, plan: plan, scope: x.decision.Scope}, nil
}

// send is the only way to AWS. It needs a permit, which a decision made, and a
// receipt, which says that the request is on record; each is good for one request.
func (h *handler) send(ctx context.Context, x *exchange, p *permit, receipt *recorder.Receipt) (*http.Response, error) {
	if p == nil || p.call == nil || p.sent || receipt.Exchange() != x.id || !receipt.Use() {
		return nil, errors.New("gateway: send without a fresh permit and receipt")
	}
	p.sent = true
	x.stage = "credential"
	cred, err := h.Minter.Mint(ctx, jit.Request{ // 8
		Target: x.target.Target, Call: p.call, Scope: jit.Scope(p.scope), SessionID: x.session.ID, RequestID: x.id, WebIdentityToken: x.webIdentityToken(),
	})
	if err != nil {
		return nil, err
	}
	defer cred.Wipe()
	if err := h.Append(ctx, h.credentialEvent(x, cred)); err != nil {
		return nil, h.notDurable(err)
	}

	canonical := owned(p.call, x.target).Without(p.plan.DropForMask()...)
	var body io.Reader // nil: the judged body
	if canonical.Streams() {
		p.body = newDigesting(x.r.Body)
		body = p.body
	}
	req, err := jit.Sign(ctx, canonical, body, cred, h.Now()) // 9
	if err != nil {
		return nil, err
	}
	x.stage = "send"
	h.Metrics.overhead.Observe(h.Now().Sub(x.start).Seconds())
	resp, err := h.Upstream.For(x.session.ID).RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, refusal.Wrap(refusal.Unavailable, err, "the client went away before AWS answered; whether AWS acted on the request is not known")
		}
		return nil, refusal.Wrap(refusal.Unavailable, err, "%s could not be reached or broke the connection; whether AWS acted on the request is not known", canonical.Host())
	}
	return resp, nil
}

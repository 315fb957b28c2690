package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/internal/postform"
	"github.com/sallyport/sallyport/internal/spool"
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
	part  mask.Widened // of the object that is asked for
	scope policy.Scope
	sent  bool
	spool *spool.Spool // a body that streams and had to be read whole; nil: none
	body  *digesting   // a streamed request's body as the client sends it
}

// permit turns an allowing decision into a permit. How the answer will be masked
// is settled here too, before anything is sent: an answer that cannot be masked
// must never be asked for.
func (h *handler) permit(x *exchange) (*permit, error) {
	if !x.allowed() {
		reason := "no rule allows this request"
		if x.decision != nil {
			reason = x.decision.Reason
		}
		return nil, refusal.New(refusal.Denied, "%s", reason)
	}
	plan, part, err := h.plan(x)
	if err != nil {
		return nil, err
	}
	p := &permit{call: x.call, plan: plan, part: part, scope: x.decision.Scope}
	if x.ask != nil {
		p.spool = x.ask.spool
	}
	return p, nil
}

// allowed reports a decision that allows, or one that asks and an approval or a use
// of a grant that was taken for this very exchange.
func (x *exchange) allowed() bool {
	if x.decision == nil {
		return false
	}
	asked := x.ask != nil && x.ask.claimed.UsedBy == x.id || x.grant != nil && x.grant.LastUse == x.id
	return x.decision.Effect == policy.Allow || x.decision.Effect == policy.Ask && x.id != "" && asked
}

// plan is how the answer to a call will be masked, and which part of an object has
// to be asked for.
func (h *handler) plan(x *exchange) (*mask.Plan, mask.Widened, error) {
	plan, err := h.Masker.PlanCall(x.call, x.decision.Mask, x.decision.MaskAs, x.decision.Unmask)
	if err != nil {
		return nil, mask.Widened{}, err
	}
	part, err := plan.Range(x.call.Canonical().Header().Get("Range"))
	return plan, part, err
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

	canonical := owned(p.call, x.target).Without(p.plan.DropForMask(p.call.Canonical().Method())...)
	if p.part.Header != "" {
		canonical = canonical.WithRange(p.part.Header)
	}
	if p.part.Whole {
		canonical = canonical.WithoutPart()
	}
	var body io.Reader // nil: the judged body
	if canonical.Streams() {
		from := io.Reader(x.r.Body)
		if p.spool != nil {
			from = p.spool.Reader()
			canonical = canonical.WithBody(p.spool.SHA256(), p.spool.Size())
		}
		record := h.recordUpload(ctx, x, canonical)
		if canonical.ContentLength() == 0 { // net/http does not read it
			_ = record.Close()
		}
		if x.form != nil {
			p.body, body = x.form.body, x.form.file
			x.form.file.Tee(record)
		} else {
			p.body = h.digest(x, from)
			body = &copied{r: p.body, to: record, left: canonical.ContentLength()}
		}
		x.sent = p.body
	}
	req, err := jit.Sign(ctx, canonical, body, cred, h.Now()) // 9
	if err != nil {
		return nil, err
	}
	if canonical.Streams() && p.spool == nil && x.form == nil && strings.EqualFold(x.r.Header.Get("Expect"), "100-continue") && canonical.ContentLength() != 0 {
		// The client waits with its body until it hears from us, and so do we: where AWS
		// refuses the upload, not a byte of it is read, and the client sees why.
		req.Header.Set("Expect", "100-continue")
	}
	if canonical.Streams() && req.Body != http.NoBody {
		req.Body = &guarded{req.Body, x, h}
	}
	x.stage = "send"
	h.Metrics.overhead.Observe(h.Now().Sub(x.start).Seconds())
	resp, err := h.Upstream.For(x.session.ID).RoundTrip(req.WithContext(x.live.onWire(req.Context())))
	if err != nil {
		return nil, unsent(ctx, canonical.Host(), err)
	}
	return resp, nil
}

// stopUpload ends the reading of a body that is still coming in when AWS has refused
// it. net/http holds the body's lock while it waits for the client, and writes no
// answer without that lock: a client that pauses to see whether there is one would
// wait for ever. It reports whether there was one.
func (h *handler) stopUpload(x *exchange, p *permit) bool {
	if p.body == nil || p.spool != nil || p.body.ended.Load() {
		return false
	}
	x.w.Header().Set("Connection", "close")
	if err := bound(x, time.Unix(1, 0), 0); err != nil {
		h.Log.WarnContext(x.r.Context(), "the reading of an upload could not be ended", "requestID", x.id, "cause", err.Error())
	}
	return true
}

// unsent says why there is no answer.
func unsent(ctx context.Context, host string, err error) error {
	var chunks *awschunked.Error
	var form *postform.Error
	var unrecorded *refusal.Error
	switch {
	case errors.As(err, &unrecorded):
		return unrecorded
	case ctx.Err() != nil:
		return refusal.Wrap(refusal.Unavailable, err, "the client went away, or the gateway was stopped, before AWS answered; whether AWS acted on the request is not known")
	case errors.As(err, &chunks):
		return refusal.Wrap(refusal.Malformed, err, "the upload is not what its headers say: %s; it was broken off before its end, so AWS has stored nothing of it", chunks.Text())
	case errors.As(err, &form):
		return refusal.Wrap(refusal.Malformed, err, "the form upload is not well formed: %s; it was broken off before its end, so AWS has stored nothing of it", form.Text())
	}
	return refusal.Wrap(refusal.Unavailable, err, "%s could not be reached or broke the connection; whether AWS acted on the request is not known", host)
}

package gateway

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/refusal"
)

// handler serves the requests of one tunnel.
type handler struct {
	*Gateway
	caller *caller
}

// exchange is one request on its walk, with what is known of it so far. It
// belongs to the goroutine that serves the request.
type exchange struct {
	id      string // ULID, the requestID of events and x-sallyport-request-id
	start   time.Time
	w       http.ResponseWriter
	r       *http.Request
	request awsapi.Request
	shape   refusal.Shape

	session  *identity.Session // nil until identified
	caller   *caller
	target   Target
	realKey  bool // the client signed with what looks like a real access key
	call     *awsapi.Call
	form     *form // of a form upload
	decision *policy.Decision
	live     *liveRequest
	cut      context.Context        // ends when the request is revoked, with a refusal as its cause; nil until it can be
	ask      *ask                   // where people are asked; nil: nowhere
	grant    *approvals.GrantRecord // that let it through without asking; nil: none
	begun    <-chan struct{}        // closed when the next grant begins
	digest   string
	enriches string   // the exchange that this read of the gateway's own is for; "" for agents' requests
	recorded bool     // request and decision events are on record
	ended    bool     // and so is the response event
	stage    string   // after that: record, credential, send, mask, answer
	release  []func() // gives reserved room back

	params   map[string]any  // of the call, as they may be published; nil until asked for
	judged   *event.Recorded // what of a judged body is on record; nil: see judgedBody
	sent     *digesting      // a body that streams to AWS
	upload   *copying        // and its way to the record
	status   int             // of AWS's answer, 0 until it has begun
	passed   *digesting      // what of an answer that streams was passed on
	download *copying        // and its way to the record
}

// ServeHTTP serves one request: walk, or refuse. A panic costs this request only:
// it is logged without its value's text (which may hold what a client sent) and
// the connection is cut.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.open.add(1)
	defer h.open.add(-1)
	x := &exchange{id: h.IDs.New(), start: h.Now(), w: w, r: r, caller: h.caller}
	defer func() {
		for _, f := range x.release {
			f()
		}
	}()
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				h.Log.ErrorContext(r.Context(), "panic while serving a request", "requestID", x.id, "stack", string(debug.Stack()))
				if x.call != nil && !x.ended { // the request may be on record
					h.recordRefusal(x, 0, refusal.New(refusal.Unavailable, "internal error"))
				}
			}
			panic(http.ErrAbortHandler)
		}
	}()
	x.request = awsapi.Request{
		Method: r.Method, Host: h.caller.host, Target: r.RequestURI, Header: r.Header, ContentLength: r.ContentLength,
	}
	x.shape = h.Identifier.ShapeOf(x.request)
	if err := h.walk(r.Context(), x); err != nil {
		h.refuse(x, x.revoked(refusal.Of(err)))
	}
}

// walk is the walk of one request; docs/request-walk.md tells it in words. An
// error ends it: nothing was sent unless send was reached.
func (h *handler) walk(ctx context.Context, x *exchange) error {
	if err := h.identify(ctx, x); err != nil { // 1
		return err
	}
	if !x.r.ProtoAtLeast(1, 1) {
		// It knows no end of an answer without a length but the connection's: one that is
		// cut would look complete.
		return refusal.New(refusal.Malformed, "HTTP/1.0 cannot tell a whole answer from one that broke off; use HTTP/1.1")
	}
	h.chooseTarget(x, awsapi.AccessKeyID(x.r.Header, x.r.RequestURI)) // 2

	head, err := h.Identifier.Head(x.request) // 3
	if err != nil {
		return err
	}
	x.shape = head.Shape()
	if head, err = h.readForm(ctx, x, head); err != nil { // 4, of a form upload
		return err
	}
	if ctx, err = h.enter(ctx, x); err != nil {
		return err
	}
	body, err := h.readBody(ctx, x, head) // 4
	if err != nil {
		return err
	}
	if x.call, err = head.Call(body); err != nil { // 5
		return err
	}
	if e := x.call.Uncarried(); e != nil {
		return e
	}
	if err := perimeter(x.call, x.target); err != nil {
		return err
	}
	d := h.decide(x) // 6
	x.decision = &d
	h.Metrics.requests.WithLabelValues(x.call.Service, d.Effect.String()).Inc()

	if d.Effect == policy.Ask {
		return h.walkAsked(ctx, x)
	}
	return h.carryOut(ctx, x)
}

// carryOut sends what may be sent, and answers.
func (h *handler) carryOut(ctx context.Context, x *exchange) error {
	if err := h.roomToStream(ctx, x); err != nil {
		return err
	}
	permit, err := h.permit(x)
	if err != nil {
		return err
	}
	if err := h.spool(ctx, x, permit); err != nil {
		return err
	}
	receipt, err := h.begin(ctx, x) // 7
	if err != nil {
		return err
	}
	resp, err := h.send(ctx, x, permit, receipt) // 8, 9
	if err != nil {
		return err
	}
	return h.answer(ctx, x, permit, resp) // 10, 11
}

func (h *handler) decide(x *exchange) policy.Decision {
	return h.Policy.Decide(policy.Input{
		Issuer: x.session.Issuer, Subject: x.session.Subject, Groups: x.caller.principal.Groups,
		Session: x.session.ID, Target: x.target.Name, Call: x.call, Now: h.Now(),
	})
}

// identify looks again at who opened the tunnel: a token may have expired since.
func (h *handler) identify(ctx context.Context, x *exchange) error {
	if h.caller.problem != nil {
		return h.caller.problem
	}
	if err := h.Verifier.Recheck(h.caller.principal, h.Now()); err != nil {
		return err
	}
	if e := h.Revocations.Refusal(ctx, h.caller.revocable("", "")); e != nil {
		return h.said(e)
	}
	s, opened := h.Sessions.Touch(h.caller.principal, h.caller.label)
	x.session = s
	if opened {
		if err := h.Append(ctx, h.sessionOpened(x)); err != nil {
			return h.notDurable(err)
		}
	}
	return nil
}

// begin makes the request and its decision durable. Until it returns a Receipt
// nothing may be sent.
func (h *handler) begin(ctx context.Context, x *exchange) (*recorder.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	if x.ask != nil { // the request is on record, with its body, since people were asked
		if err := h.Recorder.Append(ctx, h.decisionEvent(x, nil)); err != nil {
			return nil, h.notDurable(err)
		}
		x.recorded = true
		return x.ask.receipt, nil
	}
	if err := h.recordJudged(ctx, x); err != nil {
		return nil, err
	}
	receipt, err := h.Recorder.Begin(ctx, h.requestEvent(x), h.decisionEvent(x, nil))
	if err != nil {
		return nil, h.notBegun(x, err)
	}
	x.recorded = true
	return receipt, nil
}

// Append records later events under the same bound as begin.
func (h *handler) Append(ctx context.Context, ev ...event.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	return h.Recorder.Append(ctx, ev...)
}

// notBegun is notDurable for what begins an exchange, which may be on record all the same
// and gets an end then.
func (h *handler) notBegun(x *exchange, err error) error {
	x.recorded, x.stage = errors.Is(err, recorder.ErrUnconfirmed), "record"
	return h.notDurable(err)
}

func (h *handler) notDurable(err error) error {
	h.Metrics.unrecorded.Inc()
	return refusal.Wrap(refusal.Unavailable, err, "the record of this request could not be made durable, so it was not sent; try again later")
}

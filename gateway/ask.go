package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/internal/spool"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/refusal"
)

// heartbeat keeps clients that give up after 60 s of silence.
const heartbeat = 30 * time.Second

// Approvals asks people. It is *approvals.Broker.
type Approvals interface {
	Ask(ctx context.Context, r approvals.Request) (approvals.Record, error)
	Wait(ctx context.Context, approval, digest string) (approvals.Record, error)
	Claim(ctx context.Context, approval, digest, exchange string) (approvals.Record, error)
	Return(ctx context.Context, approval, digest, exchange string, revoked func() bool) error
	Begins(r approvals.Request) bool
	// UseGrant gives approvals.ErrNoGrant where people must be asked.
	UseGrant(ctx context.Context, r approvals.Request, call *awsapi.Call) (approvals.GrantRecord, error)
	GrantBegun() <-chan struct{}
	Withdraw(ctx context.Context, approval, digest string) error
}

// ask is a request that people decide.
type ask struct {
	receipt  *recorder.Receipt // the request is on record
	spool    *spool.Spool      // a body that streams, read whole before anybody is asked
	body     string            // its data's SHA-256, without the chunks it came in
	size     int64
	approval string
	claimed  approvals.Record // zero until the leave was taken for this exchange
	found    approvals.Found  // what is known of the call; Give: this exchange gets an earlier one's outcome
	running  *approvals.Running
	ended    bool // the outcome was kept
	told     bool // as one that the client gets
	got      bool // which it did
}

// askPeople holds a request until people have agreed to it, or have before, by a
// grant. nil means that they did, that it may still be sent, and that this exchange
// has taken the leave; or that x.ask.found has the outcome of an earlier exchange to
// give.
func (h *handler) askPeople(ctx context.Context, x *exchange) error {
	needed, err := h.needed(x)
	if err != nil {
		return err
	}
	if _, _, err := h.plan(x); err != nil { // nobody is asked for what could not be given
		return err
	}
	x.begun = h.Approvals.GrantBegun() // before looking, so that none begins unseen
	x.ask = &ask{}
	// Only once the body is read does net/http notice a client that leaves. And what is
	// approved must be what is sent, to its last byte.
	if err := h.spoolAsked(ctx, x); err != nil {
		return err
	}
	if err := h.recordJudged(ctx, x); err != nil {
		return err
	}
	request := h.requestEvent(x)
	recording, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	if x.ask.receipt, err = h.Recorder.Begin(recording, request); err != nil {
		return h.notBegun(x, err)
	}
	if x.ask.found, err = h.meet(ctx, x, needed); err != nil || x.ask.found.Turn == approvals.Give {
		return err
	}
	if granted, err := h.useGrant(ctx, x, needed); err != nil {
		return err
	} else if granted {
		return h.goesOut(ctx, x, needed)
	}
	rec, err := h.Approvals.Ask(ctx, h.enriched(ctx, x, h.approvalRequest(x, needed, request)))
	if err != nil {
		return h.notAsked(err)
	}
	x.ask.approval = rec.Request.Approval
	if rec.State == approvals.StatePending {
		if rec, err = h.hold(ctx, x, rec); err != nil {
			return h.stillPending(x, rec, err)
		}
		if x.grant != nil {
			return h.goesOut(ctx, x, needed)
		}
	}
	if rec.State == approvals.StateDenied {
		return h.deniedBy(rec)
	}
	if err := h.judgeAgain(x, needed); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return h.stillPending(x, rec, ctx.Err())
	}
	return h.claim(ctx, x, rec, needed)
}

// needed is who must agree.
func (h *handler) needed(x *exchange) ([]approvals.Needed, error) {
	if h.Approvals == nil {
		return nil, refusal.New(refusal.Denied, "%s; but approvals.approver_issuers names nobody who could approve: ask an operator to set it", x.decision.Reason)
	}
	if x.form != nil {
		return nil, refusal.New(refusal.Denied, "%s; a browser's form upload cannot be held for that: use s3:PutObject", x.decision.Reason)
	}
	needed := neededOf(x.decision)
	for _, n := range needed {
		if len(n.Groups) == 0 {
			return nil, refusal.New(refusal.Denied, "%s; but the policy's risk.approvers names nobody who could approve: ask an operator to set it", x.decision.Reason)
		}
	}
	return needed, nil
}

func neededOf(d *policy.Decision) []approvals.Needed {
	out := make([]approvals.Needed, len(d.Approvers))
	for i, a := range d.Approvers {
		out[i] = approvals.Needed{Groups: a.Groups, Count: max(a.Count, 1)}
	}
	return out
}

// spoolAsked reads a body that would else stream, and hashes its data. Chunks are
// left out of the hash: a client signs them anew for each attempt.
func (h *handler) spoolAsked(ctx context.Context, x *exchange) error {
	c := x.call.Canonical()
	if !c.Streams() {
		return nil
	}
	p := &permit{call: x.call}
	if err := h.spoolWhole(ctx, x, p); err != nil {
		return err
	}
	x.ask.spool, x.ask.body, x.ask.size = p.spool, p.spool.SHA256(), p.spool.Size()
	if c.Chunks().Form == awschunked.None {
		return nil
	}
	data, err := awschunked.NewDecoder(p.spool.Reader(), c.Chunks())
	if err != nil {
		return refusal.Wrap(refusal.Malformed, err, "this body cannot be sent in chunks")
	}
	sum := sha256.New()
	n, err := io.Copy(sum, data)
	if err != nil {
		return unsent(ctx, c.Host(), err)
	}
	x.ask.body, x.ask.size = hex.EncodeToString(sum.Sum(nil)), n
	return nil
}

// approvalRequest is what approvers see: what the request event has, which is masked.
func (h *handler) approvalRequest(x *exchange, needed []approvals.Needed, request event.Event) approvals.Request {
	now := h.Now()
	r := approvals.Request{
		Approval: h.IDs.New(), Digest: x.digest, RequestID: x.id, SessionID: x.session.ID, Who: h.common(x).UserIdentity,
		Target: x.target.Name, RoleARN: x.target.RoleARN, Account: x.target.Account,
		Risk: event.Risk{Score: x.decision.Risk.Score, Reasons: x.decision.Risk.Reasons}, Rules: x.decision.Rules,
		Approvers: needed, PolicyVersion: x.decision.Version, Extent: h.extent(x.call), Created: now, Expires: now.Add(h.Expires),
		Earlier: earlier(x.ask.found), Reason: h.statedReason(x),
	}
	if p := x.caller.principal; p.EmailVerified {
		r.Email = p.Email
	}
	if d, ok := request.Data.(*event.Request); ok {
		r.Region, r.Service, r.Operation, r.Actions, r.AccessLevel = d.AWSRegion, d.Service, d.EventName, d.Actions, d.AccessLevel
		r.Resources, r.Parameters, r.RequestBody = d.Resources, d.RequestParameters, d.RequestBody
	}
	return r.Bounded()
}

// hold waits for as long as the client and the configuration do.
func (h *handler) hold(ctx context.Context, x *exchange, rec approvals.Record) (approvals.Record, error) {
	r, err := held(ctx, h, x, func(ctx context.Context) (approvals.Record, error) {
		return h.Approvals.Wait(ctx, rec.Request.Approval, x.digest)
	}, func() (bool, error) { return h.useGrantHeld(ctx, x, rec) })
	if err != nil {
		return rec, err
	}
	return r, nil
}

// held waits for as long as the client and the configuration do, with heartbeats. begun
// is asked whenever a grant has begun, and true ends the wait; nil where grants change
// nothing.
func held[T any](ctx context.Context, h *handler, x *exchange, wait func(context.Context) (T, error), begun func() (bool, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, h.Hold)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := wait(ctx)
		done <- result{v, err}
	}()
	var grants <-chan struct{}
	if begun != nil {
		grants = x.begun
	}
	var beats <-chan time.Time
	if wantsHeartbeats(x.r.UserAgent()) {
		t := time.NewTicker(h.beat)
		defer t.Stop()
		beats = t.C
	}
	for {
		select {
		case <-grants:
			x.begun = h.Approvals.GrantBegun()
			grants = x.begun
			if granted, err := begun(); granted || err != nil {
				var none T
				return none, err
			}
		case r := <-done:
			return r.value, r.err
		case <-beats:
			x.w.WriteHeader(100)
		}
	}
}

// wantsHeartbeats reports botocore, which gives up after a minute of silence and
// takes any number of 100 Continue. Others wait longer, and some (rclone, s3cmd) fail
// on them.
func wantsHeartbeats(userAgent string) bool {
	ua := strings.ToLower(userAgent)
	return strings.Contains(ua, "botocore") || strings.Contains(ua, "aws-cli") || strings.Contains(ua, "boto3")
}

// judgeAgain looks at everything that may have changed while people thought.
func (h *handler) judgeAgain(x *exchange, needed []approvals.Needed) error {
	if err := h.Verifier.Recheck(x.caller.principal, h.Now()); err != nil {
		return err
	}
	d := h.decide(x)
	switch {
	case d.Effect == policy.Deny:
		x.decision = &d
		return refusal.New(refusal.Denied, "%s", d.Reason)
	case d.Version != x.decision.Version, d.Effect == policy.Ask && !reflect.DeepEqual(neededOf(&d), needed):
		return refusal.New(refusal.Pending, "the policy has changed while this call waited for an approval; send it again, and it is judged anew")
	}
	return nil
}

func (h *handler) stillPending(x *exchange, rec approvals.Record, err error) error {
	var refused *refusal.Error
	switch {
	case errors.As(err, &refused): // what was judged again
		return err
	case errors.Is(err, approvals.ErrEnded):
		return refusal.Wrap(refusal.Pending, err, "approval %s has ended; send the call again to ask for another", x.ask.approval)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, approvals.ErrClosed), errors.Is(err, approvals.ErrHeld):
		return refusal.Wrap(refusal.Pending, err, "%s; approval %s is pending until %s and needs %s. Nothing was sent. Send the very same call again later: it goes through once it is approved",
			x.decision.Reason, x.ask.approval, rec.Request.Expires.UTC().Format(time.RFC3339), neededText(rec.Request.Approvers))
	}
	return refusal.Wrap(refusal.Unavailable, err, "the approval of this call cannot be followed; nothing was sent to AWS, try again later")
}

func (h *handler) deniedBy(rec approvals.Record) error {
	if len(rec.Votes) == 0 {
		return refusal.New(refusal.Denied, "approval %s was denied", rec.Request.Approval)
	}
	v := rec.Votes[len(rec.Votes)-1]
	who := v.Subject
	if v.Email != "" {
		who = v.Email
	}
	why := "without a reason"
	if v.Reason != "" {
		why = h.Masker.Text(v.Reason)
	}
	return refusal.New(refusal.Denied, "%s has denied this call (approval %s): %s", who, rec.Request.Approval, why)
}

func (h *handler) notAsked(err error) error {
	if errors.Is(err, approvals.ErrTooMany) || errors.Is(err, approvals.ErrTooManyAll) {
		return refusal.Wrap(refusal.Denied, err, "this call needs an approval, and %s; wait until they are answered", err)
	}
	return refusal.Wrap(refusal.Unavailable, err, "nobody could be asked to approve this call; nothing was sent to AWS, try again later")
}

func (h *handler) notClaimed(x *exchange, rec approvals.Record, err error) error {
	switch {
	case errors.Is(err, approvals.ErrUsed):
		return refusal.Wrap(refusal.Pending, err, "approval %s was for one call, and request %s was it; send this one again to ask for another", x.ask.approval, rec.UsedBy)
	case errors.Is(err, approvals.ErrExpired), errors.Is(err, approvals.ErrNotGranted), errors.Is(err, approvals.ErrEnded):
		return refusal.Wrap(refusal.Pending, err, "approval %s has ended without an answer in time; nothing was sent. Send the call again to ask for another", x.ask.approval)
	}
	return refusal.Wrap(refusal.Unavailable, err, "the approval of this call could not be used; nothing was sent to AWS, try again later")
}

func neededText(list []approvals.Needed) string {
	parts := make([]string, len(list))
	for i, n := range list {
		parts[i] = fmt.Sprintf("%d of %s", max(n.Count, 1), strings.Join(n.Groups, " or "))
	}
	return strings.Join(parts, " and ")
}

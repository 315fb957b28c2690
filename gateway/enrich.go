package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/enrich"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/refusal"
)

// Before people are asked, and where what asks says so, the gateway reads names and
// tags of the call's resources. Each read is an exchange of its own: judged, on record,
// with a credential for it alone. It is never the agent's: nothing of it goes to the
// agent, and nothing of it can stop or delay the agent's request beyond enrichTimeout.

const (
	enrichTimeout = 2 * time.Second // for all reads of one request together
	// maxEnriching requests have their resources read at once, maxEnrichingShare of one
	// identity. An agent that asks for much at once must not use up STS for all.
	maxEnriching      = 32
	maxEnrichingShare = 4
)

// answered is what came of one read: something, or a note why not.
type answered struct {
	read      int
	described []event.Described
	note      string
}

// enriched is r with what is read of its resources, where the policy says so and r
// begins an approval: for what joins another it was read then.
func (h *handler) enriched(ctx context.Context, x *exchange, r approvals.Request) approvals.Request {
	if x.decision.Enrich && h.Approvals.Begins(r) {
		r.Enrichment = h.enrich(ctx, x)
	}
	return r
}

// enrich reads what can be read of a call's resources in enrichTimeout. It gives what
// came until then, and says what did not.
func (h *handler) enrich(ctx context.Context, x *exchange) *event.Enrichment {
	reads, unread := enrich.Reads(h.Identifier, x.call, x.target.Account)
	out := &event.Enrichment{Unread: unread}
	if len(reads) == 0 {
		if unread == 0 {
			return nil
		}
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, h.enrichWithin)
	defer cancel()
	// Who has waited for half the time would have no time left to read in.
	room, done := context.WithTimeout(ctx, h.enrichWithin/2)
	lease, err := h.enriching.take(room, x, 1)
	done()
	if err != nil {
		out.Notes = []string{"too many requests ask at once"}
		return out.Bounded()
	}
	defer lease.shrink(0)
	// What is late is not waited for here; the request does not end before it does.
	var running sync.WaitGroup
	x.release = append(x.release, running.Wait)
	answers := make(chan answered, len(reads))
	asking := x.decision.Rules // x goes on while what is late still runs
	for i, r := range reads {
		running.Go(func() {
			a := answered{read: i, note: "internal error"}
			defer func() { answers <- a }()
			defer func() {
				if recover() != nil { // its text may hold what AWS sent
					h.Log.ErrorContext(ctx, "panic while reading tags", "requestID", x.id, "stack", string(debug.Stack()))
				}
			}()
			a.described, a.note = h.read(ctx, x, r, asking)
		})
	}
	got := make([]*answered, len(reads))
	for range reads {
		select {
		case a := <-answers:
			got[a.read] = &a
			continue
		case <-ctx.Done():
		}
		break
	}
	for i, r := range reads {
		a := got[i]
		if a == nil {
			a = &answered{note: notInTime}
		}
		if a.note != "" {
			out.Notes = append(out.Notes, r.Action()+": "+a.note)
		}
		out.Resources = append(out.Resources, a.described...)
	}
	return out.Bounded()
}

const notInTime = "no answer in time"

// read is the walk of one read. The note is empty, or says in a few words of ours and
// AWS's error code why nothing came of it.
func (h *handler) read(ctx context.Context, of *exchange, r enrich.Read, asking []string) (out []event.Described, note string) {
	x := h.readExchange(ctx, of, r)
	defer func() {
		for _, f := range x.release {
			f()
		}
	}()
	if err := perimeter(x.call, x.target); err != nil {
		return nil, "outside of the target"
	}
	if d := h.decide(x); !mayRead(&d, asking) {
		x.decision = &d
		h.record(ctx, x, h.requestEvent(x), h.decisionEvent(x, refusal.New(refusal.Denied, "%s", d.Reason)))
		return nil, "not allowed by the policy"
	} else {
		x.decision = &policy.Decision{Effect: policy.Allow, Scope: policy.ScopeRequest, Risk: d.Risk, Mask: d.Mask, MaskAs: d.MaskAs, Version: d.Version}
	}
	out, note, err := h.fetch(ctx, x, r)
	if err != nil {
		if x.recorded && !x.ended {
			h.recordAborted(ctx, x, refusal.Of(err))
		}
		h.Log.InfoContext(ctx, "tags were not read", "requestID", x.id, "enriches", of.id, "stage", x.stage, "cause", h.Masker.Text(err.Error()))
		return nil, whyUnread(ctx, x.stage)
	}
	return out, note
}

// readExchange is an exchange of the agent's session that no agent has begun.
func (h *handler) readExchange(ctx context.Context, of *exchange, r enrich.Read) *exchange {
	header := http.Header{"User-Agent": r.Call.Canonical().Header()["User-Agent"]}
	return &exchange{
		id: h.IDs.New(), start: h.Now(), r: (&http.Request{Method: r.Call.Canonical().Method(), Header: header}).WithContext(ctx),
		session: of.session, caller: &caller{label: of.caller.label, principal: of.caller.principal, host: r.Call.Canonical().Host()},
		target: of.target, call: r.Call, enriches: of.id,
	}
}

// mayRead reports that policy lets the gateway read for approvers: no rule need allow
// it, but one that denies it, or whose condition cannot be evaluated, forbids it. So
// does one that asks for it, unless it is among asking, which ask for the call itself:
// then its people are those who see the answer.
func mayRead(d *policy.Decision, asking []string) bool {
	switch d.Effect {
	case policy.Allow:
		return true
	case policy.Ask:
		return len(d.Rules) > 0 && !slices.ContainsFunc(d.Rules, func(name string) bool { return !slices.Contains(asking, name) })
	}
	return len(d.Rules) == 0 && d.Unallowed
}

// fetch goes the way of any exchange: on record, credential, signature, masked answer,
// on record.
func (h *handler) fetch(ctx context.Context, x *exchange, r enrich.Read) ([]event.Described, string, error) {
	permit, err := h.permit(x)
	if err != nil {
		return nil, "", err
	}
	// One that comes too late does not begin, and one that has begun has an end on record.
	if ctx.Err() != nil {
		return nil, "", ctx.Err()
	}
	receipt, err := h.begin(context.WithoutCancel(ctx), x)
	if err != nil {
		return nil, "", err
	}
	resp, err := h.send(ctx, x, permit, receipt)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	x.stage = "mask"
	if resp.StatusCode < 200 {
		return nil, "", errors.New("an interim status")
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, enrich.MaxAnswer)
	res, err := h.masked(ctx, x, permit, resp)
	if err != nil {
		return nil, "", err
	}
	body := res.Body
	if res.Stream != nil {
		if body, err = io.ReadAll(res.Stream); err != nil {
			return nil, "", err
		}
	}
	h.countMasked(res)
	sum := sha256.Sum256(body)
	res.Body, res.Stream = body, nil
	recorded, pieces, err := h.recordWhole(ctx, x, permit, resp.StatusCode, res)
	if err != nil {
		return nil, "", err
	}
	done := outcome{status: resp.StatusCode, header: res.Header, size: int64(len(body)), sha256: hex.EncodeToString(sum[:]), findings: res.Findings(), recorded: recorded, pieces: pieces}
	if failed := h.recordResponse(ctx, x, done); failed != nil {
		return nil, "", failed
	}
	out, err := r.Answer(resp.StatusCode, res.Header, body)
	switch {
	case err == nil:
		for i := range out {
			out[i].ARN = h.Masker.Text(out[i].ARN) // as it stands among the request's resources
		}
		return out, "", nil
	case resp.StatusCode < 300:
		return nil, "an answer that is not understood", nil
	}
	if code := enrich.ErrorCode(res.Header, body); code != "" {
		return nil, code, nil
	}
	return nil, "status " + strconv.Itoa(resp.StatusCode), nil
}

func whyUnread(ctx context.Context, stage string) string {
	switch {
	case ctx.Err() != nil:
		return notInTime
	case stage == "credential":
		return "no credential from STS"
	case stage == "send":
		return "AWS could not be reached"
	case stage == "mask":
		return "an answer that cannot be read"
	}
	return "not read"
}

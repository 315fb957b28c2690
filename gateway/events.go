package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/jit"
	"github.com/sallyport/sallyport/mask"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/refusal"
)

// This file turns what happened into events. It adds nothing: what is in an event
// is what the walk knew. Secrets cannot get here, since no stage hands one out
// but as a secret.String. What a client wrote, or what names what it wrote, goes
// through the masker's detectors: a key in a path or a parameter is not published.

func (g *Gateway) newEvent(d event.Data) event.Event {
	return event.Event{ID: g.IDs.New(), Source: g.Source, Time: g.Now(), Data: d}
}

func (h *handler) common(x *exchange) event.Common {
	c := event.Common{
		RequestID: x.id, EventTime: h.Now(), SourceIPAddress: x.caller.address, UserAgent: h.Masker.Text(x.r.UserAgent()), Enriches: x.enriches,
		UserIdentity: event.UserIdentity{Label: h.Masker.Text(x.caller.label)},
	}
	if p := x.caller.principal; p != nil {
		c.UserIdentity.Issuer, c.UserIdentity.Subject, c.UserIdentity.Groups = p.Issuer, p.Subject, p.Groups
	}
	if x.session != nil {
		c.SessionID = x.session.ID
	}
	return c
}

func operation(x *exchange) event.Operation {
	o := event.Operation{Target: x.target.Name}
	c := x.call
	if c == nil {
		return o
	}
	o.EventSource, o.EventName, o.AWSRegion, o.Service = c.EventSource, c.Operation, c.Region, c.Service
	o.RecipientAccountID = x.target.Account
	for _, a := range c.Actions {
		o.Actions = append(o.Actions, a.Name)
	}
	if len(c.Actions) > 0 {
		o.AccessLevel = string(c.Actions[0].Level)
	}
	return o
}

func (h *handler) sessionOpened(x *exchange) event.Event {
	c := h.common(x)
	c.RequestID = ""
	return h.newEvent(&event.SessionOpened{Common: c, TokenID: x.caller.principal.TokenID, Expires: x.caller.principal.Expires})
}

// SessionClosed records the end of a session; it is what identity.Sessions.OnClose
// should call.
func (g *Gateway) SessionClosed(s *identity.Session, why identity.CloseReason) event.Event {
	return g.newEvent(&event.SessionClosed{
		Common: event.Common{SessionID: s.ID, EventTime: g.Now(),
			UserIdentity: event.UserIdentity{Issuer: s.Issuer, Subject: s.Subject, Groups: s.Groups, Label: g.Masker.Text(s.Label)}},
		Reason: string(why),
	})
}

func (h *handler) requestEvent(x *exchange) event.Event {
	c := x.call
	canonical := c.Canonical()
	subject := approvals.Subject{
		Issuer: x.session.Issuer, Subject: x.session.Subject, Target: x.target.Name,
		RoleARN: x.target.RoleARN, Account: x.target.Account, PolicyVersion: x.decision.Version,
	}
	if x.ask != nil && x.ask.spool != nil {
		x.digest = approvals.DigestWith(subject, canonical, x.ask.body, x.ask.size)
	} else {
		x.digest = approvals.Digest(subject, canonical)
	}
	d := &event.Request{
		Common: h.common(x), Operation: operation(x),
		Protocol: string(c.Protocol), Method: canonical.Method(), Host: canonical.Host(), Path: h.Masker.Text(canonical.RawPath()),
		Digest: x.digest, RealKeySeen: x.realKey, RequestParameters: h.params(x),
		RequestBodyRecorded: h.judgedBody(x),
	}
	seen := map[string]bool{}
	for _, a := range c.Actions {
		for _, r := range a.Resources {
			if !seen[r.ARN] {
				seen[r.ARN] = true
				d.Resources = append(d.Resources, event.Resource{ARN: h.Masker.Text(r.ARN), AccountID: r.Account, Type: r.Type})
			}
		}
	}
	if x.ask != nil && x.ask.spool != nil {
		d.RequestBody = &event.Digest{SHA256: x.ask.body, Size: x.ask.size}
	}
	if !canonical.Streams() {
		sum := sha256.Sum256(canonical.Body())
		d.RequestBody = &event.Digest{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(canonical.Body()))}
	}
	return h.newEvent(d)
}

// decisionEvent says what policy decided; e is what refused the request all the
// same (an answer that cannot be masked), or nil.
func (h *handler) decisionEvent(x *exchange, e *refusal.Error) event.Event {
	d := &event.Decision{
		Common: h.common(x), Operation: operation(x), Effect: x.decision.Effect.String(),
		Rules: x.decision.Rules, Risk: &event.Risk{Score: x.decision.Risk.Score, Reasons: x.decision.Risk.Reasons}, PolicyVersion: x.decision.Version, Mask: pathNames(x.decision.Mask), MaskAs: string(x.decision.MaskAs), Unmask: x.decision.Unmask,
	}
	if x.ask != nil && x.ask.approval != "" {
		d.Approval = x.ask.approval
		if x.allowed() {
			d.Effect, d.Approvers = policy.Allow.String(), approvals.Votes(x.ask.claimed.Votes)
		}
	}
	if g := x.grant; g != nil {
		d.Approval, d.Grant = g.Request.Approval, &event.GrantLeft{Left: g.Leave.Left, Until: g.Leave.Until}
		if x.allowed() {
			d.Effect, d.Approvers = policy.Allow.String(), approvals.Votes(g.Votes)
		}
	}
	if x.ask != nil && x.ask.found.Turn == approvals.Give {
		d.OutcomeOf, d.Effect = x.ask.found.Execution.Exchange, policy.Allow.String()
	}
	if e != nil {
		if d.Effect = policy.Deny.String(); e.Reason == refusal.Pending {
			d.Effect = policy.Ask.String()
		}
		d.ErrorCode, d.ErrorMessage = string(e.Reason), h.Masker.Text(e.Message)
	}
	return h.newEvent(d)
}

func (h *handler) credentialEvent(x *exchange, c *jit.Credential) event.Event {
	return h.newEvent(&event.Credential{
		Common: h.common(x), Target: x.target.Name, RoleARN: c.RoleARN(), RoleSessionName: sessionName(c.AssumedRoleARN()),
		SessionPolicy: h.Masker.Text(c.SessionPolicy()), Scope: string(c.Scope()), PolicyDetail: string(c.Detail()), AccessKeyID: c.AccessKeyID(), Expires: c.Expires,
	})
}

func (h *handler) responseEvent(x *exchange, o outcome) event.Event {
	d := &event.Response{
		Common: h.common(x), Operation: operation(x), Status: o.status, AWSRequestID: awsRequestID(o.header),
		ResponseBody: &event.Digest{SHA256: o.sha256, Size: o.size},
		Findings:     findings(o.findings, x.decision), RequestBody: x.sent.digest(),
		RequestBodyRecorded: o.sent, ResponseBodyRecorded: o.recorded,
	}
	if o.status >= 400 {
		d.ErrorCode = o.header.Get("X-Amzn-Errortype")
	}
	if x.ask != nil && x.ask.found.Turn == approvals.Give {
		d.OutcomeOf = x.ask.found.Execution.Exchange
	}
	return h.newEvent(d)
}

func (h *handler) abortedEvent(x *exchange, e *refusal.Error, sent, passed *event.Recorded) event.Event {
	return h.newEvent(&event.Aborted{
		Common: h.common(x), Operation: operation(x), Stage: x.stage, Status: x.status,
		ErrorCode: string(e.Reason), ErrorMessage: h.Masker.Text(e.Message),
		RequestBody: x.sent.digest(), RequestBodyRecorded: sent, ResponseBody: x.passed.digest(), ResponseBodyRecorded: passed,
	})
}

func (h *handler) refusedEvent(x *exchange, status int, e *refusal.Error) event.Event {
	d := &event.Refused{
		Common: h.common(x), Operation: operation(x), Method: x.r.Method, Host: x.request.Host, Path: h.Masker.Text(x.r.URL.EscapedPath()),
		RealKeySeen: x.realKey, Status: status, ErrorCode: string(e.Reason), ErrorMessage: h.Masker.Text(e.Message),
	}
	return h.newEvent(d)
}

// outsideEvent is a refusal outside any session.
func (g *Gateway) outsideEvent(who *caller, userAgent string, status int, e *refusal.Error) event.Event {
	d := &event.Refused{
		Common: event.Common{RequestID: g.IDs.New(), EventTime: g.Now(), SourceIPAddress: who.address, UserAgent: g.Masker.Text(userAgent),
			UserIdentity: event.UserIdentity{Label: g.Masker.Text(who.label)}},
		Host: who.host, Status: status, ErrorCode: string(e.Reason), ErrorMessage: g.Masker.Text(e.Message),
	}
	if p := who.principal; p != nil {
		d.UserIdentity.Issuer, d.UserIdentity.Subject, d.UserIdentity.Groups = p.Issuer, p.Subject, p.Groups
	}
	return g.newEvent(d)
}

func findings(in []mask.Finding, d *policy.Decision) []event.Finding {
	out := make([]event.Finding, 0, len(in))
	for _, f := range in {
		e := event.Finding{Path: f.Path, Source: f.Source, Rule: f.Detector, Count: f.Count}
		if f.Source == "rule" && len(d.Rules) == 1 {
			e.Rule = d.Rules[0]
		}
		out = append(out, e)
	}
	return slices.Clip(out)
}

func pathNames(paths []mask.Path) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = p.String()
	}
	return out
}

// sessionName is the last part of an assumed role's ARN, by which CloudTrail names
// the session.
func sessionName(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// awsRequestID is the id AWS gave its answer, by which CloudTrail names the call.
func awsRequestID(h http.Header) string {
	for _, name := range []string{"X-Amzn-Requestid", "X-Amz-Request-Id"} {
		if id := h.Get(name); id != "" {
			return id
		}
	}
	return ""
}

package approvals

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/refusal"
)

// ParseAnswer reads an answer to an approval. It refuses other members, members that are
// there twice, anything behind the object, and what is longer than MaxAnswer. Its errors
// hold nothing of the answer, which has a token in it.
func ParseAnswer(b []byte, approval string) (Answer, error) {
	var a Answer
	if len(b) > MaxAnswer {
		return a, fmt.Errorf("the answer has %d bytes, the limit is %d", len(b), MaxAnswer)
	}
	if strict(b, &a) != nil {
		return Answer{}, errors.New("the answer is not a JSON object with approval, digest, decision, token, and reason and grant if need be, each once, and nothing behind it")
	}
	sum, err := hex.DecodeString(a.Digest)
	switch {
	case !event.ValidID(a.Approval) || a.Approval != approval:
		return Answer{}, errors.New("the answer's approval is not that of its subject")
	case err != nil || len(sum) != 32 || a.Digest != strings.ToLower(a.Digest):
		return Answer{}, errors.New("the answer's digest is not a SHA-256 in lower-case hex; copy it from the request")
	case a.Decision != Allow && a.Decision != Deny && a.Decision != Revoke:
		return Answer{}, fmt.Errorf("the decision must be %q, %q or %q", Allow, Deny, Revoke)
	case a.Token == "":
		return Answer{}, errors.New("the answer has no token")
	case len(a.Reason) > MaxReason:
		return Answer{}, fmt.Errorf("the reason has %d bytes, the limit is %d", len(a.Reason), MaxReason)
	case a.Grant != nil && a.Decision != Allow:
		return Answer{}, errors.New("a grant has a meaning only with allow")
	}
	return a, nil
}

// receive answers one message.
func (b *Broker) receive(ctx context.Context, m *nats.Msg) {
	err := b.serve(ctx, func(ctx context.Context) {
		approval := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		if reply, ok := b.look(approval, m.Data); ok {
			b.reply(m, reply)
			return
		}
		who, err := b.answer(ctx, approval, m.Data)
		if err != nil {
			b.audit(ctx, approval, who, err)
			b.reply(m, Reply{Error: why(err)})
			return
		}
		b.reply(m, Reply{Accepted: true})
	})
	if err != nil {
		b.reply(m, Reply{Error: err.Error()})
	}
}

// answer verifies an answer and counts it. NATS let its sender in, which proves
// nothing here: the token does.
func (b *Broker) answer(ctx context.Context, approval string, data []byte) (*identity.Principal, error) {
	a, err := ParseAnswer(data, approval)
	if err != nil {
		return nil, err
	}
	p, err := b.identify(ctx, secret.New(a.Token))
	if err != nil {
		return p, err
	}
	now := b.o.Now()
	grant, err := a.Grant.leave(now)
	if err != nil {
		return p, err
	}
	v := Vote{Issuer: p.Issuer, Subject: p.Subject, Groups: p.Groups, Decision: a.Decision, Reason: b.text(a.Reason), At: now}
	if p.EmailVerified {
		v.Email = p.Email
	}
	if a.Decision == Revoke {
		return p, b.revoke(ctx, approval, a.Digest, v)
	}
	r, err := b.change(ctx, approval, a.Digest, func(r *Record) error { return r.Vote(v, grant, b.o.Now()) })
	if err != nil {
		return p, err
	}
	b.o.Log.InfoContext(ctx, "an approval was answered", "approval", approval, "decision", a.Decision, "issuer", p.Issuer, "subject", p.Subject, "state", string(r.State))
	return p, nil
}

// why is what the sender is told.
func why(err error) string {
	var r *refusal.Error
	switch {
	case errors.As(err, &r):
		return r.Message
	case errors.Is(err, errConflict):
		return "several answers came at once; try again"
	}
	return err.Error()
}

func (b *Broker) reply(m *nats.Msg, r any) {
	if m.Reply == "" {
		return
	}
	text, err := json.Marshal(r)
	if err != nil {
		return // plain members always marshal
	}
	if err := m.Respond(text); err != nil {
		b.o.Log.Warn("an approver could not be answered", "cause", err.Error())
	}
}

// audit puts a refused answer on record, outside of any session: it may have been
// about none. Anybody with an approver's NATS user can cause these, so they are
// rate-limited.
func (b *Broker) audit(ctx context.Context, approval string, who *identity.Principal, err error) {
	b.o.Log.WarnContext(ctx, "an answer of an approver was refused", "approval", approval, "cause", err.Error())
	if !b.refused.Allow() {
		return
	}
	what := "an answer to approval " + approval
	switch {
	case approval == "":
		what = "the link of an account"
	case !event.ValidID(approval): // of a subject, and anything up to some kilobytes
		what = "an answer to no approval"
	}
	now := b.o.Now()
	d := &event.Refused{
		Common:    event.Common{RequestID: b.o.IDs.New(), EventTime: now},
		ErrorCode: "approval", ErrorMessage: what + " was refused: " + why(err),
	}
	if who != nil {
		d.UserIdentity = event.UserIdentity{Issuer: who.Issuer, Subject: who.Subject, Groups: who.Groups}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTime)
	defer cancel()
	if err := b.o.Append(ctx, event.Event{ID: b.o.IDs.New(), Source: b.o.Source, Time: now, Data: d}); err != nil {
		b.o.Log.ErrorContext(ctx, "a refused answer could not be recorded", "cause", err.Error())
	}
}

package revocation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
)

// receive takes one order. Orders are taken one after the other, so that of a
// revocation and its lifting the later one stays; carrying them out goes on beside.
func (l *List) receive(ctx context.Context, m *nats.Msg) {
	r, err := l.resolve(m.Data)
	if err != nil {
		l.o.Log.WarnContext(ctx, "an order to revoke was refused", "cause", err.Error())
		l.reply(m, Confirmation{Error: err.Error()})
		return
	}
	// In force first: were it kept first, a request could slip through meanwhile, and
	// were the bucket away, all of them. A lifting holds once it is kept.
	e := l.entry(r)
	if !r.Lifted {
		e, _ = l.learn(r.key(), r, 0)
	}
	kept := l.keep(ctx, r)
	if !l.begin(func() { l.carryOut(ctx, m, r, e, kept) }) {
		l.reply(m, Confirmation{Error: "the gateway is stopping"})
	}
}

// resolve turns an order into what it means here, and refuses one that means nothing.
func (l *List) resolve(b []byte) (Revocation, error) {
	o, d, err := ParseOrder(b)
	if err != nil {
		return Revocation{}, err
	}
	now := l.o.Now()
	r := Revocation{Subject: o.Subject, Issuer: o.Issuer, Session: o.Session, Target: o.Target, Reason: o.Reason, At: now, Lifted: o.Lift}
	if d > 0 {
		r.Until = now.Add(d)
	}
	old := l.entry(r)
	switch {
	case r.Lifted && old == nil:
		return Revocation{}, fmt.Errorf("%s is not revoked", r.What())
	case r.Lifted || r.Session != "" && old != nil:
		l.mu.RLock()
		r.Subject, r.Issuer, r.Label = old.r.Subject, old.r.Issuer, old.r.Label
		l.mu.RUnlock()
	case r.Session != "":
		c, ok := l.o.Session(r.Session)
		if !ok {
			return Revocation{}, errors.New("this gateway has no such session open; revoke its subject")
		}
		r.Subject, r.Issuer, r.Label = c.Subject, c.Issuer, c.Label
	case r.Target != "" && !slices.Contains(l.o.Targets, r.Target):
		return Revocation{}, errors.New("this gateway has no such target")
	}
	if old == nil && l.inForce() >= MaxKept {
		return Revocation{}, fmt.Errorf("%d revocations are in force already: lift what is not needed", MaxKept)
	}
	return r, nil
}

func (l *List) entry(r Revocation) *entry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.known[r.key()]
}

func (l *List) inForce() (n int) {
	now := l.o.Now()
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, e := range l.known {
		if e.r.InForce(now) {
			n++
		}
	}
	return n
}

// carryOut ends what an order is about, puts it on record and replies.
func (l *List) carryOut(ctx context.Context, m *nats.Msg, r Revocation, e *entry, kept error) {
	e.enforcing.Lock()
	defer e.enforcing.Unlock()
	var ended Ended
	if !r.Lifted {
		ended = l.enforce(ctx, r)
	}
	recorded := l.record(ctx, r, ended)
	ended = ended.plus(e.untold)
	e.untold = Ended{}
	reply := Confirmation{Accepted: true, Until: r.Until, Sessions: ended.Sessions, Tunnels: ended.Tunnels, Requests: ended.Requests, Approvals: len(ended.Approvals)}
	switch {
	case kept != nil && r.Lifted:
		reply.Accepted, reply.Error = false, "it could not be lifted, and stays in force: "+kept.Error()
	case kept != nil:
		reply.Accepted, reply.Error = false, "it is in force on this gateway until that restarts, but could not be kept: "+kept.Error()
	case ended.Err != nil:
		reply.Error = "approvals could not be cancelled; they let nothing through while it is revoked: " + ended.Err.Error()
	case !recorded:
		reply.Error = "it is done, but could not be recorded"
	}
	l.o.Log.WarnContext(ctx, "an order to revoke was carried out", "what", r.What(), "lifted", r.Lifted, "reason", r.Reason, "until", r.Until,
		"sessions", ended.Sessions, "tunnels", ended.Tunnels, "requests", ended.Requests, "approvals", len(ended.Approvals), "error", reply.Error)
	l.reply(m, reply)
}

func (l *List) reply(m *nats.Msg, r Confirmation) {
	if m.Reply == "" {
		return
	}
	r.Gateway = l.o.Source
	text, err := json.Marshal(r)
	if err != nil {
		return // texts, numbers and a time always marshal
	}
	if err := m.Respond(text); err != nil {
		l.o.Log.Warn("an operator could not be answered", "cause", err.Error())
	}
}

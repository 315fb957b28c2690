package server

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/refusal"
	"github.com/sallyport/sallyport/revocation"
)

// revoke carries an order out: first what runs, since it may be about to ask, then what
// waits for people or was allowed by them. broker is nil where nobody is asked.
func revoke(ctx context.Context, g *gateway.Gateway, broker *approvals.Broker, r revocation.Revocation) revocation.Ended {
	e := g.Revoke(ctx, r)
	if broker != nil {
		e.Approvals, e.Err = broker.Revoke(ctx, func(q approvals.Request) bool {
			return r.Covers(revocation.Caller{Issuer: q.Who.Issuer, Subject: q.Who.Subject, Label: q.Who.Label, Session: q.SessionID, Target: q.Target})
		})
	}
	return e
}

func sessionOf(sessions *identity.Sessions) func(string) (revocation.Caller, bool) {
	return func(id string) (revocation.Caller, bool) {
		s := sessions.Find(id)
		if s == nil {
			return revocation.Caller{}, false
		}
		return revocation.Caller{Issuer: s.Issuer, Subject: s.Subject, Label: s.Label, Session: s.ID}, true
	}
}

// stopped says whether an approver is revoked: the kill switch is for a subject, whatever
// its token is used for.
func stopped(l *revocation.List) func(ctx context.Context, issuer, subject string) error {
	return func(ctx context.Context, issuer, subject string) error {
		e := l.Refusal(ctx, revocation.Caller{Issuer: issuer, Subject: subject})
		switch {
		case e == nil:
			return nil
		case e.Reason == refusal.Unavailable:
			return errors.New("whether this token's subject has been revoked is not known; try again later")
		}
		return errors.New("this token's subject has been revoked by an operator; its answers do not count")
	}
}

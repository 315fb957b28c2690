package server

import (
	"context"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/identity"
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

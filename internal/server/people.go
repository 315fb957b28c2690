package server

import (
	"context"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/identity"
)

// verifier proves agents' tokens.
func (s *Server) verifier() (*identity.Verifier, error) {
	c := s.opts.Config
	issuers := issuerConfigs(c.Identity.Issuers)
	if c.Identity.Local {
		trial, err := identity.OpenTrial(c.StateDir)
		if err != nil {
			return nil, err
		}
		issuers = append(issuers, trial.IssuerConfig())
	}
	return identity.NewVerifier(issuers, identity.Options{Now: s.opts.Now})
}

// approvers proves approvers' tokens; nil where there are none. A token that agents
// could use too is none of theirs.
func (s *Server) approvers() (*identity.Verifier, error) {
	c := s.opts.Config
	if !c.CanApprove() {
		return nil, nil
	}
	issuers := issuerConfigs(c.Approvals.ApproverIssuers)
	for i := range issuers {
		for _, agents := range c.Identity.Issuers {
			if agents.Issuer == issuers[i].Issuer {
				issuers[i].Excluded = append(issuers[i].Excluded, agents.Audience)
			}
		}
	}
	if c.Identity.Local {
		trial, err := identity.OpenTrial(c.StateDir)
		if err != nil {
			return nil, err
		}
		own := trial.IssuerConfig()
		own.Audience, own.Excluded = identity.ApproverAudience, []string{identity.TrialAudience}
		issuers = append(issuers, own)
	}
	return identity.NewVerifier(issuers, identity.Options{Now: s.opts.Now})
}

func issuerConfigs(in []config.Issuer) []identity.IssuerConfig {
	out := make([]identity.IssuerConfig, len(in))
	for i, c := range in {
		out[i] = identity.IssuerConfig{
			Issuer: c.Issuer, Audience: c.Audience, CAFile: c.CAFile, SubjectClaim: c.SubjectClaim,
			GroupsClaim: c.GroupsClaim, MaxTokenAge: c.MaxTokenAge,
		}
	}
	return out
}

// broker starts to ask people; nil where there are none.
func (s *Server) broker(ctx context.Context, o approvals.Options) (*approvals.Broker, error) {
	if o.Verifier == nil {
		return nil, nil
	}
	c := s.opts.Config
	o.Prefix, o.Now, o.Log = c.NATS.SubjectPrefix, s.opts.Now, s.opts.Log
	o.AllowServiceAccounts, o.MaxPending = c.Approvals.AllowServiceAccounts, c.Approvals.MaxPendingPerIdentity
	b, err := approvals.NewBroker(ctx, o)
	if err != nil {
		return nil, err
	}
	s.onStop("approvals", func(context.Context) error { b.Close(); return nil })
	return b, s.notify(ctx, b)
}

// calls starts to follow what became of approved calls.
func (s *Server) calls(ctx context.Context, o approvals.Options) (*approvals.Calls, error) {
	o.Now, o.Log = s.opts.Now, s.opts.Log
	c, err := approvals.NewCalls(ctx, o)
	if err != nil {
		return nil, err
	}
	s.onStop("approved calls", func(context.Context) error { c.Close(); return nil })
	return c, nil
}

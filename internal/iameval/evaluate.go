package iameval

import (
	"slices"
	"strings"
	"time"
)

// Effect is the outcome of one policy.
type Effect int

// The outcomes. The zero value is a deny because nothing allows.
const (
	ImplicitDeny Effect = iota
	ExplicitDeny
	Allowed
)

// Request is what is asked: one action on one resource, in a context.
type Request struct {
	Action   string // s3:GetObject
	Resource string // ARN; "*" for actions without resource types
	Now      time.Time
	// Context are the condition keys of the request (aws:ResourceAccount,
	// kms:ViaService); names are compared without regard to case. A key that is not
	// there is absent. aws:CurrentTime and aws:EpochTime come from Now.
	Context map[string][]string
}

func (r Request) context() map[string][]string {
	out := map[string][]string{}
	for key, v := range r.Context {
		out[strings.ToLower(key)] = v
	}
	out["aws:currenttime"] = []string{r.Now.UTC().Format(time.RFC3339)}
	out["aws:epochtime"] = out["aws:currenttime"]
	return out
}

// Evaluate asks one policy: an explicit deny wins over any allow, and nothing
// matching is an implicit deny.
func (p *Policy) Evaluate(r Request) Effect {
	context, effect := r.context(), ImplicitDeny
	for _, s := range p.statements {
		if !s.applies(r, context) {
			continue
		}
		if s.deny {
			return ExplicitDeny
		}
		effect = Allowed
	}
	return effect
}

// Session says whether a role session may do r: the intersection of the role's own
// policy and the session policy. A resource policy that names the session's ARN
// itself is limited only by an explicit deny of either (IAM User Guide, "Session
// policies").
func Session(role, session *Policy, resourcePolicyNamesSession bool, r Request) bool {
	a, b := role.Evaluate(r), session.Evaluate(r)
	if a == ExplicitDeny || b == ExplicitDeny {
		return false
	}
	return resourcePolicyNamesSession || a == Allowed && b == Allowed
}

func (s statement) applies(r Request, context map[string][]string) bool {
	action := func(g glob) bool { return g.matches(strings.ToLower(r.Action), nil) } // "not case sensitive"
	resource := func(g glob) bool { return g.matches(r.Resource, context) }
	switch {
	case len(s.actions) > 0 && !slices.ContainsFunc(s.actions, action),
		len(s.notActions) > 0 && slices.ContainsFunc(s.notActions, action),
		len(s.resources) > 0 && !slices.ContainsFunc(s.resources, resource),
		len(s.notResources) > 0 && slices.ContainsFunc(s.notResources, resource):
		return false
	}
	return !slices.ContainsFunc(s.conditions, func(c condition) bool { return !c.holds(context) })
}

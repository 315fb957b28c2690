package awstest

import (
	"time"

	"github.com/sallyport/sallyport/internal/iameval"
)

// Policy is a session policy as the simulated AWS applies it, see iameval.
type Policy struct{ policy *iameval.Policy }

// Question is what is asked of a policy.
type Question struct {
	Action   string // s3:GetObject
	Resource string // ARN; "*" for actions without resource types
	Account  string // owner of the resource; "" where AWS gives no aws:ResourceAccount
	Now      time.Time
}

// ParsePolicy reads a policy document strictly.
func ParsePolicy(text string) (*Policy, error) {
	p, err := iameval.Parse(text)
	if err != nil {
		return nil, err
	}
	return &Policy{p}, nil
}

// Allows reports whether the policy allows what is asked.
func (p *Policy) Allows(q Question) bool {
	r := iameval.Request{Action: q.Action, Resource: q.Resource, Now: q.Now}
	if q.Account != "" {
		r.Context = map[string][]string{"aws:ResourceAccount": {q.Account}}
	}
	return p.policy.Evaluate(r) == iameval.Allowed
}

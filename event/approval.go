package event

import "time"

// ApprovalPending is the data of approval.pending: a request waits for people. It
// is in the exchange that asked first.
type ApprovalPending struct {
	Common
	Operation
	Approval          string         `json:"approval"` // ULID
	Digest            string         `json:"digest"`   // hex SHA-256 of the canonical call
	Email             string         `json:"email,omitempty"`
	RoleARN           string         `json:"roleARN"`
	Resources         []Resource     `json:"resources,omitempty"`
	ResourcesOmitted  int            `json:"resourcesOmitted,omitempty"`  // how many more there are
	RequestParameters map[string]any `json:"requestParameters,omitempty"` // masked
	// RequestParametersOmitted is there instead of parameters that were too large.
	RequestParametersOmitted *Digest   `json:"requestParametersOmitted,omitempty"`
	RequestBody              *Digest   `json:"requestBody,omitempty"`
	Risk                     Risk      `json:"risk"`
	Rules                    []string  `json:"rules,omitempty"`
	Approvers                []Needed  `json:"approvers"`
	PolicyVersion            string    `json:"policyVersion,omitempty"`
	Extent                   string    `json:"extent,omitempty"`  // hex SHA-256 of the operation, its actions and resources; "" where it does not name them all
	Earlier                  *Earlier  `json:"earlier,omitempty"` // the same call, let through before with an outcome that nobody knows
	Reason                   string    `json:"reason,omitempty"`  // what the agent says it is for: untrusted
	Created                  time.Time `json:"created"`
	Expires                  time.Time `json:"expires"`

	// Enrichment is what the gateway read of the resources; nil where policy does not say so.
	Enrichment *Enrichment `json:"enrichment,omitempty"`
}

// Kind implements Data.
func (*ApprovalPending) Kind() Kind { return KindApprovalPending }

// Earlier is an exchange that was let through, and of which nobody knows whether AWS acted.
type Earlier struct {
	RequestID string    `json:"requestID"` // ULID
	At        time.Time `json:"at"`
}

// Needed is who must agree: Count different people of Groups.
type Needed struct {
	Groups []string `json:"groups"`
	Count  int      `json:"count"`
}

// ApprovalOutcome is the data of approval.outcome: how the wait ended. The common
// part is that of the request, not of an approver.
type ApprovalOutcome struct {
	Common
	Approval  string    `json:"approval"`
	Digest    string    `json:"digest"`
	Outcome   string    `json:"outcome"` // approved, denied, expired or cancelled; revoked ends the grant of an approved one
	Approvers []Vote    `json:"approvers,omitempty"`
	Grant     *Grant    `json:"grant,omitempty"` // what was left beyond one call, from at on
	At        time.Time `json:"at"`
}

// Kind implements Data.
func (*ApprovalOutcome) Kind() Kind { return KindApprovalOutcome }

// ApprovalVote is the data of approval.vote: an answer that counted, also where it did
// not end the wait. The common part is that of the request, not of the approver.
type ApprovalVote struct {
	Common
	Approval string `json:"approval"`
	Digest   string `json:"digest"`
	Vote     Vote   `json:"vote"`
	State    string `json:"state"` // after it: pending, approved or denied
}

// Kind implements Data.
func (*ApprovalVote) Kind() Kind { return KindApprovalVote }

// Grant is what approvers let through beyond one call, in the same session.
type Grant struct {
	For       string   `json:"for"`                 // a Go duration
	Count     int      `json:"count"`               // calls in all, that which was asked for among them
	Actions   []string `json:"actions,omitempty"`   // IAM actions with globs; none: the same again
	Resources []string `json:"resources,omitempty"` // ARNs with globs
}

// GrantLeft is what is left of a grant.
type GrantLeft struct {
	Left  int       `json:"left"` // calls
	Until time.Time `json:"until"`
}

// Vote is one approver's verified answer.
type Vote struct {
	Issuer   string    `json:"issuer"`
	Subject  string    `json:"subject"`
	Email    string    `json:"email,omitempty"`
	Groups   []string  `json:"groups,omitempty"`
	Decision string    `json:"decision"` // allow or deny; revoke of who ended a grant
	Reason   string    `json:"reason,omitempty"`
	Via      string    `json:"via,omitempty"` // where it was given: "" on NATS, "slack"
	At       time.Time `json:"at"`
}

func (d *ApprovalPending) cleaned() Data {
	c := *d
	c.Common.clean()
	c.Operation.clean()
	for _, s := range []*string{&c.Approval, &c.Digest, &c.Email, &c.RoleARN, &c.PolicyVersion, &c.Extent, &c.Reason} {
		*s = clean(*s)
	}
	c.Resources, c.ResourcesOmitted = cleanResources(d.Resources, d.ResourcesOmitted)
	if d.RequestParameters != nil {
		c.RequestParameters, _ = cleanValue(d.RequestParameters, 0).(map[string]any)
	}
	c.Enrichment = d.Enrichment.Bounded()
	c.Risk.Reasons, c.Rules = cleanAll(c.Risk.Reasons), cleanAll(c.Rules)
	c.Approvers = make([]Needed, len(d.Approvers))
	for i, n := range d.Approvers {
		c.Approvers[i] = Needed{Groups: cleanAll(n.Groups), Count: n.Count}
	}
	if d.Earlier != nil {
		c.Earlier = &Earlier{RequestID: clean(d.Earlier.RequestID), At: d.Earlier.At.UTC()}
	}
	c.Created, c.Expires = c.Created.UTC(), c.Expires.UTC()
	return &c
}

func (d *ApprovalOutcome) cleaned() Data {
	c := *d
	c.Common.clean()
	c.Approval, c.Digest, c.Outcome, c.At = clean(c.Approval), clean(c.Digest), clean(c.Outcome), c.At.UTC()
	c.Approvers = cleanVotes(d.Approvers)
	if g := d.Grant; g != nil {
		c.Grant = &Grant{For: clean(g.For), Count: g.Count, Actions: cleanAll(g.Actions), Resources: cleanAll(g.Resources)}
	}
	return &c
}

func (d *ApprovalVote) cleaned() Data {
	c := *d
	c.Common.clean()
	c.Approval, c.Digest, c.State, c.Vote = clean(c.Approval), clean(c.Digest), clean(c.State), cleanVotes([]Vote{d.Vote})[0]
	return &c
}

func cleanVotes(in []Vote) []Vote {
	if in == nil {
		return nil
	}
	out := make([]Vote, len(in))
	for i, v := range in {
		out[i] = Vote{Issuer: clean(v.Issuer), Subject: clean(v.Subject), Email: clean(v.Email), Groups: cleanAll(v.Groups),
			Decision: clean(v.Decision), Reason: clean(v.Reason), Via: clean(v.Via), At: v.At.UTC()}
	}
	return out
}

func cleanResources(in []Resource, omitted int) ([]Resource, int) {
	n := min(len(in), MaxResources)
	out := make([]Resource, n)
	for i, r := range in[:n] {
		out[i] = Resource{ARN: clean(r.ARN), AccountID: clean(r.AccountID), Type: clean(r.Type)}
	}
	return out, omitted + len(in) - n
}

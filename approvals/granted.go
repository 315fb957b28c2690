package approvals

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/policy"
)

// Why a grant does not let a call through.
var (
	ErrNoGrant    = errors.New("no grant covers this call")
	ErrGrantEnded = errors.New("this grant has ended")
)

// GrantRecord is the value of a grant's key: the call that people agreed to, who they
// are, and what they left beyond it. It begins when that call is let through. Its
// methods are the state machine; they do no I/O and take the time from outside. The
// zero value lets nothing through.
type GrantRecord struct {
	Request Request `json:"request"` // as it was approved, without parameters
	Votes   []Vote  `json:"votes"`
	Leave   Leave   `json:"grant"`
	LastUse string  `json:"lastUse,omitempty"` // the exchange that was let through last
	Revoked *Vote   `json:"revoked,omitempty"` // who ended it before its time
}

// newGrantRecord is what is left once r's own call has been let through.
func newGrantRecord(r Record) GrantRecord {
	g := GrantRecord{Request: r.Request, Votes: r.Votes}
	g.Request.Parameters = nil
	if r.Grant != nil {
		g.Leave = *r.Grant
		g.Leave.Left--
	}
	return g
}

// Live reports that the grant can let something through still.
func (g *GrantRecord) Live(now time.Time) bool {
	return g.Revoked == nil && g.Leave.Left > 0 && now.Before(g.Leave.Until)
}

// Take takes the leave to send one more call, asked for by r, or says why it is not
// among those that the approvers agreed to. An error leaves g as it was.
func (g *GrantRecord) Take(r Request, call *awsapi.Call, now time.Time) error {
	if !g.Live(now) {
		return ErrGrantEnded
	}
	if err := g.same(r); err != nil {
		return err
	}
	if err := g.agreed(r); err != nil {
		return err
	}
	if err := g.noWorse(r); err != nil {
		return err
	}
	if err := g.covers(r, call); err != nil {
		return err
	}
	g.Leave.Left--
	g.LastUse = r.RequestID
	return nil
}

// same holds a call to the agent, the place and the policy of the approved one. A
// session's id is never used again, so a closed one has no grants.
func (g *GrantRecord) same(r Request) error {
	a := g.Request
	switch {
	case r.SessionID == "" || r.RequestID == "" || a.SessionID != r.SessionID:
		return errors.New("the grant is another session's")
	case a.Who.Issuer != r.Who.Issuer || a.Who.Subject != r.Who.Subject:
		return errors.New("the grant is another agent's")
	case a.Target != r.Target || a.RoleARN != r.RoleARN || a.Account != r.Account:
		return errors.New("the grant is for another target")
	case a.Region != r.Region && r.Region != "": // services without regions have none
		return errors.New("the grant is for another region")
	case a.PolicyVersion != r.PolicyVersion:
		return errors.New("the policy has changed since")
	}
	return nil
}

// agreed holds a call to the people of the approved one: whoever must agree to it
// has agreed to the grant. That nobody approves their own is looked at again, since a
// refreshed token may bring an address that the first one had not.
func (g *GrantRecord) agreed(r Request) error {
	later := Record{Request: r, Votes: g.Votes}
	for _, v := range g.Votes {
		if v.Decision != Allow || later.own(v) {
			return ErrSelf
		}
	}
	if !later.enough() {
		return errors.New("the call needs others than those who gave the grant")
	}
	return nil
}

// noWorse holds a call to the harm that the approvers had before them.
func (g *GrantRecord) noWorse(r Request) error {
	if r.Risk.Score > g.Request.Risk.Score {
		return fmt.Errorf("its risk is %d, and that of the approved call was %d", r.Risk.Score, g.Request.Risk.Score)
	}
	seen := policy.RiskKinds(g.Request.Risk.Reasons)
	for _, k := range policy.RiskKinds(r.Risk.Reasons) {
		if !slices.Contains(seen, k) {
			return fmt.Errorf("%s: the approved call was not of that kind", k)
		}
	}
	return nil
}

// covers holds a call to what the approvers read.
func (g *GrantRecord) covers(r Request, call *awsapi.Call) error {
	extent := Extent(call)
	if len(g.Leave.Actions) == 0 && len(g.Leave.Resources) == 0 {
		if extent == "" || r.Extent != extent || g.Request.Extent != extent {
			return errors.New("the call does something else, or to something else")
		}
		return nil
	}
	cover, err := policy.NewCover(g.Request.Account, g.Leave.Actions, g.Leave.Resources)
	if err != nil {
		return err
	}
	if !cover.Covers(call) {
		return errors.New("the call is not within the grant's actions and resources")
	}
	return nil
}

// Revoke ends the grant. Whoever could have voted for it may, and nobody else: it is
// no way for an agent to make others' work stop.
func (g *GrantRecord) Revoke(v Vote, now time.Time) error {
	asked := Record{Request: g.Request}
	switch {
	case v.Decision != Revoke || v.Issuer == "" || v.Subject == "":
		return errors.New("the answer is nobody's, or ends nothing")
	case asked.own(v):
		return ErrSelf
	case !slices.ContainsFunc(g.Request.Approvers, func(n Needed) bool { return n.has(v) }):
		return ErrNotAsked
	case !g.Live(now):
		return ErrGrantEnded
	}
	g.Revoked, g.Leave.Left = &v, 0
	return nil
}

package approvals

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Why a record does not change. What an approver is told is the error's text.
var (
	ErrEnded      = errors.New("this approval has ended")
	ErrDigest     = errors.New("the digest is not that of this approval's request: answer what you have seen")
	ErrExpired    = errors.New("this approval has expired")
	ErrSelf       = errors.New("nobody approves their own request: the token is of the same subject or the same e-mail address")
	ErrNotAsked   = errors.New("the token is in none of the groups that are asked")
	ErrTwice      = errors.New("this person has approved already; another one is needed")
	ErrNotGranted = errors.New("this approval does not let anything through")
	ErrUsed       = errors.New("this approval has been used")
)

// NewRecord is the record of a request that nobody has answered.
func NewRecord(r Request) Record { return Record{Request: r, State: StatePending} }

// Vote adds an approver's answer. A deny ends a pending approval whatever was said
// before; allows end it when every entry of Approvers has enough distinct people.
// grant is what an allow would leave beyond one call, nil for nothing; of several
// the narrowest holds, and one that does not fit the request refuses the vote. An
// error leaves r as it was.
func (r *Record) Vote(v Vote, grant *Leave, now time.Time) error {
	switch {
	case r.State != StatePending:
		return fmt.Errorf("%w: it is %s", ErrEnded, r.State)
	case !now.Before(r.Request.Expires):
		return ErrExpired
	case v.Issuer == "" || v.Subject == "":
		return errors.New("the answer is nobody's")
	case r.own(v):
		return ErrSelf
	case !slices.ContainsFunc(r.Request.Approvers, func(n Needed) bool { return n.has(v) }):
		return ErrNotAsked
	}
	switch v.Decision {
	case Deny:
		r.Votes = append(slices.Clone(r.Votes), v)
		r.end(StateDenied, now)
	case Allow:
		if slices.ContainsFunc(r.Votes, v.samePerson) {
			return ErrTwice
		}
		if err := grant.fits(&r.Request); err != nil {
			return err
		}
		if len(r.Votes) == 0 {
			r.Grant = grant
		} else {
			r.Grant = r.Request.narrower(r.Grant, grant)
		}
		r.Votes = append(slices.Clone(r.Votes), v)
		if r.enough() {
			r.end(StateApproved, now)
		}
	default:
		return fmt.Errorf("the decision must be %q or %q", Allow, Deny)
	}
	return nil
}

// Expire ends a pending approval whose time has come, and reports whether it did.
func (r *Record) Expire(now time.Time) bool {
	if r.State != StatePending || now.Before(r.Request.Expires) {
		return false
	}
	r.end(StateExpired, now)
	return true
}

// Cancel ends a pending approval that nobody can use any more, and reports whether
// it did.
func (r *Record) Cancel(now time.Time) bool {
	if r.State != StatePending {
		return false
	}
	r.end(StateCancelled, now)
	return true
}

// Claim takes the leave to send one request, for an exchange. It is given once; what
// a grant leaves beyond it is a GrantRecord's.
func (r *Record) Claim(exchange string, now time.Time) error {
	switch {
	case r.State == StateUsed:
		return ErrUsed
	case r.State != StateApproved || exchange == "":
		return ErrNotGranted
	case !now.Before(r.Deadline()):
		return ErrExpired
	}
	r.UsedBy, r.UsedAt, r.State = exchange, now, StateUsed
	return nil
}

// Return gives back the leave that an exchange took: nothing of it was sent, nor can be any
// more. With a grant it stays used up: what the grant leaves is there for a retry.
func (r *Record) Return(exchange string) error {
	if r.State != StateUsed || exchange == "" || r.UsedBy != exchange || r.Grant != nil {
		return ErrNotGranted
	}
	r.UsedBy, r.UsedAt, r.State = "", time.Time{}, StateApproved
	return nil
}

// Deadline is from when on nothing may be sent any more.
func (r *Record) Deadline() time.Time { return r.Request.Expires }

// Outcome is how the approval ended; false while it is pending.
func (r *Record) Outcome() (Outcome, bool) {
	o := Outcome{Approval: r.Request.Approval, Digest: r.Request.Digest, Outcome: string(r.State), Approvers: r.Votes, At: r.Ended, Grant: r.Grant.grant(r.Ended)}
	switch r.State {
	case StateApproved, StateDenied, StateExpired, StateCancelled:
		return o, true
	case StateUsed:
		o.Outcome = Approved
		return o, true
	}
	return Outcome{}, false
}

func (r *Record) end(s State, now time.Time) {
	r.State, r.Ended = s, now
	if s != StateApproved {
		r.Grant = nil
	}
}

// own reports a vote of the requester: the same subject of the same issuer, or the
// same verified address, since one person may have accounts at two issuers.
func (r *Record) own(v Vote) bool {
	return v.Issuer == r.Request.Who.Issuer && v.Subject == r.Request.Who.Subject || sameAddress(v.Email, r.Request.Email)
}

// enough reports that every entry has its people. No entries is not enough.
func (r *Record) enough() bool {
	for _, n := range r.Request.Approvers {
		have := 0
		for i, v := range r.Votes {
			if v.Decision == Allow && n.has(v) && !slices.ContainsFunc(r.Votes[:i], v.samePerson) {
				have++
			}
		}
		if have < max(n.Count, 1) {
			return false
		}
	}
	return len(r.Request.Approvers) > 0
}

func (n Needed) has(v Vote) bool {
	return slices.ContainsFunc(v.Groups, func(g string) bool { return slices.Contains(n.Groups, g) })
}

func (v Vote) samePerson(o Vote) bool {
	return v.Issuer == o.Issuer && v.Subject == o.Subject || sameAddress(v.Email, o.Email)
}

// sameAddress compares without case: mail systems that tell Ann@ from ann@ are
// rarer than issuers that write one address both ways.
func sameAddress(a, b string) bool {
	return a != "" && strings.EqualFold(a, b)
}

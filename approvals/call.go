package approvals

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/event"
)

// How long what became of a call is of use, and how long a gateway that says nothing
// is believed to be still at it.
const (
	// lease is renewed three times in its length while an exchange runs. Whoever finds
	// it over takes the gateway for dead. Clocks of gateways must agree to a few seconds.
	lease = 30 * time.Second
	// keepAtLeast is for an exchange that ends when its approval is about to expire:
	// the AWS CLI repeats a call for 314 s.
	keepAtLeast = 6 * time.Minute
	// maxExecutions is how many of one call are remembered, more than a grant gives.
	maxExecutions = MaxGrantCount + 28
)

// MaxResult is the most bytes of an answer's body that are kept for a retry.
const MaxResult = 512 << 10

// Caller is who sends a call, as far as it tells a retry from a new request. The zero
// value is nobody's retry.
type Caller struct {
	Session    string // see SessionKey
	Invocation string // see InvocationKey
}

// SessionKey is the same for the requests of one (issuer, subject, label), on any
// gateway: the hex SHA-256 of the three.
func SessionKey(issuer, subject, label string) string {
	h := sha256.New()
	for _, s := range []string{"sallyport.session.v1", issuer, subject, label} {
		field(h, s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// InvocationKey is the hex SHA-256 of an amz-sdk-invocation-id, by which an SDK says that
// a request is another attempt of the same call. Without one, or with two, it is "",
// which matches nothing.
func InvocationKey(values []string) string {
	if len(values) != 1 || strings.TrimSpace(values[0]) == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(values[0]))
	return hex.EncodeToString(sum[:])
}

// Execution is one time that a call was let through to AWS because people had agreed.
type Execution struct {
	Exchange   string        `json:"exchange"` // ULID
	Approval   string        `json:"approval"` // ULID
	Session    string        `json:"session"`
	Invocation string        `json:"invocation,omitempty"`
	At         time.Time     `json:"at"`
	Lease      time.Time     `json:"lease"`            // until when it may be running without a word
	Keep       time.Time     `json:"keep"`             // from here on its outcome is given to nobody
	Ended      time.Time     `json:"ended,omitzero"`   // zero: it runs, or its gateway died
	Status     int           `json:"status,omitempty"` // of AWS's answer; 0 after the end: not known
	Stored     *event.Digest `json:"stored,omitempty"` // of the Result as it is kept; nil: there is none
	Missing    string        `json:"missing,omitempty"`
	Delivered  bool          `json:"delivered,omitempty"` // the client got the answer to its end
	Given      bool          `json:"given,omitempty"`     // a retry got it
}

// Call is the value of the key call.<digest>: how often one call was let through and
// what became of it. Its methods are the state machine; they do no I/O, and take the
// time from outside. The zero value knows of nothing.
type Call struct {
	Digest     string      `json:"digest"`
	Executions []Execution `json:"executions"` // in the order in which they began
}

// Turn is what becomes of a request for a call.
type Turn string

// The turns. The zero value is none of them.
const (
	Proceed Turn = "proceed" // it is asked for, or goes through under its approval
	Await   Turn = "await"   // the same call is on its way: its outcome must be waited for
	Give    Turn = "give"    // it gets the outcome of an earlier exchange, and is not sent
)

// Found is what is known when a request for a call comes.
type Found struct {
	Turn Turn
	// Execution is what to wait for, or whose outcome to give. With Proceed it is the
	// last one whose outcome nobody knows; zero: there is none.
	Execution Execution
	Result    *Result // with Give; nil where only the status was kept
}

// find says what a request must do. A retry of the same SDK call gets its outcome as often as
// it comes; any other of the session gets one that no client got, once.
func (c *Call) find(from Caller, now time.Time) Found {
	var out Found
	for _, e := range c.Executions {
		switch {
		case e.unknown(now):
			if out.Turn == "" {
				out.Execution = e
			}
		case from.Session == "" || e.Session != from.Session:
		case e.running(now):
			if out.Turn != Give {
				out = Found{Turn: Await, Execution: e}
			}
		case !now.Before(e.Keep):
		case from.Invocation != "" && e.Invocation == from.Invocation:
			return Found{Turn: Give, Execution: e}
		case !e.Delivered && !e.Given && out.Turn == "":
			out = Found{Turn: Give, Execution: e}
		}
	}
	if out.Turn == "" {
		out.Turn = Proceed
	}
	return out
}

func (e *Execution) running(now time.Time) bool { return e.Ended.IsZero() && now.Before(e.Lease) }

// unknown reports that AWS may have acted, and that nobody knows.
func (e *Execution) unknown(now time.Time) bool {
	return e.Ended.IsZero() && !now.Before(e.Lease) || !e.Ended.IsZero() && e.Status == 0
}

// begin adds an execution, where find says that it may proceed.
func (c *Call) begin(e Execution, now time.Time) Found {
	f := c.find(Caller{Session: e.Session, Invocation: e.Invocation}, now)
	if f.Turn != Proceed {
		return f
	}
	e.At, e.Lease, e.Ended = now, now.Add(lease), time.Time{}
	e.Status, e.Stored, e.Missing, e.Delivered, e.Given = 0, nil, "", false, false
	if len(c.Executions) >= maxExecutions {
		c.Executions = c.Executions[1:]
	}
	c.Executions = append(slices.Clone(c.Executions), e)
	return f
}

// errForgotten means that the record of an exchange is gone.
var errForgotten = errors.New("approvals: this exchange is not known any more")

// change is a step of one execution.
func (c *Call) change(exchange string, step func(*Execution)) error {
	i := slices.IndexFunc(c.Executions, func(e Execution) bool { return e.Exchange == exchange })
	if i < 0 {
		return errForgotten
	}
	c.Executions = slices.Clone(c.Executions)
	step(&c.Executions[i])
	return nil
}

// end notes what an execution came to. status 0 says that nobody knows.
func (e *Execution) end(status int, stored *event.Digest, missing string, now time.Time) {
	if !e.Ended.IsZero() { // the first end is what happened
		return
	}
	e.Ended, e.Status, e.Stored, e.Missing = now, status, stored, missing
	if at := now.Add(keepAtLeast); e.Keep.Before(at) {
		e.Keep = at
	}
}

// forget drops an execution that never was: nothing of it was sent.
func (c *Call) forget(exchange string) {
	c.Executions = slices.DeleteFunc(slices.Clone(c.Executions), func(e Execution) bool { return e.Exchange == exchange })
}

// prune drops what is of no use any more, and gives it. What nobody knows the outcome
// of stays until the bucket forgets it: people are told for as long.
func (c *Call) prune(now time.Time) (gone []Execution) {
	c.Executions = slices.DeleteFunc(slices.Clone(c.Executions), func(e Execution) bool {
		old := !e.Ended.IsZero() && e.Status != 0 && !now.Before(e.Keep)
		if old {
			gone = append(gone, e)
		}
		return old
	})
	return gone
}

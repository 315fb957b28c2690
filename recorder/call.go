package recorder

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/event"
)

// Result is what became of one call.
type Result string

// The results.
const (
	ResultOK       Result = "ok"       // AWS answered with success
	ResultError    Result = "error"    // AWS answered with an error
	ResultDenied   Result = "denied"   // by policy
	ResultRejected Result = "rejected" // by people
	ResultPending  Result = "pending"  // people were asked, and the client went with that
	ResultRefused  Result = "refused"  // before policy was asked: malformed, no identity, ...
	ResultAborted  Result = "aborted"  // it broke off
	ResultOpen     Result = "open"     // its end is not on record (yet)
)

// Results is every result, in the order of the documentation.
var Results = []Result{ResultOK, ResultError, ResultDenied, ResultRejected, ResultPending, ResultRefused, ResultAborted, ResultOpen}

// Call is the events of one exchange, each of which may be nil: what an agent asked
// for and what became of it.
type Call struct {
	ID         string // the exchange, a ULID
	Session    string // "" before an identity was known
	Request    *event.Request
	Decision   *event.Decision // the last one
	Pending    *event.ApprovalPending
	Outcome    *event.ApprovalOutcome
	Credential *event.Credential
	Response   *event.Response
	Aborted    *event.Aborted
	Refused    *event.Refused
	Bodies     []*event.Body // pieces of both parts, in the order of the log
	EventIDs   []string      // of all of them
	Source     string        // the gateway
}

// Head is the common part: of the first event that has one.
func (c *Call) Head() *event.Common {
	if d := c.first(); d != nil {
		return d.Head()
	}
	return &event.Common{RequestID: c.ID, SessionID: c.Session}
}

func (c *Call) first() event.Data {
	switch {
	case c.Request != nil:
		return c.Request
	case c.Refused != nil:
		return c.Refused
	case c.Decision != nil:
		return c.Decision
	case c.Credential != nil:
		return c.Credential
	case c.Response != nil:
		return c.Response
	case c.Aborted != nil:
		return c.Aborted
	}
	return nil
}

// Operation is which AWS operation it is; its zero value where none is known.
func (c *Call) Operation() event.Operation {
	switch {
	case c.Request != nil:
		return c.Request.Operation
	case c.Refused != nil:
		return c.Refused.Operation
	case c.Decision != nil:
		return c.Decision.Operation
	case c.Response != nil:
		return c.Response.Operation
	case c.Aborted != nil:
		return c.Aborted.Operation
	}
	return event.Operation{}
}

// Parameters is what a request asked for as one line of JSON, masked as on record; ""
// where its event has none.
func Parameters(d *event.Request) (string, error) {
	if len(d.RequestParameters) == 0 {
		return "", nil
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err := enc.Encode(d.RequestParameters)
	return strings.TrimSuffix(text.String(), "\n"), err
}

// Time is when it was asked for.
func (c *Call) Time() time.Time { return c.Head().EventTime }

// End is when it ended; zero while it is open.
func (c *Call) End() time.Time {
	switch {
	case c.Response != nil:
		return c.Response.EventTime
	case c.Aborted != nil:
		return c.Aborted.EventTime
	case c.Refused != nil:
		return c.Refused.EventTime
	case c.Decision != nil && c.Decision.ErrorCode != "":
		return c.Decision.EventTime
	}
	return time.Time{}
}

// Result is what became of it. A call that broke off after AWS's answer was on
// record is aborted: the agent has not got all of it.
func (c *Call) Result() Result {
	switch {
	case c.Aborted != nil:
		return ResultAborted
	case c.Response != nil && c.Response.Status >= 400:
		return ResultError
	case c.Response != nil:
		return ResultOK
	case c.Refused != nil:
		return ResultRefused
	case c.Decision != nil && c.Decision.Effect == "deny" && c.Decision.Approval != "":
		return ResultRejected
	case c.Decision != nil && c.Decision.Effect == "deny":
		return ResultDenied
	case c.Decision != nil && c.Decision.ErrorCode != "":
		return ResultPending
	}
	return ResultOpen
}

// Error is what the agent was told, or AWS's error code.
func (c *Call) Error() (code, message string) {
	switch {
	case c.Aborted != nil:
		return c.Aborted.ErrorCode, c.Aborted.ErrorMessage
	case c.Response != nil:
		return c.Response.ErrorCode, c.Response.ErrorMessage
	case c.Refused != nil:
		return c.Refused.ErrorCode, c.Refused.ErrorMessage
	case c.Decision != nil:
		return c.Decision.ErrorCode, c.Decision.ErrorMessage
	}
	return "", ""
}

// Status is the HTTP status of AWS's answer, or that which a refusal had; 0 for none.
func (c *Call) Status() int {
	switch {
	case c.Response != nil:
		return c.Response.Status
	case c.Refused != nil:
		return c.Refused.Status
	}
	return 0
}

// Masked is in how many places the answer was masked.
func (c *Call) Masked() int {
	if c.Response == nil {
		return 0
	}
	return len(c.Response.Findings) + c.Response.FindingsOmitted
}

// Approvers is who let it through, "alice@example.com, bob@example.com"; "" where
// nobody was needed.
func (c *Call) Approvers() string {
	var names []string
	if c.Decision != nil {
		for _, v := range c.Decision.Approvers {
			names = append(names, cmp.Or(v.Email, v.Subject))
		}
	}
	return strings.Join(names, ", ")
}

// Add takes an event of the call; one that is of none of its kinds changes nothing.
func (c *Call) Add(e event.Event) {
	switch d := e.Data.(type) {
	case *event.Request:
		c.Request = d
	case *event.Decision:
		c.Decision = d
	case *event.ApprovalPending:
		c.Pending = d
	case *event.ApprovalOutcome:
		c.Outcome = d
	case *event.Credential:
		c.Credential = d
	case *event.Response:
		c.Response = d
	case *event.Aborted:
		c.Aborted = d
	case *event.Refused:
		c.Refused = d
	case *event.Body:
		c.Bodies = append(c.Bodies, d)
	default:
		return
	}
	c.EventIDs, c.Source = append(c.EventIDs, e.ID), e.Source
}

// OfCall reports a kind that belongs to an exchange.
func OfCall(k event.Kind) bool {
	switch k {
	case event.KindSessionOpened, event.KindSessionClosed, event.KindRevoked, event.KindCheckpoint:
		return false
	}
	return !k.OfRecorder()
}

// Gather makes calls of events that come in any order, in the order in which the
// calls were asked for.
func Gather(events []event.Event) []*Call {
	by := map[string]*Call{}
	var out []*Call
	for _, e := range events {
		if !OfCall(e.Kind()) {
			continue
		}
		c := by[e.Exchange()]
		if c == nil {
			c = &Call{ID: e.Exchange(), Session: e.Session()}
			by[c.ID] = c
			out = append(out, c)
		}
		c.Add(e)
	}
	slices.SortStableFunc(out, func(a, b *Call) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Package event is the words in which a request is recorded: CloudEvents 1.0
// in structured JSON, with CloudTrail's names in the data where CloudTrail has
// one. Gateway, recorder and approvals share it.
//
// It makes ids (IDs), subjects (Subject) and bytes (Encode), and reads them back
// (Decode). Encode accepts any text: what is not UTF-8, too long or too deep is
// replaced or cut, and what is cut says so with its size and SHA-256. Decode
// refuses unknown and repeated members, wrong kinds and malformed ids. The
// package does no I/O and never sees a secret: its structs have no place for
// one.
package event

import (
	"fmt"
	"time"
)

// Kind is what happened. It is the last part of the subject and the middle of
// the CloudEvents type.
type Kind string

// The kinds.
const (
	KindSessionOpened Kind = "session.opened" // first request of a caller
	KindRequest       Kind = "request"        // what was asked, before anything is sent
	KindDecision      Kind = "decision"       // what policy said
	// KindApprovalPending and KindApprovalOutcome tell what people were asked and said.
	KindApprovalPending Kind = "approval.pending"
	KindApprovalVote    Kind = "approval.vote" // one answer that counted
	KindApprovalOutcome Kind = "approval.outcome"

	KindCredential    Kind = "credential" // what was minted for it; no secret
	KindResponse      Kind = "response"   // what AWS answered
	KindAborted       Kind = "aborted"    // the exchange broke off
	KindRefused       Kind = "refused"    // refused without a decision of policy
	KindSessionClosed Kind = "session.closed"

	KindBody       Kind = "body"       // a piece of a request's or an answer's body
	KindCheckpoint Kind = "checkpoint" // a gateway signs its chain of events
	KindAlarm      Kind = "alarm"      // a recorder found a gap, a forgery or damage
	KindRemoved    Kind = "removed"    // a recorder let bodies go
	KindHold       Kind = "hold"       // somebody put a session under a legal hold, or ended it
	KindRevoked    Kind = "revoked"    // an operator stopped somebody or something
)

const (
	typePrefix  = "dev.sallyport."
	typeSuffix  = ".v1"
	specVersion = "1.0"
	contentType = "application/json"
)

// Event is one CloudEvent. ID and Data are required; the zero value does not
// encode.
type Event struct {
	ID     string    // ULID, from IDs; also the Nats-Msg-Id
	Source string    // "sallyport/<gateway id>"
	Time   time.Time // when the event was made; encoded in UTC
	// Subject is the CloudEvents attribute (what it is about, for readers that
	// route by it); optional, and not the NATS subject.
	Subject string
	// Extensions are CloudEvents extension attributes: names of 1-20 lower-case
	// letters and digits, values text. May be nil.
	Extensions map[string]string
	Data       Data
}

// Data is one of the pointers *SessionOpened, *Request, *Decision, *Credential,
// *Response, *Aborted, *Refused, *SessionClosed, *ApprovalPending, *ApprovalOutcome, *ApprovalVote,
// *Body, *Checkpoint, *Alarm, *Removed, *Hold, *Revoked.
type Data interface {
	Kind() Kind
	Head() *Common
}

// newData gives the empty struct of a kind; nil for an unknown one.
func newData(k Kind) Data {
	switch k {
	case KindSessionOpened:
		return &SessionOpened{}
	case KindRequest:
		return &Request{}
	case KindDecision:
		return &Decision{}
	case KindApprovalPending:
		return &ApprovalPending{}
	case KindApprovalOutcome:
		return &ApprovalOutcome{}
	case KindApprovalVote:
		return &ApprovalVote{}
	case KindCredential:
		return &Credential{}
	case KindResponse:
		return &Response{}
	case KindAborted:
		return &Aborted{}
	case KindRefused:
		return &Refused{}
	case KindSessionClosed:
		return &SessionClosed{}
	case KindBody:
		return &Body{}
	case KindCheckpoint:
		return &Checkpoint{}
	case KindAlarm:
		return &Alarm{}
	case KindRemoved:
		return &Removed{}
	case KindHold:
		return &Hold{}
	case KindRevoked:
		return &Revoked{}
	}
	return nil
}

// Ends reports what ends an exchange on record: an answer, a break, or a decision by which
// nothing is sent. A request has one.
func Ends(d Data) bool {
	switch d := d.(type) {
	case *Response, *Aborted:
		return true
	case *Decision:
		return d.Effect != "allow" || d.ErrorCode != ""
	}
	return false
}

// Kind is the kind of the event's data, "" without data.
func (e Event) Kind() Kind {
	if e.Data == nil {
		return ""
	}
	return e.Data.Kind()
}

// Type is the CloudEvents type: dev.sallyport.<kind>.v1.
func (e Event) Type() string { return typePrefix + string(e.Kind()) + typeSuffix }

// Session is the id of the event's session; "" before an identity is known.
func (e Event) Session() string {
	if e.Data == nil {
		return ""
	}
	return e.Data.Head().SessionID
}

// Exchange is the id of the request that the event belongs to. The two session
// kinds belong to none: for them it is the session's id.
func (e Event) Exchange() string {
	if e.Data == nil {
		return ""
	}
	h := e.Data.Head()
	if h.RequestID == "" && e.Kind().ofSession() {
		return h.SessionID
	}
	return h.RequestID
}

func (k Kind) ofSession() bool { return k == KindSessionOpened || k == KindSessionClosed }

// OfRecorder reports a kind that only recorders write, each into its own record.
func (k Kind) OfRecorder() bool { return k == KindAlarm || k == KindRemoved || k == KindHold }

// ofNone reports a kind that may be outside any session.
func (k Kind) ofNone() bool {
	return k == KindRefused || k == KindCheckpoint || k.OfRecorder() || k == KindRevoked
}

// check is the part of strictness that Encode and Decode share.
func (e Event) check() error {
	if !ValidID(e.ID) {
		return fmt.Errorf("event id %.40q is not a ULID", e.ID)
	}
	if e.Data == nil || newData(e.Kind()) == nil {
		return fmt.Errorf("event %s has no data of a known kind", e.ID)
	}
	if e.Source == "" {
		return fmt.Errorf("event %s has no source: set it to sallyport/<gateway id>", e.ID)
	}
	if e.Time.IsZero() || e.Time.Year() < 1970 || e.Time.Year() > 9999 {
		return fmt.Errorf("event %s has no time between 1970 and 9999", e.ID)
	}
	h := e.Data.Head()
	if h.Enriches != "" && !ValidID(h.Enriches) {
		return fmt.Errorf("event %s: the exchange %.40q that it enriches is not a ULID", e.ID, h.Enriches)
	}
	if h.SessionID != "" && !ValidID(h.SessionID) {
		return fmt.Errorf("event %s: session id %.40q is not a ULID", e.ID, h.SessionID)
	}
	if h.RequestID != "" && !ValidID(h.RequestID) {
		return fmt.Errorf("event %s: request id %.40q is not a ULID", e.ID, h.RequestID)
	}
	if h.SessionID == "" && !e.Kind().ofNone() {
		return fmt.Errorf("event %s: a %s event needs a session id; only refusals, revocations and what is of the record may do without", e.ID, e.Kind())
	}
	if h.RequestID == "" && !e.Kind().ofSession() {
		return fmt.Errorf("event %s: a %s event needs a request id", e.ID, e.Kind())
	}
	if d, ok := e.Data.(interface{ check() error }); ok {
		if err := d.check(); err != nil {
			return fmt.Errorf("event %s (%s): %w", e.ID, e.Kind(), err)
		}
	}
	for name := range e.Extensions {
		if !validExtension(name) {
			return fmt.Errorf("event %s: extension attribute %.40q: use 1 to 20 lower-case letters and digits that name no other attribute", e.ID, name)
		}
	}
	return nil
}

// validExtension follows CloudEvents 1.0, "Naming Conventions", and keeps the
// names that the specification and its JSON format use themselves.
func validExtension(name string) bool {
	switch name {
	case "", "specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data":
		return false
	}
	if len(name) > 20 {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

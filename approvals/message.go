package approvals

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/event"
)

// The CloudEvents types of the messages in the stream of approvals.
const (
	typePending = "dev.sallyport.approval.pending.v1"
	typeOutcome = "dev.sallyport.approval.outcome.v1"
)

// Update is something that happened to approvals: one of Request and Outcome.
type Update struct {
	Request *Request
	Outcome *Outcome
}

// Approval is the id of what u is about.
func (u Update) Approval() string {
	switch {
	case u.Request != nil:
		return u.Request.Approval
	case u.Outcome != nil:
		return u.Outcome.Approval
	}
	return ""
}

// DecodeMessage reads a message of the stream of approvals: a CloudEvent in
// structured JSON, on <prefix>.approvals.pending.<approval> or .outcome.<approval>.
// It refuses one whose subject, type and data do not agree. Members that it does
// not know are left aside: a newer gateway may have more to say.
func DecodeMessage(prefix, subject string, data []byte) (Update, error) {
	m, err := decodeEvent(prefix, subject, data)
	return m.Update, err
}

// decodeEvent is DecodeMessage, with the event itself.
func decodeEvent(prefix, subject string, data []byte) (Message, error) {
	kind, id, _ := strings.Cut(strings.TrimPrefix(subject, prefix+".approvals."), ".")
	if !event.ValidID(id) {
		return Message{}, fmt.Errorf("message on %.120q: not a subject of an approval", subject)
	}
	var envelope struct {
		SpecVersion string          `json:"specversion"`
		ID          string          `json:"id"`
		Type        string          `json:"type"`
		Data        json.RawMessage `json:"data"`
	}
	if !utf8.Valid(data) || json.Unmarshal(data, &envelope) != nil || envelope.SpecVersion != "1.0" {
		return Message{}, fmt.Errorf("message of approval %s is not a CloudEvent", id)
	}
	var u Update
	var err error
	switch {
	case kind == "pending" && envelope.Type == typePending:
		u.Request = &Request{}
		err = decode(envelope.Data, u.Request)
	case kind == "outcome" && envelope.Type == typeOutcome:
		u.Outcome = &Outcome{}
		err = decode(envelope.Data, u.Outcome)
	default:
		return Message{}, fmt.Errorf("message on %.120q is of type %.80q", subject, envelope.Type)
	}
	if err == nil && u.Approval() != id {
		err = errors.New("it is about another approval")
	}
	if err == nil && u.Request != nil && !validDigest(u.Request.Digest) {
		err = errors.New("it has no digest")
	}
	if err != nil {
		return Message{}, fmt.Errorf("message of approval %s: %w", id, err)
	}
	return Message{Update: u, ID: envelope.ID, Event: data}, nil
}

// decode keeps numbers as they were written: a rounded parameter is another one.
func decode(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if dec.Decode(into) != nil {
		return errors.New("its data is malformed") // the error's own text may quote it
	}
	return nil
}

func validDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

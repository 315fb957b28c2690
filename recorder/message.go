package recorder

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/event"
)

// Record is one message of the stream.
type Record struct {
	Session string // "none" or a ULID, from the subject
	Subject string
	MsgID   string
	Header  map[string][]string // of the message; may be nil
	Payload []byte
}

// opaque is the line of a message that is not an event of this version. It is
// kept all the same: what was acknowledged is never thrown away.
type opaque struct {
	Opaque struct {
		MsgID   string              `json:"msgID"`
		Subject string              `json:"subject"`
		Why     string              `json:"why"`
		Header  map[string][]string `json:"header,omitempty"`
		Payload []byte              `json:"payload"` // base64
	} `json:"opaque"`
}

// OpaqueError is the Err of an entry that is a message, but no event of this version.
type OpaqueError struct {
	Subject string // NATS subject
	MsgID   string
	Why     string
}

// Error says which message it was.
func (e *OpaqueError) Error() string {
	return fmt.Sprintf("kept message %.40q is not an event: %.200s", e.MsgID, e.Why)
}

// kept is what the store keeps of a message.
type kept struct {
	line  []byte
	event event.Event // zero where the line is opaque
	body  []byte      // payload of a body event
	own   bool        // of the recorder itself: nothing is looked at
	old   bool        // taken over from an earlier version: nothing is looked at
}

// lineOf is the event as it was published, byte for byte, if it is one of that
// session; otherwise an opaque line.
func lineOf(r Record) (kept, error) {
	e, m, err := event.DecodeMessage(r.Header, r.Payload)
	session := e.Session()
	if session == "" {
		session = event.NoSession
	}
	switch {
	case err != nil:
	case e.ID != r.MsgID:
		err = errors.New("message id and event id differ")
	case session != r.Session:
		err = errors.New("the event's session is not the subject's")
	case strings.HasPrefix(e.Source, recorderSource) || e.Kind().OfRecorder():
		err = errors.New("only a recorder says that, and not over the stream")
	case bytes.ContainsAny(m.Line, "\r\n"):
		err = errors.New("the event has line breaks")
	}
	if err == nil {
		k := kept{line: m.Line, event: e}
		if d, ok := e.Data.(*event.Body); ok {
			k.body = d.Payload()
		}
		return k, nil
	}
	var o opaque
	o.Opaque.MsgID, o.Opaque.Subject, o.Opaque.Why, o.Opaque.Header, o.Opaque.Payload = r.MsgID, r.Subject, err.Error(), r.Header, r.Payload
	line, err := json.Marshal(o)
	return kept{line: line}, err
}

// parseLine reads one line of a record; nil is one that is too long.
func parseLine(b []byte) (event.Event, error) {
	if b == nil {
		return event.Event{}, fmt.Errorf("line longer than %d bytes", maxLine)
	}
	e, err := event.Decode(b)
	if err == nil {
		return e, nil
	}
	var o opaque
	if bytes.HasPrefix(b, []byte(`{"opaque":`)) && json.Unmarshal(b, &o) == nil && o.Opaque.Why != "" {
		return event.Event{}, &OpaqueError{Subject: o.Opaque.Subject, MsgID: o.Opaque.MsgID, Why: o.Opaque.Why}
	}
	return event.Event{}, err
}

func sumOf(b []byte) [sha256.Size]byte { return sha256.Sum256(b) }

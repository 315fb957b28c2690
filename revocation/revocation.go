// Package revocation is the kill switch: an operator stops a subject, a session or a
// target at once, on every gateway, and until it is lifted.
//
// An Order comes by request and reply on <prefix>.control.revoke, which only operators
// may publish. Every gateway takes it: it is in force there before anything else is
// done, kept in a bucket that only gateways reach, and carried out (Options.Enforce)
// before the reply. Gateways that were away or start later read the bucket before they
// let anything through. ParseOrder refuses what is empty, unknown, repeated or too long;
// List refuses to vouch for anybody while it cannot know (no connection to NATS).
package revocation

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/event"
)

// The bounds of an order, in bytes, and of what can be revoked at once.
const (
	MaxOrder  = 8 << 10
	MaxReason = 1024
	MaxName   = 1024
	MaxKept   = 10_000
)

// Order is what an operator publishes: JSON without other members. One of Subject,
// Session and Target says what is meant, Issuer goes with Subject alone.
type Order struct {
	Subject string `json:"subject,omitempty"` // as the token says; all of its sessions
	Issuer  string `json:"issuer,omitempty"`  // "": the subject of every issuer
	Session string `json:"session,omitempty"` // a ULID of an open session
	Target  string `json:"target,omitempty"`  // a configured target's name
	Reason  string `json:"reason"`            // for the agent and the record; at most MaxReason bytes
	For     string `json:"for,omitempty"`     // a Go duration: 1h; "": until it is lifted
	Lift    bool   `json:"lift,omitempty"`    // take an earlier order back
}

// ParseOrder reads an order. d is how long it holds, 0 for until it is lifted.
func ParseOrder(b []byte) (o Order, d time.Duration, err error) {
	if len(b) > MaxOrder {
		return Order{}, 0, fmt.Errorf("the order has %d bytes, the limit is %d", len(b), MaxOrder)
	}
	if o, err = decodeOrder(b); err != nil {
		return Order{}, 0, err
	}
	named := 0
	for name, text := range map[string]string{"subject": o.Subject, "session": o.Session, "target": o.Target} {
		if text != "" {
			named++
		}
		if len(text) > MaxName || strings.ContainsFunc(text, control) {
			return Order{}, 0, fmt.Errorf("%s is longer than %d bytes or has control characters", name, MaxName)
		}
	}
	switch {
	case named != 1:
		return Order{}, 0, errors.New("an order names one of subject, session and target")
	case o.Issuer != "" && o.Subject == "":
		return Order{}, 0, errors.New("issuer goes with subject alone")
	case len(o.Issuer) > MaxName || strings.ContainsFunc(o.Issuer, control):
		return Order{}, 0, fmt.Errorf("issuer is longer than %d bytes or has control characters", MaxName)
	case o.Session != "" && !event.ValidID(o.Session):
		return Order{}, 0, errors.New("session is not the id of a session, which has 26 characters")
	case strings.TrimSpace(o.Reason) == "":
		return Order{}, 0, errors.New("an order has a reason: it is shown to the agent and recorded")
	case len(o.Reason) > MaxReason:
		return Order{}, 0, fmt.Errorf("the reason has %d bytes, the limit is %d", len(o.Reason), MaxReason)
	case o.Lift && o.For != "":
		return Order{}, 0, errors.New("for has no meaning with lift")
	}
	if o.For != "" {
		if d, err = time.ParseDuration(o.For); err != nil || d <= 0 {
			return Order{}, 0, errors.New("for is a time such as 30m or 24h; without it the order holds until it is lifted")
		}
	}
	return o, d, nil
}

// Check is what ParseOrder says of o as it would be sent.
func (o Order) Check() error {
	body, err := json.Marshal(o)
	if err == nil {
		_, _, err = ParseOrder(body)
	}
	return err
}

func control(c rune) bool { return c < 0x20 || c == 0x7f }

// decodeOrder is stricter than encoding/json, which takes members in any case and the
// last of two: an order that can be read two ways stops the wrong agent.
func decodeOrder(b []byte) (Order, error) {
	var o Order
	members := map[string]any{
		"subject": &o.Subject, "issuer": &o.Issuer, "session": &o.Session, "target": &o.Target, "reason": &o.Reason, "for": &o.For, "lift": &o.Lift,
	}
	malformed := errors.New("the order is not a JSON object with one of subject, session and target, with a reason, and with issuer, for and lift if need be")
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); !utf8.Valid(b) || err != nil || t != json.Delim('{') {
		return Order{}, malformed
	}
	for dec.More() {
		t, err := dec.Token()
		name, _ := t.(string)
		into, ok := members[name]
		if err != nil || !ok {
			return Order{}, malformed
		}
		delete(members, name) // a second one is unknown
		var raw json.RawMessage
		if dec.Decode(&raw) != nil || string(raw) == "null" || json.Unmarshal(raw, into) != nil {
			return Order{}, malformed
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return Order{}, malformed
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Order{}, errors.New("there is something behind the order")
	}
	return o, nil
}

// Revocation is an order as gateways keep it. The zero value covers nobody.
type Revocation struct {
	Subject string    `json:"subject,omitempty"`
	Issuer  string    `json:"issuer,omitempty"`
	Label   string    `json:"label,omitempty"` // of the session, with its Subject and Issuer
	Session string    `json:"session,omitempty"`
	Target  string    `json:"target,omitempty"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
	Until   time.Time `json:"until,omitzero"` // zero: until it is lifted
	Lifted  bool      `json:"lifted,omitempty"`
}

// Caller is whom a request comes from and what it is for. Target is "" where only the
// caller is looked at.
type Caller struct{ Issuer, Subject, Label, Session, Target string }

// InForce reports whether r stops anybody at now.
func (r Revocation) InForce(now time.Time) bool {
	return !r.Lifted && (r.Until.IsZero() || now.Before(r.Until))
}

// Covers reports that r is about c. A session is also whoever takes up its label: its
// agent would else go on in a new one.
func (r Revocation) Covers(c Caller) bool {
	switch {
	case r.Target != "":
		return c.Target == r.Target
	case r.Session != "":
		return c.Session == r.Session || c.Subject != "" && c.Issuer == r.Issuer && c.Subject == r.Subject && c.Label == r.Label
	case r.Subject != "":
		return c.Subject == r.Subject && (r.Issuer == "" || c.Issuer == r.Issuer)
	}
	return false
}

// What names r in a sentence.
func (r Revocation) What() string {
	switch {
	case r.Target != "":
		return "target " + r.Target
	case r.Session != "":
		return "session " + r.Session
	case r.Issuer != "":
		return "subject " + r.Subject + " of " + r.Issuer
	}
	return "subject " + r.Subject
}

// Sentence tells an agent what has happened to it.
func (r Revocation) Sentence() string {
	until := "until it is lifted"
	if !r.Until.IsZero() {
		until = "until " + r.Until.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("an operator has revoked %s, %s: %s", r.What(), until, r.Reason)
}

// key is that of the bucket: one for each thing that can be revoked.
func (r Revocation) key() string {
	id := [4]string{r.Subject, r.Issuer, "", r.Target}
	if r.Session != "" {
		id = [4]string{2: r.Session}
	}
	text, _ := json.Marshal(id) // texts always marshal
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// isKey reports what key can have made.
func isKey(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && s == strings.ToLower(s)
}

func decodeRevocation(key string, b []byte) (Revocation, bool) {
	var r Revocation
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if dec.Decode(&r) != nil || r.key() != key {
		return Revocation{}, false
	}
	return r, true
}

// Ended is what a revocation brought to its end on one gateway.
type Ended struct {
	Sessions, Tunnels, Requests int
	Approvals                   []string
	Err                         error // of approvals that could not be cancelled
}

func (e Ended) plus(o Ended) Ended {
	return Ended{e.Sessions + o.Sessions, e.Tunnels + o.Tunnels, e.Requests + o.Requests, append(e.Approvals, o.Approvals...), errors.Join(e.Err, o.Err)}
}

func (e Ended) nothing() bool {
	return e.Sessions+e.Tunnels+e.Requests+len(e.Approvals) == 0 && e.Err == nil
}

// Confirmation is one gateway's answer to an order. The zero value says that it was not taken.
type Confirmation struct {
	Gateway   string    `json:"gateway"` // CloudEvents source of its events
	Accepted  bool      `json:"accepted"`
	Error     string    `json:"error,omitempty"` // why not, or what did not work beside
	Until     time.Time `json:"until,omitzero"`
	Sessions  int       `json:"sessions"`  // closed
	Tunnels   int       `json:"tunnels"`   // cut
	Requests  int       `json:"requests"`  // cut or, held for an approval, refused
	Approvals int       `json:"approvals"` // that lead to nothing any more
}

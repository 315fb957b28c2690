package event

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// This file is what the record needs beside the story of a request: bodies, and
// what makes loss, order and forgery visible.

// The parts of an exchange that a Body may be of.
const (
	PartRequest  = "request"
	PartResponse = "response"
)

// MaxChunk is the most bytes of one Body's payload.
const MaxChunk = 512 << 10

// Body is the data of body: a piece of a request's or an answer's body, masked. It
// travels in CloudEvents' binary mode (EncodeMessage), with Payload as the message's
// own; its JSON has the payload's digest in its place, so that a log stays small and
// still says what was there after the bytes are gone.
type Body struct {
	Common         // of it RequestID, SessionID and EventTime alone
	Part   string  `json:"part"`   // PartRequest or PartResponse
	Index  int     `json:"index"`  // from 0, without gaps
	Offset int64   `json:"offset"` // of the first byte, in bytes of the body
	SHA256 string  `json:"sha256"` // hex, of the payload
	Size   int     `json:"size"`   // bytes of the payload, 1 to MaxChunk
	bytes  payload // nil where only the JSON is known
	sum    [sha256.Size]byte
}

// payload hides the bytes of a Body from encoding/json, and from fmt.
type payload []byte

func (payload) String() string   { return "(payload)" }
func (payload) GoString() string { return "(payload)" }

// NewBody makes the piece of a body, of 1 to MaxChunk bytes, which stay the event's.
func NewBody(c Common, part string, index int, offset int64, b []byte) *Body {
	sum := sha256.Sum256(b)
	return &Body{Common: Common{RequestID: c.RequestID, SessionID: c.SessionID, EventTime: c.EventTime},
		Part: part, Index: index, Offset: offset, SHA256: hex.EncodeToString(sum[:]), Size: len(b), bytes: b, sum: sum}
}

// Kind implements Data.
func (*Body) Kind() Kind { return KindBody }

// Payload is the piece's bytes, nil where only its JSON was read.
func (d *Body) Payload() []byte { return d.bytes }

// Sum is the payload's SHA-256 where Payload is not nil.
func (d *Body) Sum() [sha256.Size]byte { return d.sum }

func (d *Body) check() error {
	switch {
	case d.Part != PartRequest && d.Part != PartResponse:
		return fmt.Errorf("part %.20q is neither request nor response", d.Part)
	case d.Index < 0 || d.Offset < 0 || d.Size < 1 || d.Size > MaxChunk:
		return fmt.Errorf("a body's piece has index, offset and size from 0, 0 and 1 on, and %d bytes at most", MaxChunk)
	case !isHex(d.SHA256, 32):
		return errors.New("sha256 is not one")
	case d.UserIdentity.Subject+d.UserIdentity.Issuer+d.UserIdentity.Label+d.SourceIPAddress+d.UserAgent != "" || len(d.UserIdentity.Groups) > 0:
		return errors.New("a body's piece says nothing about the caller")
	}
	if d.bytes != nil && (len(d.bytes) != d.Size || hex.EncodeToString(d.sum[:]) != d.SHA256) {
		return errors.New("the payload is not what sha256 and size say")
	}
	return nil
}

// Checkpoint is the data of checkpoint: a gateway's signature over its chain of
// events up to one of them. The checkpoint is itself an event of the chain.
type Checkpoint struct {
	Common
	UpTo      uint64 `json:"upTo"`      // sequence of the last event that it covers
	Digest    string `json:"digest"`    // LineDigest of that event
	PublicKey []byte `json:"publicKey"` // Ed25519; the source is named by it, see SourceOf
	Signature []byte `json:"signature"` // of Signed
}

// Kind implements Data.
func (*Checkpoint) Kind() Kind { return KindCheckpoint }

// Signed is what a checkpoint's signature is of.
func (d *Checkpoint) Signed(source string) []byte {
	return []byte("sallyport.checkpoint.v1\n" + source + "\n" + strconv.FormatUint(d.UpTo, 10) + "\n" + d.Digest + "\n")
}

// Verify checks that the gateway which source names signed d.
func (d *Checkpoint) Verify(source string) error {
	switch {
	case len(d.PublicKey) != ed25519.PublicKeySize:
		return errors.New("the checkpoint has no Ed25519 key")
	case SourceOf(d.PublicKey) != source:
		return errors.New("the checkpoint's key is not its source's")
	case !ed25519.Verify(d.PublicKey, d.Signed(source), d.Signature):
		return errors.New("the checkpoint's signature does not fit")
	}
	return nil
}

// SourceOf names the gateway that has a key: the CloudEvents source of its events.
// The name is of the key, so that nobody needs to be told which key belongs to it.
func SourceOf(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return "sallyport/" + hex.EncodeToString(sum[:16])
}

// Alarm is the data of alarm: a recorder found something that should not be. Its
// event's source is the recorder's.
type Alarm struct {
	Common
	Code     string `json:"code"`             // gap, order, fork, signature, damaged, ...
	Source   string `json:"of,omitempty"`     // the source of the events
	Sequence uint64 `json:"at,omitempty"`     // of the event where it was found
	Detail   string `json:"detail,omitempty"` // one sentence
}

// Kind implements Data.
func (*Alarm) Kind() Kind { return KindAlarm }

// Why bodies were removed.
const (
	RemovedAge     = "age"
	RemovedSize    = "size"
	RemovedSession = "session"
)

// Removed is the data of removed: a recorder let bodies go, by retention. What was
// recorded of them otherwise stays.
type Removed struct {
	Common
	Why    string    `json:"why"`              // RemovedAge, RemovedSize or RemovedSession
	Before time.Time `json:"before,omitzero"`  // every body that went is of an event before; with age and size
	Of     string    `json:"of,omitempty"`     // the session, where it was one
	Bodies int       `json:"bodies"`           // how many
	Bytes  int64     `json:"bytes"`            // of them on disk
	Held   int       `json:"held,omitempty"`   // how many stayed for a legal hold
	Detail string    `json:"detail,omitempty"` // who asked, and why
}

// Kind implements Data.
func (*Removed) Kind() Kind { return KindRemoved }

// What was done with a legal hold.
const (
	HoldBegun    = "begun"
	HoldReleased = "released"
)

// Hold is the data of hold: the bodies of a session stay whatever retention says, or from
// now on no more. The event is as late as the recorder was away.
type Hold struct {
	Common
	Action string    `json:"action"`         // HoldBegun or HoldReleased
	Of     string    `json:"of"`             // the session
	By     string    `json:"by"`             // who asked
	Reason string    `json:"reason"`         // why
	Asked  time.Time `json:"asked,omitzero"` // when
}

// Kind implements Data.
func (*Hold) Kind() Kind { return KindHold }

// The extension attributes that chain a gateway's events.
const (
	extSequence   = "sequence"   // CloudEvents' extension "Sequence": sorts as text, so of 20 digits
	extPrevDigest = "prevdigest" // LineDigest of the event before, 64 zeros for the first
)

// NoDigest is the prevdigest of a chain's first event.
const NoDigest = "0000000000000000000000000000000000000000000000000000000000000000"

// Link gives e its place in its source's chain; sequence counts from 1, and prev is
// the LineDigest of the event before, or NoDigest. It sets e.Extensions anew.
func Link(e *Event, sequence uint64, prev string) {
	ext := make(map[string]string, len(e.Extensions)+2)
	for k, v := range e.Extensions {
		ext[k] = v
	}
	ext[extSequence], ext[extPrevDigest] = fmt.Sprintf("%020d", sequence), prev
	e.Extensions = ext
}

// Chained is e's place in its source's chain. ok is false for an event that is in
// none, or whose place is malformed.
func Chained(e Event) (sequence uint64, prev string, ok bool) {
	text, prev := e.Extensions[extSequence], e.Extensions[extPrevDigest]
	sequence, err := strconv.ParseUint(text, 10, 64)
	if err != nil || len(text) != 20 || sequence == 0 || !isHex(prev, 32) {
		return 0, "", false
	}
	return sequence, prev, true
}

// HasPlace reports an event that says something about its place in a chain, well or
// badly.
func HasPlace(e Event) bool {
	_, sequence := e.Extensions[extSequence]
	_, prev := e.Extensions[extPrevDigest]
	return sequence || prev
}

// LineDigest is the lower-case hex SHA-256 of an event's line: of its JSON, without
// a line break.
func LineDigest(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// isHex reports n bytes in lower-case hex.
func isHex(s string, n int) bool {
	if len(s) != 2*n {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func (d *Body) cleaned() Data {
	c := *d
	c.EventTime = c.EventTime.UTC()
	return &c
}

func (d *Checkpoint) cleaned() Data {
	c := *d
	c.Common.clean()
	return &c
}

func (d *Alarm) cleaned() Data {
	c := *d
	c.Common.clean()
	c.Code, c.Source, c.Detail = clean(c.Code), clean(c.Source), clean(c.Detail)
	return &c
}

func (d *Removed) cleaned() Data {
	c := *d
	c.Common.clean()
	c.Why, c.Of, c.Detail, c.Before = clean(c.Why), clean(c.Of), clean(c.Detail), c.Before.UTC()
	return &c
}

func (d *Hold) cleaned() Data {
	c := *d
	c.Common.clean()
	c.Action, c.Of, c.By, c.Reason, c.Asked = clean(c.Action), clean(c.Of), clean(c.By), clean(c.Reason), c.Asked.UTC()
	return &c
}

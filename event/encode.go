package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// DefaultLimit is the most bytes that Encode makes: below NATS's usual
// max_payload of 1 MiB, with room for the message's headers.
const DefaultLimit = 1<<20 - 8<<10

// ErrTooLarge says that an event does not fit even without its parameters.
// Whoever asked must be refused: an event that cannot be recorded whole must not
// let its request pass.
var ErrTooLarge = errors.New("event is too large to record")

// Encode makes the event's structured JSON (CloudEvents JSON format 1.0), one
// line without a line break, at most DefaultLimit bytes.
func Encode(e Event) ([]byte, error) { return EncodeLimit(e, DefaultLimit) }

// EncodeLimit is Encode with another limit in bytes. A request or approval.pending
// event beyond it loses its requestParameters, and has their size and digest instead;
// any other is ErrTooLarge.
func EncodeLimit(e Event, limit int) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	kind := e.Kind()
	if e.Data = cleaned(e.Data); e.Data == nil {
		return nil, fmt.Errorf("encode event %s: nothing cleans the data of %s", e.ID, kind)
	}
	out, err := marshal(e)
	if err != nil {
		return nil, err
	}
	if params, omitted := bulky(e.Data); params != nil && len(out) > limit && *params != nil {
		raw := newText(len(out))
		if err := raw.add("", *params); err != nil {
			return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
		}
		sum := sha256.Sum256(raw.Bytes())
		*omitted, *params = &Digest{SHA256: hex.EncodeToString(sum[:]), Size: int64(raw.Len())}, nil
		if out, err = marshal(e); err != nil {
			return nil, err
		}
	}
	if len(out) > limit {
		return nil, fmt.Errorf("%w: event %s (%s) has %d bytes, limit %d", ErrTooLarge, e.ID, e.Kind(), len(out), limit)
	}
	return out, nil
}

// bulky is where a kind has the parameters that it may lose; nil for none.
func bulky(d Data) (*map[string]any, **Digest) {
	switch d := d.(type) {
	case *Request:
		return &d.RequestParameters, &d.RequestParametersOmitted
	case *ApprovalPending:
		return &d.RequestParameters, &d.RequestParametersOmitted
	}
	return nil, nil
}

// marshal writes the attributes in a fixed order, extensions (sorted by name)
// before data, so that the same event is always the same bytes.
func marshal(e Event) ([]byte, error) {
	w := newText(typicalSize)
	if err := w.add("", envelope{
		SpecVersion: specVersion, ID: e.ID, Source: clean(e.Source), Type: e.Type(),
		Subject: clean(e.Subject), Time: e.Time.UTC(), DataContentType: contentType,
	}); err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	w.drop() // the closing brace
	if len(e.Extensions) > 0 {
		ext := make(map[string]string, len(e.Extensions))
		for k, v := range e.Extensions {
			ext[k] = clean(v)
		}
		at := w.Len()
		if err := w.add("", ext); err != nil {
			return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
		}
		w.Bytes()[at] = ',' // in place of the brace
		w.drop()
	}
	if err := w.add(`,"data":`, e.Data); err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	w.WriteByte('}')
	return w.Bytes(), nil
}

type envelope struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
}

const typicalSize = 1 << 10 // bytes of an event

// text is JSON that is put together, without the escapes for HTML, which a reader of
// policies and ARNs has no use for.
type text struct {
	bytes.Buffer
	enc *json.Encoder
}

func newText(room int) *text {
	t := &text{}
	t.Grow(room)
	t.enc = json.NewEncoder(&t.Buffer)
	t.enc.SetEscapeHTML(false)
	return t
}

// add writes a value behind what is there and behind a prefix.
func (t *text) add(prefix string, v any) error {
	t.WriteString(prefix)
	if err := t.enc.Encode(v); err != nil {
		return err
	}
	t.drop() // the line break
	return nil
}

// drop takes the last byte away.
func (t *text) drop() { t.Truncate(t.Len() - 1) }

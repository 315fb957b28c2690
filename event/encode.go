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
	e.Data = cleaned(e.Data)
	out, err := marshal(e)
	if err != nil {
		return nil, err
	}
	if params, omitted := bulky(e.Data); params != nil && len(out) > limit && *params != nil {
		raw, err := jsonText(*params)
		if err != nil {
			return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
		}
		sum := sha256.Sum256(raw)
		*omitted, *params = &Digest{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(raw))}, nil
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
	head, err := jsonText(envelope{
		SpecVersion: specVersion, ID: e.ID, Source: clean(e.Source), Type: e.Type(),
		Subject: clean(e.Subject), Time: e.Time.UTC(), DataContentType: contentType,
	})
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	out := head[:len(head)-1] // without the closing brace
	if len(e.Extensions) > 0 {
		ext := make(map[string]string, len(e.Extensions))
		for k, v := range e.Extensions {
			ext[k] = clean(v)
		}
		b, err := jsonText(ext)
		if err != nil {
			return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
		}
		out = append(append(out, ','), b[1:len(b)-1]...)
	}
	data, err := jsonText(e.Data)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	out = append(out, `,"data":`...)
	return append(append(out, data...), '}'), nil
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

// jsonText is json.Marshal without the escapes for HTML, which a reader of
// policies and ARNs has no use for.
func jsonText(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

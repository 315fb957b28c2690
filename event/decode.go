package event

import (
	"bytes"
	v1 "encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxDecode is the most bytes that Decode looks at: nothing larger comes through
// NATS with any max_payload it recommends (8 MiB).
const maxDecode = 8 << 20

// attributes are an event's, as they are in its JSON.
type attributes struct {
	SpecVersion     string         `json:"specversion"`
	ID              string         `json:"id"`
	Source          string         `json:"source"`
	Type            string         `json:"type"`
	Subject         string         `json:"subject"`
	Time            time.Time      `json:"time"`
	DataContentType string         `json:"datacontenttype"`
	Data            jsontext.Value `json:"data"`
	// Extensions are all others.
	Extensions map[string]string `json:",embed"`
}

// exactly has numbers kept as they are written, and only names that a type has, letter
// by letter. Repeated names and what is not UTF-8 are refused by default.
var exactly = json.JoinOptions(
	json.RejectUnknownMembers(true),
	json.WithUnmarshalers(json.UnmarshalFromFunc(func(dec *jsontext.Decoder, into *any) error {
		if dec.StackDepth() > maxDepth+8 {
			return errDeep
		}
		if dec.PeekKind() != jsontext.KindNumber {
			return errors.ErrUnsupported
		}
		number, err := dec.ReadValue()
		*into = v1.Number(number)
		return err
	})),
)

var errDeep = errors.New("nested too deeply")

// Decode reads one event in structured JSON. It refuses what Encode does not
// write: unknown, repeated or differently spelled members, text that is not
// UTF-8, anything after the object. Extension attributes are kept.
func Decode(b []byte) (Event, error) {
	if len(b) > maxDecode {
		return Event{}, fmt.Errorf("decode event: %d bytes, limit %d", len(b), maxDecode)
	}
	var a attributes
	if err := json.Unmarshal(b, &a, exactly); err != nil {
		return Event{}, fmt.Errorf("decode event: %w", explained(err))
	}
	if a.SpecVersion != specVersion {
		return Event{}, fmt.Errorf("decode event: specversion %.20q, want %s", a.SpecVersion, specVersion)
	}
	if a.DataContentType != contentType {
		return Event{}, fmt.Errorf("decode event: datacontenttype %.40q, want %s", a.DataContentType, contentType)
	}
	kind, ok := strings.CutPrefix(a.Type, typePrefix)
	kind, ok2 := strings.CutSuffix(kind, typeSuffix)
	e := Event{ID: a.ID, Source: a.Source, Subject: a.Subject, Time: a.Time, Extensions: a.Extensions, Data: newData(Kind(kind))}
	if !ok || !ok2 || e.Data == nil {
		return Event{}, fmt.Errorf("decode event: unknown type %.60q", a.Type)
	}
	if len(a.Data) == 0 {
		return Event{}, errors.New("decode event: data is missing")
	}
	if err := json.Unmarshal(a.Data, e.Data, exactly); err != nil {
		return Event{}, fmt.Errorf("decode event: data of %s: %w", kind, explained(err))
	}
	if bytes.Contains(b, []byte("null")) {
		if err := withoutNull(a.Data, reflect.TypeOf(e.Data)); err != nil {
			return Event{}, fmt.Errorf("decode event: data of %s: %w", kind, err)
		}
		a.Data = nil
		if err := withoutNull(b, reflect.TypeOf(a)); err != nil {
			return Event{}, fmt.Errorf("decode event: %w", err)
		}
	}
	if err := e.check(); err != nil {
		return Event{}, fmt.Errorf("decode event: %w", err)
	}
	return e, nil
}

// explained says what is wrong with a text and where, without the text itself.
func explained(err error) error {
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.Is(err, errDeep):
		return errDeep
	case errors.Is(err, jsontext.ErrDuplicateName):
		if errors.As(err, &syntax) {
			return fmt.Errorf("member %.60q comes twice", syntax.JSONPointer)
		}
	case errors.Is(err, json.ErrUnknownName):
		if errors.As(err, &semantic) {
			return fmt.Errorf("unknown member %.60q", semantic.JSONPointer)
		}
	case errors.As(err, &syntax):
		return fmt.Errorf("malformed JSON at byte %d", syntax.ByteOffset)
	case errors.As(err, &semantic):
		return fmt.Errorf("member %.60q has the wrong type", semantic.JSONPointer)
	}
	return errors.New("malformed JSON")
}

// withoutNull refuses null where a type has members of its own: it would be read as
// if the member were not there. Text that was read as that type before is walked along
// the type.
func withoutNull(b []byte, t reflect.Type) error {
	return walkNull(jsontext.NewDecoder(bytes.NewBuffer(b)), t)
}

func walkNull(dec *jsontext.Decoder, t reflect.Type) error {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	tok, err := dec.ReadToken()
	if err != nil {
		return errors.New("malformed JSON")
	}
	switch tok.Kind() {
	case jsontext.KindNull:
		if t != nil {
			return fmt.Errorf("member %.60q is null", dec.StackPointer())
		}
	case jsontext.KindBeginArray:
		var elem reflect.Type
		if t != nil && t.Kind() == reflect.Slice {
			elem = t.Elem()
		}
		for dec.PeekKind() != jsontext.KindEndArray {
			if err := walkNull(dec, known(elem)); err != nil {
				return err
			}
		}
		_, err = dec.ReadToken()
	case jsontext.KindBeginObject:
		for dec.PeekKind() != jsontext.KindEndObject {
			name, err := dec.ReadToken()
			if err != nil {
				return errors.New("malformed JSON")
			}
			var member reflect.Type
			if t != nil && t.Kind() == reflect.Struct {
				if member = field(t, name.String()); member == nil {
					member = reflect.TypeFor[string]() // an extension attribute
				}
			}
			if err := walkNull(dec, known(member)); err != nil {
				return err
			}
		}
		_, err = dec.ReadToken()
	}
	return err
}

// known is t where its members are fixed, nil where anything may be inside.
func known(t reflect.Type) reflect.Type {
	if t == nil || t.Kind() == reflect.Map || t.Kind() == reflect.Interface {
		return nil
	}
	return t
}

// field finds the type of the member with exactly this JSON name, in embedded
// structs too.
func field(t reflect.Type, name string) reflect.Type {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && tag == "" {
			if found := field(f.Type, name); found != nil {
				return found
			}
		} else if tag == name && tag != "" {
			return f.Type
		}
	}
	return nil
}

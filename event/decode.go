package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"
)

// maxDecode is the most bytes that Decode looks at: nothing larger comes through
// NATS with any max_payload it recommends (8 MiB).
const maxDecode = 8 << 20

// Decode reads one event in structured JSON. It refuses what Encode does not
// write: unknown, repeated or differently spelled members, text that is not
// UTF-8, anything after the object. Extension attributes are kept.
func Decode(b []byte) (Event, error) {
	if len(b) > maxDecode {
		return Event{}, fmt.Errorf("decode event: %d bytes, limit %d", len(b), maxDecode)
	}
	if !utf8.Valid(b) {
		return Event{}, errors.New("decode event: not UTF-8")
	}
	attrs, err := members(b)
	if err != nil {
		return Event{}, fmt.Errorf("decode event: %w", err)
	}
	var e Event
	var typ, version, ctype string
	for name, into := range map[string]any{
		"specversion": &version, "id": &e.ID, "source": &e.Source, "type": &typ,
		"subject": &e.Subject, "time": &e.Time, "datacontenttype": &ctype,
	} {
		raw, ok := attrs[name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, into); err != nil || string(raw) == "null" {
			return Event{}, fmt.Errorf("decode event: attribute %s is malformed", name)
		}
		delete(attrs, name)
	}
	if version != specVersion {
		return Event{}, fmt.Errorf("decode event: specversion %.20q, want %s", version, specVersion)
	}
	if ctype != contentType {
		return Event{}, fmt.Errorf("decode event: datacontenttype %.40q, want %s", ctype, contentType)
	}
	kind, ok := strings.CutPrefix(typ, typePrefix)
	kind, ok2 := strings.CutSuffix(kind, typeSuffix)
	if e.Data = newData(Kind(kind)); !ok || !ok2 || e.Data == nil {
		return Event{}, fmt.Errorf("decode event: unknown type %.60q", typ)
	}
	if err := decodeData(attrs["data"], e.Data); err != nil {
		return Event{}, fmt.Errorf("decode event: data of %s: %w", kind, err)
	}
	delete(attrs, "data")
	for name, raw := range attrs {
		var v string
		if !validExtension(name) || raw[0] != '"' || json.Unmarshal(raw, &v) != nil {
			return Event{}, fmt.Errorf("decode event: attribute %.40q is neither known nor an extension with a text", name)
		}
		if e.Extensions == nil {
			e.Extensions = map[string]string{}
		}
		e.Extensions[name] = v
	}
	if err := e.check(); err != nil {
		return Event{}, fmt.Errorf("decode event: %w", err)
	}
	return e, nil
}

// members takes a JSON object apart; a name that comes twice is an error,
// because readers differ on which one counts.
func members(b []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	out := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, errors.New("malformed JSON")
		}
		name, _ := t.(string)
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("member %.40q comes twice", name)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, errors.New("malformed JSON")
		}
		out[name] = raw
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("malformed JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the object")
	}
	return out, nil
}

func decodeData(raw json.RawMessage, into Data) error {
	if len(raw) == 0 {
		return errors.New("missing")
	}
	if err := strict(json.NewDecoder(bytes.NewReader(raw)), reflect.TypeOf(into).Elem(), 0); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		// The error's own text may quote the input; the type is enough.
		return errors.New("a member has the wrong type")
	}
	return nil
}

// strict walks one JSON value along the Go type it will be decoded into and
// refuses names that the type does not have exactly so (encoding/json ignores
// case), names that come twice, and null.
func strict(dec *json.Decoder, t reflect.Type, depth int) error {
	if depth > maxDepth+8 {
		return errors.New("nested too deeply")
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	tok, err := dec.Token()
	if err != nil {
		return errors.New("malformed JSON")
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		if tok == nil && t != nil {
			return errors.New("a member is null")
		}
		return nil
	}
	if delim == '[' {
		var elem reflect.Type
		if t != nil && t.Kind() == reflect.Slice {
			elem = t.Elem()
		}
		for dec.More() {
			if err := strict(dec, known(elem), depth+1); err != nil {
				return err
			}
		}
		_, err := dec.Token()
		return err
	}
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return errors.New("malformed JSON")
		}
		name, _ := tok.(string)
		if seen[name] {
			return fmt.Errorf("member %.40q comes twice", name)
		}
		seen[name] = true
		var member reflect.Type
		if t != nil && t.Kind() == reflect.Struct {
			if member = field(t, name); member == nil {
				return fmt.Errorf("unknown member %.40q", name)
			}
		}
		if err := strict(dec, known(member), depth+1); err != nil {
			return err
		}
	}
	_, err = dec.Token()
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

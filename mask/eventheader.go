package mask

import (
	"bytes"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// headers masks the headers that are members of the event, and what an error says.
func (v *events) headers(e *pending, here eventPlace, failed bool) error {
	for i := range e.message.Headers {
		f := &e.message.Headers[i]
		reserved := strings.HasPrefix(f.Name, ":")
		if reserved && f.Name != eventstreamErrorMessage {
			continue
		}
		member := here.below(f.Name)
		m, hit := v.marked(member.nodes, member.rules, at.done)
		switch {
		case hit && !reserved:
			value, err := v.headerFor(f.Value, m)
			if err != nil {
				return err
			}
			f.Value = value
			e.edited = true
			continue
		case len(member.rules) > 0 && !reserved: // the path goes on inside
			return errPayload
		}
		text, isText := headerText(f.Value)
		if !isText {
			continue
		}
		out, changed := v.detect(newLabel(f.Name), text)
		if failed {
			out = v.scrub(out)
			changed = changed || !bytes.Equal(out, text)
		}
		if changed {
			if _, binary := f.Value.(eventstream.BytesValue); binary {
				f.Value = eventstream.BytesValue(out)
			} else {
				f.Value = eventstream.StringValue(out)
			}
			e.edited = true
		}
	}
	return nil
}

func headerText(v eventstream.Value) (text []byte, ok bool) {
	switch v := v.(type) {
	case eventstream.StringValue:
		return []byte(v), true
	case eventstream.BytesValue:
		return v, true
	}
	return nil, false
}

// headerFor is what stands for a header of the same type.
func (v *events) headerFor(value eventstream.Value, m mark) (eventstream.Value, error) {
	switch value := value.(type) {
	case eventstream.StringValue:
		return eventstream.StringValue(v.swap.scalar([]byte(value), m.typ, m.style)), nil
	case eventstream.BytesValue:
		return eventstream.BytesValue(v.swap.word(value, m.style)), nil
	case eventstream.BoolValue:
		return eventstream.BoolValue(false), nil
	case eventstream.Int8Value:
		return eventstream.Int8Value(0), nil
	case eventstream.Int16Value:
		return eventstream.Int16Value(0), nil
	case eventstream.Int32Value:
		return eventstream.Int32Value(0), nil
	case eventstream.Int64Value:
		return eventstream.Int64Value(0), nil
	case eventstream.TimestampValue:
		return eventstream.TimestampValue(time.Unix(0, 0).UTC()), nil
	case eventstream.UUIDValue:
		return eventstream.UUIDValue{}, nil
	}
	return nil, errPayload
}

func (v *events) scrub(text []byte) []byte {
	out, n := ScrubError(text)
	for range n {
		v.found.add("error text", SourceText, "")
	}
	return out
}

package mask

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

var (
	errMessage = errors.New("one of its events does not say what it is")
	errPayload = errors.New("one of its events holds what must be masked in a format that cannot be")
)

// events masks the events of one stream.
type events struct {
	plan *Plan
	*walk
	queue []*pending
	size  int // bytes in the queue
	texts map[string]*continued
	order []string // keys of texts, the one that was used last at the end
}

// pending is an event on its way. Where a text of it may end in the beginning of a
// secret it waits for the next piece of that text.
type pending struct {
	raw     []byte
	message eventstream.Message
	sent    []byte // the payload as AWS sent it
	edited  bool   // a header was
	doc     *document
}

func (e *pending) payload() []byte { return e.doc.render() }

// mask masks one event but for the texts that go on in the next, which are in doc.
func (v *events) mask(raw []byte, m eventstream.Message) (*pending, error) {
	e := &pending{raw: raw, message: m, sent: m.Payload, doc: &document{src: m.Payload}}
	h := map[string]string{}
	for _, f := range m.Headers {
		if s, ok := f.Value.(eventstream.StringValue); ok {
			h[f.Name] = string(s)
		}
	}
	event, failed := h[eventstreamEventType], true
	var here eventPlace
	switch h[eventstreamMessageType] {
	case "event":
		failed = false
		if event == "" {
			return nil, errMessage
		}
		if here = v.plan.find(event); event == initialResponse {
			here = eventPlace{rules: v.plan.rules}
			if v.plan.marks {
				here.nodes = roots(v.plan.root, false)
			}
		}
	case "exception":
		if event = h[eventstreamExceptionType]; event == "" {
			return nil, errMessage
		}
		here = v.plan.find(event)
	case "error":
	default:
		return nil, errMessage
	}
	if err := v.headers(e, here, failed); err != nil {
		return nil, err
	}
	return e, v.body(e, h, event, here, failed)
}

// The headers that say what an event is (Smithy, "Event message types").
const (
	eventstreamMessageType   = ":message-type"
	eventstreamEventType     = ":event-type"
	eventstreamExceptionType = ":exception-type"
	eventstreamContentType   = ":content-type"
	eventstreamErrorMessage  = ":error-message"
	initialResponse          = "initial-response"
)

// body masks the payload.
func (v *events) body(e *pending, h map[string]string, event string, here eventPlace, failed bool) error {
	payload := e.message.Payload
	if len(payload) == 0 {
		return nil
	}
	marks := *v.walk
	marks.scan = nil // texts are looked at afterwards: they may go on
	var err error
	whole := failed || event == initialResponse
	switch v.format(h[eventstreamContentType]) {
	case "json":
		e.doc, err = v.jsonPayload(&marks, payload, event, here, whole)
		if err != nil && len(here.nodes)+len(here.rules) == 0 {
			err, e.doc = nil, v.text(payload, event, whole)
		}
	case "xml":
		// The only payloads in XML are members of the event (S3's Stats and Progress),
		// and the root element stands for the member.
		var edits []edit
		if edits, err = v.xml(payload, slices.Concat(here.nodes, here.any().nodes), slices.Concat(here.rules, here.any().rules), false); err == nil {
			e.doc = &document{src: apply(payload, edits)}
		}
	case "cbor": // no text of AWS's goes on in another event in this format
		var edits []edit
		if edits, err = v.cbor(payload, here.nodes, here.rules); err == nil {
			e.doc = &document{src: apply(payload, edits)}
		}
	default:
		e.doc, err = v.raw(&marks, e, event, here, whole)
	}
	switch {
	case errors.Is(err, errPayload):
		return err
	case err != nil:
		return fmt.Errorf("one of its events cannot be read: %w", err)
	case failed:
		e.doc = &document{src: v.scrub(e.doc.render())}
	}
	return nil
}

// format is that of a payload: what its header says, or else the protocol's.
func (v *events) format(contentType string) string {
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case contentType != "" && err != nil:
		return ""
	case strings.HasSuffix(kind, "json") || strings.Contains(kind, "json-1."), kind == "" && isJSON(v.plan.protocol):
		return "json"
	case strings.HasSuffix(kind, "xml"), kind == "" && isXML(v.plan.protocol):
		return "xml"
	case strings.HasSuffix(kind, "cbor"), kind == "" && isCBOR(v.plan.protocol):
		return "cbor"
	}
	return ""
}

// jsonPayload masks a payload that is the event as a JSON document.
func (v *events) jsonPayload(marks *walk, payload []byte, event string, here eventPlace, whole bool) (*document, error) {
	edits, err := marks.json(payload, here.nodes, here.rules, 0)
	if err != nil {
		return nil, err
	}
	if v.scan == nil {
		return &document{src: apply(payload, edits)}, nil
	}
	var f *finder
	if !whole {
		f = &finder{prefix: event, path: []string{event}}
	}
	return v.document(apply(payload, edits), f)
}

// raw masks a payload that is one member of the event: a blob or a text. The frame
// does not say which one, so what is known of any member counts, but for those that
// are headers.
func (v *events) raw(marks *walk, e *pending, event string, here eventPlace, whole bool) (*document, error) {
	payload := e.message.Payload
	member := here.any()
	for _, f := range e.message.Headers {
		header := here.below(f.Name)
		member.nodes = slices.DeleteFunc(member.nodes, func(n *node) bool { return slices.Contains(header.nodes, n) })
		member.rules = slices.DeleteFunc(member.rules, func(r at) bool { return slices.Contains(header.rules, r) })
	}
	nodes, rules := slices.Concat(here.nodes, member.nodes), slices.Concat(here.rules, member.rules)
	if m, hit := v.marked(nodes, rules, at.done); hit {
		return &document{src: []byte(v.swap.word(payload, m.style))}, nil
	}
	if len(nodes)+len(rules) > 0 && braced(payload) && json.Valid(payload) {
		return v.jsonPayload(marks, payload, event, eventPlace{nodes, rules}, whole)
	}
	if len(member.nodes) > 0 || slices.ContainsFunc(here.nodes, func(n *node) bool { return len(n.reenters) > 0 }) {
		return nil, errPayload
	}
	edits, word := marks.inText(payload, rules, label{}, 0)
	if word != "" {
		return &document{src: []byte(word)}, nil
	}
	return v.text(apply(payload, edits), event, whole), nil
}

func braced(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[')
}

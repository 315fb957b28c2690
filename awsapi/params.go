package awsapi

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// params puts the input together as one document by member names: body or form,
// then what is bound to path, query and headers, which wins over a body member
// of the same name, as it does for AWS.
func (h *Head) params(m match, form []pair, body []byte) (map[string]any, error) {
	out := map[string]any{}
	switch h.protocol {
	case Query, EC2:
		return formDocument(form)
	case CBOR:
		return out, nil
	case JSON:
		v, err := parseJSON(body)
		if err != nil {
			return nil, err
		}
		doc, ok := v.(map[string]any)
		if !ok {
			return nil, refusal.New(refusal.Malformed, "the request body must be a JSON object")
		}
		return doc, nil
	}
	query := h.query
	if h.asForm() {
		pairs, err := parsePairs(string(body), "form")
		if err != nil {
			return nil, err
		}
		for k, v := range m.op.Query {
			if got, ok := find(pairs, k); !ok || got != v {
				return nil, refusal.New(refusal.Malformed, "the form must say %s=%s", k, v)
			}
		}
		query = pairs
	} else if !m.op.StreamingInput && len(body) > 0 {
		if err := h.bodyParams(out, m, body); err != nil {
			return nil, err
		}
	}
	for label, v := range h.labels(m) {
		out[member(m.op.Labels[label], label)] = v
	}
	for _, p := range query {
		b, ok := m.op.QueryMembers[p.key]
		if !ok {
			continue
		}
		name := member(b.Member, p.key)
		switch prev := out[name].(type) {
		case string:
			out[name] = []any{prev, p.value}
		case []any:
			out[name] = append(prev, p.value)
		default:
			out[name] = p.value
		}
	}
	for name, b := range m.op.HeaderMembers {
		if v := h.req.Header.Get(name); v != "" && !never[strings.ToLower(name)] {
			out[member(b.Member, name)] = v
		}
	}
	return out, nil
}

func member(name, wire string) string {
	if name == "" {
		return wire
	}
	return name
}

func (h *Head) bodyParams(out map[string]any, m match, body []byte) error {
	var doc any
	switch {
	case h.protocol == RestXML:
		// XML behind a byte order mark, or in UTF-16, is XML to a server, and must not
		// pass for text here.
		if bytes.HasPrefix(body, []byte("\xef\xbb\xbf")) || bytes.IndexByte(body[:min(4, len(body))], 0) >= 0 ||
			bytes.HasPrefix(body, []byte("\xff\xfe")) || bytes.HasPrefix(body, []byte("\xfe\xff")) {
			return refusal.New(refusal.Malformed, "the request body begins with a byte order mark or is not UTF-8")
		}
		if m.op.Payload != "" && !bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
			return nil // a text or blob payload, such as a bucket policy
		}
		v, err := parseXML(body)
		if err != nil {
			return err
		}
		doc = v
	case m.op.Payload != "" && !strings.Contains(mediaType(h.req.Header.Get("Content-Type")), "json"):
		// A blob, or a document whose content type lies: what can be read as a document
		// is on record as one.
		if v, err := parseJSON(body); err == nil {
			out[m.op.Payload] = v
		}
		return nil
	default:
		v, err := parseJSON(body)
		if err != nil {
			return err
		}
		doc = v
	}
	if m.op.Payload != "" {
		out[m.op.Payload] = doc
		return nil
	}
	fields, ok := doc.(map[string]any)
	if !ok {
		return refusal.New(refusal.Malformed, "the request body must be an object")
	}
	for k, v := range fields {
		out[k] = v
	}
	return nil
}

const maxXMLDepth = 64

// parseXML reads one XML document without DTD or processing instructions (other
// than the declaration): an element is a string, or an object of its children,
// where repeated children are a list.
func parseXML(b []byte) (any, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Entity = nil
	bad := func(err error) error {
		return refusal.New(refusal.Malformed, "the request body is not plain XML: %v", err)
	}
	var root any
	seen := false
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			if !seen {
				return nil, bad(errors.New("no root element"))
			}
			return root, nil
		}
		if err != nil {
			return nil, bad(err)
		}
		switch e := t.(type) {
		case xml.Directive:
			return nil, bad(errors.New("a DTD is not accepted"))
		case xml.ProcInst:
			if e.Target != "xml" || seen {
				return nil, bad(errors.New("processing instructions are not accepted"))
			}
		case xml.StartElement:
			if seen {
				return nil, bad(errors.New("more than one root element"))
			}
			seen = true
			if root, err = xmlElement(d, 0); err != nil {
				return nil, bad(err)
			}
		case xml.CharData:
			if len(bytes.TrimSpace(e)) > 0 {
				return nil, bad(errors.New("text outside the root element"))
			}
		}
	}
}

func xmlElement(d *xml.Decoder, depth int) (any, error) {
	if depth > maxXMLDepth {
		return nil, errors.New("nested too deep")
	}
	var text strings.Builder
	var fields map[string]any
	for {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch e := t.(type) {
		case xml.StartElement:
			v, err := xmlElement(d, depth+1)
			if err != nil {
				return nil, err
			}
			if fields == nil {
				fields = map[string]any{}
			}
			switch prev := fields[e.Name.Local].(type) {
			case nil:
				fields[e.Name.Local] = v
			case []any:
				fields[e.Name.Local] = append(prev, v)
			default:
				fields[e.Name.Local] = []any{prev, v}
			}
		case xml.EndElement:
			if fields != nil {
				return fields, nil
			}
			return text.String(), nil
		case xml.CharData:
			text.Write(e)
		case xml.Directive, xml.ProcInst:
			return nil, errors.New("a DTD or processing instruction inside the document")
		}
	}
}

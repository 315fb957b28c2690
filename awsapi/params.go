package awsapi

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// legacySQS are the names that SQS's query protocol had, which the JSON model of
// today does not tell (SQS API reference of 2012-11-05, before AWS JSON).
var legacySQS = map[string][]string{
	"AWSAccountId": {"AWSAccountIds"}, "ActionName": {"Actions"}, "AttributeName": {"AttributeNames"}, "Attribute": {"Attributes"},
	"MessageAttributeName": {"MessageAttributeNames"}, "MessageAttribute": {"MessageAttributes"},
	"MessageSystemAttributeName": {"MessageSystemAttributeNames"}, "MessageSystemAttribute": {"MessageSystemAttributes"},
	"ChangeMessageVisibilityBatchRequestEntry": {"Entries"}, "DeleteMessageBatchRequestEntry": {"Entries"}, "SendMessageBatchRequestEntry": {"Entries"},
	"Tag": {"Tags", "tags"}, "TagKey": {"TagKeys"},
}

// document puts the input together under its members' names: body or form, then
// what is bound to path, query and headers. room is where d's nodes go as long as
// they are few.
func (h *Head) document(d *document, room []node, m match, known *facts, form []pair, body []byte) error {
	shapes, err := m.svc.Shapes()
	if err != nil {
		return refusal.Wrap(refusal.Unavailable, err, "the gateway could not read its API catalog; nothing was sent to AWS")
	}
	d.init(shapes, m.op.Input, room)
	switch h.protocol {
	case Query, EC2:
		var aliases map[string][]string
		if m.svc.ID == "sqs" {
			aliases = legacySQS
		}
		return d.readForm(form, aliases)
	case CBOR:
		return d.readCBOR(body)
	case JSON:
		if err := d.readJSON(0, body); err != nil {
			return err
		}
		if d.nodes[0].kind != objectNode {
			return refusal.New(refusal.Malformed, "the request body must be a JSON object")
		}
		return nil
	}
	query := h.query
	if h.asForm() {
		if query, err = h.searchForm(m, body); err != nil {
			return err
		}
	} else if !m.op.StreamingInput && len(body) > 0 {
		if err := h.readBody(d, m, body); err != nil {
			return err
		}
	}
	return h.readBound(d, m, known, query)
}

// searchForm reads a CloudSearch query that came as a form.
func (h *Head) searchForm(m match, body []byte) ([]pair, error) {
	pairs, err := parsePairs(string(body), "form")
	if err != nil {
		return nil, err
	}
	for _, q := range m.op.Query {
		if got, ok := find(pairs, q.Key); !ok || got != q.Value {
			return nil, refusal.New(refusal.Malformed, "the form must say %s=%s", q.Key, q.Value)
		}
	}
	return pairs, nil
}

// memberShape is the shape of a member of the input, noShape for none.
func (d *document) memberShape(name string) int32 {
	members := d.shapes.Members(d.shapeOf(0))
	for i := range members {
		if members[i].Name == name {
			return members[i].Shape
		}
	}
	return noShape
}

// readBody reads a REST body: the input's members, or the one that is the payload.
func (h *Head) readBody(d *document, m match, body []byte) error {
	at := int32(0)
	if m.op.Payload != "" {
		n := node{name: m.op.Payload, kind: textNode, shape: d.memberShape(m.op.Payload)}
		sh := d.shapes.At(n.shape)
		c, err := d.add(0, n)
		if err != nil {
			return err
		}
		if sh.IsScalar() {
			// A text or a blob, such as a bucket policy. One that is a JSON document is on
			// record, and judged, as one.
			d.nodes[c].shape = noShape
			if keep := len(d.nodes); !looksJSON(body) || d.readJSON(c, body) != nil {
				d.nodes = d.nodes[:keep]
				d.nodes[c] = node{name: n.name, kind: bytesNode, text: string(body), shape: n.shape}
				if sh.Kind == catalog.String {
					d.nodes[c].kind = textNode
				}
			}
			return nil
		}
		at = c
	}
	if h.protocol == RestXML {
		return d.readXML(at, body)
	}
	if err := d.readJSON(at, body); err != nil {
		return err
	}
	if at == 0 && d.nodes[0].kind != objectNode {
		return refusal.New(refusal.Malformed, "the request body must be a JSON object")
	}
	return nil
}

func looksJSON(body []byte) bool {
	t := bytes.TrimLeft(body, " \t\r\n")
	return len(t) > 0 && (t[0] == '{' || t[0] == '[')
}

// readBound adds what is bound to the path, the query and headers.
func (h *Head) readBound(d *document, m match, known *facts, query []pair) error {
	if err := h.readLabels(d, m); err != nil {
		return err
	}
	for i := range query {
		if err := h.readQuery(d, m, &query[i]); err != nil {
			return err
		}
	}
	for i := range m.op.HeaderMembers {
		b := &m.op.HeaderMembers[i]
		if prefix, ok := headerPrefix(b.Wire); ok {
			if err := h.readPrefixed(d, b, prefix); err != nil {
				return err
			}
			continue
		}
		if values := h.req.Header[known.headers[i]]; len(values) > 0 && values[0] != "" {
			if err := d.readHeader(b, values[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// readHeader adds one header: a value, a list between commas, or JSON in base64.
func (d *document) readHeader(b *catalog.Binding, v string) error {
	name, shape := member(b.Member, b.Wire), d.memberShape(b.Member)
	switch sh := d.shapes.At(shape); {
	case sh.IsList():
		at, err := d.add(0, node{name: name, kind: listNode, shape: shape})
		if err != nil {
			return err
		}
		for e := range strings.SplitSeq(v, ",") {
			if _, err := d.add(at, d.scalar("", strings.TrimSpace(e), sh.Of)); err != nil {
				return err
			}
		}
		return nil
	case sh.Kind == catalog.JSONValue:
		at, err := d.add(0, node{name: name, kind: textNode, text: v, shape: noShape})
		if err != nil {
			return err
		}
		text, err := base64.StdEncoding.DecodeString(v)
		if err == nil {
			err = d.readJSON(at, text)
		}
		if err != nil {
			return refusal.New(refusal.Malformed, "the header %s must hold JSON in base64", b.Wire)
		}
		return nil
	}
	_, err := d.add(0, d.scalar(name, v, shape))
	return err
}

// readQuery adds one query parameter, unless it is fixed by the operation or of no
// member of its. A list's comes once for each element.
func (h *Head) readQuery(d *document, m match, p *pair) error {
	b, ok := m.op.QueryMembers.Get(p.key)
	if ok && d.shapes.At(d.memberShape(b.Member)).IsMap() {
		ok = false // the member's name is not on the wire
	}
	if !ok {
		for i := range m.op.QueryMembers {
			if strings.EqualFold(m.op.QueryMembers[i].Wire, p.key) {
				return refusal.New(refusal.Malformed, "the query parameter %q differs from %s only in case", clip(p.key), m.op.QueryMembers[i].Wire)
			}
		}
		return d.readQueryMap(m, p)
	}
	name := member(b.Member, p.key)
	shape := d.memberShape(name)
	sh := d.shapes.At(shape)
	at := d.child(0, name)
	if !sh.IsList() {
		if at != 0 {
			return duplicate("query", p.key)
		}
		_, err := d.add(0, d.scalar(name, p.value, shape))
		return err
	}
	if at == 0 {
		var err error
		if at, err = d.add(0, node{name: name, kind: listNode, shape: shape}); err != nil {
			return err
		}
	}
	_, err := d.add(at, d.scalar("", p.value, sh.Of))
	return err
}

// readQueryMap adds a parameter that is no member's name to the member that takes
// all such (Smithy, "httpQueryParams trait"), if there is one.
func (d *document) readQueryMap(m match, p *pair) error {
	for i := range m.op.QueryMembers {
		name := m.op.QueryMembers[i].Member
		shape := d.memberShape(name)
		sh := d.shapes.At(shape)
		if !sh.IsMap() || slices.ContainsFunc(m.op.Query, func(q catalog.Pair) bool { return q.Key == p.key }) {
			continue
		}
		at := d.child(0, name)
		if at == 0 {
			var err error
			if at, err = d.add(0, node{name: name, kind: objectNode, shape: shape}); err != nil {
				return err
			}
		}
		entry, of := d.child(at, p.key), d.shapes.At(sh.Of)
		if !of.IsList() {
			if entry != 0 {
				return duplicate("query", p.key)
			}
			_, err := d.add(at, d.scalar(p.key, p.value, sh.Of))
			return err
		}
		if entry == 0 {
			var err error
			if entry, err = d.add(at, node{name: p.key, kind: listNode, shape: sh.Of}); err != nil {
				return err
			}
		}
		_, err := d.add(entry, d.scalar("", p.value, of.Of))
		return err
	}
	return nil
}

// headerPrefix reports a map that is bound to all headers with a prefix
// (x-amz-meta-).
func headerPrefix(wire string) (string, bool) {
	if p, ok := strings.CutSuffix(wire, "*"); ok {
		return p, true
	}
	return wire, strings.HasSuffix(wire, "-")
}

func (h *Head) readPrefixed(d *document, b *catalog.Binding, prefix string) error {
	at := int32(0)
	for name, values := range h.req.Header {
		if len(name) <= len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) || len(values) == 0 || never[strings.ToLower(name)] {
			continue
		}
		if at == 0 {
			var err error
			if at, err = d.add(0, node{name: b.Member, kind: objectNode, shape: d.memberShape(b.Member)}); err != nil {
				return err
			}
		}
		if _, err := d.add(at, d.scalar(strings.ToLower(name[len(prefix):]), values[0], d.shapeOf(at).Of)); err != nil {
			return err
		}
	}
	return nil
}

func member(name, wire string) string {
	if name == "" {
		return wire
	}
	return name
}

// readLabels adds the labels of the path, decoded.
func (h *Head) readLabels(d *document, m match) error {
	i := 0
	for k, p := range m.op.Parsed {
		if !p.Label {
			i++
			continue
		}
		n := 1
		if p.Greedy {
			n = len(h.segs) - i - (len(m.op.Parsed) - k - 1)
		}
		if n < 1 || i+n > len(h.segs) {
			break
		}
		text := h.segs[i]
		if n > 1 {
			text = strings.Join(h.segs[i:i+n], "/")
		}
		v, _ := unescape(text, false)
		name := member(m.op.Labels.Get(p.Text), p.Text)
		if name == "Bucket" {
			if ap := h.accessPoint(m); ap != "" {
				v = ap // what clients are given in its place
			}
		}
		if _, err := d.add(0, d.scalar(name, v, d.memberShape(name))); err != nil {
			return err
		}
		i += n
	}
	return nil
}

package awsapi

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// document is a call's input as one tree under the members' names of AWS's model,
// whatever wire format and whichever part of the request it came in. It is a flat
// list of nodes, since a map for each structure would cost more than all the rest
// of identification. Nodes refer to each other by index; node 0 is the root.
type document struct {
	shapes *catalog.Shapes
	nodes  []node
}

// maxNodes bounds what a body of many small values costs in memory.
const maxNodes = 1 << 19

type nodeKind uint8

const (
	nullNode nodeKind = iota
	textNode
	numberNode
	boolNode
	bytesNode // a blob that came as bytes: text holds them
	listNode
	objectNode // a structure or a map
)

// node is one value. Children are linked in the request's order.
type node struct {
	name              string // the member's or the map's key; "" in a list
	text              string // of a scalar: as the request has it, unescaped
	kind              nodeKind
	shape             int32 // index into shapes; noShape: a member that the catalog does not know
	first, last, next int32 // 0: none
}

const (
	noShape = -1
	// isEntry and numbers below it mark the entry of a map while it is read:
	// isEntry - shape.
	isEntry = -2
)

// init makes d a document with an empty root of the input's shape.
func (d *document) init(shapes *catalog.Shapes, input *int32, room []node) {
	d.shapes, d.nodes = shapes, append(room[:0], node{kind: objectNode, shape: noShape})
	if input != nil {
		d.nodes[0].shape = *input
	}
}

// shapeOf is anything for noShape.
func (d *document) shapeOf(i int32) catalog.Shape { return d.shapes.At(d.nodes[i].shape) }

// add appends a child.
func (d *document) add(parent int32, n node) (int32, error) {
	if len(d.nodes) >= maxNodes {
		return 0, refusal.New(refusal.Malformed, "the request has more than %d values", maxNodes)
	}
	i := int32(len(d.nodes))
	d.nodes = append(d.nodes, n)
	d.link(parent, i)
	return i, nil
}

func (d *document) link(parent, child int32) {
	p := &d.nodes[parent]
	if p.first == 0 {
		p.first = child
	} else {
		d.nodes[p.last].next = child
	}
	p.last = child
}

// child finds a child by name, 0 for none.
func (d *document) child(parent int32, name string) int32 {
	for i := d.nodes[parent].first; i != 0; i = d.nodes[i].next {
		if d.nodes[i].name == name {
			return i
		}
	}
	return 0
}

// member finds the member of a structure that a name on the wire is. A name that
// AWS's model does not know stays as it is, without a shape: clients are newer than
// catalogs. One that differs from a known member's only in case, or that is the
// model's name where the wire has another, or belongs to another part of the
// request, is refused: a reader that takes it for the member sees another request.
func (d *document) member(structure int32, wire string) (string, int32, error) {
	sh := d.shapeOf(structure)
	if sh.Kind != catalog.Structure {
		return wire, noShape, nil
	}
	members := d.shapes.Members(sh)
	for i := range members {
		if m := &members[i]; m.Wire == wire && !m.Bound && !m.Attribute {
			return m.Name, m.Shape, nil
		}
	}
	for i := range members {
		switch m := &members[i]; {
		case m.Bound && (m.Name == wire || m.Wire == wire):
			return "", 0, refusal.New(refusal.Malformed, "the body has %q, which belongs into the path, the query or a header; send it there alone", clip(wire))
		case strings.EqualFold(m.Wire, wire) || strings.EqualFold(m.Name, wire):
			return "", 0, refusal.New(refusal.Malformed, "the parameter %q is another spelling of %s, which readers may take for it; send %s", clip(wire), m.Wire, m.Wire)
		}
	}
	return wire, noShape, nil
}

// scalar makes a scalar node out of text that has no type of its own (in a query,
// a form, a header, XML), by its shape.
func (d *document) scalar(name, text string, shape int32) node {
	n := node{name: name, text: text, kind: textNode, shape: shape}
	switch d.shapes.At(shape).Kind {
	case catalog.Integer, catalog.Float:
		if isJSONNumber(text) {
			n.kind = numberNode
		}
	case catalog.Boolean:
		if text == "true" || text == "false" {
			n.kind = boolNode
		}
	}
	return n
}

// isJSONNumber accepts what json.Number may hold (RFC 8259, section 6).
func isJSONNumber(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	r := jsonReader{s: s}
	c := s[0]
	if c != '-' && (c < '0' || c > '9') {
		return false
	}
	_, err := r.number()
	return err == nil && r.i == len(s)
}

// value is a node as JSON-like values: map[string]any, []any, string, json.Number,
// bool and nil. Times are in RFC 3339, UTC, whatever the wire has: protocols have
// three forms of them, and conditions would have to know which.
func (d *document) value(i int32) any {
	n := &d.nodes[i]
	switch n.kind {
	case bytesNode:
		return base64.StdEncoding.EncodeToString([]byte(n.text))
	case textNode, numberNode:
		if d.shapeOf(i).Kind == catalog.Timestamp {
			return instant(n.text)
		}
		if n.kind == textNode {
			return n.text
		}
		return json.Number(n.text)
	case boolNode:
		return n.text == "true"
	case listNode:
		out := []any{}
		for c := n.first; c != 0; c = d.nodes[c].next {
			out = append(out, d.value(c))
		}
		return out
	case objectNode:
		return d.object(i)
	}
	return nil
}

func (d *document) object(i int32) map[string]any {
	out := map[string]any{}
	for c := d.nodes[i].first; c != 0; c = d.nodes[c].next {
		out[d.nodes[c].name] = d.value(c)
	}
	return out
}

// entries makes a map of numbered entries with a key and a value each.
func (d *document) entries(at int32, sh catalog.Shape) error {
	keyName, valueName := d.shapes.Entry(sh)
	seen := map[string]bool{}
	for c := d.nodes[at].first; c != 0; c = d.nodes[c].next {
		key, value := d.child(c, keyName), d.child(c, valueName)
		if key == 0 || d.nodes[key].kind == objectNode {
			return refusal.New(refusal.Malformed, "an entry of the map %s has no %s", clip(d.nodes[at].name), keyName)
		}
		name := d.nodes[key].text
		if seen[name] {
			return refusal.New(refusal.Malformed, "the map %s has the key %q twice", clip(d.nodes[at].name), clip(name))
		}
		seen[name] = true
		n := node{kind: nullNode}
		if value != 0 {
			n = d.nodes[value]
		}
		n.name, n.shape, n.next = name, sh.Of, d.nodes[c].next
		d.nodes[c] = n
	}
	return nil
}

// instant is a time in RFC 3339; a text that is no time stays as it is.
func instant(s string) string {
	if f, err := strconv.ParseFloat(s, 64); err == nil && f > -1e11 && f < 1e11 { // seconds
		whole := math.Floor(f)
		return time.Unix(int64(whole), int64((f-whole)*1e3+0.5)*1e6).UTC().Format(time.RFC3339Nano)
	}
	for _, layout := range []string{time.RFC3339Nano, http.TimeFormat, time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Format(time.RFC3339Nano)
		}
	}
	return s
}

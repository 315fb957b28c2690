package awsapi_test

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// under gathers texts, numbers and booleans by path: the model's member names and
// keys of maps with dots between them, nothing for an element of a list.
type under struct {
	*reader
	of     candidate
	shapes *catalog.Shapes
	params map[string][]string
	text   map[string][]byte // of a payload that is a text or bytes, instead of params
}

const unknown = -1 // the shape of what the catalog does not know

func (u *under) add(path string, shape int32, text string) {
	if path == "" {
		return
	}
	if u.shapes.At(shape).Kind == catalog.Timestamp {
		text = utc(text)
	}
	u.params[path] = append(u.params[path], text)
}

// utc is a time in RFC 3339; what is none stays.
func utc(s string) string {
	const form = "2006-01-02T15:04:05.999999999Z"
	if f, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(f) < 1e11 {
		return time.UnixMilli(int64(math.Floor(f*1000 + 0.5))).UTC().Format(form)
	}
	for _, layout := range []string{time.RFC3339, http.TimeFormat, time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Format(form)
		}
	}
	return s
}

func below(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

// member is the member of a structure that a name on the wire is.
func (u *under) member(sh catalog.Shape, wire string) (string, int32) {
	if sh.Kind != catalog.Structure {
		return wire, unknown
	}
	for _, m := range u.shapes.Members(sh) {
		if m.Wire == wire && !m.Bound && !m.Attribute {
			return m.Name, m.Shape
		}
	}
	if u.lax {
		for _, m := range u.shapes.Members(sh) {
			if strings.EqualFold(m.Wire, wire) || strings.EqualFold(m.Name, wire) {
				return m.Name, m.Shape
			}
		}
	}
	return wire, unknown
}

// shapeOf is the shape of a member of the input.
func (u *under) shapeOf(member string) int32 {
	for _, m := range u.shapes.Members(u.shapes.At(*u.of.op.Input)) {
		if m.Name == member {
			return m.Shape
		}
	}
	return unknown
}

// node is a value of JSON or CBOR with its names in order, duplicates and all.
type node struct {
	names []string // of an object
	kids  []node   // of an object or list
	list  bool     // with a text: nothing to judge by, null
	leaf  bool
	text  string
	time  bool   // under CBOR's tag of a time
	quote bool   // a text, for those who write it again
	bytes []byte // of CBOR's bytes, whose text is base64
	raw   []byte // of CBOR that is neither text, list nor map, as it was
}

// document reads a body as one value of that shape at path.
func (u *under) document(path string, shape int32, body []byte, read func([]byte) (node, error)) error {
	if len(strings.TrimSpace(string(body))) == 0 {
		return nil
	}
	n, err := read(body)
	if err == nil {
		u.value(path, shape, n)
	}
	return err
}

func (u *under) value(path string, shape int32, n node) {
	sh := u.shapes.At(shape)
	switch {
	case n.leaf && u.lax && n.bytes != nil && sh.Kind == catalog.String:
		u.add(path, shape, string(n.bytes))
	case n.leaf && n.time && sh.Kind == catalog.Document:
		u.add(path, shape, utc(n.text))
	case n.leaf:
		u.add(path, shape, n.text)
	case n.list:
		of := int32(unknown)
		if sh.IsList() {
			of = sh.Of
		}
		for _, k := range n.kids {
			u.value(path, of, k)
		}
	default:
		type entry struct {
			shape int32
			nodes []node
		}
		chosen := map[string]entry{}
		for i, k := range n.kids {
			name, of := n.names[i], sh.Of
			if !sh.IsMap() {
				name, of = u.member(sh, name)
			}
			chosen[name] = entry{of, append(chosen[name].nodes, k)}
		}
		for name, e := range chosen {
			u.value(below(path, name), e.shape, one(u.reader, e.nodes))
		}
	}
}

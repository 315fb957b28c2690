package awsapi

import (
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// maxDepth is how deep values may be nested, in whatever format.
const maxDepth = 128

// readJSON reads one JSON document into node at, strictly (RFC 8259): no duplicate
// keys, no trailing data, valid UTF-8, no lone surrogates. Keys are case sensitive,
// as they are for AWS. An empty body is an empty document.
func (d *document) readJSON(at int32, body []byte) error {
	r := jsonReader{doc: d, s: string(body)}
	r.space()
	if r.i == len(r.s) {
		return nil
	}
	err := r.into(at, 0)
	if err == nil {
		r.space()
		if r.i != len(r.s) {
			err = errors.New("there is data behind the document")
		}
	}
	if e := (*refusal.Error)(nil); errors.As(err, &e) {
		return e
	}
	if err != nil {
		return refusal.New(refusal.Malformed, "the request body is not JSON that can be read in one way only: %v (at byte %d)", err, r.i)
	}
	return nil
}

type jsonReader struct {
	doc *document
	s   string
	i   int
}

func (r *jsonReader) space() {
	for r.i < len(r.s) {
		switch r.s[r.i] {
		case ' ', '\t', '\n', '\r':
			r.i++
		default:
			return
		}
	}
}

var (
	errSyntax = errors.New("syntax error")
	errEarly  = errors.New("it ends early")
	errKind   = errors.New("a value is not of its member's type")
)

// into reads a value into a node that has its name and shape.
func (r *jsonReader) into(at int32, depth int) error {
	if depth > maxDepth {
		return errors.New("it is nested too deep")
	}
	if r.i >= len(r.s) {
		return errEarly
	}
	n, sh := &r.doc.nodes[at], r.doc.shapeOf(at)
	var err error
	switch c := r.s[r.i]; {
	case c == '{':
		if sh.IsScalar() || sh.IsList() {
			return errKind
		}
		n.kind = objectNode
		return r.object(at, depth)
	case c == '[':
		if sh.Kind != catalog.Document && !sh.IsList() {
			return errKind
		}
		n.kind = listNode
		return r.array(at, depth)
	case c == 'n':
		n.kind = nullNode
		return r.word("null")
	case !sh.IsScalar() && sh.Kind != catalog.Document:
		return errKind
	case c != '"' && sh.Kind == catalog.String:
		return errKind // a server that makes text of 1.0 may say "1"
	case c == '"':
		n.kind = textNode
		n.text, err = r.text()
		return err
	case c == 't':
		n.kind, n.text = boolNode, "true"
		return r.word("true")
	case c == 'f':
		n.kind, n.text = boolNode, "false"
		return r.word("false")
	case c == '-' || (c >= '0' && c <= '9'):
		n.kind = numberNode
		n.text, err = r.number()
		return err
	}
	return errSyntax
}

func (r *jsonReader) word(w string) error {
	if len(r.s)-r.i < len(w) || r.s[r.i:r.i+len(w)] != w {
		return errSyntax
	}
	r.i += len(w)
	return nil
}

// keys notes an object's keys to find one that comes twice: few by looking at each,
// many by a map.
type keys struct {
	n    int
	seen map[string]bool
}

var errTwice = errors.New("a key comes twice in one object")

func (k *keys) add(d *document, parent int32, name string) error {
	if k.n++; k.n <= 16 {
		if d.child(parent, name) != 0 {
			return errTwice
		}
		return nil
	}
	if k.seen == nil {
		k.seen = map[string]bool{}
		for c := d.nodes[parent].first; c != 0; c = d.nodes[c].next {
			k.seen[d.nodes[c].name] = true
		}
	}
	if k.seen[name] {
		return errTwice
	}
	k.seen[name] = true
	return nil
}

// entry gives the name and shape of an object's next value.
func (d *document) entry(parent int32, k *keys, key string) (node, error) {
	n := node{name: key, shape: noShape}
	var err error
	if sh := d.shapeOf(parent); sh.IsMap() {
		n.shape = sh.Of
	} else if n.name, n.shape, err = d.member(parent, key); err != nil {
		return n, err
	}
	return n, k.add(d, parent, n.name)
}

func (r *jsonReader) object(at int32, depth int) error {
	r.i++
	r.space()
	if r.i < len(r.s) && r.s[r.i] == '}' {
		r.i++
		return nil
	}
	var k keys
	for {
		r.space()
		if r.i >= len(r.s) || r.s[r.i] != '"' {
			return errSyntax
		}
		key, err := r.text()
		if err != nil {
			return err
		}
		n, err := r.doc.entry(at, &k, key)
		if err != nil {
			return err
		}
		r.space()
		if r.i >= len(r.s) || r.s[r.i] != ':' {
			return errSyntax
		}
		r.i++
		if err := r.element(at, n, depth); err != nil {
			return err
		}
		if end, err := r.comma('}'); end || err != nil {
			return err
		}
	}
}

func (r *jsonReader) array(at int32, depth int) error {
	of := int32(noShape)
	if sh := r.doc.shapeOf(at); sh.IsList() {
		of = sh.Of
	}
	r.i++
	r.space()
	if r.i < len(r.s) && r.s[r.i] == ']' {
		r.i++
		return nil
	}
	for {
		if err := r.element(at, node{shape: of}, depth); err != nil {
			return err
		}
		if end, err := r.comma(']'); end || err != nil {
			return err
		}
	}
}

func (r *jsonReader) element(at int32, n node, depth int) error {
	r.space()
	c, err := r.doc.add(at, n)
	if err != nil {
		return err
	}
	return r.into(c, depth+1)
}

// comma reads what stands behind a value; true at the end of what it is in.
func (r *jsonReader) comma(end byte) (bool, error) {
	r.space()
	if r.i >= len(r.s) {
		return false, errEarly
	}
	c := r.s[r.i]
	r.i++
	switch c {
	case ',':
		return false, nil
	case end:
		return true, nil
	}
	return false, errSyntax
}

func (r *jsonReader) number() (string, error) {
	start := r.i
	if r.s[r.i] == '-' {
		r.i++
	}
	digits := func() int {
		n := 0
		for r.i < len(r.s) && r.s[r.i] >= '0' && r.s[r.i] <= '9' {
			r.i++
			n++
		}
		return n
	}
	first := r.i
	n := digits()
	if n == 0 || (n > 1 && r.s[first] == '0') {
		return "", errSyntax
	}
	if r.i < len(r.s) && r.s[r.i] == '.' {
		r.i++
		if digits() == 0 {
			return "", errSyntax
		}
	}
	if r.i < len(r.s) && (r.s[r.i] == 'e' || r.s[r.i] == 'E') {
		r.i++
		if r.i < len(r.s) && (r.s[r.i] == '+' || r.s[r.i] == '-') {
			r.i++
		}
		if digits() == 0 {
			return "", errSyntax
		}
	}
	return r.s[start:r.i], nil
}

// text reads a string; without escapes it stays a part of the body.
func (r *jsonReader) text() (string, error) {
	r.i++
	start := r.i
	for r.i < len(r.s) {
		c := r.s[r.i]
		if c == '"' {
			s := r.s[start:r.i]
			r.i++
			if !utf8.ValidString(s) {
				return "", errors.New("a string is not UTF-8")
			}
			return s, nil
		}
		if c == '\\' {
			return r.escaped(start)
		}
		if c < 0x20 {
			return "", errors.New("a string holds a control character")
		}
		r.i++
	}
	return "", errEarly
}

func (r *jsonReader) escaped(start int) (string, error) {
	out := append([]byte(nil), r.s[start:r.i]...)
	for r.i < len(r.s) {
		c := r.s[r.i]
		switch {
		case c == '"':
			r.i++
			if !utf8.Valid(out) {
				return "", errors.New("a string is not UTF-8")
			}
			return string(out), nil
		case c < 0x20:
			return "", errors.New("a string holds a control character")
		case c != '\\':
			out = append(out, c)
			r.i++
			continue
		}
		r.i++
		if r.i >= len(r.s) {
			return "", errEarly
		}
		switch e := r.s[r.i]; e {
		case '"', '\\', '/':
			out = append(out, e)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			c, err := r.unicode()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, c)
			continue
		default:
			return "", errSyntax
		}
		r.i++
	}
	return "", errEarly
}

// unicode reads uXXXX, and the second half of a surrogate pair.
func (r *jsonReader) unicode() (rune, error) {
	c, err := r.hex4()
	if err != nil {
		return 0, err
	}
	if !utf16.IsSurrogate(c) {
		return c, nil
	}
	if r.i+1 < len(r.s) && r.s[r.i] == '\\' && r.s[r.i+1] == 'u' {
		r.i++
		low, err := r.hex4()
		if err != nil {
			return 0, err
		}
		if both := utf16.DecodeRune(c, low); both != utf8.RuneError {
			return both, nil
		}
	}
	return 0, errors.New("a string holds half a surrogate pair")
}

func (r *jsonReader) hex4() (rune, error) {
	r.i++ // u
	if r.i+4 > len(r.s) {
		return 0, errEarly
	}
	n, err := strconv.ParseUint(r.s[r.i:r.i+4], 16, 16)
	if err != nil {
		return 0, errSyntax
	}
	r.i += 4
	return rune(n), nil
}

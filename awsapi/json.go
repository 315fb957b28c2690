package awsapi

import (
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sallyport/sallyport/refusal"
)

const maxJSONDepth = 128

// parseJSON reads one JSON document strictly (RFC 8259): no duplicate keys, no
// trailing data, valid UTF-8, no lone surrogates, at most 128 deep. Keys are case
// sensitive, as they are for AWS. Numbers stay json.Number. An empty body is an
// empty document.
func parseJSON(b []byte) (any, error) {
	if len(b) == 0 {
		return map[string]any{}, nil
	}
	d := jsonReader{b: b}
	d.space()
	if d.i == len(b) {
		return map[string]any{}, nil
	}
	v, err := d.value(0)
	if err == nil {
		d.space()
		if d.i != len(b) {
			err = errors.New("there is data behind the document")
		}
	}
	if err != nil {
		return nil, refusal.New(refusal.Malformed, "the request body is not JSON that can be read in one way only: %v (at byte %d)", err, d.i)
	}
	return v, nil
}

type jsonReader struct {
	b []byte
	i int
}

func (d *jsonReader) space() {
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

var errSyntax = errors.New("syntax error")

func (d *jsonReader) value(depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, errors.New("it is nested too deep")
	}
	if d.i >= len(d.b) {
		return nil, errors.New("it ends early")
	}
	switch c := d.b[d.i]; {
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.array(depth)
	case c == '"':
		return d.text()
	case c == 't':
		return true, d.word("true")
	case c == 'f':
		return false, d.word("false")
	case c == 'n':
		return nil, d.word("null")
	case c == '-' || (c >= '0' && c <= '9'):
		return d.number()
	}
	return nil, errSyntax
}

func (d *jsonReader) word(w string) error {
	if len(d.b)-d.i < len(w) || string(d.b[d.i:d.i+len(w)]) != w {
		return errSyntax
	}
	d.i += len(w)
	return nil
}

func (d *jsonReader) object(depth int) (any, error) {
	d.i++
	m := map[string]any{}
	d.space()
	if d.i < len(d.b) && d.b[d.i] == '}' {
		d.i++
		return m, nil
	}
	for {
		d.space()
		if d.i >= len(d.b) || d.b[d.i] != '"' {
			return nil, errSyntax
		}
		k, err := d.text()
		if err != nil {
			return nil, err
		}
		if _, ok := m[k]; ok {
			return nil, errors.New("a key comes twice in one object")
		}
		d.space()
		if d.i >= len(d.b) || d.b[d.i] != ':' {
			return nil, errSyntax
		}
		d.i++
		d.space()
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		m[k] = v
		d.space()
		if d.i >= len(d.b) {
			return nil, errors.New("it ends early")
		}
		switch d.b[d.i] {
		case ',':
			d.i++
		case '}':
			d.i++
			return m, nil
		default:
			return nil, errSyntax
		}
	}
}

func (d *jsonReader) array(depth int) (any, error) {
	d.i++
	l := []any{}
	d.space()
	if d.i < len(d.b) && d.b[d.i] == ']' {
		d.i++
		return l, nil
	}
	for {
		d.space()
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
		d.space()
		if d.i >= len(d.b) {
			return nil, errors.New("it ends early")
		}
		switch d.b[d.i] {
		case ',':
			d.i++
		case ']':
			d.i++
			return l, nil
		default:
			return nil, errSyntax
		}
	}
}

func (d *jsonReader) number() (any, error) {
	start := d.i
	if d.b[d.i] == '-' {
		d.i++
	}
	digits := func() int {
		n := 0
		for d.i < len(d.b) && d.b[d.i] >= '0' && d.b[d.i] <= '9' {
			d.i++
			n++
		}
		return n
	}
	first := d.i
	n := digits()
	if n == 0 || (n > 1 && d.b[first] == '0') {
		return nil, errSyntax
	}
	if d.i < len(d.b) && d.b[d.i] == '.' {
		d.i++
		if digits() == 0 {
			return nil, errSyntax
		}
	}
	if d.i < len(d.b) && (d.b[d.i] == 'e' || d.b[d.i] == 'E') {
		d.i++
		if d.i < len(d.b) && (d.b[d.i] == '+' || d.b[d.i] == '-') {
			d.i++
		}
		if digits() == 0 {
			return nil, errSyntax
		}
	}
	return json.Number(d.b[start:d.i]), nil
}

func (d *jsonReader) text() (string, error) {
	d.i++
	start := d.i
	for d.i < len(d.b) {
		c := d.b[d.i]
		if c == '"' {
			s := d.b[start:d.i]
			d.i++
			if !utf8.Valid(s) {
				return "", errors.New("a string is not UTF-8")
			}
			return string(s), nil
		}
		if c == '\\' {
			return d.escaped(start)
		}
		if c < 0x20 {
			return "", errors.New("a string holds a control character")
		}
		d.i++
	}
	return "", errors.New("it ends early")
}

func (d *jsonReader) escaped(start int) (string, error) {
	out := append([]byte(nil), d.b[start:d.i]...)
	for d.i < len(d.b) {
		c := d.b[d.i]
		switch {
		case c == '"':
			d.i++
			if !utf8.Valid(out) {
				return "", errors.New("a string is not UTF-8")
			}
			return string(out), nil
		case c < 0x20:
			return "", errors.New("a string holds a control character")
		case c != '\\':
			out = append(out, c)
			d.i++
			continue
		}
		d.i++
		if d.i >= len(d.b) {
			return "", errors.New("it ends early")
		}
		switch e := d.b[d.i]; e {
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
			r, err := d.unicode()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
			continue
		default:
			return "", errSyntax
		}
		d.i++
	}
	return "", errors.New("it ends early")
}

// unicode reads uXXXX, and the second half of a surrogate pair.
func (d *jsonReader) unicode() (rune, error) {
	r, err := d.hex4()
	if err != nil {
		return 0, err
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if d.i+1 < len(d.b) && d.b[d.i] == '\\' && d.b[d.i+1] == 'u' {
		d.i++
		low, err := d.hex4()
		if err != nil {
			return 0, err
		}
		if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
			return both, nil
		}
	}
	return 0, errors.New("a string holds half a surrogate pair")
}

func (d *jsonReader) hex4() (rune, error) {
	d.i++ // u
	if d.i+4 > len(d.b) {
		return 0, errors.New("it ends early")
	}
	n, err := strconv.ParseUint(string(d.b[d.i:d.i+4]), 16, 16)
	if err != nil {
		return 0, errSyntax
	}
	d.i += 4
	return rune(n), nil
}

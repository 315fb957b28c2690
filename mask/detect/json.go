package detect

import (
	"bytes"

	"github.com/tidwall/gjson"
)

// deepest is how deep structures may be in JSON text; deeper text is looked at as
// text.
const deepest = 1000

// isJSON tells whether text is one JSON value that holds texts.
func isJSON(text []byte) bool {
	t := bytes.TrimLeft(text, " \t\r\n")
	if len(t) < 2 || t[0] != '{' && t[0] != '[' && t[0] != '"' {
		return false
	}
	depth := 0
	for _, c := range t {
		if c == '{' || c == '[' {
			if depth++; depth > deepest && !shallow(t) {
				return false
			}
		}
	}
	return gjson.ValidBytes(text)
}

// shallow tells that no structure of t is deeper than deepest.
func shallow(t []byte) bool {
	depth := 0
	for i := 0; i < len(t); i++ {
		switch t[i] {
		case '"':
			for i++; i < len(t) && t[i] != '"'; i++ {
				if t[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > deepest {
				return false
			}
		case '}', ']':
			depth--
		}
	}
	return true
}

// place is a string of JSON text: text[start:end] without its quotes.
type place struct {
	start, end int
	label      string
}

// structure is an object or list that is being read.
type structure struct {
	object bool
	key    bool   // a key comes next
	label  string // of the value that comes next
	outer  string // of the structure
	name   string // what a member like "Name" says
	later  []place
}

// json finds the secrets in valid JSON text, string by string, each under its own
// name, or under what a "Name" beside a "Value" says. Numbers that are secrets become 0.
func (m *masking) json(label string, text []byte, depth int) (edits []edit) {
	stack := []structure{{label: label, outer: label}}
	for i := 0; i < len(text); i++ {
		top := &stack[len(stack)-1]
		switch c := text[i]; c {
		case '{', '[':
			stack = append(stack, structure{object: c == '{', key: c == '{', label: top.label, outer: top.label})
		case '}', ']':
			for _, p := range top.later {
				if top.name != "" {
					p.label = top.name
				}
				edits = m.member(p, text, depth, edits)
			}
			stack = stack[:len(stack)-1]
		case ',':
			top.key, top.label = top.object, top.outer
		case ':', ' ', '\t', '\r', '\n':
		case '"':
			p := place{start: i + 1, label: top.label}
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			p.end = i
			switch {
			case top.key:
				top.key, top.label = false, unquote(text[p.start:p.end])
				p.label = ""
			case top.object && valueName(top.label):
				top.later = append(top.later, p)
				continue
			case top.object && nameName(top.label):
				top.name = unquote(text[p.start:p.end])
			}
			edits = m.member(p, text, depth, edits)
		default:
			start := i
			for i < len(text) && text[i] != ',' && text[i] != '}' && text[i] != ']' && text[i] > ' ' {
				i++
			}
			if i-start >= 8 {
				for _, s := range m.s.Find(top.label, text[start:i]) {
					edits = append(edits, edit{start, i, []byte("0"), []string{s.Rule}, plain})
					break
				}
			}
			i--
		}
	}
	return m.resolve(text, edits)
}

// member finds the secrets in one string.
func (m *masking) member(p place, text []byte, depth int, edits []edit) []edit {
	in := text[p.start:p.end]
	l := &m.level[depth]
	if bytes.IndexByte(in, '\\') >= 0 {
		l.plain, l.offsets = unescape(l.plain[:0], l.offsets[:0], in)
		return m.decoded(p.label, p.start, depth, escape, edits)
	}
	for _, e := range m.edits(p.label, in, depth+1) {
		e.start, e.end, e.text = e.start+p.start, e.end+p.start, escape(e.text)
		edits = append(edits, e)
	}
	return edits
}

func unquote(in []byte) string {
	if bytes.IndexByte(in, '\\') < 0 {
		return string(in)
	}
	plain, _ := unescape(nil, nil, in)
	return string(plain)
}

func nameName(label string) bool {
	switch label {
	case "Name", "name", "Key", "key", "ParameterKey", "parameterKey", "ParameterName", "OptionName", "VariableName":
		return true
	}
	return false
}

func valueName(label string) bool {
	switch label {
	case "Value", "value", "ParameterValue", "parameterValue", "StringValue", "stringValue", "DefaultValue":
		return true
	}
	return false
}

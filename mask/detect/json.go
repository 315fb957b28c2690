package detect

import (
	"bytes"
	"cmp"
	"slices"

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
	return shallow(t) && gjson.ValidBytes(text)
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
	later  int    // masking.later from here on belongs to it
}

// json finds the secrets in valid JSON text, string by string, each under its own
// name, or under what a "Name" beside a "Value" says. Numbers that are secrets become
// 0. spans are what was found in the text as it is: a secret may be known by the
// string in front of it.
func (m *masking) json(label string, text []byte, spans []Span, depth int) (edits []edit) {
	var few [16]structure
	first := len(m.later)
	stack := append(few[:0], structure{label: label, outer: label, later: first})
	defer func() { m.later = m.later[:first] }()
	for i := 0; i < len(text); i++ {
		top := &stack[len(stack)-1]
		switch c := text[i]; c {
		case '{', '[':
			stack = append(stack, structure{object: c == '{', key: c == '{', label: top.label, outer: top.label, later: len(m.later)})
		case '}', ']':
			for _, p := range m.later[top.later:] {
				if top.name != "" {
					p.label = top.name
				}
				edits = m.member(p, text, spans, depth, edits)
			}
			m.later = m.later[:top.later]
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
				top.key, top.label = false, m.name(text[p.start:p.end])
				p.label = ""
			case top.object && valueName(top.label):
				m.later = append(m.later, p)
				continue
			case top.object && nameName(top.label):
				top.name = m.name(text[p.start:p.end])
			}
			edits = m.member(p, text, spans, depth, edits)
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
func (m *masking) member(p place, text []byte, spans []Span, depth int, edits []edit) []edit {
	in := text[p.start:p.end]
	n := len(edits)
	if bytes.IndexByte(in, '\\') >= 0 {
		l := &m.level[depth]
		l.plain, l.offsets = unescape(l.plain[:0], l.offsets[:0], in)
		edits = m.decoded(p.label, p.start, depth, escape, edits)
	} else {
		for _, e := range m.edits(p.label, in, depth+1) {
			e.start, e.end, e.text = e.start+p.start, e.end+p.start, escape(e.text)
			edits = append(edits, e)
		}
	}
	if len(edits) > n {
		return edits
	}
	i, _ := slices.BinarySearchFunc(spans, p.start, func(s Span, at int) int { return cmp.Compare(s.Start, at) })
	for ; i < len(spans) && spans[i].End <= p.end; i++ {
		s := spans[i]
		// Access key ids go by their label. A span must not cut an escape in two.
		if s.Rule == accessKeyID || bytes.IndexByte(text[max(p.start, s.Start-6):s.End], '\\') >= 0 {
			continue
		}
		edits = append(edits, edit{s.Start, s.End, escape(m.repl(s.Rule, text[s.Start:s.End])), []string{s.Rule}, plain})
	}
	return edits
}

// name is the text of a JSON string; names come again and again, and are kept.
func (m *masking) name(in []byte) string {
	if name, ok := m.names[string(in)]; ok {
		return name
	}
	name := string(in)
	if bytes.IndexByte(in, '\\') >= 0 {
		plain, _ := unescape(nil, nil, in)
		name = string(plain)
	}
	if len(in) <= 64 && len(m.names) < 1000 {
		if m.names == nil {
			m.names = map[string]string{}
		}
		m.names[string(in)] = name
	}
	return name
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

package mask

import (
	"bytes"
	"unicode/utf8"
)

func (x *xmlLexer) endTag(t *xmlToken) bool {
	t.kind, t.from = xmlEnd, t.start+len("</")
	if t.outsideRoot {
		return false
	}
	// What it must be called is known: its name needs no rules.
	o := x.open[len(x.open)-1]
	name := x.src[o.from:o.to]
	if !bytes.HasPrefix(x.src[t.from:], name) {
		return false
	}
	t.to = t.from + len(name)
	t.local = t.from + o.local - o.from
	x.open = x.open[:len(x.open)-1]
	t.end = x.space(t.to) + 1
	return t.end <= len(x.src) && x.src[t.end-1] == '>'
}

func (x *xmlLexer) startTag(t *xmlToken) bool {
	t.kind, t.from = xmlStart, t.start+1
	var ok bool
	if t.local, t.to, ok = x.name(t.from); !ok {
		return false
	}
	x.attrs = x.attrs[:0]
	i := t.to
	for {
		next := x.space(i)
		switch {
		case next >= len(x.src):
			return false
		case x.src[next] == '>':
			t.end = next + 1
		case x.src[next] == '/':
			t.empty, t.end = true, next+2
			if t.end > len(x.src) || x.src[next+1] != '>' {
				return false
			}
		default:
			if next == i {
				return false // no space between attributes
			}
			if i = x.attribute(next); i < 0 {
				return false
			}
			continue
		}
		break
	}
	if t.outsideRoot {
		if x.roots++; x.roots > 1 {
			return false
		}
	}
	if !t.empty {
		x.open = append(x.open, *t)
	}
	return true
}

// attribute reads the attribute at i and returns its end.
func (x *xmlLexer) attribute(i int) int {
	a := xmlAttr{name: i}
	var ok bool
	if a.local, a.nameEnd, ok = x.name(i); !ok {
		return -1
	}
	end := x.value(&a, a.nameEnd)
	if end < 0 {
		return -1
	}
	for _, b := range x.attrs {
		if bytes.Equal(x.src[a.name:a.nameEnd], x.src[b.name:b.nameEnd]) {
			return -1 // twice: readers do not agree which counts
		}
	}
	if len(x.attrs) == maxXMLAttrs {
		return -1
	}
	x.attrs = append(x.attrs, a)
	return end
}

// maxXMLAttrs is the number of attributes of one element, which are compared with
// each other.
const maxXMLAttrs = 256

// value reads = and the quoted value at i and returns its end.
func (x *xmlLexer) value(a *xmlAttr, i int) int {
	if i = x.space(i); i >= len(x.src) || x.src[i] != '=' {
		return -1
	}
	i = x.space(i + 1)
	if i >= len(x.src) || x.src[i] != '"' && x.src[i] != '\'' {
		return -1
	}
	a.from = i + 1
	a.to, a.verbatim = x.chars(a.from, xmlStopValue, x.src[i])
	if a.to < 0 || a.to >= len(x.src) {
		return -1
	}
	return a.to + 1
}

// name reads the name at i: local is where it begins without its prefix.
func (x *xmlLexer) name(i int) (local, end int, ok bool) {
	if !x.is(i, xmlBeginName) {
		return 0, 0, false
	}
	local = i
	ascii := true
	for end = i; x.is(end, xmlInName); end++ {
		c := x.src[end]
		if c == ':' {
			if local != i {
				return 0, 0, false
			}
			local = end + 1
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	// A lone colon at an end is a name to some, and an empty prefix to others.
	ok = local < end && x.is(local, xmlBeginName) && (ascii || oddXMLName(x.src[i:end]))
	return local, end, ok
}

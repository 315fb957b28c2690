package mask

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

var (
	errNotXML = errors.New("the answer is not one XML document in UTF-8")
	errDTD    = errors.New("the answer has a document type declaration")
)

type xmlKind uint8

const (
	xmlEnd   xmlKind = iota // of an element
	xmlStart                // of an element, which xmlToken.empty may end too
	xmlText                 // character data up to the next markup
	xmlCDATA
	xmlComment
	xmlPI // a processing instruction, or the XML declaration
)

// xmlToken is src[start:end] of the document.
type xmlToken struct {
	kind        xmlKind
	start, end  int
	from, to    int  // what is in it: the text, the CDATA section's, an element's whole name
	local       int  // where the name without prefix begins
	empty       bool // <a/>
	verbatim    bool // the text is as it is written: no references, no line ends to change
	outsideRoot bool
}

// xmlAttr is an attribute of the last start tag; its name is src[name:nameEnd] and its
// value, as it is written, src[from:to].
type xmlAttr struct {
	name, local, nameEnd int
	from, to             int
	verbatim             bool
}

// xmlLexer splits a document into tokens in one pass. It takes XML 1.0 documents
// (W3C, fifth edition) in UTF-8 without a document type, and is at least as strict as
// encoding/xml, which sees the same tokens in all that it takes.
type xmlLexer struct {
	src   []byte
	pos   int
	open  []xmlToken // start tags without their end
	roots int
	attrs []xmlAttr
	err   error
}

func newXMLLexer(src []byte) *xmlLexer {
	x := &xmlLexer{src: src}
	if !utf8.Valid(src) {
		x.err = errNotXML
	}
	return x
}

// next is the next token; ok is false at the end of the document, or where err says
// that it is none.
func (x *xmlLexer) next() (t xmlToken, ok bool) {
	if x.err != nil {
		return t, false
	}
	if x.pos == len(x.src) {
		if x.roots == 0 || len(x.open) > 0 {
			x.err = errNotXML
		}
		return t, false
	}
	t = xmlToken{start: x.pos, outsideRoot: len(x.open) == 0}
	rest := x.src[x.pos:]
	good := false
	switch {
	case rest[0] != '<':
		good = x.text(&t)
	case len(rest) == 1:
	case rest[1] == '/':
		good = x.endTag(&t)
	case rest[1] == '?':
		good = x.instruction(&t)
	case bytes.HasPrefix(rest, []byte("<!--")):
		good = x.comment(&t)
	case bytes.HasPrefix(rest, []byte("<![CDATA[")):
		good = x.cdata(&t)
	case rest[1] == '!':
		x.err = errDTD
		return t, false
	default:
		good = x.startTag(&t)
	}
	if !good {
		x.err = errNotXML
		return t, false
	}
	x.pos = t.end
	return t, true
}

// is reports that the byte at i is of a class.
func (x *xmlLexer) is(i int, class uint8) bool {
	return i < len(x.src) && xmlClass[x.src[i]]&class != 0
}

func (x *xmlLexer) space(i int) int {
	for x.is(i, xmlSpace) {
		i++
	}
	return i
}

func (x *xmlLexer) text(t *xmlToken) bool {
	t.kind, t.from = xmlText, t.start
	end, verbatim := x.chars(t.start, xmlStopText, '<')
	if end < 0 {
		return false
	}
	t.end, t.to, t.verbatim = end, end, verbatim
	return !t.outsideRoot || x.space(t.start) == end
}

// chars reads character data or an attribute's value from i up to the byte stop or
// the document's end. end is negative where there is something that may not be there.
func (x *xmlLexer) chars(i int, class uint8, stop byte) (end int, verbatim bool) {
	src, start := x.src, i
	verbatim = true
	for i < len(src) {
		c := src[i]
		if xmlClass[c]&class == 0 {
			i++
			continue
		}
		switch {
		case c == stop:
			return i, verbatim
		case c == '&':
			verbatim = false
			if _, i = xmlReference(src, i); i < 0 {
				return -1, false
			}
			continue
		case c == '\r':
			verbatim = false
		case c == '>': // in text only
			if i-start >= 2 && src[i-1] == ']' && src[i-2] == ']' {
				return -1, false
			}
		case c == '<' || xmlClass[c]&xmlNoChar != 0 && noXMLChar(src[i:]):
			return -1, false
		}
		i++
	}
	return i, verbatim
}

// allChars reports that src[from:to] has nothing but XML's characters.
func (x *xmlLexer) allChars(from, to int) (ok, verbatim bool) {
	verbatim = true
	for i := from; i < to; i++ {
		c := x.src[i]
		if xmlClass[c]&xmlNoChar != 0 && noXMLChar(x.src[i:]) {
			return false, false
		}
		verbatim = verbatim && c != '\r'
	}
	return true, verbatim
}

func (x *xmlLexer) cdata(t *xmlToken) bool {
	t.kind, t.from = xmlCDATA, t.start+len("<![CDATA[")
	n := bytes.Index(x.src[t.from:], []byte("]]>"))
	if n < 0 || t.outsideRoot {
		return false
	}
	t.to = t.from + n
	t.end = t.to + len("]]>")
	var ok bool
	ok, t.verbatim = x.allChars(t.from, t.to)
	return ok
}

func (x *xmlLexer) comment(t *xmlToken) bool {
	t.kind, t.from = xmlComment, t.start+len("<!--")
	n := bytes.Index(x.src[t.from:], []byte("--"))
	if n < 0 {
		return false
	}
	t.to = t.from + n
	t.end = t.to + len("-->")
	ok, _ := x.allChars(t.from, t.to)
	return ok && t.end <= len(x.src) && x.src[t.end-1] == '>'
}

// instruction reads a processing instruction or, where nothing but space is before
// it, the XML declaration. S3 sends space while it works on a long call.
func (x *xmlLexer) instruction(t *xmlToken) bool {
	t.kind, t.from = xmlPI, t.start+len("<?")
	_, name, ok := x.name(t.from)
	if !ok {
		return false
	}
	n := bytes.Index(x.src[name:], []byte("?>"))
	if n < 0 {
		return false
	}
	t.to = name + n
	t.end = t.to + len("?>")
	if n > 0 && !x.is(name, xmlSpace) {
		return false
	}
	if target := x.src[t.from:name]; bytes.EqualFold(target, []byte("xml")) {
		return string(target) == "xml" && x.space(0) == t.start && x.declaration(name, t.to)
	}
	ok, _ = x.allChars(name, t.to)
	return ok
}

// declaration reports that src[i:end] is the inside of an XML declaration. A reader
// that follows another encoding would see another document.
func (x *xmlLexer) declaration(i, end int) bool {
	for n, want := range []struct {
		name string
		ok   func(v []byte) bool
	}{
		{"version", func(v []byte) bool { return string(v) == "1.0" }},
		{"encoding", func(v []byte) bool { return bytes.EqualFold(v, []byte("utf-8")) }},
		{"standalone", func(v []byte) bool { return string(v) == "yes" || string(v) == "no" }},
	} {
		next := x.space(i)
		if next == i || !bytes.HasPrefix(x.src[next:end], []byte(want.name)) {
			if n == 0 {
				return false
			}
			continue
		}
		a := xmlAttr{}
		if i = x.value(&a, next+len(want.name)); i < 0 || i > end || !want.ok(x.src[a.from:a.to]) {
			return false
		}
	}
	return x.space(i) == end
}

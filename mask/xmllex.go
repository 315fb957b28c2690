package mask

import (
	"bytes"
	"encoding/xml"
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

// The classes of bytes.
const (
	xmlInName    = 1 << iota // in names, as everything from 0x80 is until it is looked at
	xmlBeginName             // at their beginning
	xmlStopText              // needs a look in character data
	xmlStopValue             // needs a look in attribute values
	xmlNoChar                // is no character, or may be the first byte of one
	xmlSpace
)

var xmlClass = func() (t [256]uint8) {
	for c := range 0x20 {
		t[c] = xmlStopText | xmlStopValue | xmlNoChar
	}
	for _, c := range " \t\n" {
		t[c] = xmlSpace
	}
	t['\r'] = xmlSpace | xmlStopText | xmlStopValue
	for c := '0'; c <= '9'; c++ {
		t[c] = xmlInName
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] = xmlInName | xmlBeginName
		t[c-'a'+'A'] = xmlInName | xmlBeginName
	}
	t['-'], t['.'], t[':'], t['_'] = xmlInName, xmlInName, xmlInName, xmlInName|xmlBeginName
	for c := 0x80; c < 0x100; c++ {
		t[c] = xmlInName | xmlBeginName
	}
	t[0xef] |= xmlStopText | xmlStopValue | xmlNoChar // U+FFFE and U+FFFF begin so
	t['<'], t['&'] = xmlStopText|xmlStopValue, xmlStopText|xmlStopValue
	t['>'] = xmlStopText
	t['"'], t['\''] = xmlStopValue, xmlStopValue
	return t
}()

// next is the next token; ok is false at the end of the document, or where err says
// that it is none.
func (x *xmlLexer) next() (t xmlToken, ok bool) {
	if x.err != nil {
		return t, false
	}
	if x.pos == len(x.src) {
		if x.roots != 1 || len(x.open) > 0 {
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

// noXMLChar reports that the character at the beginning of s, whose first byte is of
// class xmlNoChar, may not be in a document.
func noXMLChar(s []byte) bool {
	return s[0] < ' ' || s[1] == 0xbf && s[2] >= 0xbe
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

// oddXMLName reports that a name with other letters than ASCII's is one, in the eyes
// of encoding/xml, which has the tables. AWS has no such names.
func oddXMLName(name []byte) bool {
	doc := append(append([]byte("<"), name...), '/', '>')
	_, err := xml.NewDecoder(bytes.NewReader(doc)).Token()
	return err == nil
}

// xmlReference reads the reference at i; its end is negative where it is none. There
// are no entities but XML's own, since there is no document type.
func xmlReference(src []byte, i int) (r rune, end int) {
	n := bytes.IndexByte(src[i:min(len(src), i+maxReference)], ';')
	if n < 2 {
		return 0, -1
	}
	name := src[i+1 : i+n]
	end = i + n + 1
	switch string(name) {
	case "lt":
		return '<', end
	case "gt":
		return '>', end
	case "amp":
		return '&', end
	case "apos":
		return '\'', end
	case "quot":
		return '"', end
	}
	if name[0] != '#' {
		return 0, -1
	}
	digits, base := name[1:], rune(10)
	if len(digits) > 0 && digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	if len(digits) == 0 {
		return 0, -1
	}
	for _, c := range digits {
		var d rune
		switch {
		case isDigit(c):
			d = rune(c - '0')
		case base == 16 && isHex(c):
			d = rune(c|0x20-'a') + 10
		default:
			return 0, -1
		}
		if r = r*base + d; r > utf8.MaxRune {
			return 0, -1
		}
	}
	if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff || !utf8.ValidRune(r) {
		return 0, -1
	}
	return r, end
}

// maxReference is the longest reference: nobody needs so many leading zeros.
const maxReference = 64

// appendXML appends the text that raw stands for, and line ends as they are read
// (XML 1.0, section 2.11); of a CDATA section nothing but those changes.
func appendXML(out, raw []byte, cdata bool) []byte {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\r':
			out = append(out, '\n')
			if i+1 < len(raw) && raw[i+1] == '\n' {
				i++
			}
		case c == '&' && !cdata:
			r, end := xmlReference(raw, i)
			out = utf8.AppendRune(out, r)
			i = end - 1
		default:
			out = append(out, c)
		}
	}
	return out
}

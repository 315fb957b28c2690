package mask

import (
	"bytes"
	"encoding/xml"
	"unicode/utf8"
)

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

// noXMLChar reports that the character at the beginning of s, whose first byte is of
// class xmlNoChar, may not be in a document.
func noXMLChar(s []byte) bool {
	return s[0] < ' ' || s[1] == 0xbf && s[2] >= 0xbe
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

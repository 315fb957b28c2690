package detect

import (
	"bytes"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape takes the escapes of a JSON string (RFC 8259 section 7) off in. What is no
// escape stays as it is. offsets[i] is where the source of byte i of plain begins; it
// has one entry more, the end. All bytes of one escape begin where it does.
func unescape(plain []byte, offsets []int32, in []byte) ([]byte, []int32) {
	for i := 0; i < len(in); {
		n := 1
		r := rune(in[i])
		if in[i] == '\\' && i+1 < len(in) {
			if c, ok := escapes[in[i+1]]; ok {
				r, n = rune(c), 2
			} else if in[i+1] == 'u' {
				if u, ok := hex4(in[i+2:]); ok {
					r, n = u, 6
					if utf16.IsSurrogate(u) {
						r = utf8.RuneError
						if i+8 <= len(in) && in[i+6] == '\\' && in[i+7] == 'u' {
							if low, ok := hex4(in[i+8:]); ok && utf16.DecodeRune(u, low) != utf8.RuneError {
								r, n = utf16.DecodeRune(u, low), 12
							}
						}
					}
				}
			}
		}
		was := len(plain)
		if n == 1 {
			plain = append(plain, in[i])
		} else {
			plain = utf8.AppendRune(plain, r)
		}
		for range len(plain) - was {
			offsets = append(offsets, int32(i))
		}
		i += n
	}
	return plain, append(offsets, int32(len(in)))
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		if !isHex(c) {
			return 0, false
		}
		r = r<<4 | rune(unhex(c))
	}
	return r, true
}

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}

// escape writes b as the inside of a JSON string.
func escape(b []byte) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(string(b)); err != nil {
		panic("detect: " + err.Error()) // a string always encodes
	}
	return out.Bytes()[1 : out.Len()-2]
}

// escaped looks into text whose escapes are taken off: JSON strings without the
// document around them, lines of JSON, source code.
func (m *masking) escaped(label string, text []byte, depth int, edits []edit) []edit {
	l := &m.level[depth]
	l.plain, l.offsets = unescape(l.plain[:0], l.offsets[:0], text)
	if len(l.plain) == len(text) {
		return edits
	}
	return m.decoded(label, 0, depth, escape, edits)
}

// percent looks into texts with percent-encoded bytes (RFC 3986 section 2.1): words
// without spaces, quotes and markup.
func (m *masking) percent(label string, text []byte, depth int, edits []edit) []edit {
	for at := 0; ; {
		i := bytes.IndexByte(text[at:], '%')
		if i < 0 {
			return edits
		}
		i += at
		if i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2]) {
			at = i + 1
			continue
		}
		start, end := i, i+3
		for start > at && !endsURL(text[start-1]) {
			start--
		}
		for end < len(text) && !endsURL(text[end]) {
			end++
		}
		l := &m.level[depth]
		l.plain, l.offsets = unpercent(l.plain[:0], l.offsets[:0], text[start:end])
		edits = m.decoded(label, start, depth, percentEncode, edits)
		if at = end; m.budget <= 0 {
			return edits
		}
	}
}

func endsURL(c byte) bool {
	return c <= ' ' || c == '"' || c == '\'' || c == '<' || c == '>' || c == '\\' || c == '`' || c == '{' || c == '}' || c == 0x7f
}

func unpercent(plain []byte, offsets []int32, in []byte) ([]byte, []int32) {
	for i := 0; i < len(in); i++ {
		offsets = append(offsets, int32(i))
		if in[i] == '%' && i+2 < len(in) && isHex(in[i+1]) && isHex(in[i+2]) {
			plain = append(plain, unhex(in[i+1])<<4|unhex(in[i+2]))
			i += 2
		} else {
			plain = append(plain, in[i])
		}
	}
	return plain, append(offsets, int32(len(in)))
}

func percentEncode(b []byte) []byte {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(b)+8)
	for _, c := range b {
		if isAlnum(c) || c == '-' || c == '_' || c == '.' || c == '~' {
			out = append(out, c)
		} else {
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
	}
	return out
}

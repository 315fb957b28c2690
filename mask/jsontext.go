package mask

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote decodes a valid JSON string literal.
func unquote(raw []byte) []byte {
	in := raw[1 : len(raw)-1]
	if !escaped(in) {
		return in
	}
	plain, _ := decode(in)
	return plain
}

func escaped(in []byte) bool { return bytes.IndexByte(in, '\\') >= 0 }

// quote writes s as a JSON string, with or without its quotes. Markup is left
// alone: what AWS sent unescaped stays so.
func quote(s string, quotes bool) []byte {
	if plain(s) {
		if !quotes {
			return []byte(s)
		}
		return append(append(append(make([]byte, 0, len(s)+2), '"'), s...), '"')
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		// A string always encodes.
		panic("mask: " + err.Error())
	}
	out := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if !quotes {
		out = out[1 : len(out)-1]
	}
	return out
}

// decode takes the escapes off the inside of a JSON string. offsets[i] is where
// the source of byte i of the result begins; it has one entry more, the end. All
// bytes of one escape begin where it does, so an edit that begins or ends at a
// character is exact.
func decode(in []byte) (plain []byte, offsets []int) {
	plain = make([]byte, 0, len(in))
	offsets = make([]int, 0, len(in)+1)
	for i := 0; i < len(in); {
		start := i
		if in[i] != '\\' {
			plain = append(plain, in[i])
			offsets = append(offsets, start)
			i++
			continue
		}
		c := in[i+1]
		i += 2
		var r rune
		switch c {
		case 'b':
			r = '\b'
		case 'f':
			r = '\f'
		case 'n':
			r = '\n'
		case 'r':
			r = '\r'
		case 't':
			r = '\t'
		case 'u':
			r = hex4(in[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(utf8.RuneError)
				if i+6 <= len(in) && in[i] == '\\' && in[i+1] == 'u' {
					low = hex4(in[i+2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
		default:
			r = rune(c)
		}
		n := len(plain)
		plain = utf8.AppendRune(plain, r)
		for range len(plain) - n {
			offsets = append(offsets, start)
		}
	}
	return plain, append(offsets, len(in))
}

func hex4(b []byte) rune {
	v, err := strconv.ParseUint(string(b[:4]), 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(v)
}

// plain reports that s needs no escapes.
func plain(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

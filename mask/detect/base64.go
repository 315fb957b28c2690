package detect

import (
	"encoding/base64"
	"slices"
)

// leastRun is the length of the shortest run of base64 that is looked into: 15 bytes.
const leastRun = 20

// What a character is in a run of base64.
const (
	upper   = 1 << iota // G to Z
	letter              // g to z
	hexa                // of a hexadecimal number
	joint               // + / - _, which also stand between words
	padding             // =
)

var class64, value64 = func() (class, value [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range alphabet {
		c := alphabet[i]
		value[c] = byte(i)
		switch {
		case isHex(c):
			class[c] = hexa
		case c >= 'a':
			class[c] = letter
		case c >= 'A':
			class[c] = upper
		default:
			class[c] = joint
		}
	}
	class['-'], class['_'], value['-'], value['_'] = joint, joint, 62, 63
	return class, value
}()

// base64 looks into runs of base64 (RFC 4648 sections 4 and 5, RFC 2045 section 6.8).
func (m *masking) base64(label string, text []byte, depth int, edits []edit) []edit {
	for i := leastRun - 1; i < len(text); {
		// No run that is long enough lies between two looks.
		if class64[text[i]] == 0 {
			i += leastRun
			continue
		}
		start, end := i, i+1
		kinds := class64[text[i]]
		for ; start > i-leastRun+1; start-- {
			c := class64[text[start-1]]
			if c == 0 {
				break
			}
			kinds |= c
		}
		for ; end < len(text); end++ {
			c := class64[text[end]]
			if c == 0 {
				break
			}
			kinds |= c
		}
		if end-start < leastRun {
			i = end + leastRun
			continue
		}
		lines := end
		for {
			next := nextLine(text, start, lines)
			if next == lines {
				break
			}
			lines = next
		}
		// Hexadecimal numbers, and words in one case, hold no text in base64.
		if kinds&(upper|letter) == upper|letter || kinds&upper != 0 && kinds&hexa != 0 && hasLower(text[start:end]) {
			edits = m.run(label, text, start, lines, kinds, depth, edits)
			if m.budget <= 0 {
				return edits
			}
		}
		i = lines + leastRun
	}
	return edits
}

func hasLower(b []byte) bool {
	return slices.ContainsFunc(b, func(c byte) bool { return c-'a' < 26 })
}

// nextLine is where a further line of the base64 in text[start:end] ends, or end.
func nextLine(text []byte, start, end int) int {
	i := end
	if i < len(text) && text[i] == '\r' {
		i++
	}
	if i == len(text) || text[i] != '\n' || end-start < 60 {
		return end
	}
	i++
	n := i
	for n < len(text) && class64[text[n]] != 0 {
		n++
	}
	if n == i {
		return end
	}
	return n
}

// run looks into the run of base64 text[start:end]. If it has characters that also
// join words, it is read from behind each of them too, as far as that makes a
// difference.
func (m *masking) run(label string, text []byte, start, end int, kinds byte, depth int, edits []edit) []edit {
	tried := [4]bool{}
	chars := 0
	for i := start; i < end; i++ {
		c := class64[text[i]]
		if c == 0 {
			continue
		}
		first := i == start
		if (first || class64[text[i-1]] == joint) && !tried[chars%4] && end-i >= leastRun {
			tried[chars%4] = true
			if e, ok := m.aligned(label, text, i, end, depth); ok {
				m.again = m.again || kinds&joint != 0 // the other readings are for another pass
				return append(edits, e)
			}
		}
		if kinds&joint == 0 || tried == [4]bool{true, true, true, true} {
			break
		}
		chars++
	}
	return edits
}

// aligned looks into text[start:end] read as base64 from its first character on.
func (m *masking) aligned(label string, text []byte, start, end, depth int) (edit, bool) {
	l := &m.level[depth]
	l.plain = decode64(l.plain[:0], text[start:end])
	m.budget -= len(l.plain)
	var inner []edit
	if isText(l.plain) {
		inner = m.edits(label, l.plain, depth+1)
	} else {
		// Bytes that are no text hold no further encodings, but may hold a secret.
		for _, s := range m.s.Find(label, l.plain) {
			inner = append(inner, edit{start: s.Start, end: s.End, text: m.repl(s.Rule, l.plain[s.Start:s.End]), rules: []string{s.Rule}})
		}
	}
	if len(inner) == 0 {
		return edit{}, false
	}
	e := edit{start: start, end: end, kind: rewritten}
	for _, in := range inner {
		e.rules = append(e.rules, in.rules...)
	}
	for e.end < len(text) && text[e.end] == '=' && e.end-end < 2 {
		e.end++
	}
	e.text = encode64(apply(l.plain, inner), text[start:end], e.end > end)
	return e, true
}

// decode64 reads both alphabets; other bytes (line breaks) count for nothing, and
// bits that make no byte are dropped.
func decode64(plain, in []byte) []byte {
	plain = slices.Grow(plain, len(in)*3/4+3)
	bits, n := uint32(0), 0
	for _, c := range in {
		if class64[c] == 0 {
			continue
		}
		bits = bits<<6 | uint32(value64[c])
		if n++; n == 4 {
			plain = append(plain, byte(bits>>16), byte(bits>>8), byte(bits))
			bits, n = 0, 0
		}
	}
	switch n {
	case 2:
		plain = append(plain, byte(bits>>4))
	case 3:
		plain = append(plain, byte(bits>>10), byte(bits>>2))
	}
	return plain
}

// encode64 writes plain as source was written: alphabet, padding, lines.
func encode64(plain, source []byte, padded bool) []byte {
	url, line, breaks := false, 0, ""
	chars := 0
	for i, c := range source {
		switch c {
		case '-', '_':
			url = true
		case '\r', '\n':
			if line == 0 {
				line = i
			}
			if len(breaks) < 2 {
				if breaks += string(c); c == '\n' {
					breaks = breaks[max(0, len(breaks)-2):]
				}
			}
		}
		if class64[c] != 0 {
			chars++
		}
	}
	enc := base64.StdEncoding
	if url {
		enc = base64.URLEncoding
	}
	if !padded && (url || chars%4 != 0) {
		enc = enc.WithPadding(base64.NoPadding)
	}
	out := enc.AppendEncode(nil, plain)
	if line == 0 {
		return out
	}
	if breaks[0] == '\n' {
		breaks = "\n"
	}
	var lines []byte
	for len(out) > line {
		lines = append(append(lines, out[:line]...), breaks...)
		out = out[line:]
	}
	return append(lines, out...)
}

// isText tells text from other bytes by its beginning.
func isText(b []byte) bool {
	b = b[:min(len(b), 512)]
	odd := 0
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			odd++
		}
	}
	return odd*16 <= len(b)
}

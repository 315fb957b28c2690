package policy

import "unicode/utf8"

// Match reports whether text is in the language of pattern: `*` is any text, also
// an empty one, `?` is one character, and everything else is itself. There is no
// escape: AWS names that hold `*` or `?` can be matched only by a wildcard. Patterns
// are UTF-8 (rule files ensure it); texts may be any bytes.
func Match(pattern, text string) bool {
	ok, _ := match(pattern, text, false)
	return ok
}

// Covers reports whether pattern matches every text that partial can stand for,
// where each `*` of partial is any text and everything else, `?` too, is itself.
// It may say no where yes would be right, in odd patterns with `?`; it never says
// yes where no would be right.
func Covers(pattern, partial string) bool {
	ok, _ := match(pattern, partial, true)
	return ok
}

// match is the two-pointer algorithm: on a mismatch, the last `*` of the pattern
// takes one more character. An earlier `*` never has to be looked at again, since
// what stands between two of them is matched as far left as it goes; so there are
// at most len(pattern)*len(text) steps, which match counts for the tests.
//
// With partial, a `*` in text is a token that only a `*` of the pattern can take:
// the text it stands for may be anything, and no literal and no `?` matches that.
func match(p, t string, partial bool) (ok bool, steps int) {
	i, j := 0, 0
	star, back := -1, 0 // after the last `*` of p; where in t it resumes
	for j < len(t) {
		steps++
		if i < len(p) {
			switch c := p[i]; {
			case c == '*':
				i = stars(p, i)
				star, back = i, j
				continue
			case partial && t[j] == '*':
			case c == '?':
				i, j = i+1, j+width(t[j:])
				continue
			case c == t[j]:
				i, j = i+1, j+1
				continue
			}
		}
		if star < 0 {
			return false, steps
		}
		back += width(t[back:]) // whole characters, or `?` could match a part of one
		i, j = star, back
	}
	return stars(p, i) == len(p), steps
}

// stars returns the index behind a run of `*` in p from i.
func stars(p string, i int) int {
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i
}

// width is the length of s's first character; a byte that is not UTF-8 counts as one.
func width(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// Overlaps reports whether pattern matches some text that partial can stand for,
// where each `*` of partial is any text, each `?` one character (the random suffix
// of a secret's ARN, -??????) and everything else itself. A `?` that came from the
// request's own text counts as one too: more overlaps, and more is denied.
func Overlaps(pattern, partial string) bool {
	ok, _ := overlaps(pattern, partial)
	return ok
}

// overlaps fills the table of "can p[i:] and t[j:] be the same text" row by row
// from the end: len(p)*len(t) steps. Bytes that are not UTF-8 become U+FFFD, which
// can only make more overlap, and more is denied.
func overlaps(pattern, partial string) (ok bool, steps int) {
	// What is literal on both sides needs no table.
	n := 0
	for n < len(pattern) && n < len(partial) && pattern[n] == partial[n] && pattern[n] != '*' && pattern[n] != '?' {
		n++
	}
	if n > 0 && n < len(pattern) && n < len(partial) && isLiteral(pattern[n]) && isLiteral(partial[n]) {
		return false, n
	}
	for n > 0 && (n < len(pattern) && !utf8.RuneStart(pattern[n]) || n < len(partial) && !utf8.RuneStart(partial[n])) {
		n--
	}
	p, t := []rune(pattern[n:]), []rune(partial[n:])
	row := make([]bool, len(t)+1) // of i+1, overwritten by that of i
	row[len(t)] = true
	for j := len(t) - 1; j >= 0; j-- {
		row[j] = row[j+1] && t[j] == '*'
	}
	for i := len(p) - 1; i >= 0; i-- {
		diagonal := row[len(t)]
		row[len(t)] = row[len(t)] && p[i] == '*'
		for j := len(t) - 1; j >= 0; j-- {
			steps++
			below := row[j]
			switch {
			case p[i] == '*' || t[j] == '*':
				// p's star ends (below) or takes t[j] (right); t's star ends
				// (right) or takes p[i] (below).
				row[j] = below || row[j+1]
			case p[i] == '?' || t[j] == '?' || p[i] == t[j]:
				row[j] = diagonal
			default:
				row[j] = false
			}
			diagonal = below
		}
	}
	return row[0], steps + n
}

func isLiteral(c byte) bool { return c != '*' && c != '?' && c < utf8.RuneSelf }

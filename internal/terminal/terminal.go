// Package terminal makes texts harmless to show to a person. Names of buckets,
// labels and user agents come from agents: escape sequences could clear the line
// above, bidi controls could turn a name around, a long one could push its end out
// of sight, and padding could end in a line of its own that looks like ours. It
// accepts any text, valid UTF-8 or not, and does no I/O.
package terminal

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/width"
)

// Escape writes whatever is not a visible character as its escape (\n, \x1b,
// \u202e), so that the result is one line that only moves the cursor to the right.
// Of spaces in a row all but the first are escaped: they would push what follows to
// a new line, and there it could look like anything. Beyond limit characters the text is cut, and says so. A text without any of that
// stays as it is; the result is not meant to be read back.
func Escape(s string, limit int) string {
	var b strings.Builder
	write(&b, s, limit, plain)
	return b.String()
}

// Quote is Escape between double quotes, for what others than we have written. No
// text can end its quotes: quotes of every kind and backslashes are escaped too,
// and so are letters written from right to left, which would take the closing
// quote along. A cut is said behind the closing quote.
func Quote(s string, limit int) string {
	var b strings.Builder
	b.WriteByte('"')
	rest := write(&b, s, limit, quoted)
	b.WriteByte('"')
	b.WriteString(rest)
	return b.String()
}

// QuoteEnds is Quote, but of a text beyond limit characters it quotes the beginning and
// the end, a quarter, and says how long it is: padding in front pushes no name out of
// sight.
func QuoteEnds(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return Quote(s, limit)
	}
	head, tail := 0, len(s)
	for range limit - limit/4 {
		_, n := utf8.DecodeRuneInString(s[head:])
		head += n
	}
	for range limit / 4 {
		_, n := utf8.DecodeLastRuneInString(s[:tail])
		tail -= n
	}
	return fmt.Sprintf("%s…[%d bytes in all]…%s", Quote(s[:head], limit), len(s), Quote(s[tail:], limit))
}

type form int

const (
	plain form = iota
	quoted
)

// maxMarks is how many combining marks a letter may have; more climb over the
// lines above. No language needs more.
const maxMarks = 2

// write appends s; with quoted, what says that s was cut is returned, not written.
func write(b *strings.Builder, s string, limit int, f form) (rest string) {
	n, marks, previous := 0, maxMarks, ' ' // a mark or space at the beginning would join what we wrote
	for i, c := range s {
		if n++; n > limit {
			if f == quoted {
				return fmt.Sprintf("…[%d bytes in all]", len(s))
			}
			fmt.Fprintf(b, "…[%d bytes in all]", len(s))
			return ""
		}
		show := visible(c)
		if c == utf8.RuneError { // U+FFFD itself may stand there, other bytes may not
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				fmt.Fprintf(b, `\x%02x`, s[i])
				marks, previous = maxMarks, c
				continue
			}
		}
		if unicode.Is(unicode.M, c) {
			marks++
			show = show && marks <= maxMarks
		} else {
			marks = 0
		}
		show = show && (c != ' ' || previous != ' ')
		if f == quoted {
			show = show && !quoting(c) && !rightToLeft(c)
		}
		previous = c
		if show {
			b.WriteRune(c)
			continue
		}
		marks = maxMarks // none may join an escape
		b.WriteString(escaped(c))
	}
	return ""
}

func escaped(c rune) string {
	switch c {
	case ' ':
		return `\x20`
	case '"', '\\':
		return `\` + string(c)
	}
	q := strconv.QuoteRuneToASCII(c)
	if q = q[1 : len(q)-1]; q[0] == '\\' {
		return q
	}
	return fmt.Sprintf(`\x%02x`, c)
}

// visible tells characters that have a glyph. Go's IsPrint leaves out control and
// format characters (Cc, Cf), and takes for letters and marks some fillers and
// selectors that Unicode says to draw as nothing.
func visible(c rune) bool {
	return unicode.IsPrint(c) && !unicode.In(c, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// quoting are the marks that a reader takes for a double quote, and the backslash
// that begins our escapes.
func quoting(c rune) bool {
	switch c {
	case '"', '\\', '\u02ba', '\u02dd', '\u02ee', '\u02f6', '\u05f4', '\u1cd3', '\u2033', '\u2036', '\u2057', '\u275d', '\u275e', '\u2760', '\u3003', '\u301d', '\u301e', '\u301f', '\uff02', '\uff3c', '\ufe68', '\u2216', '\u29f5':
		return true
	}
	return unicode.In(c, unicode.Pi, unicode.Pf)
}

func rightToLeft(c rune) bool {
	p, _ := bidi.LookupRune(c)
	switch p.Class() {
	case bidi.R, bidi.AL, bidi.AN:
		return true
	}
	return false
}

// Wrap breaks a text that Escape or Quote made into lines of at most columns, so
// that no terminal breaks it somewhere else. Wide characters take two columns.
// Words stay together where they fit. Less than 8 columns are taken as 8.
func Wrap(s string, columns int) []string {
	columns = max(columns, 8)
	var lines []string
	var line strings.Builder
	used, space := 0, -1 // space: bytes of line up to and with its last space
	for _, c := range s {
		w := cells(c)
		if used+w > columns {
			full := line.String()
			line.Reset()
			if c != ' ' && space > len(full)/2 {
				line.WriteString(full[space:])
				full = full[:space]
			}
			lines = append(lines, strings.TrimSuffix(full, " "))
			if used, space = Width(line.String()), -1; c == ' ' {
				continue
			}
		}
		line.WriteRune(c)
		if used += w; c == ' ' {
			space = line.Len()
		}
	}
	if line.Len() == 0 && len(lines) > 0 { // a space at the end did not fit
		return lines
	}
	return append(lines, line.String())
}

// Width is how many columns a text takes on a terminal, at most.
func Width(s string) int {
	n := 0
	for _, c := range s {
		n += cells(c)
	}
	return n
}

// cells counts a combining mark too: too many columns only break a line early.
func cells(c rune) int {
	switch width.LookupRune(c).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth, width.EastAsianAmbiguous:
		return 2
	}
	return 1
}

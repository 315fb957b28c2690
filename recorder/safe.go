package recorder

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

const shown = 512 // runes of one text on a terminal

// safe makes a text harmless on a terminal. Names of buckets, labels and user
// agents come from agents: escape sequences could clear the line above, bidi
// controls could turn a name around, and a long one could push its end out of
// sight. Whatever is not a printable character is written as its escape, and a
// cut says so.
func safe(s string) string {
	var b strings.Builder
	n := 0
	for _, c := range s {
		if n++; n > shown {
			fmt.Fprintf(&b, "…[%d bytes in all]", len(s))
			break
		}
		if c == unicode.ReplacementChar || unicode.IsPrint(c) && !unicode.Is(unicode.Cf, c) {
			b.WriteRune(c)
			continue
		}
		q := strconv.QuoteRuneToASCII(c)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

func safeAll(s []string) string {
	out := make([]string, len(s))
	for i := range s {
		out[i] = safe(s[i])
	}
	return strings.Join(out, ", ")
}

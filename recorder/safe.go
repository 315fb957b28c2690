package recorder

import (
	"strings"

	"github.com/sallyport/sallyport/internal/terminal"
)

const shown = 512 // runes of one text on a terminal

func safe(s string) string { return terminal.Escape(s, shown) }

func safeAll(s []string) string {
	out := make([]string, len(s))
	for i := range s {
		out[i] = safe(s[i])
	}
	return strings.Join(out, ", ")
}

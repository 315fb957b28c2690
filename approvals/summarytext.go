package approvals

import (
	"io"
	"strings"

	"github.com/sallyport/sallyport/internal/terminal"
)

// The columns of a summary's text: names of facts, and the least for the rest.
const (
	nameColumns = 12
	minColumns  = 40
)

// Write writes the summary as plain text of at most columns columns (0 is 80, and
// less than 40 is 40). Lines are broken here and begin with spaces, so that no
// text can be long enough to begin one at the left edge, where ours do.
func (s Summary) Write(w io.Writer, columns int) error {
	_, err := io.WriteString(w, strings.Join(s.Lines(columns), "\n")+"\n")
	return err
}

// Lines is what Write writes, without the line feeds.
func (s Summary) Lines(columns int) []string {
	if columns == 0 {
		columns = 80
	}
	columns = max(columns, minColumns)
	var out []string
	add := func(name, text string) {
		for i, l := range terminal.Wrap(text, columns-nameColumns-3) {
			if i > 0 {
				name = ""
			}
			out = append(out, strings.TrimRight("  "+name+strings.Repeat(" ", max(nameColumns-terminal.Width(name), 0))+" "+l, " "))
		}
	}
	for i, l := range terminal.Wrap(s.Headline, columns-4) {
		out = append(out, strings.Repeat("    ", min(i, 1))+l)
	}
	for _, f := range s.Facts {
		add(f.Name, f.Text)
	}
	for i, r := range s.Resources {
		add([]string{"Resources", ""}[min(i, 1)], r)
	}
	for i, p := range s.Parameters {
		add([]string{"Parameters", ""}[min(i, 1)], p.Name+" = "+p.Text)
	}
	if s.Granted != "" {
		add("If granted", s.Granted)
	}
	add("Approval", s.Approval)
	add("Digest", s.Digest)
	const layout = "2006-01-02 15:04:05"
	add("Asked", s.Created.Format(layout)+", until "+s.Expires.Format(layout+" MST"))
	return out
}

package main

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/internal/terminal"
)

// View implements tea.Model.
func (v *view) View() tea.View {
	s := tea.NewView(strings.Join(v.screen(), "\n"))
	s.AltScreen = true
	return s
}

// The rows of the screen: a title, the list, an empty one, the details, an empty
// one, and two for what is asked and the keys.
const otherRows = 5

func (v *view) tooSmall() bool { return v.width < 40 || v.height < 12 }

func (v *view) listRows() int { return max(1, min(len(v.open), (v.height-otherRows)/3)) }

func (v *view) detailRows() int { return max(1, v.height-otherRows-v.listRows()) }

func (v *view) details() []string {
	i := v.find(v.selected)
	if i < 0 {
		return nil
	}
	return approvals.Summarize(v.open[i]).Lines(v.width)
}

// line is a text in one row. It is cut where the row ends and not before a word: a long
// name would go as a whole, and with it what a request is about.
func (v *view) line(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	columns := v.width - 2 // the ellipsis may take two
	if terminal.Width(text) <= columns {
		return text
	}
	for i := range text {
		if terminal.Width(text[:i]) > columns-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// screen is every row. It notes whose details it has shown to their end.
func (v *view) screen() []string {
	if v.tooSmall() {
		return []string{v.line("this terminal is too small")}
	}
	away := ""
	if v.here != nil && !v.here() {
		away = "; NATS is away, so this may be old"
	}
	rows := []string{v.line("Sallyport approvals: %d waiting%s", len(v.open), away)}
	first := max(0, v.find(v.selected)-v.listRows()+1)
	for i := first; i < first+v.listRows(); i++ {
		if i >= len(v.open) {
			rows = append(rows, v.line("  nothing waits for an answer"))
			continue
		}
		r := v.open[i]
		mark := " "
		if r.Approval == v.selected {
			mark = ">"
		}
		rows = append(rows, v.line("%s %s  age %-6s left %-6s risk %-3d  %s", mark, r.Approval[len(r.Approval)-5:], span(v.now.Sub(r.Created)), span(r.Expires.Sub(v.now)), r.Risk.Score, approvals.Summarize(r).Headline))
	}
	rows = append(rows, "")
	details := v.details()
	for i := v.offset; i < v.offset+v.detailRows(); i++ {
		if i < len(details) {
			rows = append(rows, details[i])
		} else {
			rows = append(rows, "")
		}
	}
	rows = append(rows, "")
	more := ""
	if v.offset+v.detailRows() < len(details) {
		more = fmt.Sprintf("%d more lines: page down  ", len(details)-v.offset-v.detailRows())
	} else if len(details) > 0 {
		v.read[v.selected] = true
	}
	if v.asking != nil {
		verb := map[string]string{approvals.Allow: "APPROVE", approvals.Deny: "DENY"}[v.decision]
		if v.grant != nil {
			verb = "APPROVE AND GRANT"
		}
		prompt := verb + " " + v.asking.Approval[len(v.asking.Approval)-5:] + "? Reason, if any: "
		typed := []rune(v.reason) // its end is where the cursor is
		typed = typed[max(0, len(typed)-max(0, v.width-terminal.Width(prompt)-4)):]
		return append(rows, v.line("%s%s_", prompt, terminal.Escape(string(typed), v.width)), v.line("enter sends  esc goes back"))
	}
	return append(rows, v.line("%s", v.status), v.line("%sa approve  d deny  g grant  q leave  up/down choose", more))
}

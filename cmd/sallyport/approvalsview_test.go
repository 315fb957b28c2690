package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/terminal"
)

// screenOf is a view that a test drives, with what it has sent.
type screenOf struct {
	*view
	t    *testing.T
	sent []string
	err  error
}

func newScreen(t *testing.T, open ...approvals.Request) *screenOf {
	s := &screenOf{t: t}
	s.view = newView(func(r approvals.Request, decision, reason string, grant *approvals.Grant) error {
		if grant != nil {
			decision += fmt.Sprintf(" for %s at most %d", grant.For, grant.Count)
		}
		s.sent = append(s.sent, decision+" "+r.Approval+" "+r.Digest[:4]+" "+reason)
		return s.err
	}, time.Now())
	s.got(tea.WindowSizeMsg{Width: 100, Height: 40})
	s.got(openMsg(open))
	return s
}

// got gives the view a message, and what comes of it, but for ticks.
func (s *screenOf) got(msg tea.Msg) (quit bool) {
	s.t.Helper()
	_, cmd := s.Update(msg)
	s.View()
	if _, tick := msg.(tickMsg); cmd == nil || tick {
		return false
	}
	switch m := cmd().(type) {
	case tea.QuitMsg:
		return true
	case answeredMsg:
		return s.got(m)
	}
	return false
}

// keys types: names of keys between <>, everything else by character.
func (s *screenOf) keys(text string) (quit bool) {
	s.t.Helper()
	codes := map[string]rune{"<enter>": tea.KeyEnter, "<esc>": tea.KeyEscape, "<down>": tea.KeyDown, "<up>": tea.KeyUp, "<pgdown>": tea.KeyPgDown, "<pgup>": tea.KeyPgUp, "<backspace>": tea.KeyBackspace}
	for text != "" {
		if end := strings.IndexByte(text, '>'); text[0] == '<' && end > 0 {
			quit = s.got(tea.KeyPressMsg{Code: codes[text[:end+1]]})
			text = text[end+1:]
			continue
		}
		quit = s.got(tea.KeyPressMsg{Code: rune(text[0]), Text: text[:1]})
		text = text[1:]
	}
	return quit
}

func (s *screenOf) text() string { return strings.Join(s.screen(), "\n") }

func (s *screenOf) shows(want ...string) {
	s.t.Helper()
	for _, w := range want {
		if !strings.Contains(s.text(), w) {
			s.t.Errorf("the screen does not show %q:\n%s", w, s.text())
		}
	}
}

func some(n int) []approvals.Request {
	ids := event.NewIDs(nil)
	out := make([]approvals.Request, n)
	for i := range out {
		out[i] = wanted(ids, time.Duration(i+1)*time.Hour)
	}
	return out
}

func TestViewAnswers(t *testing.T) {
	open := some(3)
	s := newScreen(t, open...)
	s.shows("3 waiting", "> "+open[0].Approval[21:]+"  age", "terminate 2 instances in account 111122223333 (dev)", open[0].Digest, "a approve  d deny")
	s.keys("<down>a")
	s.shows("> "+open[1].Approval[21:], "APPROVE "+open[1].Approval[21:]+"? Reason, if any: _", "enter sends")
	s.keys("q is ok<backspace>k<enter>")
	s.shows("allow " + open[1].Approval + ": accepted")
	s.err = errors.New("not accepted: no\x1b[2J")
	s.keys("<up>d<enter>")
	s.shows("deny "+open[0].Approval+`: not accepted: no\x1b[2J`, "> "+open[0].Approval[21:])
	s.keys("a  <esc>")
	s.shows("nothing was sent")
	if want := []string{"allow " + open[1].Approval + " abab q is ok", "deny " + open[0].Approval + " abab "}; strings.Join(s.sent, "|") != strings.Join(want, "|") {
		t.Errorf("sent %q", s.sent)
	}
	if s.keys("x") || !s.keys("q") {
		t.Error("q leaves, x does not")
	}
	if !newScreen(t).got(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}) {
		t.Error("Ctrl-C does not leave")
	}
}

// The key for a grant sends what the details say, of what has been read, and only
// where it can be given.
func TestViewGrants(t *testing.T) {
	open := some(2)
	open[1].Extent = ""
	s := newScreen(t, open...)
	s.shows("If granted", "for 15 minutes, at most 20 calls of this session", "g grant")
	s.keys("g")
	s.shows("APPROVE AND GRANT " + open[0].Approval[21:] + "? Reason, if any: _")
	s.keys("go<enter>")
	s.keys("a<enter>")
	if want := "allow for 15m at most 20 " + open[0].Approval + " abab go|allow " + open[0].Approval + " abab "; strings.Join(s.sent, "|") != want {
		t.Errorf("sent %q, want %s", s.sent, want)
	}
	s.keys("<down>g<enter>")
	s.shows("does not name everything that it acts on")
	for range 60 {
		open[0].Resources = append(open[0].Resources, event.Resource{ARN: "arn:aws:ec2:eu-west-1:111122223333:instance/i-0f", Type: "instance"})
	}
	unread := newScreen(t, open[0])
	unread.keys("g<enter>")
	unread.shows("there is more to read")
	if len(s.sent) != 2 || unread.sent != nil {
		t.Errorf("sent %q and %q", s.sent, unread.sent)
	}
}

// What comes and goes does not move another request under the key.
func TestViewKeepsItsSelection(t *testing.T) {
	open := some(4)
	s := newScreen(t, open[:3]...)
	s.keys("<down>")
	s.got(updateMsg{Request: &open[3]})
	s.got(updateMsg{Outcome: &approvals.Outcome{Approval: open[0].Approval, Outcome: approvals.Approved}})
	s.shows("3 waiting", "> "+open[1].Approval[21:], open[0].Approval+" approved at")
	s.keys("a")
	// It ends while the reason is typed: enter does not fall on the next one.
	s.got(updateMsg{Outcome: &approvals.Outcome{Approval: open[1].Approval, Outcome: approvals.Denied}})
	s.shows("has ended while you typed")
	s.keys("<enter>")
	if s.sent != nil {
		t.Errorf("sent %q", s.sent)
	}
	s.got(tickMsg(time.Now().Add(3*time.Hour + time.Minute)))
	s.shows("1 waiting", "> "+open[3].Approval[21:], "left 58m")
	s.got(tickMsg(time.Now().Add(5 * time.Hour)))
	s.shows("0 waiting", "nothing waits for an answer")
	s.keys("ad<down><up><pgdown><enter>")
	if s.sent != nil || s.asking != nil {
		t.Errorf("sent %q", s.sent)
	}
}

// Nothing is approved that has not been on the screen to its end.
func TestViewMustBeRead(t *testing.T) {
	open := some(1)
	for range 60 {
		open[0].Resources = append(open[0].Resources, event.Resource{ARN: "arn:aws:ec2:eu-west-1:111122223333:instance/i-0f", Type: "instance"})
	}
	s := newScreen(t, open...)
	s.shows("more lines: page down")
	s.keys("a")
	s.shows("there is more to read")
	if s.asking != nil {
		t.Fatal("it asks")
	}
	s.keys("<pgdown><pgdown><pgdown><pgup><pgdown>")
	s.shows(open[0].Digest)
	s.keys("a")
	if s.asking == nil {
		t.Fatalf("it does not ask:\n%s", s.text())
	}
	s.keys("<esc>")
	s.got(tea.WindowSizeMsg{Width: 60, Height: 20})
	if s.keys("a"); s.asking != nil {
		t.Error("on another screen it has not been read")
	}
	s.got(tea.WindowSizeMsg{Width: 30, Height: 5})
	s.shows("too small")
	if s.keys("a"); s.asking != nil {
		t.Error("nothing of it is on the screen")
	}
}

// What is pasted is no key.
func TestViewPaste(t *testing.T) {
	s := newScreen(t, some(1)...)
	s.got(tea.PasteMsg{Content: "a"})
	if s.asking != nil {
		t.Fatal("a paste asks")
	}
	s.keys("d")
	s.got(tea.PasteMsg{Content: "line\nline"})
	if s.sent != nil || s.asking == nil {
		t.Fatal("a paste sends")
	}
	s.shows(`line\nline_`)
	s.got(tea.PasteMsg{Content: strings.Repeat("x", approvals.MaxReason)})
	if len(s.reason) > approvals.MaxReason {
		t.Errorf("%d bytes", len(s.reason))
	}
	s.got(tea.KeyPressMsg{Code: 'a', Text: "a", IsRepeat: true})
	if !s.got(brokenMsg{errors.New("lost")}) || s.failed == nil {
		t.Error("it goes on without NATS")
	}
}

// A screen is as large as the terminal, and nothing in it is obeyed by it.
func TestViewFits(t *testing.T) {
	open := some(40)
	for i := range open {
		open[i].Resources[0].ARN = strings.Repeat("\x1b[2J日本\u202e ", 40)
		open[i].Who.Label = "x\n\n\n"
		open[i].Operation = "Delete\x1b[2J"
	}
	s := newScreen(t, open...)
	for _, size := range []tea.WindowSizeMsg{{Width: 40, Height: 12}, {Width: 80, Height: 24}, {Width: 200, Height: 60}, {Width: 1, Height: 1}, {}} {
		s.got(size)
		for _, k := range []string{"", "<down>", "<pgdown>", "d", "long reason \x1b[2J long reason long reason long reason"} {
			s.keys(k)
			rows := s.screen()
			if len(rows) > max(size.Height, 1) {
				t.Errorf("%v: %d rows", size, len(rows))
			}
			for _, r := range rows {
				if terminal.Width(r) > max(size.Width, 8) {
					t.Errorf("%v: %d columns: %q", size, terminal.Width(r), r)
				}
				for _, c := range r {
					if !unicode.IsGraphic(c) || unicode.Is(unicode.Cf, c) {
						t.Errorf("U+%04X in %q", c, r)
					}
				}
			}
		}
		s.keys("<esc>")
	}
}

// A long name is cut in the list, and not left out with what a request is about.
func TestViewListShowsNames(t *testing.T) {
	r := wanted(event.NewIDs(nil), time.Hour)
	r.Service, r.Operation, r.Actions = "s3", "DeleteBucket", []string{"s3:DeleteBucket"}
	r.Resources = []event.Resource{{ARN: "arn:aws:s3:::" + strings.Repeat("prod-data-", 20), Type: "bucket"}}
	s := newScreen(t, r)
	row := s.screen()[1]
	if !strings.Contains(row, `delete bucket "prod-data-`) || !strings.HasSuffix(row, "…") || terminal.Width(row) > 100 || terminal.Width(row) < 96 {
		t.Errorf("%q", row)
	}
}

// On a terminal that is too small to show anything no key answers, nor sends what was
// being typed; on a larger one both go on.
func TestViewAnswersNothingUnseen(t *testing.T) {
	s := newScreen(t, some(2)...)
	s.got(tea.WindowSizeMsg{Width: 35, Height: 24})
	s.keys("dno<enter>agx<enter>")
	s.shows("this terminal is too small")
	s.got(tea.WindowSizeMsg{Width: 100, Height: 40})
	s.shows("a approve  d deny")
	s.keys("dye")
	s.got(tea.WindowSizeMsg{Width: 100, Height: 11})
	if s.keys("q<enter>") || len(s.sent) > 0 {
		t.Errorf("sent %q", s.sent)
	}
	s.got(tea.WindowSizeMsg{Width: 100, Height: 40})
	s.shows("Reason, if any: ye_")
	s.keys("s<enter>")
	if len(s.sent) != 1 || !strings.HasSuffix(s.sent[0], " yes") {
		t.Errorf("sent %q", s.sent)
	}
	s.got(tea.WindowSizeMsg{Width: 35, Height: 24})
	if !s.keys("q") {
		t.Error("q does not leave")
	}
}

// A list that nobody keeps up is not shown as if it were one.
func TestViewWithoutNATS(t *testing.T) {
	s := newScreen(t, some(2)...)
	here := false
	s.here = func() bool { return here }
	s.shows("Sallyport approvals: 2 waiting; NATS is away, so this may be old\n")
	here = true
	s.shows("Sallyport approvals: 2 waiting\n")
}

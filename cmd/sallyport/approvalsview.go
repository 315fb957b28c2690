package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/terminal"
)

// What happens in a view, besides keys.
type (
	openMsg     []approvals.Request
	updateMsg   approvals.Update
	tickMsg     time.Time
	brokenMsg   struct{ err error } // following has ended
	answeredMsg struct {
		approval, decision string
		err                error
	}
)

// sendFunc answers a request as it was shown. grant is nil for once.
type sendFunc func(r approvals.Request, decision, reason string, grant *approvals.Grant) error

// view is the list of `approvals watch` on a terminal. All of it is texts of
// approvals.Summary and of terminal, which cannot move the cursor.
type view struct {
	send sendFunc
	here func() bool // NATS is; nil: always
	now  time.Time
	open []approvals.Request // the oldest first

	// selected is an id and not a place in the list: a request that comes or ends
	// while somebody reads must not put another one under the key they press.
	selected string
	offset   int             // first line of the details that is shown
	read     map[string]bool // whose details have been shown to their end

	asking   *approvals.Request // while the reason is typed; as it was shown
	decision string
	grant    *approvals.Grant // with an allow; what the details say under "If granted"
	reason   string
	status   string
	failed   error

	width, height int
}

func newView(send sendFunc, now time.Time) *view {
	return &view{send: send, now: now, read: map[string]bool{}, width: 80, height: 24, status: "connecting"}
}

func (*view) Init() tea.Cmd { return tick() }

func tick() tea.Cmd { return tea.Tick(time.Second, func(t time.Time) tea.Msg { return tickMsg(t) }) }

// Update implements tea.Model.
func (v *view) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		// Another width makes other lines: what has been read is not known any more.
		v.width, v.height, v.offset, v.read = msg.Width, msg.Height, 0, map[string]bool{}
	case tickMsg:
		v.now, cmd = time.Time(msg), tick()
	case openMsg:
		v.open, v.status = slices.Clone(msg), ""
	case updateMsg:
		v.happened(approvals.Update(msg))
	case answeredMsg:
		v.status = msg.decision + " " + msg.approval + ": accepted"
		if msg.err != nil {
			v.status = msg.decision + " " + msg.approval + ": " + terminal.Escape(msg.err.Error(), 400)
		}
	case brokenMsg:
		v.failed, cmd = msg.err, tea.Quit
	case tea.KeyPressMsg:
		cmd = v.key(msg.Key())
	case tea.PasteMsg: // into the reason, and never as keys: what was copied is no decision
		if v.asking != nil {
			v.typed(msg.Content)
		}
	}
	v.settle()
	return v, cmd
}

func (v *view) happened(u approvals.Update) {
	if u.Request != nil {
		v.open = append(v.open, *u.Request)
		return
	}
	v.open = slices.DeleteFunc(v.open, func(r approvals.Request) bool { return r.Approval == u.Outcome.Approval })
	v.status = u.Outcome.Approval + " " + ended(*u.Outcome)
}

// settle drops what has expired and keeps the selection on something.
func (v *view) settle() {
	v.open = slices.DeleteFunc(v.open, func(r approvals.Request) bool { return !v.now.Before(r.Expires) })
	if v.asking != nil && v.find(v.asking.Approval) < 0 {
		v.asking, v.status = nil, v.asking.Approval+" has ended while you typed: nothing was sent"
	}
	if v.find(v.selected) < 0 {
		v.selected, v.offset = "", 0
		if len(v.open) > 0 {
			v.selected = v.open[0].Approval
		}
	}
}

func (v *view) find(id string) int {
	return slices.IndexFunc(v.open, func(r approvals.Request) bool { return r.Approval == id })
}

func (v *view) key(k tea.Key) tea.Cmd {
	if k.String() == "ctrl+c" || v.tooSmall() && v.asking == nil && k.String() == "q" {
		return tea.Quit
	}
	if v.tooSmall() { // nothing is decided that is not shown
		return nil
	}
	if v.asking != nil {
		return v.keyOfReason(k)
	}
	i := v.find(v.selected)
	switch k.String() {
	case "q":
		return tea.Quit
	case "up", "k":
		v.choose(i - 1)
	case "down", "j":
		v.choose(i + 1)
	case "pgdown", "space":
		v.scroll(v.detailRows())
	case "pgup":
		v.scroll(-v.detailRows())
	case "a", "d", "g":
		switch {
		case i < 0 || k.IsRepeat:
		case k.String() != "d" && !v.read[v.selected]:
			v.status = "there is more to read before you approve: page down"
		case k.String() == "g" && approvals.Summarize(v.open[i]).Granted == "":
			v.status = terminal.Escape(fmt.Sprint(approvals.DefaultGrant.Fits(v.open[i])), 400)
		default:
			r := v.open[i]
			v.asking, v.reason, v.status, v.grant = &r, "", "", nil
			v.decision = map[string]string{"a": approvals.Allow, "d": approvals.Deny, "g": approvals.Allow}[k.String()]
			if k.String() == "g" {
				g := approvals.DefaultGrant
				v.grant = &g
			}
		}
	}
	return nil
}

func (v *view) choose(i int) {
	if i >= 0 && i < len(v.open) && v.open[i].Approval != v.selected {
		v.selected, v.offset, v.status = v.open[i].Approval, 0, ""
	}
}

func (v *view) scroll(by int) {
	v.offset = max(0, min(v.offset+by, len(v.details())-v.detailRows()))
}

func (v *view) keyOfReason(k tea.Key) tea.Cmd {
	switch k.String() {
	case "esc":
		v.asking, v.status = nil, "nothing was sent"
	case "backspace":
		if r := []rune(v.reason); len(r) > 0 {
			v.reason = string(r[:len(r)-1])
		}
	case "enter":
		r, decision, reason, grant, send := *v.asking, v.decision, strings.TrimSpace(v.reason), v.grant, v.send
		v.asking, v.status = nil, "sending"
		return func() tea.Msg { return answeredMsg{r.Approval, decision, send(r, decision, reason, grant)} }
	default:
		v.typed(k.Text)
	}
	return nil
}

func (v *view) typed(text string) {
	if len(v.reason)+len(text) <= approvals.MaxReason {
		v.reason += text
	}
}

// watchView runs the view until somebody leaves it.
func watchView(cmd *cobra.Command, a *approver, token func(context.Context, *config.Config, approvals.Request) (secret.String, error)) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	send := func(r approvals.Request, decision, reason string, grant *approvals.Grant) error {
		t, err := token(ctx, a.conf, r)
		if err != nil {
			return err
		}
		return a.Answer(ctx, approvals.Answer{Approval: r.Approval, Digest: r.Digest, Decision: decision, Token: t.Reveal(), Reason: reason, Grant: grant})
	}
	v := newView(send, time.Now())
	v.here = a.Connected
	p := tea.NewProgram(v, tea.WithContext(ctx), tea.WithInput(cmd.InOrStdin()), tea.WithOutput(cmd.OutOrStdout()), tea.WithoutSignalHandler())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := a.Follow(ctx, func(open []approvals.Request) error { p.Send(openMsg(open)); return nil },
			func(u approvals.Update) error { p.Send(updateMsg(u)); return nil }, nil)
		if err != nil {
			p.Send(brokenMsg{err})
		}
	}()
	_, err := p.Run()
	cancel()
	<-done
	if errors.Is(err, tea.ErrProgramKilled) && cmd.Context().Err() != nil { // Ctrl-C from outside
		err = nil
	}
	return errors.Join(err, v.failed)
}

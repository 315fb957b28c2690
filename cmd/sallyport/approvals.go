package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf16"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/terminal"
)

func newApprovals() *cobra.Command {
	return group("approvals", "What agents wait for: look, approve, deny, revoke",
		newApprovalsList(), newApprovalsWatch(), newApprovalsShow(), newApprovalsApprove(), newApprovalsDeny(), newApprovalsRevoke(), newApprovalsLink())
}

// approver is one command's connection.
type approver struct {
	*approvals.Client
	conf  *config.Config // nil where none is needed
	close func()
}

func (n *natsFlags) approver(cmd *cobra.Command) (*approver, error) {
	conn, prefix, conf, err := n.connect(cmd, bus.Approver)
	if err != nil {
		return nil, err
	}
	c, err := approvals.NewClient(approvals.ClientOptions{Conn: conn, Prefix: prefix})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &approver{c, conf, conn.Close}, nil
}

// find gets an approval by its id, or by a part of the id of one that is pending:
// its beginning or, as ids of one hour begin alike, its end.
func (a *approver) find(ctx context.Context, id string) (approvals.Request, *approvals.Outcome, error) {
	id = strings.ToUpper(id)
	if event.ValidID(id) {
		return a.Get(ctx, id)
	}
	if len(id) < 4 {
		return approvals.Request{}, nil, errors.New("give the whole id of the approval, or four or more characters of its beginning or end")
	}
	open, err := a.Pending(ctx, nil)
	if err != nil {
		return approvals.Request{}, nil, err
	}
	var found []approvals.Request
	for _, r := range open {
		if strings.HasPrefix(r.Approval, id) || strings.HasSuffix(r.Approval, id) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return approvals.Request{}, nil, fmt.Errorf("no pending approval's id begins or ends with %s", terminal.Escape(id, 40))
	case 1:
		return found[0], nil, nil
	}
	return approvals.Request{}, nil, fmt.Errorf("%d pending approvals' ids begin or end with %s: give more of it", len(found), terminal.Escape(id, 40))
}

func damaged(cmd *cobra.Command) func(error) {
	return func(err error) {
		fmt.Fprintf(cmd.ErrOrStderr(), "damaged: %s\n", terminal.Escape(err.Error(), 400))
	}
}

func newApprovalsList() *cobra.Command {
	var nats natsFlags
	var asJSON, grants bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List what waits for an answer now, and the live grants, the oldest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := nats.approver(cmd)
			if err != nil {
				return err
			}
			defer a.close()
			out := cmd.OutOrStdout()
			var open []approvals.Request
			if !grants {
				if open, err = a.Pending(cmd.Context(), damaged(cmd)); err != nil {
					return err
				}
				if asJSON {
					return writeJSON(out, open)
				}
				if err := writePending(out, open, time.Now()); err != nil {
					return err
				}
			}
			live, err := a.Grants(cmd.Context(), nil)
			switch {
			case err != nil:
				return err
			case asJSON:
				return writeJSON(out, live)
			case !grants && len(live) == 0:
				return nil
			case !grants:
				fmt.Fprintln(out)
			}
			return writeGrants(out, live, time.Now())
		},
	}
	nats.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.Flags().BoolVar(&grants, "grants", false, "the live grants alone")
	return c
}

func writePending(w io.Writer, open []approvals.Request, now time.Time) error {
	if len(open) == 0 {
		_, err := fmt.Fprintln(w, "nothing waits for an answer")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "APPROVAL\tAGE\tLEFT\tRISK\tWHO\tWHAT")
	for _, r := range open {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", r.Approval, span(now.Sub(r.Created)), span(r.Expires.Sub(now)), r.Risk.Score, terminal.Quote(r.Who.Subject, 40), approvals.Summarize(r).Headline)
	}
	return t.Flush()
}

// span is a duration for people, never negative: 14m05s, 40s.
func span(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	if d >= time.Minute {
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}

// shownApproval is `approvals show --json`.
type shownApproval struct {
	Request approvals.Request  `json:"request"`
	Outcome *approvals.Outcome `json:"outcome,omitempty"`
	Revoked *approvals.Outcome `json:"revoked,omitempty"` // the end of the grant that it left
	Summary approvals.Summary  `json:"summary"`
}

func newApprovalsShow() *cobra.Command {
	var nats natsFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "show APPROVAL",
		Short: "Show one in full, also when it has ended",
		Long: `Show one in full, also when it has ended. APPROVAL is its id or, of one that is
pending, four or more characters of the id's beginning or end. What agents wrote
stands in quotes.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := nats.approver(cmd)
			if err != nil {
				return err
			}
			defer a.close()
			r, outcome, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var revoked *approvals.Outcome
			if outcome != nil && outcome.Grant != nil {
				if revoked, err = a.GrantEnd(cmd.Context(), r.Approval); err != nil {
					return err
				}
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return writeJSON(out, shownApproval{r, outcome, revoked, approvals.Summarize(r)})
			}
			if err := approvals.Summarize(r).Write(out, columns(out)); err != nil {
				return err
			}
			fmt.Fprintf(out, "\n%s\n", standing(r, outcome, time.Now()))
			if revoked != nil {
				fmt.Fprintf(out, "grant %s\n", ended(*revoked))
			}
			return nil
		},
	}
	nats.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// standing is where an approval stands.
func standing(r approvals.Request, o *approvals.Outcome, now time.Time) string {
	switch {
	case o != nil:
		return ended(*o)
	case !now.Before(r.Expires):
		return "expired at " + r.Expires.UTC().Format(time.RFC3339)
	}
	return "pending, " + span(r.Expires.Sub(now)) + " left"
}

// ended tells an outcome and who brought it about.
func ended(o approvals.Outcome) string {
	out := terminal.Escape(o.Outcome, 40) + " at " + o.At.UTC().Format(time.RFC3339)
	for _, v := range o.Approvers {
		out += "; " + terminal.Escape(v.Decision, 40) + " by " + terminal.Quote(v.Subject, 80)
		if v.Via != "" {
			out += " through " + terminal.Escape(v.Via, 40)
		}
		if v.Reason != "" {
			out += " (" + terminal.Quote(v.Reason, 200) + ")"
		}
	}
	if left := o.Left(); left != "" {
		out += "; " + left
	}
	return out
}

// columns is the width of a terminal, or what is comfortable elsewhere.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return 100
}

// writeJSON writes one line of ASCII: JSON lets characters through that turn a
// line around or that a terminal obeys, and what agents wrote is in it.
func writeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, c := range string(text) {
		switch {
		case c < 0x7f:
			b.WriteRune(c)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	_, err = fmt.Fprintln(w, b.String())
	return err
}

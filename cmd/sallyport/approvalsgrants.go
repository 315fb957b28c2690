package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/internal/terminal"
)

// grantFlags say what an approval lets through beyond its own call.
type grantFlags struct {
	span               time.Duration
	count              int
	actions, resources []string
}

func (g *grantFlags) add(c *cobra.Command) {
	c.Flags().DurationVar(&g.span, "for", 0, "let more calls of the session through for this long, with --count")
	c.Flags().IntVar(&g.count, "count", 0, "how many calls in all, this one among them, with --for")
	c.Flags().StringArrayVar(&g.actions, "action", nil, "let through whatever needs only such IAM actions, with --resource; may be repeated")
	c.Flags().StringArrayVar(&g.resources, "resource", nil, "ARNs that --action may be on; may be repeated")
}

// grant is what the flags say, nil where they say nothing.
func (g *grantFlags) grant(c *cobra.Command) (*approvals.Grant, error) {
	span, count, globs := c.Flags().Changed("for"), c.Flags().Changed("count"), len(g.actions)+len(g.resources) > 0
	switch {
	case !span && !count && !globs:
		return nil, nil
	case !span || !count:
		return nil, errors.New("--for and --count belong together: how long, and how often in all")
	case globs && (len(g.actions) == 0 || len(g.resources) == 0):
		return nil, errors.New("--action and --resource belong together: what may be done, and to what")
	case g.span <= 0 || g.count < 1:
		return nil, fmt.Errorf("--for %s --count %d lets nothing through", g.span, g.count)
	case g.span > approvals.MaxGrant || g.count > approvals.MaxGrantCount:
		return nil, fmt.Errorf("--for may be up to %s, --count up to %d", approvals.MaxGrant, approvals.MaxGrantCount)
	}
	return &approvals.Grant{For: g.span.String(), Count: g.count, Actions: g.actions, Resources: g.resources}, nil
}

// showGrant says in words what a grant with r would let through, or why it cannot be
// given. Nobody agrees to what they have not read.
func showGrant(w io.Writer, r approvals.Request, g *approvals.Grant) error {
	if g == nil {
		return nil
	}
	if err := g.Fits(r); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nThis grants:\n  %s\n", strings.Join(terminal.Wrap(g.Words(r), max(columns(w), 40)-4), "\n  "))
	return err
}

func writeGrants(w io.Writer, live []approvals.LiveGrant, now time.Time) error {
	if len(live) == 0 {
		_, err := fmt.Fprintln(w, "no grant is live")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GRANT\tLEFT\tCALLS\tWHO\tWHAT")
	for _, g := range live {
		calls := "?" // no gateway says
		if g.Left >= 0 {
			calls = fmt.Sprint(g.Left)
		}
		what := "again: " + approvals.Summarize(g.Request).Headline
		if len(g.Grant.Actions) > 0 {
			what = strings.Join(quoted(g.Grant.Actions), ", ") + " on " + strings.Join(quoted(g.Grant.Resources), ", ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", g.Request.Approval, span(g.Until.Sub(now)), calls, terminal.Quote(g.Request.Who.Subject, 40), what)
	}
	return t.Flush()
}

func quoted(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = terminal.Quote(s, 100)
	}
	return out
}

func newApprovalsRevoke() *cobra.Command {
	var f answerFlags
	c := &cobra.Command{
		Use:   "revoke APPROVAL",
		Short: "End the grant that an approval left, at once",
		Long: `End the grant that an approval left, at once: what comes after it is asked for
again. Whoever could have voted for it may. APPROVAL is its id, or four or more
characters of the id's beginning or end; "approvals list" shows the grants there are.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.revoke(cmd, args[0])
		},
	}
	f.add(c)
	return c
}

func (f *answerFlags) revoke(cmd *cobra.Command, id string) error {
	if len(f.reason) > approvals.MaxReason {
		return &usageError{fmt.Errorf("--reason has %d bytes, and may have %d", len(f.reason), approvals.MaxReason), cmd.CommandPath()}
	}
	a, err := f.nats.approver(cmd)
	if err != nil {
		return err
	}
	defer a.close()
	live, err := a.Grants(cmd.Context(), nil)
	if err != nil {
		return err
	}
	g, err := findGrant(live, strings.ToUpper(id))
	if err != nil {
		return err
	}
	if f.digest != "" && f.digest != g.Request.Digest {
		return fmt.Errorf("its digest is %s, not the one given: look at it again", g.Request.Digest)
	}
	token, err := f.token.token(cmd.Context(), a.conf, g.Request)
	if err != nil {
		return err
	}
	err = a.Answer(cmd.Context(), approvals.Answer{Approval: g.Request.Approval, Digest: g.Request.Digest, Decision: approvals.Revoke, Token: token.Reveal(), Reason: f.reason})
	if f.json {
		s := sent{Approval: g.Request.Approval, Digest: g.Request.Digest, Decision: approvals.Revoke, Accepted: err == nil}
		if err != nil {
			s.Error = err.Error()
		}
		return errors.Join(err, writeJSON(cmd.OutOrStdout(), s))
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "revoked: %s\n", terminal.Escape(g.Request.Approval, 40))
	return err
}

func findGrant(live []approvals.LiveGrant, id string) (approvals.LiveGrant, error) {
	if len(id) < 4 {
		return approvals.LiveGrant{}, errors.New("give the whole id of the approval, or four or more characters of its beginning or end")
	}
	var found []approvals.LiveGrant
	for _, g := range live {
		if strings.HasPrefix(g.Request.Approval, id) || strings.HasSuffix(g.Request.Approval, id) {
			found = append(found, g)
		}
	}
	switch len(found) {
	case 0:
		return approvals.LiveGrant{}, fmt.Errorf("no live grant is of an approval whose id begins or ends with %s", terminal.Escape(id, 40))
	case 1:
		return found[0], nil
	}
	return approvals.LiveGrant{}, fmt.Errorf("%d live grants' approvals have ids that begin or end with %s: give more of it", len(found), terminal.Escape(id, 40))
}

package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/internal/terminal"
)

func newApprovalsWatch() *cobra.Command {
	var nats natsFlags
	var token tokenFlags
	var asJSON, lines bool
	c := &cobra.Command{
		Use:   "watch",
		Short: "Follow what waits for an answer, and answer it",
		Long: `Follow what waits for an answer, until Ctrl-C. On a terminal it is a list with the
details of the one that is selected; "a" approves it and "d" denies it, with a reason; "g"
approves it with the grant that the details tell of.
In a pipe, or with --lines, each request and each end is a line.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := nats.approver(cmd)
			if err != nil {
				return err
			}
			defer a.close()
			out := cmd.OutOrStdout()
			if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && isTerminal(cmd.InOrStdin()) && !asJSON && !lines {
				if err := token.before(cmd.Context(), token.file); err != nil {
					return err
				}
				return watchView(cmd, a, token.token)
			}
			line := writeUpdate
			if asJSON {
				line = func(w io.Writer, u approvals.Update) error {
					return writeJSON(w, followed{u.Request, u.Outcome})
				}
			}
			return a.Follow(cmd.Context(), func(open []approvals.Request) error {
				for _, r := range open {
					if err := line(out, approvals.Update{Request: &r}); err != nil {
						return err
					}
				}
				return nil
			}, func(u approvals.Update) error { return line(out, u) }, damaged(cmd))
		},
	}
	nats.add(c)
	token.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON lines, each with a member pending or outcome")
	c.Flags().BoolVar(&lines, "lines", false, "lines on a terminal too")
	return c
}

// followed is a line of `approvals watch --json`.
type followed struct {
	Pending *approvals.Request `json:"pending,omitempty"`
	Outcome *approvals.Outcome `json:"outcome,omitempty"`
}

func writeUpdate(w io.Writer, u approvals.Update) error {
	if u.Outcome != nil {
		_, err := fmt.Fprintf(w, "%s  %s\n", u.Outcome.Approval, ended(*u.Outcome))
		return err
	}
	r := *u.Request
	_, err := fmt.Fprintf(w, "%s  pending until %s, risk %d, %s: %s\n", r.Approval, r.Expires.UTC().Format(time.RFC3339), r.Risk.Score,
		terminal.Quote(r.Who.Subject, 40), approvals.Summarize(r).Headline)
	return err
}

package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/approvals"
)

func newApprovalsLink() *cobra.Command {
	var nats natsFlags
	var token tokenFlags
	c := &cobra.Command{
		Use:   "link CODE",
		Short: "Say who you are in Slack, so that your buttons there count",
		Long: `Say who you are in Slack, so that your buttons there count. CODE is what Slack showed
to you, and you alone, when you pressed one: it holds for 10 minutes and once. Your
token must have the e-mail address that your Slack profile has.

Link no code that somebody sent to you: it would be their account that speaks for you.`,
		Example: `  sallyport approvals link ABCD-EFGH-2345-6789 --token-file ~/.oidc/token`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := nats.approver(cmd)
			if err != nil {
				return err
			}
			defer a.close()
			t, err := token.token(cmd.Context(), a.conf, approvals.Request{})
			if err != nil {
				return err
			}
			until, err := a.Link(cmd.Context(), approvals.Redemption{Code: args[0], Token: t.Reveal()})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "linked until %s: press the button again\n", until.UTC().Format(time.RFC3339))
			return err
		},
	}
	nats.add(c)
	token.add(c)
	return c
}

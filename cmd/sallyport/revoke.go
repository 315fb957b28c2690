package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/revocation"
)

func newRevoke() *cobra.Command {
	var nats natsFlags
	var o revocation.Order
	var span time.Duration
	var gateways int
	var asJSON bool
	c := &cobra.Command{
		Use:   "revoke (--subject S [--issuer I] | --session ID | --target T) --reason TEXT",
		Short: "The kill switch: stop an agent or a target at once, on every gateway",
		Long: `Stop a subject, a session or a target at once, on every gateway, those that start
later included: requests under way are cut off from AWS, held ones refused, tunnels cut,
sessions closed, approvals ended, and nothing new goes through, for as long as --for says
or until the same command with --lift.

A session is stopped by its label too, so that its agent cannot go on in a new one; an
agent that can choose its label is stopped by its subject.`,
		Example: `  sallyport revoke --subject ci-bot --reason "token in a public log"
  sallyport revoke --target prod --for 1h --reason "incident 4711"
  sallyport revoke --subject ci-bot --lift --reason "token replaced"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if span != 0 || cmd.Flags().Changed("for") {
				o.For = span.String()
			}
			if err := o.Check(); err != nil {
				return &usageError{err, cmd.CommandPath()}
			}
			if gateways < 0 {
				return &usageError{errors.New("--gateways is a number of gateways"), cmd.CommandPath()}
			}
			conn, prefix, _, err := nats.connect(cmd, bus.Operator)
			if err != nil {
				return err
			}
			defer conn.Close()
			replies, err := revocation.Send(cmd.Context(), conn, prefix, o, gateways)
			if err != nil && len(replies) == 0 {
				return err
			}
			return errors.Join(err, reportRevoked(cmd.OutOrStdout(), o, replies, gateways, asJSON))
		},
	}
	nats.add(c)
	f := c.Flags()
	f.StringVar(&o.Subject, "subject", "", "everything of this subject")
	f.StringVar(&o.Issuer, "issuer", "", "with --subject: of this issuer only")
	f.StringVar(&o.Session, "session", "", "this open session, by its whole id")
	f.StringVar(&o.Target, "target", "", "everything that goes to this target")
	f.StringVar(&o.Reason, "reason", "", "why: the agent is told, and it is recorded")
	f.DurationVar(&span, "for", 0, "for this long (default: until it is lifted)")
	f.BoolVar(&o.Lift, "lift", false, "take it back")
	f.IntVar(&gateways, "gateways", 0, "how many gateways there are: fail if fewer confirm (default: ask who is there)")
	f.BoolVar(&asJSON, "json", false, "the gateways' replies as JSON")
	return c
}

// reportRevoked says who confirmed. It is an error where not everybody did: an agent may go on
// there. A session is one gateway's; that the others do not have it is none.
func reportRevoked(w io.Writer, o revocation.Order, replies []revocation.Confirmation, want int, asJSON bool) error {
	confirmed := 0
	var sum revocation.Confirmation
	var errs []error
	for _, r := range replies {
		name := terminal.Escape(r.Gateway, 80)
		switch {
		case r.Accepted:
			confirmed++
			sum.Sessions, sum.Tunnels, sum.Requests, sum.Approvals = sum.Sessions+r.Sessions, sum.Tunnels+r.Tunnels, sum.Requests+r.Requests, sum.Approvals+r.Approvals
			if r.Error != "" {
				errs = append(errs, fmt.Errorf("%s: %s", name, terminal.Escape(r.Error, 400)))
			}
		default:
			errs = append(errs, fmt.Errorf("%s has refused: %s", name, terminal.Escape(r.Error, 400)))
		}
	}
	if o.Session != "" && confirmed > 0 && want == 0 {
		errs = nil
	}
	if confirmed < want {
		errs = append(errs, fmt.Errorf("%d of %d gateways have confirmed: what the others do is not known", confirmed, want))
	}
	if asJSON {
		if replies == nil {
			replies = []revocation.Confirmation{}
		}
		return errors.Join(append(errs, writeJSON(w, replies))...)
	}
	verb := "revoked"
	if o.Lift {
		verb = "no longer revoked"
	}
	if confirmed > 0 {
		fmt.Fprintf(w, "%s on %d %s", verb, confirmed, plural(confirmed, "gateway"))
		if !o.Lift {
			fmt.Fprintf(w, ": %d %s closed, %d %s and %d %s cut, %d %s ended", sum.Sessions, plural(sum.Sessions, "session"), sum.Tunnels, plural(sum.Tunnels, "tunnel"),
				sum.Requests, plural(sum.Requests, "request"), sum.Approvals, plural(sum.Approvals, "approval"))
		}
		fmt.Fprintln(w)
	}
	return errors.Join(errs...)
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/launch"
)

// reasonVariable is where an agent's reason comes from without --reason.
const reasonVariable = "SALLYPORT_REASON"

// maxReason is how many characters of it the gateway shows.
const maxReason = 256

func newRun() *cobra.Command {
	var a agentFlags
	var reason string
	c := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENT...]",
		Short: "Start an agent behind the gateway",
		Long: `Start an agent behind the gateway: a helper on loopback adds a fresh identity token
to every connection, and the environment makes AWS clients use it, trust the
gateway's CA and find no other credentials. The exit code is the command's.

With the trial issuer on, the token comes from it; otherwise say where from.`,
		Example: `  sallyport run -- aws s3 ls
  sallyport run --label nightly --target dev --token-file /run/token -- claude`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("give the command to start, as in: sallyport run -- aws s3 ls")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			reason = cmp.Or(reason, os.Getenv(reasonVariable))
			if n := utf8.RuneCountInString(reason); n > maxReason {
				return &usageError{fmt.Errorf("the reason has %d characters, and approvers see %d: say it shorter", n, maxReason), cmd.CommandPath()}
			}
			p, err := a.prepare(cmd)
			if err != nil {
				return err
			}
			// What would fail every request of the agent is better said before it
			// starts: its own words for it would be "cannot connect to proxy".
			if err := p.gateway.Check(cmd.Context()); err != nil {
				return err
			}
			tokens := launch.Cached(p.tokens, nil)
			if _, _, err := tokens.Token(cmd.Context()); err != nil {
				return fmt.Errorf("no identity token can be had: %w", err)
			}
			// Signals are for the command: it gets them, and when it ends so do we.
			ctx, cancel := context.WithCancel(context.WithoutCancel(cmd.Context()))
			defer cancel()
			ln, err := launch.Listen(ctx)
			if err != nil {
				return err
			}
			helper := &launch.Helper{Gateway: p.gateway, Tokens: tokens, Label: a.label, Reason: reason,
				Log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
			done := make(chan error, 1)
			go func() { done <- helper.Serve(ctx, ln) }()

			env := launch.Environment(p.options(launch.ProxyURL(ln)), os.Environ())
			code, err := launch.Run(ctx, launch.Command{
				Args: args, Env: launch.Apply(os.Environ(), env),
				Stdin: cmd.InOrStdin(), Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(),
			})
			cancel()
			if serveErr := <-done; err == nil && serveErr != nil && !errors.Is(serveErr, context.Canceled) {
				err = serveErr
			}
			if err != nil {
				_, _ = io.WriteString(cmd.ErrOrStderr(), "sallyport: "+err.Error()+"\n")
			}
			if code != exitDone || err != nil {
				return &exitError{max(code, exitFailed)}
			}
			return nil
		},
	}
	a.add(c, "")
	c.Flags().StringVar(&reason, "reason", "", "what the agent is to do, for those who approve its calls (default: $"+reasonVariable+")")
	mayBeEmpty(c, "reason")
	c.Flags().SetInterspersed(false) // the command's own flags are its own
	return c
}

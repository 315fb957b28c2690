package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/server"
	"github.com/sallyport/sallyport/internal/strictyaml"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/recorder"
)

func newCheck() *cobra.Command {
	var path string
	var running bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Validate configuration and policy: all problems at once, with file and line",
		Long: `Validate configuration and policy, and say all problems at once, with file and line.
With --ready also ask the process that runs with this configuration whether it is
ready: the health check of containers, which have no other command.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := config.Load(path)
			if err != nil {
				return err
			}
			engine, err := server.LoadPolicy(conf)
			if err := errors.Join(conf.Check(), err, recorder.CheckGatewayKey(conf.StateDir)); err != nil {
				return err
			}
			warnings := append(conf.Warnings(), conf.ApprovalWarnings(engine.Asks())...)
			if running {
				if err := ready(cmd.Context(), conf); err != nil {
					return err
				}
			} else { // a health check comes every few seconds, and the log has said it
				unknown, err := unknownNames(conf, engine)
				if err != nil {
					return err
				}
				warnings = append(warnings, unknown...)
			}
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "ok: %s, %s (policy version %.12s)\n",
				count(len(conf.Targets), "target"), count(len(engine.RuleNames()), "rule"), engine.Version())
			return nil
		},
	}
	configFlag(c, &path)
	c.Flags().BoolVar(&running, "ready", false, "ask /readyz at admin.listen, too")
	return c
}

// unknownNames are what in the rules matches nothing.
func unknownNames(conf *config.Config, engine *policy.Engine) ([]strictyaml.Problem, error) {
	ids, err := server.NewIdentifier(conf)
	if err != nil {
		return nil, err
	}
	return engine.Unknown(ids)
}

// ready asks the running process.
func ready(ctx context.Context, conf *config.Config) error {
	url, err := server.AdminURL(conf)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	// No proxy of the environment: admin.listen is this machine's.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("not ready: %w; is `sallyport serve` running?", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("/readyz answers %d: %q", resp.StatusCode, strings.TrimSpace(string(why)))
	}
	return nil
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

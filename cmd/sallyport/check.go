package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/server"
)

func newCheck() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "check",
		Short: "Validate configuration and policy: all problems at once, with file and line",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := config.Load(path)
			if err != nil {
				return err
			}
			engine, err := server.LoadPolicy(conf)
			if err := errors.Join(conf.Check(), err); err != nil {
				return err
			}
			for _, w := range conf.Warnings() {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "ok: %d targets, %d rules (policy version %.12s)\n", len(conf.Targets), len(engine.RuleNames()), engine.Version())
			return nil
		},
	}
	configFlag(c, &path)
	return c
}

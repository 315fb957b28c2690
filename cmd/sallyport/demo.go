package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/demo"
)

func newDemo() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole path in one process, against a simulated AWS",
		Long: `Show the whole path in one process: an agent with the real AWS SDK goes through the
real proxy socket to a simulated AWS that verifies signatures and session policies.
It reads, is masked, asks and is approved, is denied, and its record is printed and
verified.
Loopback only.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.Run(cmd.Context(), demo.Options{Out: cmd.OutOrStdout(), Keep: keep, Command: command()})
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave it up until Ctrl-C")
	return c
}

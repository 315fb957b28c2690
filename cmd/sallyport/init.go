package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/server"
)

func newInit() *cobra.Command {
	var o config.Options
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a CA, an example sallyport.yaml and policy.yaml, and say what to do next",
		Long: `Write a CA, an example sallyport.yaml and policy.yaml, and say what to do next.
Files that are there already are never overwritten.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Command = command()
			next, err := config.Init(o)
			if err != nil {
				return err
			}
			conf, err := config.Load(filepath.Join(o.Dir, "sallyport.yaml"))
			if err != nil {
				return err
			}
			authority, err := server.OpenCA(conf)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "Wrote %s, %s and a CA (SHA-256 fingerprint %s).\n\n%s",
				filepath.Join(o.Dir, "sallyport.yaml"), filepath.Join(o.Dir, "policy.yaml"), server.Fingerprint(authority.Root()), next)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", ".", "folder to write into")
	f.StringVar(&o.RoleARN, "role-arn", "", "`ARN` of the role that the target dev assumes (default an example to replace)")
	f.StringVar(&o.Region, "region", "us-east-1", "region of the target dev")
	return c
}

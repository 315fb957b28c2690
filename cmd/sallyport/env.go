package main

import (
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/launch"
)

func newEnv() *cobra.Command {
	var a agentFlags
	var shell string
	c := &cobra.Command{
		Use:   "env",
		Short: "Print the environment that `run` would set",
		Long: `Print the environment that "run" would set, for a shell to evaluate. Without the
helper of "run" the identity token stands in HTTPS_PROXY itself and is not
refreshed: once it has expired, evaluate this again.`,
		Example: `  eval "$(sallyport env)"
  sallyport env --shell fish | source`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, err := a.tokens(cmd)
			if err != nil {
				return err
			}
			root, gateway, err := a.trust()
			if err != nil {
				return err
			}
			token, _, err := src.Token(cmd.Context())
			if err != nil {
				return err
			}
			files, err := a.files(root)
			if err != nil {
				return err
			}
			proxy := gateway.URL()
			proxy.User = url.UserPassword(a.label, token.Reveal())
			vars := launch.Environment(launch.Options{
				ProxyURL: proxy.String(), Target: a.target, Region: a.region, Files: files, Hide: a.hidden(),
			}, os.Environ())
			return launch.Render(cmd.OutOrStdout(), shell, vars)
		},
	}
	a.add(c)
	c.Flags().StringVar(&shell, "shell", "sh", "sh (also bash and zsh), fish or json")
	return c
}

package main

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/launch"
)

// envLabel is the label when none is given.
const envLabel = "env"

var shells = []string{"sh", "bash", "zsh", "fish", "json"}

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
			if !slices.Contains(shells, shell) {
				return &usageError{fmt.Errorf("there is no shell %s here; there are %s", quote(shell), strings.Join(shells, ", ")), cmd.CommandPath()}
			}
			p, err := a.prepare(cmd)
			if err != nil {
				return err
			}
			token, _, err := p.tokens.Token(cmd.Context())
			if err != nil {
				return err
			}
			proxy := p.gateway.URL()
			// botocore sends no credentials at all for a user without a name.
			proxy.User = url.UserPassword(cmp.Or(a.label, envLabel), token.Reveal())
			vars := launch.Environment(p.options(proxy.String()), os.Environ())
			return launch.Render(cmd.OutOrStdout(), shell, vars)
		},
	}
	a.add(c, envLabel)
	c.Flags().StringVar(&shell, "shell", "sh", strings.Join(shells, ", "))
	return c
}

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/server"
	"github.com/sallyport/sallyport/launch"
)

// agentFlags are what run and env share: where the gateway is, which root to
// trust, and where the identity token comes from.
type agentFlags struct {
	config, gateway, caFile string
	target, label, region   string

	tokenFile, tokenEnv, audience         string
	github, kubernetes                    bool
	clientID, secretFile, issuer, tokenTo string
	issuerCA                              string
	scopes                                []string
}

func (a *agentFlags) add(c *cobra.Command) {
	f := c.Flags()
	configFlag(c, &a.config)
	f.StringVar(&a.gateway, "gateway", "", "gateway's URL, http://host:port or https://host:port (default: from the configuration)")
	f.StringVar(&a.caFile, "ca-file", "", "root certificate of the gateway's CA (default: from the configuration's state_dir)")
	f.StringVar(&a.target, "target", "", "target to use (default: the gateway's default target)")
	f.StringVar(&a.label, "label", "", "label of the session, for the record")
	f.StringVar(&a.region, "region", "", "AWS region (default: yours)")
	f.StringVar(&a.tokenFile, "token-file", "", "read the OIDC token from this file, again whenever it is due")
	f.StringVar(&a.tokenEnv, "token-env", "", "read the OIDC token from this environment variable")
	f.BoolVar(&a.github, "github-actions", false, "ask GitHub Actions for the OIDC token of this job")
	f.BoolVar(&a.kubernetes, "kubernetes", false, "read the OIDC token from the projected file "+launch.KubernetesFile)
	f.StringVar(&a.clientID, "client-id", "", "get tokens by OAuth 2.0 client credentials: the client's id")
	f.StringVar(&a.secretFile, "client-secret-file", "", "file with the client's secret")
	f.StringVar(&a.issuer, "issuer", "", "issuer whose discovery names the token endpoint")
	f.StringVar(&a.tokenTo, "token-url", "", "token endpoint, instead of --issuer")
	f.StringVar(&a.issuerCA, "issuer-ca-file", "", "roots of a private identity provider")
	f.StringSliceVar(&a.scopes, "scopes", nil, "scopes to ask for with client credentials")
	f.StringVar(&a.audience, "audience", identity.TrialAudience, "audience to ask tokens for")
}

// tokens chooses the source: exactly one flag, or the trial issuer.
func (a *agentFlags) tokens(cmd *cobra.Command) (launch.TokenSource, error) {
	var chosen []string
	for _, name := range []string{"token-file", "token-env", "github-actions", "kubernetes", "client-id"} {
		if cmd.Flags().Changed(name) {
			chosen = append(chosen, "--"+name)
		}
	}
	if len(chosen) > 1 {
		return nil, &usageError{fmt.Errorf("%s: give one source of tokens", strings.Join(chosen, " and ")), cmd.CommandPath()}
	}
	switch {
	case a.tokenFile != "":
		return launch.FileTokens(a.tokenFile), nil
	case a.tokenEnv != "":
		return launch.EnvTokens(a.tokenEnv), nil
	case a.kubernetes:
		return launch.FileTokens(launch.KubernetesFile), nil
	case a.github:
		return launch.GitHubTokensFromEnv(a.audience)
	case a.clientID != "":
		text, err := os.ReadFile(a.secretFile)
		if err != nil {
			return nil, fmt.Errorf("--client-secret-file: %w", err)
		}
		return launch.ClientCredentials{Issuer: a.issuer, TokenURL: a.tokenTo, CAFile: a.issuerCA, ID: a.clientID,
			Secret: secret.New(strings.TrimSpace(string(text))), Audience: a.audience, Scopes: a.scopes}, nil
	}
	if !exists(a.config) {
		return nil, &usageError{fmt.Errorf("no source of tokens: there is no %s with the trial issuer here; give --token-file, --token-env, --github-actions, --kubernetes or --client-id", a.config), cmd.CommandPath()}
	}
	trial, _, err := openTrial(a.config)
	if errors.Is(err, errTrialOff) {
		return nil, &usageError{fmt.Errorf("no source of tokens: %w, with --token-file, --token-env, --github-actions, --kubernetes or --client-id", err), cmd.CommandPath()}
	}
	if err != nil {
		return nil, err
	}
	return launch.TrialTokens{Trial: trial, Subject: trialSubject, Groups: trialGroups}, nil
}

// trust gives the root and the gateway: from flags, or from the configuration on
// this machine.
func (a *agentFlags) trust() (root []byte, gateway *launch.Gateway, err error) {
	url := a.gateway
	var conf *config.Config
	if url == "" || a.caFile == "" {
		if !exists(a.config) {
			return nil, nil, fmt.Errorf("there is no %s here: give --gateway and --ca-file, or --config", a.config)
		}
		if conf, err = config.Load(a.config); err != nil {
			return nil, nil, err
		}
	}
	if a.caFile != "" {
		if root, err = os.ReadFile(a.caFile); err != nil {
			return nil, nil, fmt.Errorf("--ca-file: %w", err)
		}
	} else {
		if root, err = os.ReadFile(filepath.Join(conf.StateDir, "ca", "root.crt")); err != nil {
			return nil, nil, fmt.Errorf("the CA's root: %w; `sallyport init` or `sallyport serve` makes it", err)
		}
	}
	if url == "" {
		if url, err = server.GatewayURL(conf); err != nil {
			return nil, nil, err
		}
	}
	gateway, err = launch.NewGateway(url, root)
	return root, gateway, err
}

// files writes what the environment names into a folder of the user's own.
func (a *agentFlags) files(root []byte) (launch.Files, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	bundle, err := ca.BundleOf(root)
	if err != nil {
		return launch.Files{}, err
	}
	return launch.WriteFiles(filepath.Join(dir, "sallyport", "agent-"+server.ShortFingerprint(root)), root, bundle)
}

// hidden are the variables that the agent must not inherit: it could mint tokens
// with them.
func (a *agentFlags) hidden() []string {
	if a.tokenEnv != "" {
		return []string{a.tokenEnv}
	}
	return nil
}

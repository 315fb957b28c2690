package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
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

// add defines the flags; label is the default of --label.
func (a *agentFlags) add(c *cobra.Command, label string) {
	f := c.Flags()
	configFlag(c, &a.config)
	f.StringVar(&a.gateway, "gateway", "", "gateway's URL, http://host:port or https://host:port (default: from the configuration)")
	f.StringVar(&a.caFile, "ca-file", "", "root certificate of the gateway's CA (default: from the configuration's state_dir)")
	f.StringVar(&a.target, "target", "", "target to use (default: the gateway's default target)")
	f.StringVar(&a.label, "label", label, "label of the session, for the record")
	f.StringVar(&a.region, "region", "", "AWS region (default: yours, or else the target's first)")
	f.StringVar(&a.tokenFile, "token-file", "", "read the OIDC token from this file, again whenever it is due")
	f.StringVar(&a.tokenEnv, "token-env", "", "read the OIDC token from this environment variable")
	f.BoolVar(&a.github, "github-actions", false, "ask GitHub Actions for the OIDC token of this job")
	f.BoolVar(&a.kubernetes, "kubernetes", false, "read the OIDC token from the projected file "+launch.KubernetesFile)
	f.StringVar(&a.clientID, "client-id", "", "get tokens by OAuth 2.0 client credentials: the client's id; needs --client-secret-file, and --issuer or --token-url")
	f.StringVar(&a.secretFile, "client-secret-file", "", "file with the client's secret")
	f.StringVar(&a.issuer, "issuer", "", "issuer whose discovery names the token endpoint")
	f.StringVar(&a.tokenTo, "token-url", "", "token endpoint, instead of --issuer")
	f.StringVar(&a.issuerCA, "issuer-ca-file", "", "roots of a private identity provider")
	f.StringSliceVar(&a.scopes, "scopes", nil, "scopes to ask for with client credentials")
	f.StringVar(&a.audience, "audience", identity.TrialAudience, "audience to ask tokens for")
	mayBeEmpty(c, "label", "audience")
}

// prepared is what run and env do their work with.
type prepared struct {
	flags   *agentFlags
	tokens  launch.TokenSource
	gateway *launch.Gateway
	files   launch.Files
}

// options are the environment's, for a proxy URL.
func (p *prepared) options(proxyURL string) launch.Options {
	o := launch.Options{ProxyURL: proxyURL, Target: p.flags.target, Region: p.flags.region, Files: p.files}
	if p.flags.tokenEnv != "" {
		o.Hide = []string{p.flags.tokenEnv} // the agent must not inherit what it could be somebody with
	}
	return o
}

// prepare reads the configuration of this machine, if it is needed, and finds
// everything that the flags leave open in it.
func (a *agentFlags) prepare(cmd *cobra.Command) (*prepared, error) {
	if err := identity.CheckLabel(a.label); err != nil {
		return nil, &usageError{fmt.Errorf("--label: %w", err), cmd.CommandPath()}
	}
	src, err := a.source(cmd)
	if err != nil {
		return nil, err
	}
	var conf *config.Config
	if src == nil || a.gateway == "" || a.caFile == "" {
		if !exists(a.config) && !cmd.Flags().Changed("config") {
			return nil, fmt.Errorf("there is no %s here: `sallyport init` writes one, --config names another. On a machine without the gateway's configuration give --gateway, --ca-file and where tokens come from (%s)", a.config, strings.Join(sourceFlags, ", "))
		}
		if err := ownConfig(cmd, a.config); err != nil {
			return nil, err
		}
		if conf, err = config.Load(a.config); err != nil {
			return nil, err
		}
	}
	if src == nil {
		trial, err := trialOf(conf)
		if errors.Is(err, errTrialOff) {
			return nil, &usageError{fmt.Errorf("%w: give one of %s", err, strings.Join(sourceFlags, ", ")), cmd.CommandPath()}
		}
		if err != nil {
			return nil, err
		}
		src = launch.TrialTokens{Trial: trial, Subject: trialSubject, Groups: trialGroups}
	}
	if err := a.settle(conf); err != nil {
		return nil, err
	}
	root, err := a.root(conf)
	if err != nil {
		return nil, err
	}
	url := a.gateway
	if url == "" {
		if url, err = server.GatewayURL(conf); err != nil {
			return nil, err
		}
	}
	p := &prepared{flags: a, tokens: src}
	if p.gateway, err = launch.NewGateway(url, root); err != nil {
		return nil, err
	}
	p.files, err = a.files(root)
	return p, err
}

// settle checks the target where the targets are known. The gateway takes a name
// that it does not know for the default target, and a slip must not end there.
// Without a region of the user's own it is the target's first.
func (a *agentFlags) settle(conf *config.Config) error {
	if conf == nil {
		return nil
	}
	t, ok := conf.Targets[cmp.Or(a.target, conf.DefaultTarget())]
	if !ok {
		return noTarget(conf, a.target)
	}
	if a.region == "" && launch.Region(os.Environ()) == "" && len(t.Regions) > 0 {
		a.region = t.Regions[0]
	}
	return nil
}

func noTarget(conf *config.Config, name string) error {
	return fmt.Errorf("there is no target %s in %s; there is %s", quote(name), conf.Path(), strings.Join(slices.Sorted(maps.Keys(conf.Targets)), ", "))
}

// sourceFlags are the flags that say where tokens come from.
var sourceFlags = []string{"--token-file", "--token-env", "--github-actions", "--kubernetes", "--client-id"}

// source is what exactly one flag chooses; nil when none does, which is the
// trial issuer.
func (a *agentFlags) source(cmd *cobra.Command) (launch.TokenSource, error) {
	usage := func(format string, args ...any) error {
		return &usageError{fmt.Errorf(format, args...), cmd.CommandPath()}
	}
	var chosen []string
	for _, name := range sourceFlags {
		if cmd.Flags().Changed(strings.TrimPrefix(name, "--")) {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) > 1 {
		return nil, usage("%s: give one source of tokens", strings.Join(chosen, " and "))
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
		if a.secretFile == "" || (a.issuer == "") == (a.tokenTo == "") {
			return nil, usage("--client-id needs --client-secret-file, and --issuer or --token-url")
		}
		text, err := os.ReadFile(a.secretFile)
		if err != nil {
			return nil, fmt.Errorf("--client-secret-file: %w", err)
		}
		return launch.ClientCredentials{Issuer: a.issuer, TokenURL: a.tokenTo, CAFile: a.issuerCA, ID: a.clientID,
			Secret: secret.New(strings.TrimSpace(string(text))), Audience: a.audience, Scopes: a.scopes}, nil
	case len(chosen) == 1:
		return nil, usage("%s is empty", chosen[0])
	}
	return nil, nil
}

// root is the certificate that agents trust.
func (a *agentFlags) root(conf *config.Config) ([]byte, error) {
	if a.caFile != "" {
		root, err := os.ReadFile(a.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		return root, nil
	}
	root, err := os.ReadFile(filepath.Join(conf.StateDir, "ca", "root.crt"))
	if err != nil {
		return nil, fmt.Errorf("the CA's root: %w; `sallyport init` or `sallyport serve` makes it", err)
	}
	return root, nil
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

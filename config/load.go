package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/strictyaml"
)

// Load reads and validates a file. The error, of type strictyaml.Problems, has
// everything that is wrong with it. Files that it names are not opened: Check
// does that.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		hint := ""
		if errors.Is(err, os.ErrNotExist) {
			hint = "; `sallyport init` writes one, --config names another"
		}
		return nil, strictyaml.Problems{{File: path, Message: "cannot be read: " + cause(err) + hint}}
	}
	return Parse(path, data)
}

// Parse is Load for bytes that were read already. path is for messages, and its
// folder is what relative paths are relative to.
func Parse(path string, data []byte) (*Config, error) {
	c := defaults()
	c.path = path
	c.doc = strictyaml.Decode(path, data, c)
	c.validate()
	if err := c.doc.Err(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("find the folder of %s: %w", path, err)
	}
	c.settle(dir)
	return c, nil
}

// settle fills in what follows from other keys, and makes paths absolute.
func (c *Config) settle(dir string) {
	for _, p := range c.paths() {
		if *p.value != "" && !filepath.IsAbs(*p.value) {
			*p.value = filepath.Join(dir, *p.value)
		}
	}
	for name, t := range c.Targets {
		if t.Default || len(c.Targets) == 1 {
			c.defaultTarget, t.Default = name, true
		}
		if len(t.Accounts) == 0 {
			t.Accounts = []string{t.Account()}
		}
	}
	if c.NATS.URL != "" {
		c.NATS.Listen = strictyaml.HostPort{}
	}
}

// pathKind is what a path must lead to.
type pathKind int

const (
	folder pathKind = iota
	plain
	roots   // PEM certificates
	private // readable by nobody else; so are those below
	slackBot
	slackApp
	hookSecret
)

type pathKey struct {
	key   string
	value *string
	kind  pathKind
}

// paths lists every path in the configuration.
func (c *Config) paths() []pathKey {
	out := []pathKey{
		{"state_dir", &c.StateDir, folder},
		{"aws.ca_file", &c.AWS.CAFile, roots},
		{"nats.creds_file", &c.NATS.CredsFile, private},
		{"nats.tls.ca_file", &c.NATS.TLS.CAFile, roots},
		{"nats.tls.cert_file", &c.NATS.TLS.CertFile, roots},
		{"nats.tls.key_file", &c.NATS.TLS.KeyFile, private},
	}
	for i := range c.Identity.Issuers {
		out = append(out, pathKey{fmt.Sprintf("identity.issuers[%d].ca_file", i), &c.Identity.Issuers[i].CAFile, roots})
	}
	for i := range c.Approvals.ApproverIssuers {
		out = append(out, pathKey{fmt.Sprintf("approvals.approver_issuers[%d].ca_file", i), &c.Approvals.ApproverIssuers[i].CAFile, roots})
	}
	out = append(out,
		pathKey{"approvals.slack.bot_token_file", &c.Approvals.Slack.BotTokenFile, slackBot},
		pathKey{"approvals.slack.app_token_file", &c.Approvals.Slack.AppTokenFile, slackApp})
	for i := range c.Approvals.Webhooks {
		out = append(out, pathKey{fmt.Sprintf("approvals.webhooks[%d].secret_file", i), &c.Approvals.Webhooks[i].SecretFile, hookSecret})
	}
	for i := range c.Policy.Files {
		out = append(out, pathKey{fmt.Sprintf("policy.files[%d]", i), &c.Policy.Files[i], plain})
	}
	return out
}

// cause is an error of os without the path, which the message has already.
func cause(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

package config

import (
	"crypto/x509"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/strictyaml"
)

// Check looks at the files that the configuration names: they must be there, be
// readable, hold certificates where roots are expected, and be private where they
// hold a key. The error is of type strictyaml.Problems. state_dir may be missing;
// it is made when the gateway starts.
func (c *Config) Check() error {
	var problems strictyaml.Problems
	for _, p := range c.paths() {
		if *p.value == "" {
			continue
		}
		if why := p.check(); why != "" {
			problems = append(problems, c.doc.Problem(p.key, "%s: %s", *p.value, why))
		}
	}
	return problems.Err()
}

func (p pathKey) check() string {
	info, err := os.Stat(*p.value)
	switch {
	case p.kind == folder && errors.Is(err, os.ErrNotExist):
		return ""
	case err != nil:
		return "cannot be opened: " + cause(err)
	case p.kind == folder && !info.IsDir():
		return "is not a folder"
	case p.kind == folder && info.Mode().Perm()&0o077 != 0:
		return "others can look into it; run chmod 700"
	case p.kind == folder:
		return ""
	case !info.Mode().IsRegular():
		return "is not a file"
	case p.kind >= private && info.Mode().Perm()&0o077 != 0:
		return "holds a secret and others can read it; run chmod 600"
	}
	data, err := os.ReadFile(*p.value)
	if err != nil {
		return "cannot be read: " + cause(err)
	}
	if p.kind == roots && !x509.NewCertPool().AppendCertsFromPEM(data) {
		return "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
	}
	return p.kind.checkSecret(data)
}

// Warnings are settings that work and that somebody should have thought about.
func (c *Config) Warnings() []strictyaml.Problem {
	var out []strictyaml.Problem
	if l := c.Proxy.Listen; !l.IsZero() && !l.Loopback() {
		out = append(out, c.doc.Problem("proxy.listen", "other machines can connect, and their tokens cross the network in the clear; prefer tls_listen unless the network is private"))
	}
	if l := c.NATS.Listen; c.NATS.URL == "" && !l.IsZero() && !l.Loopback() {
		out = append(out, c.doc.Problem("nats.listen", "other machines can connect, and approvers' tokens and the events cross the network in the clear; prefer a NATS server with TLS (nats.url) unless the network is private"))
	}
	if l := c.Admin.Listen; !l.IsZero() && !l.Loopback() {
		out = append(out, c.doc.Problem("admin.listen", "other machines can read the metrics"))
	}
	if c.AWS.Endpoint.URL != nil {
		out = append(out, c.doc.Problem("aws.endpoint", "every AWS request goes to %s, none to AWS", c.AWS.Endpoint))
	}
	if c.Identity.Local {
		out = append(out, c.doc.Problem("identity.local", "everybody who can read state_dir can make tokens for any subject; for trials only"))
	}
	if !c.Mask.AWSSensitive {
		out = append(out, c.doc.Problem("mask.aws_sensitive", "agents see secrets in AWS's answers, except where a rule masks them"))
	}
	if len(c.Mask.Detectors) == 0 {
		out = append(out, c.doc.Problem("mask.detectors", "secrets in texts that AWS does not mark (an access key in a tag) reach agents and the record"))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Targets)) {
		if t := c.Targets[name]; t.Credentials == WebIdentity {
			out = append(out, c.doc.Problem("targets."+name+".credentials", "agents' own tokens go to STS: %s", c.webIdentityNeeds(t)))
		}
	}
	return out
}

// ApprovalWarnings are Warnings that depend on the policy: asks reports that a rule
// of it asks people.
func (c *Config) ApprovalWarnings(asks bool) []strictyaml.Problem {
	if !asks || c.CanApprove() {
		return nil
	}
	return []strictyaml.Problem{c.doc.Problem("approvals", "a rule of the policy asks people, and approver_issuers names nobody who could answer: what it asks for is refused")}
}

// CanApprove reports that there is an issuer of approvers.
func (c *Config) CanApprove() bool {
	return len(c.Approvals.ApproverIssuers) > 0 || c.Identity.Local
}

// webIdentityNeeds says what must be there in AWS for web-identity to work.
func (c *Config) webIdentityNeeds(t *Target) string {
	var issuers []string
	for _, i := range c.Identity.Issuers {
		issuers = append(issuers, i.Issuer+" (client id "+i.Audience+")")
	}
	return "account " + t.Account() + " must have an IAM OIDC provider for " + strings.Join(issuers, " or ") + ", and " + t.RoleARN + " must trust it for sts:AssumeRoleWithWebIdentity, by aud and sub"
}

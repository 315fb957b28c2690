package config

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/strictyaml"
	"github.com/sallyport/sallyport/mask/detect"
)

func (c *Config) validate() {
	c.validateTexts()
	c.validateProxy()
	c.validateAWS()
	c.validateIdentity()
	c.validateTargets()
	c.validateNATS()
	c.validateRecorders()
	if len(c.Policy.Files) == 0 {
		c.doc.Errorf("policy.files", "name at least one rule file; without rules everything is denied")
	}
	for i, f := range c.Policy.Files {
		key := fmt.Sprintf("policy.files[%d]", i)
		if f == "" {
			c.doc.Errorf(key, "the name is empty")
		} else if slices.Contains(c.Policy.Files[:i], f) {
			c.doc.Errorf(key, "%q is listed twice; remove one", f)
		}
	}
	c.validateApprovals()
	c.validateNotifiers()
	c.validateMask()
	c.validateRetention()
	c.validateArchive()
}

func (c *Config) validateApprovals() {
	a := c.Approvals
	if a.Expires < time.Minute || a.Expires > 24*time.Hour {
		c.doc.Errorf("approvals.expires", "%s is out of bounds; write 1m to 24h", a.Expires)
	}
	if a.Hold < 0 || a.Hold > 15*time.Minute {
		c.doc.Errorf("approvals.hold", "%s is out of bounds; write 0s to 15m", a.Hold)
	} else if a.Hold > a.Expires {
		c.doc.Errorf("approvals.hold", "%s is longer than approvals.expires (%s); no answer counts after that", a.Hold, a.Expires)
	}
	if a.MaxPendingPerIdentity < 1 || a.MaxPendingPerIdentity > 100 {
		c.doc.Errorf("approvals.max_pending_per_identity", "%d is out of bounds; write 1 to 100", a.MaxPendingPerIdentity)
	}
	c.validateIssuers("approvals.approver_issuers", a.ApproverIssuers)
	for i, iss := range a.ApproverIssuers {
		if slices.ContainsFunc(c.Identity.Issuers, func(o Issuer) bool { return o.Issuer == iss.Issuer && o.Audience == iss.Audience }) {
			c.doc.Errorf(fmt.Sprintf("approvals.approver_issuers[%d].audience", i), "agents' tokens of this issuer have the audience %q too, so agents could approve; give approvers another one", iss.Audience)
		}
		// One person under two names would approve their own requests.
		if slices.ContainsFunc(c.Identity.Issuers, func(o Issuer) bool { return o.Issuer == iss.Issuer && o.SubjectClaim != iss.SubjectClaim }) {
			c.doc.Errorf(fmt.Sprintf("approvals.approver_issuers[%d].subject_claim", i), "is not that of this issuer under identity.issuers, so nobody's own request would be known as theirs; write the same")
		}
	}
}

func (c *Config) validateMask() {
	c.validatePresidio()
	if c.Mask.MaxBody < 64<<10 || c.Mask.MaxBody > 256<<20 {
		c.doc.Errorf("mask.max_body", "%s is out of bounds; write 64KiB to 256MiB (answers are held in memory while they are masked)", c.Mask.MaxBody)
	}
	if c.Mask.Objects != ObjectsPass && c.Mask.Objects != ObjectsMask {
		c.doc.Errorf("mask.objects", "%q is not known; write pass (objects reach the agent as they are) or mask", c.Mask.Objects)
	}
	if _, err := detect.New(detect.Config{Sets: c.Mask.Detectors}); err != nil {
		c.doc.Errorf("mask.detectors", "%s", err)
	}
	for i, p := range c.Mask.Patterns {
		key := fmt.Sprintf("mask.patterns[%d]", i)
		switch {
		case !patternName.MatchString(p.Name):
			c.doc.Errorf(key+".name", "a pattern needs a name of letters, digits, - or _, at most 64 characters long")
		case slices.ContainsFunc(c.Mask.Patterns[:i], func(q Pattern) bool { return q.Name == p.Name }):
			c.doc.Errorf(key+".name", "the name %s is taken by another pattern", p.Name)
		}
		if p.Entropy < 0 || p.Entropy > 8 {
			c.doc.Errorf(key+".entropy", "%g is out of bounds; write 0 to 8 bits per character", p.Entropy)
		}
		if _, err := detect.New(detect.Config{Custom: []detect.Custom{p.custom()}}); err != nil {
			c.doc.Errorf(key+".regex", "%s", err)
		}
	}
}

func (c *Config) validatePresidio() {
	p := c.Mask.Presidio
	if p.URL.URL == nil {
		return
	}
	if p.URL.Scheme != "http" && p.URL.Scheme != "https" || p.URL.Host == "" || p.URL.RawQuery != "" || p.URL.Fragment != "" {
		c.doc.Errorf("mask.presidio.url", "expected http://host:port or https://host:port, where Presidio's analyzer listens")
	}
	if p.Threshold < 0 || p.Threshold > 1 {
		c.doc.Errorf("mask.presidio.threshold", "%g is out of bounds; write 0 to 1", p.Threshold)
	}
	if p.Timeout < 100*time.Millisecond || p.Timeout > time.Minute {
		c.doc.Errorf("mask.presidio.timeout", "%s is out of bounds; write 100ms to 1m (answers wait for it)", p.Timeout)
	}
	if !language.MatchString(p.Language) {
		c.doc.Errorf("mask.presidio.language", "%q is not a language; write two letters such as en", p.Language)
	}
}

var language = regexp.MustCompile(`^[a-z]{2}$`)

var patternName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (p Pattern) custom() detect.Custom {
	return detect.Custom{Name: p.Name, Regex: p.Regex, Keywords: p.Keywords, Entropy: p.Entropy}
}

// Scanner is what finds secrets in text; nil where the configuration turns all
// detectors off.
func (m Mask) Scanner() (*detect.Scanner, error) {
	if len(m.Detectors) == 0 && len(m.Patterns) == 0 {
		return nil, nil
	}
	custom := make([]detect.Custom, len(m.Patterns))
	for i, p := range m.Patterns {
		custom[i] = p.custom()
	}
	return detect.New(detect.Config{Sets: m.Detectors, Custom: custom})
}

// validateTexts refuses control characters in what goes to logs and system calls.
func (c *Config) validateTexts() {
	texts := c.paths()
	texts = append(texts, pathKey{key: "aws.base_profile", value: &c.AWS.BaseProfile})
	for _, t := range texts {
		if strings.ContainsFunc(*t.value, unicode.IsControl) {
			c.doc.Errorf(t.key, "holds a control character")
		}
	}
	if c.StateDir == "" {
		c.doc.Errorf("state_dir", "is empty; name a folder, such as ./state")
	}
}

func (c *Config) validateProxy() {
	if c.Proxy.Listen.IsZero() && c.Proxy.TLSListen.IsZero() {
		c.doc.Errorf("proxy.listen", "neither listen nor tls_listen is set, so no agent could connect; write 127.0.0.1:3128")
	}
	used := map[string]string{}
	for _, l := range c.listeners() {
		if l.address.IsZero() || l.address.Port == 0 {
			continue
		}
		if other, ok := used[l.address.String()]; ok {
			c.doc.Errorf(l.key, "%s is the address of %s already; choose another port", l.address, other)
		}
		used[l.address.String()] = l.key
	}
	for i, t := range c.Proxy.Tunnel {
		key := fmt.Sprintf("proxy.tunnel[%d]", i)
		if why := badTunnel(t); why != "" {
			c.doc.Errorf(key, "%s", why)
		} else if slices.Contains(c.Proxy.Tunnel[:i], t) {
			c.doc.Errorf(key, "%s is listed twice; remove one", t)
		}
	}
}

type listener struct {
	key     string
	address strictyaml.HostPort
}

func (c *Config) listeners() []listener {
	out := []listener{{"proxy.listen", c.Proxy.Listen}, {"proxy.tls_listen", c.Proxy.TLSListen}, {"admin.listen", c.Admin.Listen}}
	if c.NATS.URL == "" {
		out = append(out, listener{"nats.listen", c.NATS.Listen})
	}
	return out
}

func (c *Config) validateAWS() {
	if u := c.AWS.Endpoint.URL; u != nil {
		if u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			c.doc.Errorf("aws.endpoint", "expected http://host:port or https://host:port, without a path")
		}
		var h strictyaml.HostPort
		if err := h.UnmarshalText([]byte(u.Host)); err == nil && h.Port == 0 {
			c.doc.Errorf("aws.endpoint", "port 0 cannot be connected to")
		} else if err != nil {
			c.doc.Errorf("aws.endpoint", "%s", err)
		}
	}
	for i, p := range c.AWS.AllowPrivateUpstream {
		for _, never := range neverUpstream {
			if p.Overlaps(never.prefix) {
				c.doc.Errorf(fmt.Sprintf("aws.allow_private_upstream[%d]", i), "%s includes %s (%s); name the networks of your VPC endpoints only", p, never.prefix, never.what)
				break
			}
		}
	}
	for i, e := range c.AWS.Endpoints {
		if e.Host == "" || e.Service == "" {
			c.doc.Errorf(fmt.Sprintf("aws.endpoints[%d]", i), "an endpoint needs host and service, such as {host: vpce-0a1b.sqs.us-east-1.vpce.amazonaws.com, service: sqs, region: us-east-1}")
			continue
		}
		// The catalog knows which services, regions and suffixes there are.
		if _, err := awsapi.New(awsapi.CustomEndpoint(e)); err != nil {
			c.doc.Errorf(fmt.Sprintf("aws.endpoints[%d]", i), "%s", err)
		}
	}
}

// neverUpstream are addresses at which no AWS API is: an AWS name that resolves
// there is an attack on the gateway's own machine.
var neverUpstream = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("127.0.0.0/8"), "this machine"},
	{netip.MustParsePrefix("::1/128"), "this machine"},
	{netip.MustParsePrefix("0.0.0.0/8"), "this machine"},
	{netip.MustParsePrefix("169.254.0.0/16"), "instance metadata"},
	{netip.MustParsePrefix("fd00:ec2::/32"), "instance metadata"},
	{netip.MustParsePrefix("fe80::/10"), "the local link"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

func (c *Config) validateIdentity() {
	if len(c.Identity.Issuers) == 0 && !c.Identity.Local {
		c.doc.Errorf("identity", "nobody could call: name an OIDC provider under issuers, or set local: true for a trial on this machine")
	}
	c.validateIssuers("identity.issuers", c.Identity.Issuers)
	if c.Identity.Local {
		for _, l := range c.listeners() {
			if !l.address.IsZero() && !l.address.Loopback() {
				c.doc.Errorf("identity.local", "the trial issuer works only while every listener is on loopback, and %s is %s; name a real issuer, or listen on 127.0.0.1", l.key, l.address)
			}
		}
	}
}

func (c *Config) validateIssuers(key string, issuers []Issuer) {
	for i, iss := range issuers {
		at := fmt.Sprintf("%s[%d]", key, i)
		if why := badIssuer(iss.Issuer); why != "" {
			c.doc.Errorf(at+".issuer", "%s", why)
		} else if slices.ContainsFunc(issuers[:i], func(o Issuer) bool { return o.Issuer == iss.Issuer }) {
			c.doc.Errorf(at+".issuer", "%q is listed twice; one entry per issuer", iss.Issuer)
		}
		if strings.TrimSpace(iss.Audience) == "" {
			c.doc.Errorf(at+".audience", "name the audience that tokens for this gateway have; without it a token made for another service would do")
		}
		if iss.SubjectClaim == "" || strings.ContainsFunc(iss.SubjectClaim, unicode.IsSpace) {
			c.doc.Errorf(at+".subject_claim", "name a claim, such as sub")
		}
		if iss.GroupsClaim == "" || strings.ContainsFunc(iss.GroupsClaim, unicode.IsSpace) {
			c.doc.Errorf(at+".groups_claim", "name a claim, such as groups or realm_access.roles")
		}
		if iss.MaxTokenAge < time.Minute || iss.MaxTokenAge > 24*time.Hour {
			c.doc.Errorf(at+".max_token_age", "%s is out of bounds; write 1m to 24h", iss.MaxTokenAge)
		}
	}
}

// badIssuer says why a text is not an issuer (OpenID Connect Discovery section 3:
// https, no query, no fragment).
func badIssuer(s string) string {
	if s == "" {
		return "name the issuer, as it stands in its tokens (iss)"
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || strings.ContainsFunc(s, unicode.IsSpace):
		return "expected an https URL, as it stands in the issuer's tokens (iss)"
	case u.User != nil:
		return "a URL here must not hold a user or a password"
	case u.Scheme != "https":
		return "the issuer must be an https URL: its keys come from there"
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return "an issuer has no query and no fragment"
	case strings.HasSuffix(u.Hostname(), ".invalid"):
		return "names under .invalid exist nowhere; set identity.local: true for the built-in issuer"
	}
	return ""
}

var (
	targetName   = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	accountID    = regexp.MustCompile(`^[0-9]{12}$`)
	externalID   = regexp.MustCompile(`^[A-Za-z0-9_+=,.@:/-]{2,1000}$`) // AWS: up to 1224; Go repeats at most 1000
	subjectToken = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9_-]+)*$`)
)

// keyPrefixes begin AWS's own unique ids (IAM User Guide, "Understanding unique ID
// prefixes"). A target named like one could not be told from a leaked key.
var keyPrefixes = []string{"ABIA", "ACCA", "AGPA", "AIDA", "AIPA", "AKIA", "ANPA", "ANVA", "APKA", "AROA", "ASCA", "ASIA"}

func (c *Config) validateTargets() {
	if len(c.Targets) == 0 {
		c.doc.Errorf("targets", "name at least one target: the AWS role that agents use")
	}
	var marked []string
	names := slices.Sorted(maps.Keys(c.Targets))
	for _, name := range names {
		at, t := "targets."+name, c.Targets[name]
		if !targetName.MatchString(name) {
			c.doc.Errorf(at, "agents write a target's name as their access key id; use letters, digits, _ . and -, at most 64")
		} else if slices.ContainsFunc(keyPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			c.doc.Errorf(at, "a target must not begin like an AWS key id (%s); choose another name", name[:4])
		}
		if t == nil { // could not be read; noted already
			continue
		}
		c.validateTarget(at, t)
		if t.Default {
			marked = append(marked, name)
		}
	}
	switch {
	case len(marked) == 0 && len(names) > 1:
		c.doc.Errorf("targets", "none of %s is the default; give one of them default: true", strings.Join(names, ", "))
	case len(marked) > 1:
		for _, name := range marked[1:] {
			c.doc.Errorf("targets."+name+".default", "%s is the default already; only one can be", marked[0])
		}
	}
}

func (c *Config) validateTarget(at string, t *Target) {
	p := partitionOf(t.RoleARN)
	if why := badRoleARN(t.RoleARN); why != "" {
		c.doc.Errorf(at+".role_arn", "%s", why)
		p = nil
	}
	if t.ExternalID != "" && !externalID.MatchString(t.ExternalID) {
		c.doc.Errorf(at+".external_id", "an external id is 2 to 1000 letters, digits and _+=,.@:/-")
	}
	switch t.Credentials {
	case AssumeRole:
	case WebIdentity:
		if t.ExternalID != "" {
			c.doc.Errorf(at+".external_id", "STS takes no external id with a web identity; leave it out, and limit the role's trust policy by the token's claims")
		}
		if len(c.Identity.Issuers) == 0 {
			c.doc.Errorf(at+".credentials", "web-identity needs an issuer in identity.issuers; AWS cannot fetch the keys of the built-in one")
		}
	default:
		c.doc.Errorf(at+".credentials", "%q is neither assume-role nor web-identity", t.Credentials)
	}
	for i, r := range t.Regions {
		key := fmt.Sprintf("%s.regions[%d]", at, i)
		if !anyRegion.MatchString(r) {
			c.doc.Errorf(key, "%q is not a region, such as eu-west-1; no wildcards, an empty list is any region", r)
		} else if p != nil && !p.regions.MatchString(r) {
			c.doc.Errorf(key, "%s is not a region of partition %s, where the role is", r, p.id)
		}
	}
	for i, a := range t.Accounts {
		if !accountID.MatchString(a) {
			c.doc.Errorf(fmt.Sprintf("%s.accounts[%d]", at, i), "%q is not an account id (12 digits in quotes)", a)
		}
	}
	if t.CredentialTTL < 15*time.Second || t.CredentialTTL > 15*time.Minute {
		c.doc.Errorf(at+".credential_ttl", "%s is out of bounds; write 15s to 15m", t.CredentialTTL)
	}
}

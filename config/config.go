// Package config reads sallyport.yaml. Its types are the reference of the keys;
// defaults.go has all defaults.
//
// It accepts one strict YAML document and reports everything that is wrong with
// it at once, each with file, line and what to do (strictyaml.Problems). It
// refuses keys that it does not know, secrets written into the file (they come
// from files that are named in it), and settings that would quietly give up what
// the gateway is for: a tunnel to AWS, the trial issuer on a network, a target
// named like a real AWS key.
package config

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/internal/strictyaml"
)

// Config is sallyport.yaml. After Load, paths are absolute (relative ones are
// relative to the file's folder), and what is left out has its default.
type Config struct {
	// StateDir holds the CA, the embedded NATS server's data and the records.
	// Mode 0700. Default ./state.
	StateDir string   `yaml:"state_dir"`
	Proxy    Proxy    `yaml:"proxy"`
	AWS      AWS      `yaml:"aws"`
	Identity Identity `yaml:"identity"`
	// Targets are the AWS roles that agents may name, by the name that stands in
	// the agents' profiles as aws_access_key_id: letters, digits, _ . -, at most
	// 64, and not like a real key id (AKIA...). At least one.
	Targets   map[string]*Target `yaml:"targets"`
	Policy    Policy             `yaml:"policy"`
	Approvals Approvals          `yaml:"approvals"`
	Mask      Mask               `yaml:"mask"`
	Record    Record             `yaml:"record"`
	NATS      NATS               `yaml:"nats"`
	Admin     Admin              `yaml:"admin"`

	path          string
	doc           *strictyaml.Document
	defaultTarget string
}

// Proxy is where agents connect.
type Proxy struct {
	// Listen takes HTTP CONNECT. Default 127.0.0.1:3128; "" turns it off. Port 0:
	// any free port.
	Listen strictyaml.HostPort `yaml:"listen"`
	// TLSListen is the same over TLS, with a certificate of our CA. Default off.
	TLSListen strictyaml.HostPort `yaml:"tls_listen"`
	// Tunnel lists host:port that are passed through untouched, for callers with a
	// valid token. Exact names outside AWS; no wildcards, no IP addresses.
	Tunnel []strictyaml.HostPort `yaml:"tunnel"`
}

// AWS is how the gateway reaches AWS.
type AWS struct {
	// Endpoint gets every request in place of AWS, STS too: http(s)://host:port of
	// LocalStack or moto. Host header and SNI stay the AWS name. Default off.
	Endpoint strictyaml.URL `yaml:"endpoint"`
	// CAFile has further roots (PEM) for TLS to AWS.
	CAFile string `yaml:"ca_file"`
	// BaseProfile is the profile of the gateway's own AWS identity, which may
	// assume the targets' roles. Default: the SDK's default chain.
	BaseProfile string `yaml:"base_profile"`
	// AllowPrivateUpstream are the private networks into which AWS names may
	// resolve (VPC endpoints). Default none.
	AllowPrivateUpstream []netip.Prefix `yaml:"allow_private_upstream"`
	// Endpoints are host names beyond AWS's public ones that requests are signed
	// for: VPC endpoints, domains of a customer's own, discovered cells. Their names
	// belong to whoever made them, so each is named exactly. Default none.
	Endpoints []CustomEndpoint `yaml:"endpoints"`
}

// CustomEndpoint is one name of aws.endpoints.
type CustomEndpoint struct {
	Host    string `yaml:"host"`    // exact, lower case, below a DNS suffix of AWS
	Service string `yaml:"service"` // the AWS CLI's name of the service: sqs, s3
	Region  string `yaml:"region"`  // "": the one that the client signs for
}

// Identity is whose tokens are accepted. At least one issuer, or Local.
type Identity struct {
	Issuers []Issuer `yaml:"issuers"`
	// Local turns on the built-in issuer for trials (`sallyport token`). Only while
	// every listener is on loopback: its key lies on this machine.
	Local bool `yaml:"local"`
}

// Issuer is an OIDC provider.
type Issuer struct {
	// Issuer is the `iss` of its tokens, an https URL, character by character.
	Issuer string `yaml:"issuer"`
	// Audience must be in `aud`. Required: a token for another service is no
	// token for this one.
	Audience string `yaml:"audience"`
	// CAFile has the roots (PEM) of a private provider.
	CAFile string `yaml:"ca_file"`
	// SubjectClaim names the claim that is the subject. Default sub.
	SubjectClaim string `yaml:"subject_claim"`
	// GroupsClaim is the dotted path of the groups: a list, or one text with
	// spaces between. Default groups.
	GroupsClaim string `yaml:"groups_claim"`
	// MaxTokenAge is how long after `iat` a token is accepted at most, 1m to 24h.
	// Default 1h.
	MaxTokenAge time.Duration `yaml:"max_token_age"`
}

// Target is a role that agents may use.
type Target struct {
	// RoleARN is the role that is assumed for every request. Required.
	RoleARN string `yaml:"role_arn"`
	// ExternalID is sent with AssumeRole, where the role's trust policy asks for it.
	ExternalID string `yaml:"external_id"`
	// Credentials says how: assume-role (default; the gateway's own AWS identity
	// assumes the role) or web-identity (the agent's own token goes to STS, and the
	// gateway needs no AWS identity; the token's issuer must be an IAM OIDC provider
	// that the role trusts).
	Credentials string `yaml:"credentials"`
	// Regions that may be used. Empty: any region of the role's partition.
	Regions []string `yaml:"regions"`
	// Accounts (12 digits, in quotes) whose resources may be reached. Default: the
	// role's own account.
	Accounts []string `yaml:"accounts"`
	// CredentialTTL is how long a credential may be used after it was made, 15s to
	// 15m. Default 60s.
	CredentialTTL time.Duration `yaml:"credential_ttl"`
	// Default makes this the target of requests that name none. Exactly one; a
	// single target is it anyway.
	Default bool `yaml:"default"`
}

// The values of Target.Credentials.
const (
	AssumeRole  = "assume-role"
	WebIdentity = "web-identity"
)

// Policy is where the rules are.
type Policy struct {
	// Files are the rule files. Default [policy.yaml].
	Files []string `yaml:"files"`
}

// Approvals is how people are asked where a rule or the risk says so.
type Approvals struct {
	// Hold is how long a request stays open for an answer, 0s to 15m and not longer
	// than Expires. Beyond it the agent is told to send the call again. Default 90s:
	// agents' own limits for a tool are often two minutes.
	Hold time.Duration `yaml:"hold"`
	// Expires is how long people may take, 1m to 24h. Default 15m.
	Expires time.Duration `yaml:"expires"`
	// MaxPendingPerIdentity is how many requests of one agent may wait at once, 1 to
	// 100. Default 5.
	MaxPendingPerIdentity int `yaml:"max_pending_per_identity"`
	// ApproverIssuers are the OIDC providers of people who approve, as
	// identity.issuers. An issuer may be there too, with another audience. With
	// identity.local the trial issuer is one by itself. Default none: what needs an
	// approval is refused.
	ApproverIssuers []Issuer `yaml:"approver_issuers"`
	// AllowServiceAccounts lets programs approve: tokens that their issuer marks as a
	// client's own, or that have neither a verified e-mail address nor a name. Default
	// false.
	AllowServiceAccounts bool `yaml:"allow_service_accounts"`
	// Slack is a channel in which people are asked too.
	Slack Slack `yaml:"slack"`
	// Webhooks are HTTP servers that are told what waits and how it ended; at most 8.
	Webhooks []Webhook `yaml:"webhooks"`
}

// Mask is what is taken out of AWS's answers, and out of what is recorded.
type Mask struct {
	// AWSSensitive masks what AWS's models mark sensitive, and what is known to be
	// secret. Default true.
	AWSSensitive bool `yaml:"aws_sensitive"`
	// Detectors look for secrets in every text: aws-keys, private-keys, jwt, tokens
	// (the default), and emails, cards, phones, ssns, ibans. [] turns all off.
	Detectors []string `yaml:"detectors"`
	// Patterns are detectors of your own. Default none.
	Patterns []Pattern `yaml:"patterns"`
	// Objects says what happens to object bodies that stream (S3 GetObject) on their
	// way to the agent: pass (the default), or mask: the detectors' finds are
	// overwritten in place, so that the length stays.
	Objects string `yaml:"objects"`
	// MaxBody is the largest answer that is read to be masked, 64KiB to 256MiB; a
	// larger one is refused. Default 16MiB.
	MaxBody strictyaml.Size `yaml:"max_body"`
	// Presidio is a Presidio analyzer that looks at the texts of answers too.
	Presidio Presidio `yaml:"presidio"`
}

// Presidio is a Microsoft Presidio analyzer: it finds names, addresses and the like.
// It sees the texts of every answer that is not an object or an event stream, and
// where it does not answer, they are withheld.
type Presidio struct {
	// URL of the analyzer, without /analyze. Default "": none.
	URL strictyaml.URL `yaml:"url"`
	// Language of the texts, ISO 639-1. Default en.
	Language string `yaml:"language"`
	// Entities are the types to mask: PERSON, LOCATION, ... Default: all that it knows.
	Entities []string `yaml:"entities"`
	// Threshold is the least score that masks, 0 to 1. Default 0.5.
	Threshold float64 `yaml:"threshold"`
	// Timeout is how long an answer waits for it, 100ms to 1m. Default 5s.
	Timeout time.Duration `yaml:"timeout"`
}

// Pattern is a detector that the operator writes.
type Pattern struct {
	// Name appears in findings: letters, digits, - and _. Required.
	Name string `yaml:"name"`
	// Regex is in RE2's syntax (https://github.com/google/re2/wiki/Syntax), without ^
	// and $. Its group called secret, or else its first group, or else all of it is
	// masked. Required.
	Regex string `yaml:"regex"`
	// Keywords (without regard to case): the expression is tried only near one of
	// them, which is much faster. Default: everywhere.
	Keywords []string `yaml:"keywords"`
	// Entropy is the least Shannon entropy of what is masked, in bits per character,
	// 0 to 8. Default 0: any.
	Entropy float64 `yaml:"entropy"`
}

// The values of Mask.Objects.
const (
	ObjectsPass = "pass"
	ObjectsMask = "mask"
)

// NATS is where events go.
type NATS struct {
	// URL of a NATS server, or several with commas between: nats://, tls://, ws:// or
	// wss://. Default "": an embedded server under state_dir.
	URL string `yaml:"url"`
	// Listen is the embedded server's address. Default 127.0.0.1:4222; port 0: any,
	// written to state_dir/nats/url. Unset when URL is set.
	Listen strictyaml.HostPort `yaml:"listen"`
	// CredsFile is the NATS user of the gateway. Only with URL.
	CredsFile string `yaml:"creds_file"`
	// TLS is for the connection to URL.
	TLS NATSTLS `yaml:"tls"`
	// Replicas of the streams: 1, 3 or 5. More than 1 only with URL. Default 1.
	Replicas int `yaml:"replicas"`
	// SubjectPrefix begins every subject. Default sallyport.
	SubjectPrefix string `yaml:"subject_prefix"`
}

// NATSTLS is TLS towards a NATS server.
type NATSTLS struct {
	CAFile   string `yaml:"ca_file"`   // roots (PEM); default the system's
	CertFile string `yaml:"cert_file"` // client certificate, with KeyFile
	KeyFile  string `yaml:"key_file"`
}

// Admin is the operators' endpoint.
type Admin struct {
	// Listen serves /metrics, /healthz and /readyz. Default 127.0.0.1:3190; "" turns
	// it off.
	Listen strictyaml.HostPort `yaml:"listen"`
}

// Path is the file that was read.
func (c *Config) Path() string { return c.path }

// DefaultTarget is the name of the default target.
func (c *Config) DefaultTarget() string { return c.defaultTarget }

// Tunnels are proxy.tunnel as host:port, in lower case.
func (c *Config) Tunnels() []string {
	out := make([]string, len(c.Proxy.Tunnel))
	for i, t := range c.Proxy.Tunnel {
		out[i] = t.String()
	}
	return out
}

// Account is the account of the role, 12 digits.
func (t *Target) Account() string { return arnPart(t.RoleARN, 4) }

// Partition is the partition of the role: aws, aws-cn, aws-us-gov, ...
func (t *Target) Partition() string { return arnPart(t.RoleARN, 1) }

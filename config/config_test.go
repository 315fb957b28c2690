package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/strictyaml"
)

var update = flag.Bool("update", false, "rewrite the golden messages in testdata")

const minimal = `
identity: {local: true}
targets: {dev: {role_arn: "arn:aws:iam::111122223333:role/agent-dev"}}
`

func TestDefaults(t *testing.T) {
	c, err := Parse("/etc/sallyport/sallyport.yaml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	dev := c.Targets["dev"]
	for _, x := range []struct {
		key       string
		got, want any
	}{
		{"state_dir", c.StateDir, "/etc/sallyport/state"},
		{"proxy.listen", c.Proxy.Listen.String(), "127.0.0.1:3128"},
		{"proxy.tls_listen", c.Proxy.TLSListen.String(), ""},
		{"aws.endpoint", c.AWS.Endpoint.String(), ""},
		{"policy.files", c.Policy.Files[0], "/etc/sallyport/policy.yaml"},
		{"mask.aws_sensitive", c.Mask.AWSSensitive, true},
		{"mask.max_body", c.Mask.MaxBody, strictyaml.Size(16 << 20)},
		{"nats.listen", c.NATS.Listen.String(), "127.0.0.1:4222"},
		{"approvals.hold", c.Approvals.Hold, 90 * time.Second},
		{"approvals.expires", c.Approvals.Expires, 15 * time.Minute},
		{"approvals.max_pending_per_identity", c.Approvals.MaxPendingPerIdentity, 5},
		{"approvals.allow_service_accounts", c.Approvals.AllowServiceAccounts, false},
		{"nats.replicas", c.NATS.Replicas, 1},
		{"nats.subject_prefix", c.NATS.SubjectPrefix, "sallyport"},
		{"admin.listen", c.Admin.Listen.String(), "127.0.0.1:3190"},
		{"targets.dev.credential_ttl", dev.CredentialTTL, time.Minute},
		{"targets.dev.accounts", dev.Accounts[0], "111122223333"},
		{"targets.dev.default", dev.Default, true},
		{"default target", c.DefaultTarget(), "dev"},
		{"partition", dev.Partition(), "aws"},
	} {
		if x.got != x.want {
			t.Errorf("%s is %v, want %v", x.key, x.got, x.want)
		}
	}
}

func TestEverythingSet(t *testing.T) {
	c, err := Load("testdata/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := filepath.Abs("testdata")
	iss := c.Identity.Issuers
	if c.DefaultTarget() != "prod" || c.NATS.Listen.String() != "" || c.AWS.CAFile != filepath.Join(dir, "aws-ca.pem") ||
		!slices.Equal(c.Tunnels(), []string{"api.anthropic.com:443", "notamazonaws.com:8443"}) ||
		iss[0].SubjectClaim != "sub" || iss[0].MaxTokenAge != time.Hour || iss[1].GroupsClaim != "realm_access.roles" ||
		c.Targets["prod"].CredentialTTL != 15*time.Second || len(c.Targets["dev"].Accounts) != 2 || c.Policy.Files[1] != "/etc/p.yaml" {
		t.Errorf("%+v", c)
	}
	if w := c.Warnings(); len(w) != 3 || w[0].Path != "proxy.listen" || w[0].Line == 0 {
		t.Errorf("warnings: %v", w)
	}
}

// Each testdata/bad-*.yaml has its messages beside it.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test files", err)
	}
	for _, file := range files {
		_, err := Load(file)
		if err == nil {
			t.Errorf("%s was accepted", file)
			continue
		}
		golden := strings.TrimSuffix(file, ".yaml") + ".txt"
		got := strings.ReplaceAll(err.Error(), "testdata/", "") + "\n"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("%s (%v):\n got\n%s\nwant\n%s", file, err, got, want)
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("%s: a secret is in the messages", file)
		}
	}
}

// One setting changed in a file that is right; each must be refused at its key.
func TestRefused(t *testing.T) {
	if _, err := Parse("f", []byte(minimal)); err != nil {
		t.Fatal(err)
	}
	for add, key := range map[string]string{
		"proxy: {listen: '0.0.0.0:3128'}":                                                    "identity.local",
		"proxy: {tls_listen: '10.0.0.1:3129'}":                                               "identity.local",
		"admin: {listen: '[::]:3190'}":                                                       "identity.local",
		"nats: {listen: '0.0.0.0:4222'}":                                                     "identity.local",
		"proxy: {listen: ''}":                                                                "proxy.listen",
		"admin: {listen: '127.0.0.1:3128'}":                                                  "admin.listen",
		"proxy: {tunnel: ['s3.amazonaws.com:443']}":                                          "proxy.tunnel[0]",
		"proxy: {tunnel: ['S3.AmazonAWS.com:443']}":                                          "proxy.tunnel[0]",
		"proxy: {tunnel: ['amazonaws.com:443']}":                                             "proxy.tunnel[0]",
		"proxy: {tunnel: ['x.amazonaws.com.cn:443']}":                                        "proxy.tunnel[0]",
		"proxy: {tunnel: ['s3.us-east-1.api.aws:443']}":                                      "proxy.tunnel[0]",
		"proxy: {tunnel: ['x.lambda-url.us-east-1.on.aws:443']}":                             "proxy.tunnel[0]",
		"proxy: {tunnel: ['d1.cloudfront.net:443']}":                                         "proxy.tunnel[0]",
		"proxy: {tunnel: ['x.awsapps.com:443']}":                                             "proxy.tunnel[0]",
		"proxy: {tunnel: ['console.aws.amazon.com:443']}":                                    "proxy.tunnel[0]",
		"proxy: {tunnel: ['s3.amazonaws.com.:443']}":                                         "proxy.tunnel[0]",
		"proxy: {tunnel: ['10.0.0.1:443']}":                                                  "proxy.tunnel[0]",
		"proxy: {tunnel: ['[::1]:443']}":                                                     "proxy.tunnel[0]",
		"proxy: {tunnel: ['2130706433:443']}":                                                "proxy.tunnel[0]",
		"proxy: {tunnel: ['*.example.com:443']}":                                             "proxy.tunnel[0]",
		"proxy: {tunnel: ['example.com']}":                                                   "proxy.tunnel[0]",
		"proxy: {tunnel: ['example.com:0']}":                                                 "proxy.tunnel[0]",
		"proxy: {tunnel: ['localhost:443']}":                                                 "proxy.tunnel[0]",
		"proxy: {tunnel: ['']}":                                                              "proxy.tunnel[0]",
		"aws: {endpoint: 'http://localhost'}":                                                "aws.endpoint",
		"aws: {endpoint: 'ftp://localhost:1'}":                                               "aws.endpoint",
		"aws: {endpoint: 'http://localhost:1/x'}":                                            "aws.endpoint",
		"aws: {allow_private_upstream: ['0.0.0.0/0']}":                                       "aws.allow_private_upstream[0]",
		"aws: {allow_private_upstream: ['169.254.169.254/32']}":                              "aws.allow_private_upstream[0]",
		"aws: {endpoints: [{host: vpce-1.sqs.us-east-1.vpce.amazonaws.com}]}":                "aws.endpoints[0]",
		"aws: {endpoints: [{host: sqs.example.com, service: sqs}]}":                          "aws.endpoints[0]",
		"aws: {endpoints: [{host: vpce-1.sqs.us-east-1.vpce.amazonaws.com, service: quue}]}": "aws.endpoints[0]",
		"aws: {endpoints: [{host: vpce-1.sqs.us-east-1.vpce.amazonaws.com, service: sqs, region: us-east-9}]}": "aws.endpoints[0]",
		"aws: {allow_private_upstream: ['::/0']}":                                                              "aws.allow_private_upstream[0]",
		"mask: {max_body: 1KiB}":                                                  "mask.max_body",
		"mask: {max_body: 1GiB}":                                                  "mask.max_body",
		"policy: {files: []}":                                                     "policy.files",
		"policy: {files: [a, a]}":                                                 "policy.files[1]",
		"state_dir: ''":                                                           "state_dir",
		"nats: {replicas: 3}":                                                     "nats.replicas",
		"nats: {url: 'nats://h:4222', replicas: 2}":                               "nats.replicas",
		"nats: {url: 'nats://h:4222', listen: '127.0.0.1:1'}":                     "nats.listen",
		"nats: {url: 'http://h:4222'}":                                            "nats.url",
		"nats: {url: 'nats://h, nats://u:p@h'}":                                   "nats.url",
		"nats: {creds_file: x}":                                                   "nats.creds_file",
		"nats: {tls: {ca_file: x}}":                                               "nats.tls",
		"nats: {url: 'tls://h', tls: {cert_file: x}}":                             "nats.tls",
		"nats: {listen: ''}":                                                      "nats.listen",
		"nats: {subject_prefix: 'a.*'}":                                           "nats.subject_prefix",
		"nats: {subject_prefix: ''}":                                              "nats.subject_prefix",
		"nats: {subject_prefix: '_INBOX'}":                                        "nats.subject_prefix",
		"nats: {password: x}":                                                     "nats.password",
		"identity: {local: false}":                                                "identity",
		"identity: {issuers: [{issuer: 'http://idp', audience: a}]}":              "identity.issuers[0].issuer",
		"identity: {issuers: [{issuer: 'https://idp?x', audience: a}]}":           "identity.issuers[0].issuer",
		"identity: {issuers: [{issuer: 'https://trial.x.invalid', audience: a}]}": "identity.issuers[0].issuer",
		"identity: {issuers: [{issuer: 'https://idp'}]}":                          "identity.issuers[0].audience",
		"identity: {issuers: [{issuer: 'https://idp', audience: a, max_token_age: 25h}]}":               "identity.issuers[0].max_token_age",
		"identity: {issuers: [{issuer: 'https://i', audience: a}, {issuer: 'https://i', audience: b}]}": "identity.issuers[1].issuer",
		"targets: {}": "targets",
		"targets: {AKIA1: {role_arn: 'arn:aws:iam::111122223333:role/r'}}": "targets.AKIA1",
		"targets: {ASIAN: {role_arn: 'arn:aws:iam::111122223333:role/r'}}": "targets.ASIAN",
		"targets: {a/b: {role_arn: 'arn:aws:iam::111122223333:role/r'}}":   "targets.a/b",
		"targets: {a: {role_arn: 'arn:aws:iam::1:role/r'}}":                "targets.a.role_arn",
		"targets: {a: {role_arn: 'arn:aws:iam::111122223333:user/r'}}":     "targets.a.role_arn",
		"targets: {a: {role_arn: 'arn:aws-x:iam::111122223333:role/r'}}":   "targets.a.role_arn",
		"targets: {a: {}}": "targets.a.role_arn",
		"targets: {a: {role_arn: 'arn:aws:iam::111122223333:role/r', regions: [us-*]}}":                                                                 "targets.a.regions[0]",
		"targets: {a: {role_arn: 'arn:aws:iam::111122223333:role/r', regions: [cn-north-1]}}":                                                           "targets.a.regions[0]",
		"targets: {a: {role_arn: 'arn:aws:iam::111122223333:role/r', accounts: ['1']}}":                                                                 "targets.a.accounts[0]",
		"targets: {a: {role_arn: 'arn:aws:iam::111122223333:role/r', accounts: [111122223333]}}":                                                        "targets.a.accounts[0]",
		"targets: {a: {role_arn: 'arn:aws:iam::111122223333:role/r', credential_ttl: 16m}}":                                                             "targets.a.credential_ttl",
		"targets: {a: {role_arn: 'arn:aws:iam::111122223333:role/r', credential_ttl: 5s}}":                                                              "targets.a.credential_ttl",
		"targets: {a: {role_arn: 'arn:aws:iam::111122223333:role/r'}, b: {role_arn: 'arn:aws:iam::111122223333:role/r'}}":                               "targets",
		"targets: {a: {role_arn: 'arn:aws:iam::111122223333:role/r', default: true}, b: {role_arn: 'arn:aws:iam::111122223333:role/r', default: true}}": "targets.b.default",
		"approvals: {hold: 16m, expires: 1h}":                                                                                                           "approvals.hold",
		"approvals: {hold: -1s}":                                                                                                                        "approvals.hold",
		"approvals: {hold: 5m, expires: 2m}":                                                                                                            "approvals.hold",
		"approvals: {expires: 25h}":                                                                                                                     "approvals.expires",
		"approvals: {expires: 30s, hold: 10s}":                                                                                                          "approvals.expires",
		"approvals: {max_pending_per_identity: 0}":                                                                                                      "approvals.max_pending_per_identity",
		"approvals: {max_pending_per_identity: 101}":                                                                                                    "approvals.max_pending_per_identity",
		"identity: {issuers: [{issuer: 'https://i', audience: a, subject_claim: upn}]}\napprovals: {approver_issuers: [{issuer: 'https://i', audience: b}]}": "approvals.approver_issuers[0].subject_claim",
		"approvals: {approver_issuers: [{issuer: 'http://idp', audience: a}]}":                                                                               "approvals.approver_issuers[0].issuer",
		"approvals: {approver_issuers: [{issuer: 'https://idp'}]}":                                                                                           "approvals.approver_issuers[0].audience",
		"approvals: {approver_issuers: [{issuer: 'https://idp', audience: a, max_token_age: 25h}]}":                                                          "approvals.approver_issuers[0].max_token_age",
		"identity: {issuers: [{issuer: 'https://i', audience: a}]}\napprovals: {approver_issuers: [{issuer: 'https://i', audience: a}]}":                     "approvals.approver_issuers[0].audience",
	} {
		file := ""
		section, _, _ := strings.Cut(add, ":")
		for line := range strings.Lines(minimal) {
			if !strings.HasPrefix(line, section+":") {
				file += line
			}
		}
		_, err := Parse("f", []byte(file+add+"\n"))
		var problems strictyaml.Problems
		errors.As(err, &problems)
		if !slices.ContainsFunc(problems, func(p strictyaml.Problem) bool { return p.Path == key && p.Line > 0 }) {
			t.Errorf("%s: no problem at %s: %v", add, key, err)
		}
	}
}

func TestApprovalWarnings(t *testing.T) {
	const real = "identity: {issuers: [{issuer: 'https://i', audience: a}]}\ntargets: {dev: {role_arn: 'arn:aws:iam::111122223333:role/agent-dev'}}\n"
	for text, want := range map[string]int{
		minimal: 0, // the trial issuer has approvers
		real:    1,
		real + "approvals: {approver_issuers: [{issuer: 'https://i', audience: b}]}\n": 0,
	} {
		c, err := Parse("f", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if w := c.ApprovalWarnings(true); len(w) != want {
			t.Errorf("%s: %v", text, w)
		}
		if w := c.ApprovalWarnings(false); len(w) != 0 {
			t.Errorf("nothing asks: %v", w)
		}
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sallyport.yaml")
	text := minimal + "aws: {ca_file: ca.pem}\nnats: {url: 'tls://h', creds_file: creds}\n"
	c, err := Parse(path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, data string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), mode); err != nil {
			t.Fatal(err)
		}
	}
	want := func(messages ...string) {
		t.Helper()
		var problems strictyaml.Problems
		if err := c.Check(); err != nil {
			errors.As(err, &problems)
		}
		if len(problems) != len(messages) {
			t.Fatalf("%d problems, want %d: %v", len(problems), len(messages), problems)
		}
		for i, m := range messages {
			if !strings.Contains(problems[i].String(), m) {
				t.Errorf("%s, want %s", problems[i], m)
			}
		}
	}
	const gone = "no such file"
	want("policy.files[0]: "+dir+"/policy.yaml: cannot be opened: "+gone, "aws.ca_file: "+dir+"/ca.pem: cannot be opened: "+gone, "nats.creds_file: "+dir+"/creds: cannot be opened: "+gone)
	write("policy.yaml", "rules: []", 0o600)
	write("ca.pem", "no certificate", 0o600)
	write("creds", "x", 0o644)
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o755); err != nil {
		t.Fatal(err)
	}
	want("state_dir: "+dir+"/state: others can look", "aws.ca_file: "+dir+"/ca.pem: holds no certificate", "nats.creds_file: "+dir+"/creds: holds a secret and others can read it")
}

// Any bytes give a configuration that keeps its promises, or problems.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"good.yaml", "bad-everything.yaml"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(minimal))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("/x/f.yaml", data)
		if err != nil {
			return
		}
		if d := c.Targets[c.DefaultTarget()]; d == nil || len(d.Accounts) == 0 || d.Partition() == "" {
			t.Errorf("no usable default target in %q", data)
		}
		for _, tunnel := range c.Tunnels() {
			if strings.Contains(tunnel, ".amazonaws.com:") {
				t.Errorf("a tunnel to %s", tunnel)
			}
		}
		if c.Identity.Local && !c.Proxy.Listen.IsZero() && !c.Proxy.Listen.Loopback() {
			t.Errorf("the trial issuer on %s", c.Proxy.Listen)
		}
	})
}

// The embedded NATS server speaks no TLS, and approvers send it their tokens.
func TestOpenNATSIsWarnedOf(t *testing.T) {
	for nats, want := range map[string]bool{
		`{listen: "0.0.0.0:4222"}`: true, `{listen: "127.0.0.1:4222"}`: false, `{}`: false,
		`{url: "tls://nats.example:4222", creds_file: gateway.creds}`: false,
	} {
		c, err := Parse("sallyport.yaml", []byte("identity: {issuers: [{issuer: 'https://idp.example/', audience: sallyport}]}\ntargets: {dev: {role_arn: 'arn:aws:iam::111122223333:role/dev'}}\npolicy: {files: [p.yaml]}\nnats: "+nats+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if w := c.Warnings(); (len(w) == 1 && w[0].Path == "nats.listen") != want || !want && len(w) > 0 {
			t.Errorf("%s: %v", nats, w)
		}
	}
}

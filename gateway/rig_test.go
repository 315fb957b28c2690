package gateway_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/logtest"
	"github.com/sallyport/sallyport/internal/oidctest"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The rig is the gateway as it runs, between a simulated AWS and a real OIDC
// issuer: agents come through its proxy port, and what they and AWS saw is
// compared with what is on record.
type rig struct {
	t     *testing.T
	aws   *awstest.Server
	idp   *oidctest.Issuer
	clock *clock
	bus   *bus.Server // nil unless rigOptions.externalBus
	srv   *server.Server
	state string
	creds string // folder of the bus's credentials
	log   *logtest.Buffer
	roots *x509.CertPool // the gateway's CA
	nats  *nats.Conn     // the operator's, to read the stream
}

type rigOptions struct {
	policy      string           // the rules; "" is defaultPolicy
	targets     string           // YAML below targets:; "" is defaultTargets
	extra       string           // further sections
	approvals   string           // further keys below approvals:; with it, the issuer has approvers too
	state       string           // state_dir of an earlier rig; "" is a new one
	idp         *oidctest.Issuer // of an earlier rig
	clock       *clock
	proxy       string // further keys below proxy:
	endpoint    string // in place of the simulated AWS
	joins       *rig   // another gateway, whose NATS, clock and issuer it shares
	externalBus bool   // NATS outside of the gateway, so that it can be stopped
	on          *rig   // another gateway beside this one, on its bus
	natsURL     string // another way to that
	plainHTTP   bool
	webIdentity *awstest.OIDCProvider // trusted by AWS; issuer and root are filled in
	drain       time.Duration         // of open requests when it stops; 0 is 30 s
	noBase      bool                  // the gateway has no AWS identity of its own
}

const (
	audience         = "sallyport"
	approverAudience = "sallyport-approvers"
)

const defaultPolicy = `rules:
  - name: objects
    who: {groups: [ai-agents]}
    targets: ["*"]
    actions: ["s3:*"]
    effect: allow
  - name: tables
    who: {groups: [ai-agents]}
    targets: ["*"]
    actions: ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
    effect: allow
    mask: ["Item.ssn.S"]
  - name: secrets
    who: {groups: [ai-agents]}
    targets: ["*"]
    actions: ["secretsmanager:*", "ec2:Describe*", "sts:GetCallerIdentity", "lambda:GetFunction"]
    effect: allow
  - name: no-bucket-deletion
    who: {subjects: ["*"]}
    targets: ["*"]
    actions: ["s3:DeleteBucket"]
    effect: deny
`

const defaultTargets = `
  dev: {role_arn: "arn:aws:iam::111122223333:role/agent-dev", regions: [us-east-1], default: true}
  wide: {role_arn: "arn:aws:iam::111122223333:role/agent-wide"}
`

func newRig(t *testing.T, o rigOptions) *rig {
	t.Helper()
	if o.joins != nil {
		o.clock, o.idp = o.joins.clock, o.joins.idp
	}
	r := &rig{t: t, clock: o.clock, log: &logtest.Buffer{}, idp: o.idp}
	if o.on != nil {
		r.idp, r.clock = o.on.idp, o.on.clock
	}
	var err error
	if r.clock == nil {
		r.clock = &clock{}
	}
	if r.idp == nil {
		r.idp, err = oidctest.New()
		must(t, err)
		t.Cleanup(r.idp.Close)
	}
	if o.webIdentity != nil {
		o.webIdentity.Issuer, o.webIdentity.RootPEM = or(o.webIdentity.Issuer, r.idp.URL), r.idp.RootPEM()
	}
	r.aws, err = awstest.Start(awstest.Config{PlainHTTP: o.plainHTTP, OIDC: o.webIdentity})
	must(t, err)
	t.Cleanup(func() { _ = r.aws.Close() })

	dir := t.TempDir()
	r.state = or(o.state, filepath.Join(dir, "state"))
	nats := `nats: {listen: "127.0.0.1:0"}`
	busDir := filepath.Join(r.state, "nats")
	if o.on != nil {
		o.externalBus, r.bus = true, o.on.bus
		busDir = filepath.Dir(r.bus.CredsFile(bus.Operator))
	}
	if o.externalBus {
		if r.bus == nil {
			busDir = filepath.Join(dir, "bus")
			r.bus, err = bus.Start(t.Context(), bus.ServerOptions{Dir: busDir})
			must(t, err)
			t.Cleanup(r.bus.Shutdown)
		}
		nats = fmt.Sprintf("nats: {url: %q, creds_file: %q}", or(o.natsURL, r.bus.URL()), r.bus.CredsFile(bus.Gateway))
	}
	if o.joins != nil {
		busDir = filepath.Join(o.joins.state, "nats")
		nats = fmt.Sprintf("nats: {url: %q, creds_file: %q}", o.joins.srv.NATS, filepath.Join(busDir, "gateway.creds"))
	}
	if o.approvals != "" {
		o.extra += fmt.Sprintf("approvals: {%s, approver_issuers: [{issuer: %q, audience: %s, ca_file: %q}]}", o.approvals, r.idp.URL, approverAudience, write(t, dir, "idp.crt", r.idp.RootPEM()))
	}
	endpoint := or(o.endpoint, r.aws.URL())
	text := fmt.Sprintf(`state_dir: %q
proxy: {listen: "127.0.0.1:0"%s}
aws: {endpoint: %q, ca_file: %q}
identity: {issuers: [{issuer: %q, audience: %s, ca_file: %q}]}
targets: %s
%s
admin: {listen: ""}
%s
`, r.state, o.proxy, endpoint, write(t, dir, "aws.crt", r.aws.RootPEM()), r.idp.URL, audience, write(t, dir, "idp.crt", r.idp.RootPEM()),
		or(o.targets, defaultTargets), nats, o.extra)
	write(t, dir, "policy.yaml", []byte(or(o.policy, defaultPolicy)))
	c, err := config.Load(write(t, dir, "sallyport.yaml", []byte(text)))
	must(t, err)
	roles := server.Roles
	if o.externalBus || o.joins != nil {
		roles = []server.Role{server.RoleGateway} // the recorder has other creds
	}
	base := &server.BaseKey{ID: awstest.BaseKeyID, Secret: secret.New(awstest.BaseSecret)}
	if o.noBase {
		base = &server.BaseKey{} // never signs: an empty key is an error of the SDK's
	}
	r.srv, err = server.Start(t.Context(), server.Options{
		Config: c, Roles: roles, Now: r.clock.now, Base: base, Drain: o.drain,
		Log: slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	must(t, err)
	t.Cleanup(func() { r.close() })
	root, err := os.ReadFile(filepath.Join(r.state, "ca", "root.crt"))
	must(t, err)
	r.roots = x509.NewCertPool()
	r.roots.AppendCertsFromPEM(root)
	r.nats, err = bus.Connect(t.Context(), bus.Options{Role: bus.Operator, URL: r.busURL(), CredsFile: filepath.Join(busDir, "operator.creds")})
	must(t, err)
	t.Cleanup(r.nats.Close)
	r.creds = busDir
	return r
}

func (r *rig) busURL() string {
	if r.bus != nil {
		return r.bus.URL()
	}
	return r.srv.NATS
}

// close stops the gateway and its recorder, after which the records are whole.
func (r *rig) close() {
	r.t.Helper()
	if r.srv == nil {
		return
	}
	if err := r.srv.Close(); err != nil {
		r.t.Errorf("close: %v", err)
	}
	r.srv = nil
	if r.bus == nil {
		r.eachEndsOnce()
	}
}

// token is a good token of a member of ai-agents.
func (r *rig) token() string { return r.tokenOf("agent-1", "ai-agents") }

func (r *rig) tokenOf(subject string, groups ...string) string {
	return r.idp.Token(oidctest.With(r.claims(), map[string]any{"sub": subject, "groups": groups}))
}

func (r *rig) claims() map[string]any { return r.idp.Claims("agent-1", audience, r.clock.now()) }

// clock is the gateway's: the wall clock, moved by what the test says. STS calls
// are signed by the SDK's own clock, so AWS's stays where it is, and a test must
// stay within the 15 minutes that AWS bears.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

func write(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, content, 0o600))
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// upstream is what reached AWS: STS, and everything else.
func (r *rig) upstream() (sts, calls []awstest.Received) {
	for _, x := range r.aws.Requests() {
		if strings.HasPrefix(x.Host, "sts.") {
			sts = append(sts, x)
		} else {
			calls = append(calls, x)
		}
	}
	return sts, calls
}

// nothingSent fails when anything at all reached AWS, STS included.
func (r *rig) nothingSent(t *testing.T) {
	t.Helper()
	for _, x := range r.aws.Requests() {
		t.Errorf("reached AWS: %s https://%s%s", x.Method, x.Host, x.Target)
	}
}

func errorAs[E error](err error) (E, bool) {
	var e E
	return e, errors.As(err, &e)
}

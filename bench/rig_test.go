// Package bench compares what a request costs through the gateway with what it
// costs through goproxy alone: the same clients, the same upstream, and TLS on
// both sides. README.md says how to run it and what it showed.
package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/elazarl/goproxy"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/server"
)

const (
	dynamoHost = "dynamodb.us-east-1.amazonaws.com"
	s3Host     = "s3.us-east-1.amazonaws.com"
)

// upstream answers as AWS does, without its work, so that it costs both proxies
// the same: a 1 KB item, an object of zeros, credentials.
type upstream struct {
	ln    net.Listener
	roots []byte // PEM
	size  int64  // of objects
	text  string // of all answers, in place of those; "" for none
}

var item = `{"Item":{"id":{"S":"c-1001"},"name":{"S":"Ada Example"},"note":{"S":"` + strings.Repeat("n", 940) + `"}}}`

func newUpstream(b *testing.B) *upstream {
	b.Helper()
	u := &upstream{}
	var err error
	authority := newCA(b, filepath.Join(b.TempDir(), "aws-ca"))
	u.roots = authority.RootPEM()
	if u.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: u, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_ = srv.Serve(tls.NewListener(u.ln, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				return authority.Leaf(b.Context(), h.ServerName)
			}}))
	}()
	b.Cleanup(func() { _ = srv.Close() })
	return u
}

func newCA(b *testing.B, dir string) *ca.Authority {
	b.Helper()
	o := ca.Options{Permitted: []string{"amazonaws.com"}}
	if err := ca.Create(dir, o); err != nil {
		b.Fatal(err)
	}
	a, err := ca.Open(dir, o)
	if err != nil {
		b.Fatal(err)
	}
	return a
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.Host, "sts."):
		form, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		name := sessionName.FindSubmatch(form)
		w.Header().Set("Content-Type", "text/xml")
		_, _ = fmt.Fprintf(w, assumed, name[1], time.Now().Add(15*time.Minute).UTC().Format(time.RFC3339))
	case u.text != "":
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/xml")
		w.Header().Set("Content-Length", fmt.Sprint(len(u.text)))
		_, _ = io.WriteString(w, u.text)
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Length", fmt.Sprint(u.size))
		_, _ = io.Copy(w, io.LimitReader(zero{}, u.size))
	default:
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, item)
	}
}

var sessionName = regexp.MustCompile(`RoleSessionName=([\w.@-]+)`)

const assumed = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>` +
	`<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:%[1]s</AssumedRoleId><Arn>arn:aws:sts::111122223333:assumed-role/agent-dev/%[1]s</Arn></AssumedRoleUser>` +
	`<Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY</SecretAccessKey>` +
	`<SessionToken>AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==</SessionToken>` +
	`<Expiration>%[2]s</Expiration></Credentials></AssumeRoleResult><ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata></AssumeRoleResponse>`

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// way is a proxy and how to trust it.
type way struct {
	proxy *url.URL
	roots *x509.CertPool
}

// client is an agent's, with connections to keep.
func (w way) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyURL(w.proxy), MaxIdleConnsPerHost: 256, DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10,
		TLSClientConfig: &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS12},
	}}
}

// throughGateway is the whole program: token, policy, embedded NATS with a sync
// for each event, AssumeRole on loopback, signature, masking.
func throughGateway(b *testing.B, u *upstream) way { return throughGatewayWith(b, u, "") }

// throughGatewayWith has further sections of the configuration.
func throughGatewayWith(b *testing.B, u *upstream, extra string) way {
	b.Helper()
	dir := b.TempDir()
	for name, text := range map[string]string{
		"aws.crt": string(u.roots),
		"policy.yaml": `rules:
  - {name: read, who: {groups: [ai-agents]}, targets: [dev], actions: ["dynamodb:GetItem", "s3:GetObject", "s3:PutObject", "ec2:DescribeInstances"], effect: allow}
`,
		"sallyport.yaml": fmt.Sprintf(`state_dir: %q
proxy: {listen: "127.0.0.1:0"}
aws: {endpoint: "https://%s", ca_file: aws.crt}
identity: {local: true}
targets: {dev: {role_arn: %q, default: true}}
nats: {listen: "127.0.0.1:0"}
admin: {listen: ""}
%s
`, filepath.Join(dir, "state"), u.ln.Addr(), awstest.RoleARN, extra),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(dir, "sallyport.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	s, err := server.Start(b.Context(), server.Options{Config: c, Base: &server.BaseKey{ID: awstest.BaseKeyID, Secret: secret.New(awstest.BaseSecret)}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	trial, err := identity.OpenTrial(c.StateDir)
	if err != nil {
		b.Fatal(err)
	}
	token, err := trial.Token("agent", []string{"ai-agents"}, identity.TrialAudience, time.Hour, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(c.StateDir, "ca", "root.crt"))
	if err != nil {
		b.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return way{&url.URL{Scheme: "http", Host: s.Proxy.String(), User: url.UserPassword("bench", token.Reveal())}, pool}
}

// throughGoproxy decrypts and forwards, and does nothing else.
func throughGoproxy(b *testing.B, u *upstream) way {
	b.Helper()
	authority := newCA(b, filepath.Join(b.TempDir(), "goproxy-ca"))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(u.roots)
	p := goproxy.NewProxyHttpServer()
	p.Tr = &http.Transport{
		MaxIdleConnsPerHost: 256, DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", u.ln.Addr().String())
		},
	}
	mitm := &goproxy.ConnectAction{Action: goproxy.ConnectMitm, TLSConfig: func(host string, _ *goproxy.ProxyCtx) (*tls.Config, error) {
		name, _, _ := strings.Cut(host, ":")
		leaf, err := authority.Leaf(b.Context(), name)
		if err != nil {
			return nil, err
		}
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*leaf}, NextProtos: []string{"http/1.1"}}, nil
	}}
	p.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) { return mitm, host })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(ln) }()
	b.Cleanup(func() { _ = srv.Close() })
	own := x509.NewCertPool()
	own.AppendCertsFromPEM(authority.RootPEM())
	return way{&url.URL{Scheme: "http", Host: ln.Addr().String()}, own}
}

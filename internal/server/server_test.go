package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/logtest"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/server"
	"github.com/sallyport/sallyport/recorder"
)

const policyText = `rules:
  - {name: tables, who: {groups: [ai-agents]}, targets: [dev], actions: ["dynamodb:GetItem"], effect: allow}
`

// configure writes and loads a configuration in a folder of its own.
func configure(t *testing.T, a *awstest.Server, sections string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"policy.yaml": policyText, "aws.crt": string(a.RootPEM()),
		"sallyport.yaml": fmt.Sprintf(`state_dir: %q
aws: {endpoint: %q, ca_file: aws.crt}
identity: {local: true}
targets:
  dev: {role_arn: %q, default: true}
%s
`, filepath.Join(dir, "state"), a.URL(), awstest.RoleARN, sections),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(dir, "sallyport.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const loopback = `proxy: {listen: "127.0.0.1:0", tls_listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}`

func startAWS(t *testing.T) *awstest.Server {
	t.Helper()
	a, err := awstest.Start(awstest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

func start(t *testing.T, c *config.Config, roles ...server.Role) *server.Server {
	t.Helper()
	s, err := server.Start(t.Context(), options(c, roles...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func options(c *config.Config, roles ...server.Role) server.Options {
	return server.Options{Config: c, Roles: roles, Base: &server.BaseKey{ID: awstest.BaseKeyID, Secret: secret.New(awstest.BaseSecret)}}
}

// getItem is one call of an agent with the real SDK.
func getItem(t *testing.T, c *config.Config, proxy *url.URL) error {
	t.Helper()
	trial, err := identity.OpenTrial(c.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	token, err := trial.Token("agent", []string{"ai-agents"}, identity.TrialAudience, time.Minute, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(c.StateDir, "ca", "root.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	proxy.User = url.UserPassword("test", token.Reveal())
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	table := dynamodb.NewFromConfig(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("dev", "x", ""),
		HTTPClient: &http.Client{Transport: transport}, Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	})
	out, err := table.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("Customers"), Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "c-1001"}}})
	if err == nil && len(out.Item) != 3 {
		err = fmt.Errorf("an odd answer: %v", out.Item)
	}
	return err
}

func get(t *testing.T, s *server.Server, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + s.Admin.String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// Both listeners serve, and the admin listener tells how it goes without naming
// anybody.
func TestEverythingInOneProcess(t *testing.T) {
	c := configure(t, startAWS(t), loopback)
	s := start(t, c)
	for _, proxy := range []*url.URL{{Scheme: "http", Host: s.Proxy.String()}, {Scheme: "https", Host: s.ProxyTLS.String()}} {
		if err := getItem(t, c, proxy); err != nil {
			t.Errorf("%s: %v", proxy.Redacted(), err)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, s, path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	_, metrics := get(t, s, "/metrics")
	if !strings.Contains(metrics, `sallyport_requests_total{effect="allow",service="dynamodb"} 2`) {
		t.Errorf("%s", metrics)
	}
	for _, name := range []string{"Customers", "ai-agents", "agent-dev", awstest.Account} {
		if strings.Contains(metrics, name) {
			t.Errorf("the metrics tell of %s", name)
		}
	}
	if status, _ := get(t, s, "/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("pprof is served: %d", status)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", s.Proxy.String()); err == nil {
		t.Error("the proxy listens after Close")
	}
}

// Rules that match nothing are in the log when they are loaded, and when they are again.
func TestUnknownNamesAreLogged(t *testing.T) {
	c := configure(t, startAWS(t), loopback)
	misspelt := func(action string) {
		t.Helper()
		text := policyText + "  - {name: no-deletes, who: {subjects: [\"*\"]}, targets: [\"*\"], actions: [\"" + action + "\"], effect: deny}\n"
		if err := os.WriteFile(c.Policy.Files[0], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	misspelt("s3:DeletObject")
	var log logtest.Buffer
	o := options(c, server.RoleGateway, server.RoleRecorder)
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	s, err := server.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	log.Await(t, "did you mean s3:DeleteObject?")
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "policy.yaml:3:") || strings.Contains(got, "rule tables") {
		t.Errorf("at the start:\n%s", got)
	}
	misspelt("s3:DeletBucket")
	log.Await(t, "did you mean s3:DeleteBucket?")
}

// A recorder of its own, with nothing but the URL and its creds file.
func TestRecorderElsewhere(t *testing.T) {
	aws := startAWS(t)
	gatewayConfig := configure(t, aws, loopback)
	gw := start(t, gatewayConfig, server.RoleGateway)
	creds := filepath.Join(gatewayConfig.StateDir, "nats", "recorder.creds")
	recorderConfig := configure(t, aws, fmt.Sprintf("nats: {url: %q, creds_file: %q}\nadmin: {listen: \"\"}", gw.NATS, creds))
	// One call before the recorder is there, one after.
	if err := getItem(t, gatewayConfig, &url.URL{Scheme: "http", Host: gw.Proxy.String()}); err != nil {
		t.Fatal(err)
	}
	rec := start(t, recorderConfig, server.RoleRecorder)
	if rec.Proxy != nil || rec.Admin != nil {
		t.Error("a recorder listens")
	}
	if err := getItem(t, gatewayConfig, &url.URL{Scheme: "http", Host: gw.Proxy.String()}); err != nil {
		t.Fatal(err)
	}
	if err := rec.Close(); err != nil { // what was acknowledged by then is written
		t.Error(err)
	}
	records := recorder.Records{Dir: server.RecordsDir(recorderConfig)}
	list, problems, err := records.List()
	if err != nil || len(problems) > 0 || len(list) != 1 || list[0].Calls != 2 {
		t.Fatalf("%+v %v %v", list, problems, err)
	}
	if _, err := os.Stat(server.RecordsDir(gatewayConfig)); err == nil {
		t.Error("the gateway keeps records without the recorder's role")
	}
	// The session ends while the recorder is away; the next one catches up.
	if err := gw.Close(); err != nil {
		t.Error(err)
	}
	again := start(t, gatewayConfig, server.RoleGateway)
	url := again.NATS
	recorderConfig2 := *recorderConfig
	recorderConfig2.NATS.URL = url
	start(t, &recorderConfig2, server.RoleRecorder)
	var ses *recorder.Session
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ses, err = records.Read(list[0].Session); err != nil {
			t.Fatal(err)
		}
		if len(ses.Events) == 12 {
			break
		}
	}
	var kinds []event.Kind
	for _, e := range ses.Events {
		kinds = append(kinds, e.Kind())
	}
	if n := len(kinds); n != 12 || kinds[0] != event.KindSessionOpened || !slices.Contains(kinds, event.KindSessionClosed) {
		t.Errorf("%v", kinds)
	}
}

// Close lets the request that is under way finish, and records it.
func TestCloseDrains(t *testing.T) {
	aws := startAWS(t)
	c := configure(t, aws, loopback)
	s := start(t, c)
	arrived, gate := make(chan struct{}), make(chan struct{})
	aws.SetFaults(awstest.Faults{STSGate: gate, Before: func(x *awstest.Received) {
		if strings.HasPrefix(x.Host, "sts.") {
			close(arrived)
		}
	}})
	done := make(chan error, 1)
	go func() { done <- getItem(t, c, &url.URL{Scheme: "http", Host: s.Proxy.String()}) }()
	<-arrived
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	// The listener goes first; the request is still there.
	for {
		conn, err := net.Dial("tcp", s.Proxy.String())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(gate)
	if err := <-done; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	list, problems, err := recorder.Records{Dir: server.RecordsDir(c)}.List()
	if err != nil || len(problems) > 0 || len(list) != 1 || list[0].Calls != 1 || !list[0].Closed {
		t.Errorf("%+v %v %v", list, problems, err)
	}
}

// What cannot start stops whatever had started, and says why.
func TestStartFails(t *testing.T) {
	aws := startAWS(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for name, test := range map[string]struct {
		sections string
		roles    []server.Role
		spoil    func(t *testing.T, c *config.Config)
		want     string
	}{
		"proxy port taken":                 {fmt.Sprintf("proxy: {listen: %q}\nnats: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"\"}", taken.Addr()), nil, nil, "proxy.listen"},
		"admin port taken":                 {fmt.Sprintf("proxy: {listen: \"127.0.0.1:0\"}\nnats: {listen: \"127.0.0.1:0\"}\nadmin: {listen: %q}", taken.Addr()), nil, nil, "admin.listen"},
		"a recorder without a NATS server": {loopback, []server.Role{server.RoleRecorder}, nil, "nats.url"},
		"a state_dir that others can read": {loopback, nil, func(t *testing.T, c *config.Config) {
			if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(c.StateDir, 0o750); err != nil {
				t.Fatal(err)
			}
		}, "chmod 700"},
		"a policy that is wrong": {loopback, nil, func(t *testing.T, c *config.Config) {
			if err := os.WriteFile(c.Policy.Files[0], []byte("rules: [{name: x}]\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "policy.yaml:1"},
		"a policy for a target that is not there": {loopback, nil, func(t *testing.T, c *config.Config) {
			text := strings.ReplaceAll(policyText, "[dev]", "[prod]")
			if err := os.WriteFile(c.Policy.Files[0], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "prod"},
		"roots that are none": {loopback, nil, func(t *testing.T, c *config.Config) {
			if err := os.WriteFile(c.AWS.CAFile, []byte("nothing"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "aws.ca_file"},
	} {
		t.Run(name, func(t *testing.T) {
			c := configure(t, aws, test.sections)
			if test.spoil != nil {
				test.spoil(t, c)
			}
			s, err := server.Start(context.Background(), options(c, test.roles...))
			if err == nil {
				_ = s.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q does not say %q", err, test.want)
			}
		})
	}
	if _, err := server.Start(t.Context(), server.Options{}); err == nil {
		t.Error("it started without a configuration")
	}
}

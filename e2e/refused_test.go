package e2e_test

import (
	"encoding/json"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/identity"
)

// curl is what a client without an SDK sees of refusals.
func TestCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	w := prepare(t)
	u := w.watch()
	w.begin("serve")
	curl := func(user string, args ...string) result {
		t.Helper()
		w.env = []string{"HTTPS_PROXY=http://" + user + w.proxy, "CURL_CA_BUNDLE=" + filepath.Join(w.dir, "state/ca/root.crt")}
		defer func() { w.env = nil }()
		return w.command("curl", append([]string{"-sS", "-m", "20", "-w", "\n%{http_connect} %{http_code}"}, args...)...)
	}
	sts := []string{"https://sts.us-east-1.amazonaws.com/", "-d", "Action=GetCallerIdentity&Version=2011-06-15"}
	dynamodb := []string{"https://dynamodb.us-east-1.amazonaws.com/", "-H", "X-Amz-Target: DynamoDB_20120810.ListTables",
		"-H", "Content-Type: application/x-amz-json-1.0", "-d", "{}"}
	u.nothingSent(t, func() {
		if r := curl("", sts...); r.code == 0 || !strings.HasSuffix(r.stdout, "407 000") {
			t.Errorf("no token: %v", r)
		}
		if r := curl("me:garbage@", "https://example.com/"); r.code == 0 || !strings.HasSuffix(r.stdout, "403 000") {
			t.Errorf("a host that is not AWS: %v", r)
		}
		// Inside the tunnel, where clients show it, and in the service's own format.
		r := curl("me:garbage@", sts...)
		if r.code != 0 || !strings.HasSuffix(r.stdout, "200 403") || !strings.Contains(r.stdout, "<Code>AccessDenied</Code>") || !strings.Contains(r.stdout, "<Message>sallyport: ") {
			t.Errorf("a token that is none: %v", r)
		}
		r = curl("me:garbage@", dynamodb...)
		body, status, _ := strings.Cut(r.stdout, "\n")
		var answer map[string]string
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != "200 403" ||
			!strings.HasSuffix(answer["__type"], "AccessDeniedException") || !strings.HasPrefix(answer["message"]+answer["Message"], "sallyport: ") {
			t.Errorf("a token that is none: %v %v", err, r)
		}
		if strings.Contains(r.stdout, "garbage") {
			t.Errorf("the token is repeated: %v", r)
		}
	})
	token := strings.TrimSpace(w.must("token", "--subject", "curl").stdout)
	if r := curl("me:"+token+"@", dynamodb...); !strings.HasSuffix(r.stdout, "200 403") || !strings.Contains(r.stdout, "no rule allows") {
		t.Errorf("with a token: %v", r)
	}
}

// An expired token is said to be expired where a person sees it.
func TestExpiredToken(t *testing.T) {
	w := newWorld(t)
	trial, err := identity.OpenTrial(filepath.Join(w.dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := trial.Token("local-agent", []string{"ai-agents"}, identity.TrialAudience, time.Minute, time.Now().Add(-2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	w.write("token", token.Reveal())
	r := w.sallyport("run", "--token-file", "token", "--", "aws", "s3", "ls")
	if r.code == 0 || !strings.Contains(r.stderr, "AccessDenied") || !strings.Contains(r.stderr, "expired") || strings.Contains(r.stderr, "eyJ") {
		t.Errorf("%v", r)
	}
}

// The environment in a shell of one's own; and with the gateway gone, nothing
// finds another way.
func TestEnvironment(t *testing.T) {
	w := prepare(t)
	u := w.watch()
	gateway := w.begin("serve")
	shell := func(script string) result {
		t.Helper()
		return w.command("sh", "-c", `eval "$(`+binary+` env --label shell)" && `+script)
	}
	if r := shell("aws s3 ls && aws s3 ls s3://acme-dev-reports/2026/"); r.code != 0 || !strings.Contains(r.stdout, "acme-dev-reports") || !strings.Contains(r.stdout, "q3 übersicht.csv") {
		t.Fatalf("aws in a shell: %v", r)
	}
	if !u.has("s3") { // or what follows would prove nothing
		t.Fatalf("sent upstream: %v", u.requests())
	}
	if list := w.must("sessions", "list").stdout; !strings.Contains(list, "shell") {
		t.Errorf("the session has no label:\n%s", list)
	}
	if code := gateway.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("serve ended with %d", code)
	}
	w.env = []string{"AWS_MAX_ATTEMPTS=1"}
	u.nothingSent(t, func() {
		if r := shell("aws s3 ls"); r.code == 0 || strings.Contains(r.stderr, "eyJ") {
			t.Errorf("aws without a gateway: %v", r)
		}
		if r := w.aws("s3", "ls"); r.code != 1 || !strings.Contains(r.stderr, "is `sallyport serve` running?") {
			t.Errorf("run without a gateway: %v", r)
		}
	})
}

// Without STS there is no credential and no request, and the agent is told why.
func TestSTSAway(t *testing.T) {
	w := prepare(t)
	m, err := theMoto()
	if err != nil {
		t.Fatal(err)
	}
	w.edit(m.url, "http://"+net.JoinHostPort("127.0.0.1", freePort(t)))
	w.begin("serve")
	w.env = []string{"AWS_MAX_ATTEMPTS=1"}
	r := w.aws("s3", "ls")
	if r.code == 0 || !strings.Contains(r.stderr, "ServiceUnavailable") || !strings.Contains(r.stderr, "sallyport: ") || !strings.Contains(r.stderr, "STS") {
		t.Errorf("%v", r)
	}
	story := w.must("sessions", "show").stdout
	if !strings.Contains(story, "allow by read-dev") || !strings.Contains(story, "aborted") {
		t.Errorf("on record:\n%s", story)
	}
}

// The proxy over TLS, with a certificate of the CA that the agent trusts.
func TestTLSProxy(t *testing.T) {
	w := prepare(t)
	port := freePort(t)
	w.edit("  listen: "+w.proxy, "  listen: \"\"\n  tls_listen: 127.0.0.1:"+port)
	w.begin("serve")
	for _, args := range [][]string{
		nil, // from the configuration
		{"--gateway", "https://127.0.0.1:" + port},
		{"--gateway", "https://localhost:" + port, "--ca-file", "state/ca/root.crt"},
	} {
		args = append(append([]string{"run"}, args...), "--", "aws", "s3", "ls")
		if r := w.sallyport(args...); r.code != 0 || !strings.Contains(r.stdout, "acme-dev-reports") {
			t.Errorf("%v: %v", args, r)
		}
	}
	if r := w.command("sh", "-c", `eval "$(`+binary+` env)" && aws s3 ls`); r.code != 0 || !strings.Contains(r.stdout, "acme-dev-reports") {
		t.Errorf("in a shell: %v", r)
	}
	other := t.TempDir()
	w.must("init", "--dir", other)
	r := w.sallyport("run", "--gateway", "https://127.0.0.1:"+port, "--ca-file", filepath.Join(other, "state/ca/root.crt"), "--", "true")
	if r.code != 1 || !strings.Contains(r.stderr, "the root must be the one that `sallyport ca show --pem` prints there") {
		t.Errorf("another root: %v", r)
	}
}

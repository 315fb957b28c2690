package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/logtest"
)

// serve starts the gateway of the current folder and waits until it is ready.
func serve(t *testing.T, args ...string) (out, log *logtest.Buffer, stop func() int) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "gateway")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "gateway-secret")
	out, log, stop = start(t, append([]string{"serve"}, args...)...)
	until(t, "ready", func() bool {
		if strings.Contains(log.String(), "sallyport: ") {
			t.Fatalf("serve: %s", log)
		}
		return strings.Contains(log.String(), `"msg":"ready"`)
	})
	return out, log, stop
}

func TestInit(t *testing.T) {
	newUser(t)
	out := must(t, "init")
	for _, want := range []string{"SHA-256 fingerprint", "sts:AssumeRole", "sts:SetSourceIdentity", "Principal", "set targets.dev.role_arn",
		". " + command() + " check\n", ". " + command() + " serve\n", ": " + command() + " run -- aws sts get-caller-identity\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("init does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "TagSession") {
		t.Errorf("init asks for a permission that is not needed:\n%s", out)
	}
	out = must(t, "init", "--dir", "a/b", "--role-arn", "arn:aws-cn:iam::444455556666:role/x", "--region", "cn-north-1")
	if !strings.Contains(out, command()+" serve --config a/b/sallyport.yaml\n") || strings.Contains(out, "an example") {
		t.Errorf("init --dir: %s", out)
	}
	r := do(t, "check", "--config", "a/b/sallyport.yaml")
	if strings.Contains(r.stderr, ": rule ") {
		t.Errorf("of its own rules: %+v", r)
	}
	if r.code != exitDone || !strings.HasPrefix(r.stdout, "ok: 1 target, 3 rules (policy version ") || !strings.Contains(r.stderr, "warning: a/b/sallyport.yaml:") {
		t.Errorf("check: %+v", r)
	}
}

func TestCA(t *testing.T) {
	initialise(t)
	root := must(t, "ca", "show", "--pem")
	block, rest := pem.Decode([]byte(root))
	if block == nil || len(rest) != 0 {
		t.Fatalf("ca show --pem: %s", root)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !cert.IsCA || len(cert.PermittedDNSDomains) == 0 {
		t.Fatalf("%+v %v", cert, err)
	}
	text := must(t, "ca", "show")
	var shown struct {
		SHA256              string
		PermittedDNSDomains []string
		NotAfter            time.Time
	}
	if err := json.Unmarshal([]byte(must(t, "ca", "show", "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, shown.SHA256) || !strings.Contains(text, "amazonaws.com") || len(shown.PermittedDNSDomains) != len(cert.PermittedDNSDomains) || !shown.NotAfter.Equal(cert.NotAfter) {
		t.Errorf("ca show: %s\n%+v", text, shown)
	}
	if bundle := must(t, "ca", "bundle"); !strings.Contains(bundle, strings.TrimSpace(root)) || strings.Contains(bundle, "PRIVATE") {
		t.Error("ca bundle is not the root and others")
	}
}

func TestExplain(t *testing.T) {
	initialise(t)
	out := must(t, "policy", "explain", "--action", "s3:GetObject", "--resource", "arn:aws:s3:::acme-dev/report.csv")
	if !strings.HasPrefix(out, "allow  s3:GetObject\n") || !strings.Contains(out, "\nneeds   s3:GetObject (Read) on arn:aws:s3:::acme-dev/report.csv\n") || !strings.Contains(out, "* read-dev ") {
		t.Error(out)
	}
	if out := must(t, "policy", "explain", "--action", "sts:GetCallerIdentity"); !strings.HasPrefix(out, "allow  sts:GetCallerIdentity\n") {
		t.Error(out)
	}
	var x struct {
		Effect, Reason string
		Rules          []string
		Explained      []struct{ Name, Why string }
	}
	if err := json.Unmarshal([]byte(must(t, "policy", "explain", "--action", "ec2:TerminateInstances", "--json")), &x); err != nil {
		t.Fatal(err)
	}
	if x.Effect != "deny" || len(x.Rules) != 1 || x.Rules[0] != "protect-from-deletion" || len(x.Explained) != 3 || x.Explained[0].Why == "" {
		t.Errorf("%+v", x)
	}
	// A request as it was captured, and an API operation that is no action.
	raw := "POST / HTTP/1.1\nHost: ec2.us-east-1.amazonaws.com\nContent-Type: application/x-www-form-urlencoded\nContent-Length: 65\n\nAction=TerminateInstances&Version=2016-11-15&InstanceId.1=i-0abcd"
	if err := os.WriteFile("captured.http", []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	out = must(t, "policy", "explain", "--request", "captured.http")
	for _, want := range []string{"deny  ec2:TerminateInstances\n", "instance/i-0abcd\n", "class   [destroys]\n", "risk    60 (destroys: +40, access level Write: +20)\n", "* protect-from-deletion "} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	form := strings.ReplaceAll("--b\nContent-Disposition: form-data; name=\"key\"\n\nup/${filename}\n--b\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\n\nhello\n--b--\n", "\n", "\r\n")
	raw = fmt.Sprintf("POST / HTTP/1.1\nHost: b1b.s3.us-east-1.amazonaws.com\nContent-Type: multipart/form-data; boundary=b\nContent-Length: %d\n\n%s", len(form), form)
	if err := os.WriteFile("captured.http", []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "policy", "explain", "--request", "captured.http"); !strings.Contains(out, "s3:PutObject\n") || !strings.Contains(out, "arn:aws:s3:::b1b/up/a.txt\n") {
		t.Error(out)
	}
	if out := must(t, "policy", "explain", "--action", "s3:ListObjectsV2", "--params", `{"Bucket": "b"}`); !strings.Contains(out, "needs   s3:ListBucket (List) on *\n") {
		t.Error(out)
	}
	if r := do(t, "policy", "explain", "--request", "sallyport.yaml"); r.code != exitFailed || !strings.Contains(r.stderr, "is not an HTTP/1.1 request") {
		t.Errorf("%+v", r)
	}
	if r := do(t, "policy", "explain", "--record", "01ARZ3NDEKTSV4RRFFQ69G5FAV"); r.code != exitFailed || !strings.Contains(r.stderr, "on record") {
		t.Errorf("%+v", r)
	}
	if out := must(t, "policy", "explain", "--action", "s3:GetObject", "--groups", "others"); !strings.HasPrefix(out, "deny ") {
		t.Error(out)
	}
}

func TestPolicyTest(t *testing.T) {
	initialise(t)
	if out := must(t, "policy", "test"); strings.Count(out, "ok   ") != 3 || !strings.Contains(out, "for groups strangers, target dev: deny\n") {
		t.Error(out)
	}
	more := "rules: []\ntests:\n  - {target: dev, call: \"s3:GetObject\", expect: allow}\n"
	if err := os.WriteFile("more.yaml", []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	r := do(t, "policy", "test", "--file", "more.yaml")
	if r.code != exitFailed || !strings.Contains(r.stdout, "FAIL more.yaml:3  s3:GetObject") || !strings.Contains(r.stdout, "expected allow, got deny") || !strings.Contains(r.stderr, "1 of 4 tests failed") {
		t.Errorf("%+v", r)
	}
}

func TestEnv(t *testing.T) {
	initialise(t)
	sh, fish := must(t, "env"), must(t, "env", "--shell", "fish")
	if !strings.Contains(sh, "\nexport HTTPS_PROXY='http://env:") || !strings.Contains(sh, "\nunset AWS_SESSION_TOKEN\n") || !strings.Contains(sh, "AWS_REGION='us-east-1'") {
		t.Error(token.ReplaceAllString(sh, "..."))
	}
	if !strings.Contains(fish, "\nset -gx HTTPS_PROXY 'http://env:") || !strings.Contains(fish, "\nset -e AWS_SESSION_TOKEN\n") {
		t.Error(token.ReplaceAllString(fish, "..."))
	}
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("MY_TOKEN", strings.TrimSpace(must(t, "token")))
	vars := environment(t, "--token-env", "MY_TOKEN", "--label", "nightly", "--target", "dev")
	for name, want := range map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "dev", "MY_TOKEN": "(removed)"} {
		if vars[name] != want {
			t.Errorf("%s is %q, want %q", name, vars[name], want)
		}
	}
	if u, err := url.Parse(vars["HTTPS_PROXY"]); err != nil || u.User.Username() != "nightly" {
		t.Errorf("%v %v", u.Redacted(), err)
	}
}

func environment(t *testing.T, args ...string) map[string]string {
	t.Helper()
	var vars map[string]*string
	if err := json.Unmarshal([]byte(must(t, append([]string{"env", "--shell", "json"}, args...)...)), &vars); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for name, v := range vars {
		out[name] = "(removed)"
		if v != nil {
			out[name] = *v
		}
	}
	return out
}

// The health check of a container: 0 while it is ready, and not before or after.
func TestReady(t *testing.T) {
	initialise(t)
	if r := do(t, "check", "--ready"); r.code != exitFailed || !strings.Contains(r.stderr, "give it a port") {
		t.Errorf("no port: %+v", r)
	}
	edit(t, "sallyport.yaml", "admin:\n  listen: 127.0.0.1:0", "admin:\n  listen: 127.0.0.1:"+freePort(t))
	down := func() {
		t.Helper()
		if r := do(t, "check", "--ready"); r.code != exitFailed || !strings.Contains(r.stderr, "not ready: ") || !strings.Contains(r.stderr, "is `sallyport serve` running?") {
			t.Errorf("%+v", r)
		}
	}
	down()
	_, _, stop := serve(t)
	must(t, "check", "--ready")
	stop()
	down()
}

// A gateway with its recorder, in one process: a call that policy denies, one
// that STS would be needed for, and what is on record of both.
func TestServe(t *testing.T) {
	initialise(t)
	_, log, stop := serve(t)
	lines, _, stopLines := start(t, "sessions", "tail")
	events, tailErr, stopEvents := start(t, "sessions", "tail", "--json")
	if r := do(t, "serve"); r.code != exitFailed || !strings.Contains(r.stderr, "in use") {
		t.Errorf("a second serve: %+v", r)
	}

	vars := environment(t, "--label", "first")
	client := through(t, vars)
	ask := func(method, url string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+vars["AWS_ACCESS_KEY_ID"]+"/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	deny := func() {
		t.Helper()
		if status, body := ask(http.MethodDelete, "https://acme-dev.s3.us-east-1.amazonaws.com/x"); status != http.StatusForbidden ||
			!strings.Contains(body, "<Code>AccessDenied</Code>") || !strings.Contains(body, "is denied by rule protect-from-deletion") {
			t.Fatalf("delete: %d %s", status, body)
		}
	}
	// A tail that has just begun does not show what was before it.
	until(t, "an event in tail", func() bool {
		deny()
		return strings.Contains(lines.String(), "decision deny by protect-from-deletion") && strings.Contains(events.String(), `"effect":"deny"`)
	})
	if status, body := ask(http.MethodGet, "https://acme-dev.s3.us-east-1.amazonaws.com/x"); status != http.StatusServiceUnavailable || !strings.Contains(body, "STS") {
		t.Errorf("with STS away: %d %s", status, body)
	}
	if !strings.Contains(lines.String(), "local-agent/first  request s3:DeleteObject on arn:aws:s3:::acme-dev/x\n") {
		t.Errorf("tail: %s", lines)
	}
	for line := range strings.Lines(events.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("tail --json: %s", line)
		}
	}
	if stopLines() != exitDone || stopEvents() != exitDone || tailErr.String() != "" {
		t.Errorf("tail ended badly: %s", tailErr)
	}

	// `run` gives the command's exit code, and no code of its own.
	if r := do(t, "run", "--label", "second", "--", "sh", "-c", "echo $AWS_REGION $HTTPS_PROXY; exit 7"); r.code != 7 || !strings.HasPrefix(r.stdout, "us-east-1 http://127.0.0.1:") {
		t.Errorf("run: %+v", r)
	}
	if r := do(t, "run", "--", "no-such-command"); r.code != 127 || !strings.Contains(r.stderr, "no-such-command") {
		t.Errorf("run: %+v", r)
	}
	if r := do(t, "run", "--kubernetes", "--", "true"); r.code != exitFailed || !strings.Contains(r.stderr, "no identity token can be had: ") {
		t.Errorf("run without a token: %+v", r)
	}

	// Two sessions, so that a short beginning is ambiguous.
	vars = environment(t, "--label", "second")
	client = through(t, vars)
	deny()
	if code := stop(); code != exitDone || !strings.Contains(log.String(), `"msg":"draining"`) || !strings.HasSuffix(log.String(), "\"msg\":\"stopped\"}\n") {
		t.Fatalf("serve ended with %d:\n%s", code, log)
	}
	var list []struct {
		Session, First string
		Denied         int
	}
	if err := json.Unmarshal([]byte(must(t, "sessions", "list", "--json")), &list); err != nil || len(list) != 2 {
		t.Fatalf("%v %+v", err, list)
	}
	if list[0].First < list[1].First || list[1].Denied < 1 {
		t.Errorf("not the latest first: %+v", list)
	}
	if text := must(t, "sessions", "list"); !strings.Contains(text, list[0].Session) || !strings.Contains(text, "second") {
		t.Error(text)
	}
	text := must(t, "sessions", "show")
	if !strings.Contains(text, list[0].Session) || !strings.Contains(text, "deny by protect-from-deletion") {
		t.Error(text)
	}
	_, id, _ := strings.Cut(text, "request ")
	if out := must(t, "policy", "explain", "--record", id[:26]); !strings.HasPrefix(out, "deny ") || !strings.Contains(out, "* protect-from-deletion ") {
		t.Error(out)
	}
	if text := must(t, "sessions", "show", list[1].Session[:25]); !strings.Contains(text, "s3:GetObject") || !strings.Contains(text, "aborted") {
		t.Error(text)
	}
	if r := do(t, "sessions", "show", "01"); r.code != exitFailed || !strings.Contains(r.stderr, `2 sessions begin with "01": give more of the id`) {
		t.Errorf("ambiguous: %+v", r)
	}
	for line := range strings.Lines(must(t, "sessions", "show", "--json")) {
		if !json.Valid([]byte(line)) {
			t.Errorf("show --json: %s", line)
		}
	}
	if token.MatchString(log.String()) || strings.Contains(log.String(), "gateway-secret") {
		t.Errorf("a secret is in the log:\n%s", log)
	}
}

// through is a client as the printed environment makes one.
func through(t *testing.T, vars map[string]string) *http.Client {
	t.Helper()
	proxy, err := url.Parse(vars["HTTPS_PROXY"])
	if err != nil {
		t.Fatal("HTTPS_PROXY is no URL")
	}
	bundle, err := os.ReadFile(vars["AWS_CA_BUNDLE"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// The demonstration tells its six steps and the record.
func TestDemo(t *testing.T) {
	newUser(t)
	out := must(t, "demo")
	rest := out
	for _, want := range []string{
		"1. an allowed read", `first line "region,revenue"`,
		"2. a rule's mask path", `ssn "sallyport/masked"`,
		"3. a secret, masked with no configuration", `SecretString "sallyport/masked"`,
		"4. a write that a person approves", `write object "acme-dev-reports/2026/q4.csv"`, "5. a delete that policy denies", "AccessDenied: sallyport: ", "denied by rule no-deletes",
		"6. a bucket in a foreign account", "AccessDenied: ", "not authorized to perform: s3:GetObject",
		"What reached AWS: 5 AssumeRole calls and 5 signed requests",
		"The record of the session", "s3:GetObject", "dynamodb:GetItem", "secretsmanager:GetSecretValue", "s3:DeleteObject",
		"No secret value is in any file under state_dir",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("the demonstration does not say %q in its place:\n%s", want, out)
		}
		rest = after
	}
}

// --keep leaves a gateway that other terminals can use, and nothing behind.
func TestDemoKeep(t *testing.T) {
	newUser(t)
	out, errs, stop := start(t, "demo", "--keep")
	until(t, "the hint", func() bool { return strings.Contains(out.String(), " sessions show\n") || errs.String() != "" })
	_, after, _ := strings.Cut(out.String(), "\n  cd ")
	dir, _, _ := strings.Cut(after, "\n")
	if dir == "" {
		t.Fatalf("%s\n%s", out, errs)
	}
	for _, line := range []string{"run -- aws s3 ls\n", "run -- aws s3 cp sallyport.yaml ", "approvals watch\n", "sessions show\n"} {
		if want := "\n  " + command() + " " + line; !strings.Contains(after, want) { // the cd is before them
			t.Errorf("want %q in\n%s", want, after)
		}
	}
	t.Chdir(dir)
	if r := do(t, "run", "--", "true"); r.code != exitDone {
		t.Errorf("run: %+v", r)
	}
	if r := do(t, "check"); r.code != exitDone || strings.Contains(r.stderr, ": rule ") {
		t.Errorf("check: %+v", r)
	}
	t.Chdir(t.TempDir())
	if code := stop(); code != exitDone {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is still there", dir)
	}
}

func TestVersion(t *testing.T) {
	if out := must(t, "version"); !strings.HasPrefix(out, "sallyport devel go1.") {
		t.Error(out)
	}
}

// Package e2e_test runs the built command with real clients: the AWS CLI and
// boto3 through `sallyport run`, against moto. What it needs beyond Go is looked
// for first; where it is missing the tests are skipped with a line that says so,
// or fail if SALLYPORT_REQUIRE_CLIENTS is set, as CI does.
package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	binary  string // the built command
	missing string // why the real clients cannot be used; "" when they can
)

func TestMain(m *testing.M) {
	os.Exit(setUp(m))
}

func setUp(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sallyport-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	missing = look()
	if missing == "" {
		binary = filepath.Join(dir, "sallyport")
		build := exec.Command("go", "build", "-o", binary, "../cmd/sallyport")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building the command:", err)
			return 1
		}
	}
	return m.Run()
}

func look() string {
	for _, name := range []string{"aws", "python3", "moto_server"} {
		if err := exec.Command(name, "--help").Run(); err != nil {
			if _, lookErr := exec.LookPath(name); lookErr != nil {
				return name + " is not installed (pip install awscli boto3 'moto[server]')"
			}
		}
	}
	if err := exec.Command("python3", "-c", "import boto3").Run(); err != nil {
		return "boto3 is not installed (pip install boto3)"
	}
	return ""
}

func clients(t *testing.T) {
	t.Helper()
	if missing == "" {
		return
	}
	if os.Getenv("SALLYPORT_REQUIRE_CLIENTS") != "" {
		t.Fatal(missing)
	}
	t.Skip("no real clients: ", missing)
}

// world is moto with seeded data, and a gateway in front of it.
type world struct {
	t    *testing.T
	dir  string // working directory of every command, with sallyport.yaml
	moto string // http://127.0.0.1:port
}

const role = "arn:aws:iam::123456789012:role/agent-dev" // moto's own account

func newWorld(t *testing.T) *world {
	clients(t)
	w := &world{t: t, dir: t.TempDir()}
	w.moto = startMoto(t)
	w.seed()
	w.must("init", "--role-arn", role)
	w.configure()
	w.must("check")
	w.serve()
	return w
}

func startMoto(t *testing.T) string {
	t.Helper()
	port := freePort(t)
	cmd := exec.CommandContext(t.Context(), "moto_server", "-H", "127.0.0.1", "-p", port)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=testing", "AWS_SECRET_ACCESS_KEY=testing")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start(t, cmd)
	url := "http://127.0.0.1:" + port
	waitFor(t, "moto", &out, func() bool {
		resp, err := http.Get(url + "/moto-api/data.json")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return url
}

// seed puts data into moto, not through the gateway.
func (w *world) seed() {
	w.t.Helper()
	script, err := filepath.Abs("testdata/seed.py")
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(w.t.Context(), "python3", script, w.moto)
	cmd.Env = append(cleanEnv(), "AWS_ACCESS_KEY_ID=testing", "AWS_SECRET_ACCESS_KEY=testing", "AWS_DEFAULT_REGION=us-east-1")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("seeding moto: %v\n%s", err, out)
	}
}

// configure points the written configuration at moto, and at free ports.
func (w *world) configure() {
	w.t.Helper()
	policy, err := os.ReadFile("testdata/policy.yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("policy.yaml", string(policy))
	config, err := os.ReadFile("testdata/sallyport.yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("sallyport.yaml", strings.NewReplacer(
		"{{proxy}}", freePort(w.t), "{{admin}}", freePort(w.t), "{{moto}}", w.moto, "{{role}}", role,
	).Replace(string(config)))
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// serve starts the gateway and waits for its `ready` line.
func (w *world) serve() {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), binary, "serve")
	cmd.Dir = w.dir
	cmd.Env = append(cleanEnv(), "AWS_ACCESS_KEY_ID=gateway", "AWS_SECRET_ACCESS_KEY=gateway-secret", "AWS_REGION=us-east-1")
	log, err := os.Create(filepath.Join(w.dir, "serve.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = log.Close()
		if w.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			w.t.Logf("serve said:\n%s", text)
		}
	})
	cmd.Stdout, cmd.Stderr = log, log
	start(w.t, cmd)
	waitFor(w.t, "serve", nil, func() bool {
		text, _ := os.ReadFile(log.Name())
		return bytes.Contains(text, []byte(`"msg":"ready"`))
	})
}

type result struct {
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
}

// sallyport runs the command in the world's folder.
func (w *world) sallyport(args ...string) result {
	w.t.Helper()
	return w.command(binary, args...)
}

func (w *world) command(name string, args ...string) result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = w.dir, append(cleanEnv(), "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		w.t.Fatalf("%s %v: %v", name, args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func (w *world) must(args ...string) result {
	w.t.Helper()
	r := w.sallyport(args...)
	if r.code != 0 {
		w.t.Fatalf("sallyport %s: %v", strings.Join(args, " "), r)
	}
	return r
}

// aws runs the AWS CLI as an agent does: under `sallyport run`.
func (w *world) aws(args ...string) result {
	w.t.Helper()
	return w.sallyport(append([]string{"run", "--label", "e2e", "--", "aws"}, args...)...)
}

// cleanEnv is the environment without anything of AWS or a proxy in it.
func cleanEnv() []string {
	var out []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(name)
		if strings.HasPrefix(upper, "AWS_") || strings.HasSuffix(upper, "_PROXY") || strings.HasSuffix(upper, "_CA_BUNDLE") {
			continue
		}
		out = append(out, kv)
	}
	return out
}

func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
}

// waitFor polls until another process is up; there is no event to wait for.
func waitFor(t *testing.T, what string, out *bytes.Buffer, ready func() bool) {
	t.Helper()
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-deadline.C:
			if out != nil {
				t.Fatalf("%s did not come up:\n%s", what, out)
			}
			t.Fatalf("%s did not come up", what)
		case <-tick.C:
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

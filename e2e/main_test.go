// Package e2e_test runs the built command with real clients: the AWS CLI and
// boto3 through `sallyport run` against moto, and everything that speaks S3 against
// servers that verify signatures. What it needs beyond Go is looked for first;
// where it is missing the tests are skipped with a line that says so, or fail if
// SALLYPORT_REQUIRE_CLIENTS is set, as CI does. `.ci/clients` installs it.
package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	binary  string // where build puts the command
	missing string // why the real clients cannot be used; "" when they can
)

func TestMain(m *testing.M) {
	if step := os.Getenv(goAgentVariable); step != "" {
		os.Exit(goAgent(step))
	}
	os.Exit(setUp(m))
}

func setUp(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sallyport-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "sallyport")
	missing = look()
	code := m.Run()
	stopMoto()
	return code
}

// build is called once, by the first test that has its clients.
var build = sync.OnceValue(func() error {
	out, err := exec.Command("go", "build", "-o", binary, "../cmd/sallyport").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the command: %w\n%s", err, out)
	}
	return nil
})

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
	if missing != "" {
		absent(t, missing)
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
}

// world is a folder with a gateway's configuration, in front of moto with seeded
// data, which all worlds share.
type world struct {
	t     *testing.T
	dir   string // working directory of every command, with sallyport.yaml
	proxy string // 127.0.0.1:port
	env   []string
}

const role = "arn:aws:iam::123456789012:role/agent-dev" // moto's own account

// newWorld is a world whose gateway runs.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := prepare(t)
	w.begin("serve")
	return w
}

// prepare is a world whose gateway does not run yet.
func prepare(t *testing.T) *world {
	t.Helper()
	clients(t)
	moto, err := theMoto()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), proxy: "127.0.0.1:" + freePort(t)}
	w.must("init", "--role-arn", role)
	w.copy("policy.yaml")
	w.copy("sallyport.yaml", "{{proxy}}", w.proxy, "{{moto}}", moto.url, "{{role}}", role)
	w.must("check")
	return w
}

// copy writes a file of testdata into the world, with texts replaced.
func (w *world) copy(name string, replace ...string) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(name, strings.NewReplacer(replace...).Replace(string(text)))
}

// edit replaces a text of the configuration; it must be there.
func (w *world) edit(old, new string) {
	w.t.Helper()
	text := w.read("sallyport.yaml")
	if !strings.Contains(text, old) {
		w.t.Fatalf("sallyport.yaml has no %q", old)
	}
	w.write("sallyport.yaml", strings.Replace(text, old, new, 1))
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
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
	cmd.Dir = w.dir
	cmd.Env = append(append(cleanEnv(), "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1"), w.env...)
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

// freePort is a port that nobody has. It lies below those that the system hands
// out by itself, so that nobody gets it before it is used.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(10000 + rand.IntN(20000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// jwt is a token's beginning. Three letters of it are in any large file of random bytes.
var jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{16}`)

// noCanary fails when a secret text, or a token, is in any file that the gateway wrote.
func noCanary(t *testing.T, dir string, canaries ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if strings.HasSuffix(path, ".creds") { // NATS user credentials are JWTs by design
			return nil
		}
		text, err := os.ReadFile(path)
		for _, c := range canaries {
			if bytes.Contains(text, []byte(c)) {
				t.Errorf("%s holds %q", path, c)
			}
		}
		if token := jwt.Find(text); token != nil && !strings.Contains(path, "nats") { // NATS has users' JWTs
			t.Errorf("%s holds a token: %.20q", path, token)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

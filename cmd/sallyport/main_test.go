package main

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/logtest"
)

// result is what a command said.
type result struct {
	code           int
	stdout, stderr string
}

// do runs the command in the current folder, as a user would.
func do(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr logtest.Buffer
	code := run(ctx, args, strings.NewReader(""), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	r := do(t, args...)
	if r.code != exitDone {
		t.Fatalf("sallyport %s: exit code %d\n%s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r.stdout
}

// newUser is an empty folder and an empty home, without anything of AWS.
func newUser(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Chdir(dir)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", "")
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	return dir
}

// start begins a command that goes on until stop, which gives its result.
func start(t *testing.T, args ...string) (out, errs *logtest.Buffer, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, errs = &logtest.Buffer{}, &logtest.Buffer{}
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, strings.NewReader(""), out, errs) }()
	stop = sync.OnceValue(func() int {
		cancel()
		return <-code
	})
	t.Cleanup(func() { stop() })
	return out, errs, stop
}

// until polls what another goroutine does; there is no event to wait for.
func until(t *testing.T, what string, ready func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-deadline:
			t.Fatalf("%s did not come", what)
		case <-tick.C:
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit replaces a text in a file; it must be there.
func edit(t *testing.T, name, old, new string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q", name, old)
	}
	write(t, name, strings.Replace(string(text), old, new, 1))
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

// initialise is `sallyport init` with ports of the test's own, and STS and AWS at
// a port where nobody answers.
func initialise(t *testing.T) (dir string) {
	t.Helper()
	dir = newUser(t)
	must(t, "init")
	edit(t, "sallyport.yaml", "127.0.0.1:3128", "127.0.0.1:"+freePort(t))
	edit(t, "sallyport.yaml", "127.0.0.1:4222", "127.0.0.1:0")
	edit(t, "sallyport.yaml", "127.0.0.1:3190", "127.0.0.1:0")
	edit(t, "sallyport.yaml", "  # endpoint: http://127.0.0.1:4566", "  endpoint: http://127.0.0.1:"+freePort(t))
	return dir
}

var token = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.`)

// clean fails when a text holds what no message may.
func clean(t *testing.T, r result) {
	t.Helper()
	for _, bad := range []string{"goroutine ", "panic", "<nil>", "%!", filepath.Join("cmd", "sallyport", "")} {
		if strings.Contains(r.stderr, bad) {
			t.Errorf("the message has %q:\n%s", bad, r.stderr)
		}
	}
	if token.MatchString(r.stderr) {
		t.Errorf("a token is in the message:\n%s", r.stderr)
	}
}

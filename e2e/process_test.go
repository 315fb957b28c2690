package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// moto is a simulated AWS that all tests share, with the data of seed.py in it.
type moto struct {
	url string // http://127.0.0.1:port
	cmd *exec.Cmd
}

var theMoto = sync.OnceValues(startMoto)

func startMoto() (*moto, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	env := append(cleanEnv(), "AWS_ACCESS_KEY_ID=testing", "AWS_SECRET_ACCESS_KEY=testing", "AWS_DEFAULT_REGION=us-east-1")
	m := &moto{url: "http://127.0.0.1:" + port, cmd: exec.Command("moto_server", "-H", "127.0.0.1", "-p", port)}
	m.cmd.Env = env
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	running = m
	up := func() bool {
		resp, err := http.Get(m.url + "/moto-api/data.json")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	if !poll(60*time.Second, up) {
		return nil, fmt.Errorf("moto did not come up at %s", m.url)
	}
	// Not through the gateway.
	seed := exec.Command("python3", "testdata/seed.py", m.url)
	seed.Env = env
	if out, err := seed.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("seeding moto: %w\n%s", err, out)
	}
	return m, nil
}

var running *moto // to be stopped at the end

func stopMoto() {
	if running != nil {
		_ = running.cmd.Process.Signal(os.Interrupt)
		_ = running.cmd.Wait()
	}
}

// process is a command that goes on: serve, or a tail.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  string // file with what it says
	done chan struct{}
}

// begin starts the command in the world's folder. `serve` is ready when begin returns.
func (w *world) begin(args ...string) *process {
	w.t.Helper()
	return w.beginIn(w.dir, args...)
}

func (w *world) beginIn(dir string, args ...string) *process {
	w.t.Helper()
	p := &process{t: w.t, cmd: exec.Command(binary, args...), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(append(cleanEnv(), "AWS_ACCESS_KEY_ID=gateway", "AWS_SECRET_ACCESS_KEY=gateway-secret", "AWS_REGION=us-east-1"), w.env...)
	out, err := os.CreateTemp(w.t.TempDir(), "out-")
	if err != nil {
		w.t.Fatal(err)
	}
	p.out = out.Name()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	_ = out.Close() // the process has its own
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	w.t.Cleanup(func() {
		_ = p.cmd.Process.Signal(os.Interrupt)
		<-p.done
		if w.t.Failed() {
			w.t.Logf("%s in %s said:\n%s", strings.Join(args, " "), filepath.Base(dir), p.text())
		}
	})
	if args[0] == "serve" {
		p.await(`"msg":"ready"`)
	}
	return p
}

func (p *process) text() string {
	text, _ := os.ReadFile(p.out)
	return string(text)
}

// await waits until the process has said something.
func (p *process) await(text string) {
	p.t.Helper()
	waitFor(p.t, text, func() bool {
		select {
		case <-p.done:
			p.t.Fatalf("%v ended before %q:\n%s", p.cmd.Args, text, p.text())
		default:
		}
		return strings.Contains(p.text(), text)
	})
}

// end sends a signal and gives the exit code, -1 when the signal itself ended it.
func (p *process) end(s os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(45 * time.Second):
		p.t.Fatalf("%v did not end:\n%s", p.cmd.Args, p.text())
		return -1
	}
}

// waitFor polls what another process does; there is no event to wait for.
func waitFor(t *testing.T, what string, ready func() bool) {
	t.Helper()
	if !poll(30*time.Second, ready) {
		t.Fatalf("%s did not come", what)
	}
}

func poll(limit time.Duration, ready func() bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-deadline.C:
			return false
		case <-tick.C:
		}
	}
	return true
}

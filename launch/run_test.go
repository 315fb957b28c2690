package launch

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func sh(script string) Command {
	return Command{Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH"), "A=b"}}
}

func TestRunExitCodes(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cmd  Command
		want int
		err  bool
	}{
		"done":           {sh("exit 0"), 0, false},
		"failed":         {sh("exit 7"), 7, false},
		"killed":         {sh("kill -9 $$"), 137, false},
		"not found":      {Command{Args: []string{"no-such-command-here"}}, ExitNotFound, true},
		"not executable": {Command{Args: []string{plain}}, ExitNotExecutable, true},
		"nothing":        {Command{}, ExitNotFound, true},
	} {
		if got, err := Run(context.Background(), c.cmd); got != c.want || (err != nil) != c.err {
			t.Errorf("%s: %d %v, want %d", name, got, err, c.want)
		}
	}
}

func TestRunGivesStreamsAndEnvironment(t *testing.T) {
	c := sh(`cat; echo "$A"; env | wc -l; echo oops >&2`)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader("in "), &out, &errs
	if code, err := Run(context.Background(), c); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	if !strings.HasPrefix(out.String(), "in b\n") || errs.String() != "oops\n" {
		t.Errorf("%q %q", out.String(), errs.String())
	}
}

// Signals to us reach the command, whose own handling decides the exit code.
func TestRunForwardsSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		c := sh(`trap 'exit 3' TERM INT HUP; echo ready; while :; do sleep 0.05; done`)
		r, w := io.Pipe()
		c.Stdout = w
		go func() {
			_, _ = io.ReadFull(r, make([]byte, 6))
			_ = syscall.Kill(os.Getpid(), s)
			_, _ = io.Copy(io.Discard, r)
		}()
		if code, err := Run(context.Background(), c); code != 3 || err != nil {
			t.Errorf("%v: %d %v", s, code, err)
		}
		w.Close()
	}
}

func TestRunEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := sh(`trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done`)
	r, w := io.Pipe()
	c.Stdout = w
	go func() {
		_, _ = io.ReadFull(r, make([]byte, 6))
		cancel()
		_, _ = io.Copy(io.Discard, r)
	}()
	if code, err := Run(ctx, c); code != 4 || err != nil {
		t.Errorf("%d %v", code, err)
	}
	w.Close()
}

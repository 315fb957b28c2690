package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

// Command is what to start.
type Command struct {
	Args   []string // program and arguments; the program is looked up in PATH
	Env    []string // the whole environment, as Apply makes it
	Dir    string   // "" means here
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Exit codes, as shells have them, for a command that did not start. One killed
// by signal n gives 128+n.
const (
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// Run starts the command, passes SIGINT, SIGTERM and SIGHUP on to it, and waits
// for its end. The exit code is the command's own; err is set only when it could
// not be started or waited for. When ctx ends, the command gets SIGTERM, and ten
// seconds later SIGKILL.
func Run(ctx context.Context, c Command) (exit int, err error) {
	if len(c.Args) == 0 {
		return ExitNotFound, errors.New("no command to run; write it after --")
	}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env, cmd.Dir = c.Env, c.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second

	// Before the start, so that no signal in between ends us and leaves it behind.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		exit = ExitNotFound
		if errors.Is(err, fs.ErrPermission) {
			exit = ExitNotExecutable
		}
		return exit, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	done := make(chan struct{})
	defer close(done)
	go forward(cmd.Process, signals, done, onTerminal(c.Stdin))

	err = cmd.Wait()
	var failed *exec.ExitError
	switch {
	case cmd.ProcessState == nil:
		return 1, fmt.Errorf("wait for %s: %w", c.Args[0], err)
	case err == nil, errors.As(err, &failed), ctx.Err() != nil, errors.Is(err, exec.ErrWaitDelay):
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return cmd.ProcessState.ExitCode(), nil
	}
	return 1, fmt.Errorf("wait for %s: %w", c.Args[0], err)
}

// forward passes signals on until done. On a terminal Ctrl-C reaches the whole
// foreground group, the command included; passed on, it would count twice.
func forward(p *os.Process, signals <-chan os.Signal, done <-chan struct{}, terminal bool) {
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGINT && terminal {
				continue
			}
			_ = p.Signal(s) // it may have ended meanwhile
		case <-done:
			return
		}
	}
}

func onTerminal(stdin io.Reader) bool {
	f, ok := stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

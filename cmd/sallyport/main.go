// Command sallyport is an egress gateway that gives AI agents AWS access without
// ever giving them a credential. `sallyport help` lists what it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker (see Makefile).
var version = "devel"

// Exit codes, the same for every command.
const (
	exitDone   = 0
	exitFailed = 1 // refused or failed
	exitUsage  = 2
)

func main() {
	// net/http's transport logs the first bytes of an answer that nobody asked for
	// through the standard logger; what AWS sends is in no log of ours.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: what tests call.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage *usageError
	var exit *exitError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "sallyport: %v\n", err)
		if usage.help != "" {
			fmt.Fprintf(stderr, "See `%s --help`.\n", usage.help)
		}
		return exitUsage
	}
	fmt.Fprintf(stderr, "sallyport: %v\n", err)
	return exitFailed
}

// usageError is a mistake in the command line.
type usageError struct {
	err  error
	help string // the command whose help to read
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// exitError carries the exit code of a child process, which has said itself what
// was wrong.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

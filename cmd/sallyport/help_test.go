package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// every calls f for every command that a user can see.
func every(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			every(sub, f)
		}
	}
}

var (
	commandLine = regexp.MustCompile(`sallyport(?: --)?((?: [a-z]+)+)`)
	flagName    = regexp.MustCompile(`(?:^|[\s("` + "`" + `])--([a-z][a-z-]*)`)
)

// Help names only commands and flags that exist.
func TestHelp(t *testing.T) {
	root := newRoot()
	seen := 0
	every(root, func(c *cobra.Command) {
		seen++
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		r := do(t, args...)
		if r.code != exitDone || r.stderr != "" || !strings.Contains(r.stdout, "Usage:\n  "+c.CommandPath()) {
			t.Errorf("%v: %+v", args, r)
		}
		if c.Short == "" {
			t.Errorf("%s says nothing of what it is for", c.CommandPath())
		}
		for _, m := range commandLine.FindAllStringSubmatch(r.stdout, -1) {
			words := strings.Fields(m[1])
			if found, _, err := root.Find(words[:1]); err != nil || found == root {
				t.Errorf("%v mentions `sallyport %s`, which does not exist", args, words[0])
			}
		}
		for _, m := range flagName.FindAllStringSubmatch(r.stdout, -1) {
			if m[1] != "help" && c.Flags().Lookup(m[1]) == nil {
				t.Errorf("%v mentions --%s, which it does not have", args, m[1])
			}
		}
		again := do(t, append([]string{"help"}, args[:len(args)-1]...)...)
		if again.stdout != r.stdout {
			t.Errorf("help %v and --help differ:\n%s\n%s", args, again.stdout, r.stdout)
		}
	})
	if seen < 18 {
		t.Errorf("only %d commands", seen)
	}
}

// A listing can be read by programs.
func TestListingsHaveJSON(t *testing.T) {
	for _, path := range [][]string{{"sessions", "list"}, {"sessions", "show"}, {"sessions", "tail"}, {"ca", "show"}, {"policy", "explain"},
		{"approvals", "list"}, {"approvals", "watch"}, {"approvals", "show"}, {"approvals", "approve"}, {"approvals", "deny"}} {
		c, _, err := newRoot().Find(path)
		if err != nil || c.Flags().Lookup("json") == nil {
			t.Errorf("%v has no --json (%v)", path, err)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range completionShells {
		if out := must(t, "completion", shell); !strings.Contains(out, "sallyport") || len(out) < 1000 {
			t.Errorf("%s: %d bytes", shell, len(out))
		}
	}
	if out := must(t, "__complete", "sessions", ""); !strings.Contains(out, "list\t") || !strings.Contains(out, "tail\t") {
		t.Errorf("completing `sessions`: %s", out)
	}
}

// Mistakes in the command line: exit code 2, and what to read.
func TestUsage(t *testing.T) {
	newUser(t)
	for _, c := range []struct{ args, want string }{
		{"nonsense", "unknown command `nonsense`"},
		{"--nonsense", "unknown flag: --nonsense"},
		{"serve --nonsense", "unknown flag: --nonsense"},
		{"serve --roles console", "the roles are gateway, recorder"},
		{"serve extra", "extra"},
		{"help nonsense", "there is no command `nonsense`"},
		{"help sessions nonsense", "there is no command `sessions nonsense`"},
		{"sessions", "say which: calls, export, forget, hold, list, reconcile, reindex, release, show, tail, verify"},
		{"sessions nonsense", "unknown command `nonsense`"},
		{"sessions show a b", "at most 1 arg"},
		{"ca", "say which: bundle, show"},
		{"policy", "say which: explain"},
		{"policy explain", "say one of --action, --request and --record"},
		{"policy explain --action s3:GetObject --resource bucket", "is not an ARN"},
		{"completion", "name one shell: bash, zsh, fish"},
		{"completion tcsh", "name one shell"},
		{"run", "give the command to start"},
		{"run --label x", "give the command to start"},
		{"run --token-file a --token-env b -- true", "--token-file and --token-env: give one source"},
		{"run --token-file= -- true", "--token-file is empty"},
		{"run --client-id x -- true", "--client-id needs --client-secret-file"},
		{"run --client-id x --client-secret-file f -- true", "--issuer or --token-url"},
		{"env --shell tcsh", "there are sh, bash, zsh, fish, json"},
		{"token --ttl 1", "invalid argument"},
		{"token extra", "extra"},
		{"approvals", "say which: approve, deny, link, list, revoke, show, watch"},
		{"approvals show", "accepts 1 arg"},
		{"approvals list extra", "extra"},
	} {
		r := do(t, strings.Fields(c.args)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, c.want) || !strings.Contains(r.stderr, "--help`.\n") || r.stdout != "" {
			t.Errorf("%s: want exit code 2 and %q, got %+v", c.args, c.want, r)
		}
		clean(t, r)
	}
}

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "AWS access for AI agents, without ever giving them a credential",
		Long: `Sallyport sits between an AI agent and AWS. The agent keeps its SDK or CLI, with
placeholder keys and HTTPS_PROXY set; the gateway knows who is calling, which AWS
operation on which resource it is, decides, records, and signs each request with a
credential that is good for that request alone.

First try:      sallyport demo
On a laptop:    sallyport init, sallyport serve, sallyport run -- aws s3 ls`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{errors.New("unknown command " + quote(args[0])), cmd.CommandPath()}
			}
			return nil
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return noneEmpty(cmd) },
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	// A group is not run by itself: only its commands are usage.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if not .HasAvailableSubCommands}}", 1))
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(newHelp())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{err, cmd.CommandPath()} })
	root.AddCommand(
		newDemo(), newInit(), newServe(), newCheck(), newRun(), newEnv(), newToken(),
		newCA(), newApprovals(), newSessions(), newRevoke(), newPolicy(), newMask(), newCompletion(), newVersion(),
	)
	for _, c := range root.Commands() {
		usageArgs(c)
	}
	return root
}

// usageArgs makes a wrong number of arguments a usage error, for a command and
// all below it.
func usageArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{err, cmd.CommandPath()}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		usageArgs(sub)
	}
}

// noneEmpty refuses a flag or an argument that was given as empty, which a script does with
// a variable that is not set. As if it was not given, a check would not be made that was asked for, or
// more be chosen than was meant.
func noneEmpty(cmd *cobra.Command) error {
	for i, a := range cmd.Flags().Args() {
		if a == "" && cmd.Name() != "run" { // whose arguments are another program's
			return &usageError{fmt.Errorf("argument %d is empty: give it a value, or leave it out", i+1), cmd.CommandPath()}
		}
	}
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		empty := f.Value.Type() == "string" && f.Value.String() == ""
		if list, ok := f.Value.(pflag.SliceValue); ok {
			empty = len(list.GetSlice()) == 0 || slices.Contains(list.GetSlice(), "")
		}
		if _, fine := f.Annotations[emptyMeans]; empty && !fine && err == nil {
			err = &usageError{fmt.Errorf("--%s is empty: give it a value, or leave it out", f.Name), cmd.CommandPath()}
		}
	})
	return err
}

const emptyMeans = "empty"

// mayBeEmpty marks flags of which an empty value says something, or is no less than none.
func mayBeEmpty(c *cobra.Command, flags ...string) {
	for _, name := range flags {
		c.Flags().Lookup(name).Annotations = map[string][]string{emptyMeans: nil}
	}
}

// group is a command that only holds others.
func group(use, short string, sub ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return errors.New("unknown command " + quote(args[0]))
			}
			return errors.New("say which: " + strings.Join(names(cmd), ", "))
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(sub...)
	return c
}

func names(c *cobra.Command) []string {
	var out []string
	for _, s := range c.Commands() {
		out = append(out, s.Name())
	}
	return out
}

func quote(s string) string { return "`" + s + "`" }

// configFlag adds --config. Without it, ./sallyport.yaml.
func configFlag(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "config", defaultConfig, "configuration file")
}

const defaultConfig = "sallyport.yaml"

// ownConfig refuses a configuration that was found where the command was started and that
// somebody else made or may change. It says where identity tokens are sent: whoever puts
// one into a folder that others work in would get theirs. Naming it says that it is meant.
func ownConfig(cmd *cobra.Command, path string) error {
	if cmd.Flags().Changed("config") {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerr // whoever loads it says so
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case known && owner.Uid != 0 && int(owner.Uid) != os.Getuid():
		return fmt.Errorf("%s here belongs to another user (%d), and says where identity tokens go: give it by --config if you trust it", path, owner.Uid)
	case info.Mode().Perm()&0o002 != 0:
		return fmt.Errorf("%s here may be changed by every user (mode %04o), and says where identity tokens go: run chmod o-w %s, or give it by --config", path, info.Mode().Perm(), path)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

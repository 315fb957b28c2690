package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/identity"
)

// The identity that `run` and `env` have with the trial issuer, and the group
// that the example policy allows.
const trialSubject = "local-agent"

var trialGroups = []string{"ai-agents"}

// The person that the trial issuer makes up to answer: another one than asks.
const trialApprover = "local-approver"

var trialApproverGroups = []string{"sre"}

var errTrialOff = errors.New("the trial issuer is off (identity.local); get a token from your identity provider")

// trialOf gives the trial issuer of a configuration, or errTrialOff.
func trialOf(conf *config.Config) (*identity.Trial, error) {
	if !conf.Identity.Local {
		return nil, errTrialOff
	}
	return identity.OpenTrial(conf.StateDir)
}

func newToken() *cobra.Command {
	var path, subject string
	var groups []string
	var ttl time.Duration
	var approver bool
	c := &cobra.Command{
		Use:   "token",
		Short: "Print a short-lived token of the built-in trial issuer",
		Long: `Print a short-lived token of the built-in trial issuer, whose key lies in state_dir.
It works while identity.local is on, which it can be only while every listener is
on loopback.

With --approver it is a token to answer requests with, of a person and for another
audience: an agent's token cannot approve, and this one is no agent's.`,
		Example: `  sallyport token --approver --subject alice --groups sre > alice.jwt`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := config.Load(path)
			if err != nil {
				return err
			}
			trial, err := trialOf(conf)
			if err != nil {
				return err
			}
			if ttl <= 0 {
				return &usageError{fmt.Errorf("--ttl %s: a token must live for some time", ttl), cmd.CommandPath()}
			}
			token, err := trial.Token(subject, groups, identity.TrialAudience, ttl, time.Now())
			if approver {
				if !cmd.Flags().Changed("subject") {
					subject = trialApprover
				}
				if !cmd.Flags().Changed("groups") {
					groups = trialApproverGroups
				}
				token, err = trial.Token(subject, groups, identity.ApproverAudience, ttl, time.Now())
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), token.Reveal()) // the one thing this command is for
			return nil
		},
	}
	configFlag(c, &path)
	f := c.Flags()
	f.StringVar(&subject, "subject", trialSubject, "subject of the token")
	f.StringSliceVar(&groups, "groups", trialGroups, "groups, comma-separated")
	mayBeEmpty(c, "groups")
	f.BoolVar(&approver, "approver", false, "a token of an approver (subject "+trialApprover+", groups "+strings.Join(trialApproverGroups, ",")+" unless given)")
	f.DurationVar(&ttl, "ttl", identity.TrialMaxTTL, "how long it is good, at most 1h")
	return c
}

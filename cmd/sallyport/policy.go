package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/server"
	"github.com/sallyport/sallyport/policy"
)

func newPolicy() *cobra.Command {
	return group("policy", "Ask the policy without making a request", newPolicyExplain())
}

func newPolicyExplain() *cobra.Command {
	var path, action, resource, target, region, subject, issuer string
	var groups []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain --action SERVICE:ACTION [--resource ARN]",
		Short: "Say how a call would be decided, and what each rule has to do with it",
		Example: `  sallyport policy explain --action s3:GetObject --resource arn:aws:s3:::acme-dev/report.csv
  sallyport policy explain --action ec2:TerminateInstances --groups sre --target prod`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if action == "" {
				return &usageError{fmt.Errorf("--action is missing, for example --action s3:GetObject"), cmd.CommandPath()}
			}
			if resource != "*" && !strings.HasPrefix(resource, "arn:") {
				return &usageError{fmt.Errorf("--resource %q is not an ARN, such as arn:aws:s3:::acme-dev/report.csv; without it any resource is meant", resource), cmd.CommandPath()}
			}
			conf, err := config.Load(path)
			if err != nil {
				return err
			}
			engine, err := server.LoadPolicy(conf)
			if err != nil {
				return err
			}
			if target == "" {
				target = conf.DefaultTarget()
			}
			t, ok := conf.Targets[target]
			if !ok {
				return noTarget(conf, target)
			}
			if region == "" && len(t.Regions) > 0 {
				region = t.Regions[0]
			}
			ids, err := awsapi.New()
			if err != nil {
				return err
			}
			call, err := ids.CallByAction(action, resource, t.Partition(), region)
			if err != nil {
				return err
			}
			x := engine.Explain(policy.Input{Issuer: issuer, Subject: subject, Groups: groups, Target: target, Call: call})
			if asJSON {
				return explainJSON(cmd.OutOrStdout(), call, x)
			}
			return explainText(cmd.OutOrStdout(), call, x)
		},
	}
	configFlag(c, &path)
	f := c.Flags()
	f.StringVar(&action, "action", "", "IAM action, service:Action")
	f.StringVar(&resource, "resource", "*", "ARN")
	f.StringVar(&target, "target", "", "target (default: the default target)")
	f.StringVar(&region, "region", "", "region (default: the target's first)")
	f.StringVar(&subject, "subject", trialSubject, "who: subject")
	f.StringVar(&issuer, "issuer", "", "who: issuer")
	f.StringSliceVar(&groups, "groups", trialGroups, "who: groups, comma-separated")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func explainText(w io.Writer, call *awsapi.Call, x policy.Explanation) error {
	a := call.Actions[0]
	fmt.Fprintf(w, "%s  %s (%s) on %s\n%s\n\n", x.Decision.Effect, a.Name, cmp.Or(string(a.Level), "no access level"), a.Resources[0].ARN, x.Decision.Reason)
	tab := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, r := range x.Rules {
		mark := " "
		if r.Matched {
			mark = "*"
		}
		fmt.Fprintf(tab, "%s %s\t%s\t%s:%d\t%s\n", mark, r.Name, r.Effect, r.File, r.Line, r.Why)
	}
	return tab.Flush()
}

func explainJSON(w io.Writer, call *awsapi.Call, x policy.Explanation) error {
	type rule struct {
		Name    string `json:"name"`
		File    string `json:"file"`
		Line    int    `json:"line"`
		Effect  string `json:"effect"`
		Matched bool   `json:"matched"`
		Why     string `json:"why"`
	}
	rules := make([]rule, 0, len(x.Rules))
	for _, r := range x.Rules {
		rules = append(rules, rule{r.Name, r.File, r.Line, r.Effect.String(), r.Matched, r.Why})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(map[string]any{
		"effect": x.Decision.Effect.String(), "reason": x.Decision.Reason, "rules": x.Decision.Rules, "mask": x.Decision.Mask,
		"policyVersion": x.Decision.Version, "action": call.Actions[0].Name, "accessLevel": call.Actions[0].Level,
		"resource": call.Actions[0].Resources[0].ARN, "explained": rules,
	})
}

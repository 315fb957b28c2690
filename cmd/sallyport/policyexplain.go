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
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/server"
	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/policy"
)

func newPolicyExplain() *cobra.Command {
	var path, action, resource, target, region, subject, issuer, params, request, record string
	var groups []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain --action SERVICE:ACTION [--resource ARN] | --request FILE | --record ID",
		Short: "Say how a call would be decided, and what each rule has to do with it",
		Long: `Say how a call would be decided, and what each rule has to do with it. The call is
given by an IAM action or API operation, by a file with a raw HTTP/1.1 request, or by
the id of a recorded request; a recorded one brings who asked and for which target.`,
		Example: `  sallyport policy explain --action s3:GetObject --resource arn:aws:s3:::acme-dev/report.csv
  sallyport policy explain --action ec2:TerminateInstances --groups sre --target prod
  sallyport policy explain --action ec2:RunInstances --params '{"InstanceType": "t3.micro"}'
  sallyport policy explain --request captured.http`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n := countSet(action, request, record); n != 1 {
				return &usageError{fmt.Errorf("say one of --action, --request and --record, for example --action s3:GetObject"), cmd.CommandPath()}
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
			var recorded *event.Request
			if record != "" {
				if recorded, err = recordedRequest(conf, record); err != nil {
					return err
				}
				issuer, subject, groups = recorded.UserIdentity.Issuer, recorded.UserIdentity.Subject, recorded.UserIdentity.Groups
				target = cmp.Or(target, recorded.Target)
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
			ids, err := server.NewIdentifier(conf)
			if err != nil {
				return err
			}
			var call *awsapi.Call
			switch {
			case request != "":
				call, err = callFromFile(ids, request, t.Account())
			case recorded != nil:
				call, err = callFromRecord(ids, recorded, t.Partition())
			default:
				call, err = ids.CallByName(action, resource, t.Partition(), region)
			}
			if err != nil {
				return err
			}
			if params != "" {
				var p map[string]any
				d := json.NewDecoder(strings.NewReader(params))
				d.UseNumber()
				if err := d.Decode(&p); err != nil {
					return &usageError{fmt.Errorf("--params is not a JSON object: %w", err), cmd.CommandPath()}
				}
				call = call.WithParams(p)
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
	f.StringVar(&action, "action", "", "IAM action or API operation, service:Name")
	f.StringVar(&params, "params", "", "with --action: the call's parameters, as JSON")
	f.StringVar(&request, "request", "", "file with a raw HTTP/1.1 request")
	f.StringVar(&record, "record", "", "id of a recorded request")
	f.StringVar(&resource, "resource", "*", "ARN")
	f.StringVar(&target, "target", "", "target (default: the default target)")
	f.StringVar(&region, "region", "", "region (default: the target's first)")
	f.StringVar(&subject, "subject", trialSubject, "who: subject")
	f.StringVar(&issuer, "issuer", "", "who: issuer")
	f.StringSliceVar(&groups, "groups", trialGroups, "who: groups, comma-separated")
	mayBeEmpty(c, "groups")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// explainText escapes what an agent wrote: an object's key can be a terminal's command.
func explainText(w io.Writer, call *awsapi.Call, x policy.Explanation) error {
	shown := func(s string) string { return terminal.Escape(s, 4096) }
	fmt.Fprintf(w, "%s  %s:%s\n%s\n\n", x.Decision.Effect, call.Service, call.Operation, shown(x.Decision.Reason))
	for _, a := range call.Actions {
		kind := cmp.Or(string(a.Level), "no access level")
		if a.Dependent {
			kind += ", dependent"
		}
		for _, r := range a.Resources {
			fmt.Fprintf(w, "needs   %s (%s) on %s\n", a.Name, kind, shown(r.ARN))
		}
	}
	if len(call.Classes) > 0 {
		fmt.Fprintf(w, "class   %v\n", call.Classes)
	}
	fmt.Fprintf(w, "risk    %d", x.Decision.Risk.Score)
	if len(x.Decision.Risk.Reasons) > 0 {
		fmt.Fprintf(w, " (%s)", strings.Join(x.Decision.Risk.Reasons, ", "))
	}
	fmt.Fprintln(w)
	if x.Decision.Scope != "" {
		fmt.Fprintf(w, "scope   %s\n", x.Decision.Scope)
	}
	if x.Decision.Enrich {
		fmt.Fprintln(w, "reads   names and tags of the resources first, for approvers")
	}
	if e := call.Uncarried(); e != nil {
		fmt.Fprintf(w, "sent    no: %s\n", shown(e.Message))
	}
	fmt.Fprintln(w)
	tab := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, r := range x.Rules {
		mark := " "
		if r.Matched {
			mark = "*"
		}
		fmt.Fprintf(tab, "%s %s\t%s\t%s:%d\t%s\n", mark, r.Name, r.Effect, r.File, r.Line, shown(r.Why))
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
	out := map[string]any{
		"service": call.Service, "operation": call.Operation, "needs": call.Actions, "classes": call.Classes,
		"risk": x.Decision.Risk, "scope": x.Decision.Scope, "enrich": x.Decision.Enrich,
		"effect": x.Decision.Effect.String(), "reason": x.Decision.Reason, "rules": x.Decision.Rules, "mask": x.Decision.Mask,
		"policyVersion": x.Decision.Version, "explained": rules,
	}
	if len(call.Actions) > 0 {
		a := call.Actions[0]
		out["action"], out["accessLevel"], out["resource"] = a.Name, a.Level, a.Resources[0].ARN
	}
	return e.Encode(out)
}

func countSet(texts ...string) int {
	n := 0
	for _, t := range texts {
		if t != "" {
			n++
		}
	}
	return n
}

package policy

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
)

// Names and tags are read only where what asks says so.
func TestEnrich(t *testing.T) {
	const people = `actions: ["ec2:*"], approvers: {groups: [sre]}`
	allow := rule("a", "allow", `actions: ["ec2:*"]`)
	for text, want := range map[string]bool{
		allow + rule("b", "ask", people):                                                                        false,
		rule("b", "ask", people+", enrich: true"):                                                               true,
		rule("b", "ask", people) + rule("c", "ask", people+", enrich: true"):                                    true,
		rule("b", "ask", people) + strings.Replace(rule("c", "ask", people+", enrich: true"), "dev", "prod", 1): false,
		allow + "risk: {ask_at: 1, approvers: {groups: [sre]}, enrich: true}":                                   true,
		allow + "risk: {ask_at: 1, approvers: {groups: [sre]}}":                                                 false,
		rule("b", "ask", people) + "risk: {ask_at: 1, enrich: true}":                                            true,
		rule("b", "ask", people) + "risk: {ask_at: 99, enrich: true}":                                           false,
	} {
		d := engine(t, text).Decide(ask(call(awsapi.Write, "ec2:TerminateInstances", instance)))
		if d.Effect != Ask || d.Enrich != want {
			t.Errorf("%s\n%s, enrich %v", text, d.Effect, d.Enrich)
		}
	}
	for _, text := range []string{
		allow + "risk: {ask_at: 99, enrich: true}",
		rule("b", "ask", people+", enrich: true") + rule("c", "deny", `actions: ["*"]`),
		rule("b", "ask", people+", enrich: true") + "risk: {deny_at: 1, enrich: true}",
	} {
		if d := engine(t, text).Decide(ask(call(awsapi.Write, "ec2:TerminateInstances", instance))); d.Effect == Ask || d.Enrich {
			t.Errorf("%s\n%s, enrich %v", text, d.Effect, d.Enrich)
		}
	}
}

// The key where it means nothing is a mistake.
func TestEnrichOnlyWhereSomethingAsks(t *testing.T) {
	for text, want := range map[string]string{
		rule("a", "allow", `actions: ["*"], enrich: true`):                        "rules[0].enrich: has a meaning only with effect: ask",
		rule("a", "deny", `actions: ["*"], enrich: true`):                         "rules[0].enrich: has a meaning only with effect: ask",
		rule("a", "deny", `actions: ["*"]`) + "risk: {ask_at: 101, enrich: true}": "risk.enrich: has a meaning only where the risk asks",
	} {
		if _, err := Parse([]File{{"p.yaml", []byte("rules:\n" + text)}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v", text, err)
		}
	}
}

// Only what nothing speaks against may be read for approvers without a rule.
func TestUnallowed(t *testing.T) {
	asks := rule("b", "ask", `actions: ["ec2:*"], resources: ["`+instance+`"], approvers: {groups: [sre]}`)
	partial := "arn:aws:ec2:us-east-1:111122223333:instance/* partial" // may be it
	for text, want := range map[string]bool{
		rule("a", "allow", `actions: ["s3:*"]`):                         true,
		rule("a", "deny", `actions: ["ec2:Describe*"]`):                 false,
		rule("a", "allow", `actions: ["ec2:*"]`):                        false, // it is allowed
		rule("a", "allow", `actions: ["ec2:*"], when: "params.X == 1"`): false,
		asks: false,
		strings.Replace(asks, "approvers:", "enrich: true, approvers:", 1): true,
		rule("a", "allow", `actions: ["ec2:*"]`) + "risk: {deny_at: 1}":    false,
	} {
		if d := engine(t, text).Decide(ask(call(awsapi.Read, "ec2:DescribeTags", partial))); d.Unallowed != want || want && d.Effect != Deny {
			t.Errorf("%s\n%v, want %v: %s", text, d.Unallowed, want, d.Reason)
		}
	}
	if d := (*Engine)(nil).Decide(ask(call(awsapi.Read, "ec2:DescribeTags", "*"))); d.Unallowed {
		t.Error("without a policy")
	}
}

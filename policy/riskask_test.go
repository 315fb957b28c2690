package policy

import (
	"testing"

	"github.com/sallyport/sallyport/awsapi"
)

// Where a rule names who is asked, a risk for which nobody is named asks the same
// people; where both name some, both must agree.
func TestRiskAndRuleAsk(t *testing.T) {
	for text, want := range map[string]int{
		"":                                1,
		"risk: {ask_at: 1, deny_at: 101}": 1,
		"risk: {ask_at: 1, deny_at: 101, approvers: {groups: [cto]}}": 2,
	} {
		e := engine(t, rule("a", "ask", "actions: ['*'], approvers: {groups: [sre]}")+text)
		d := e.Decide(ask(call(awsapi.Write, "ec2:TerminateInstances", instance)))
		if d.Effect != Ask || len(d.Approvers) != want || d.Approvers[0].Groups[0] != "sre" {
			t.Errorf("%q: %v %v", text, d.Effect, d.Approvers)
		}
	}
}

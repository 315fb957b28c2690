package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// The AWS CLI's terminate-instances is held until a person approves it in another
// terminal, and then completes; past the hold it is told what to do, and goes through
// once when it is sent again.
func TestApprovals(t *testing.T) {
	for name, hold := range map[string]string{"held": "2m", "past the hold": "1s"} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			w.write("sallyport.yaml", w.read("sallyport.yaml")+"\napprovals: {hold: "+hold+"}\n")
			w.write("policy.yaml", `rules:
  - {name: look, who: {groups: [ai-agents]}, targets: [dev], actions: ["ec2:Describe*"], effect: allow}
  - {name: terminate-asks, who: {groups: [ai-agents]}, targets: [dev], actions: ["ec2:TerminateInstances"], effect: ask, approvers: {groups: [sre]}, enrich: true}
  - {name: tag, who: {groups: [ai-agents]}, targets: [dev], actions: ["ec2:CreateTags"], effect: allow}
`)
			w.must("check")
			w.begin("serve")
			look := w.aws("ec2", "describe-instances", "--filters", "Name=instance-state-name,Values=running", "--query", "Reservations[].Instances[].InstanceId", "--output", "text")
			ids := strings.Fields(look.stdout)
			if len(ids) == 0 {
				t.Fatalf("no instance is left to terminate: %v", look)
			}
			if r := w.aws("ec2", "create-tags", "--resources", ids[0], "--tags", "Key=Name,Value=web-1", "Key=env,Value=prod"); r.code != 0 {
				t.Fatalf("create-tags: %v", r)
			}
			terminate := []string{"ec2", "terminate-instances", "--instance-ids", ids[0]}
			agent := make(chan result, 1)
			go func() { agent <- w.aws(terminate...) }()

			var list []struct{ Approval, Digest string }
			waitFor(t, "a request to approve", func() bool {
				r := w.sallyport("approvals", "list", "--json")
				return r.code == 0 && json.Unmarshal([]byte(r.stdout), &list) == nil && len(list) == 1
			})
			shown := w.must("approvals", "show", list[0].Approval).stdout
			for _, want := range []string{`terminate instance "web-1" ("` + ids[0] + `"), tags "env=prod"`, ids[0], "terminate-asks", "sre", list[0].Digest} {
				if !strings.Contains(strings.ToLower(shown), strings.ToLower(want)) {
					t.Errorf("what the approver sees lacks %q:\n%s", want, shown)
				}
			}
			if hold == "1s" {
				if r := <-agent; r.code == 0 || !strings.Contains(r.stderr, list[0].Approval) || !strings.Contains(r.stderr, "goes through once it is approved") {
					t.Fatalf("past the hold: %v", r)
				}
			}
			w.must("approvals", "approve", list[0].Approval, "--yes", "--reason", "clean-up")
			if hold == "1s" {
				agent <- w.aws(terminate...)
			}
			if r := <-agent; r.code != 0 || !strings.Contains(r.stdout, "shutting-down") {
				t.Fatalf("approved: %v", r)
			}
			if story := w.must("sessions", "show").stdout; !strings.Contains(story, "local-approver") || !strings.Contains(story, list[0].Approval) {
				t.Errorf("the record lacks who approved:\n%s", story)
			}
		})
	}
}

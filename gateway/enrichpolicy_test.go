package gateway_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
)

// Nothing is read where the policy does not say so.
func TestNoEnrichment(t *testing.T) {
	r, pending := asking(t, strings.Replace(enrichPolicy, "enrich: true", "", 1))
	_, p := r.askTerminate(t, pending, web1)
	if p.Enrichment != nil {
		t.Errorf("%+v", p.Enrichment)
	}
	r.nothingSent(t)
}

// A call that does not say on what it acts has nothing to be read of.
func TestNothingToEnrich(t *testing.T) {
	r, pending := asking(t, strings.Replace(enrichPolicy, `"ec2:Terminate*"`, `"ec2:MonitorInstances", "ec2:Terminate*"`, 1))
	_, p := r.ask(t, pending, ec2Host, http.MethodPost, "/", "Action=MonitorInstances&Version=2016-11-15", formCall()...)
	if p.Enrichment != nil {
		t.Errorf("%+v", p.Enrichment)
	}
	r.nothingSent(t)
}

// Retries that join what waits, or what was denied, are not read for again.
func TestEnrichedOnce(t *testing.T) {
	r := newRig(t, rigOptions{policy: enrichPolicy, approvals: "hold: 1ms"})
	a := newApprover(t, r)
	pending, outcome := a.messages("pending"), a.messages("outcome")
	_, p := r.askTerminate(t, pending, web1)
	again := func(reason string) {
		t.Helper()
		refused(t, r.tunnel(t, ec2Host, r.token()).do(t, http.MethodPost, "/", terminate(web1), formCall()...), http.StatusForbidden, reason)
		if n := r.sent(t); n != 1 {
			t.Errorf("%d reads", n)
		}
	}
	again("pending")
	if reply := a.answer(p, approvals.Deny, r.person("ann", nil), ""); !reply.Accepted {
		t.Fatal(reply.Error)
	}
	outcome()
	again("denied")
}

// An agent with as many approvals as it may have gets nothing read any more.
func TestNotEnrichedWithoutRoom(t *testing.T) {
	r := newRig(t, rigOptions{policy: enrichPolicy, approvals: "hold: 1ms, max_pending_per_identity: 1"})
	pending := newApprover(t, r).messages("pending")
	r.askTerminate(t, pending, web1)
	refused(t, r.tunnel(t, ec2Host, r.token()).do(t, http.MethodPost, "/", terminate("i-0abc1234567890aaa"), formCall()...), http.StatusForbidden, "denied")
	if n := r.sent(t); n != 1 {
		t.Errorf("%d reads", n)
	}
}

// A deny rule forbids a read, and so does one that asks others for it; a rule that
// allows it changes nothing. What is forbidden is on record.
func TestEnrichmentUnderPolicy(t *testing.T) {
	t.Parallel()
	rule := func(name, effect, actions, more string) string {
		return fmt.Sprintf("  - {name: %s, who: {subjects: ['*']}, targets: ['*'], actions: [%q], effect: %s%s}\nrisk:", name, actions, effect, more)
	}
	for name, test := range map[string]struct {
		more  string
		reads bool
	}{
		"denied":                   {rule("no-tags", "deny", "ec2:DescribeTags", ""), false},
		"all reading denied":       {rule("no-reading", "deny", "ec2:Describe*", ""), false},
		"another rule asks":        {rule("others", "ask", "ec2:Describe*", ", approvers: {groups: [cto]}"), false},
		"a condition that fails":   {rule("broken", "allow", "ec2:DescribeTags", `, when: "params.Nope == 1"`), false},
		"allowed":                  {rule("look", "allow", "ec2:Describe*", ""), true},
		"masked":                   {rule("look", "allow", "ec2:Describe*", ", mask: ['tagSet.*.value']"), true},
		"the same rule asks":       {"", true},
		"denied for other targets": {strings.Replace(rule("no-tags", "deny", "ec2:DescribeTags", ""), "'*'], actions", "wide], actions", 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := enrichPolicy
			if name == "the same rule asks" {
				text = strings.Replace(text, `"ec2:Terminate*"`, `"ec2:*"`, 1)
			}
			if test.more != "" {
				text = strings.Replace(text, "risk:", test.more, 1)
			}
			r, pending := asking(t, text)
			a, p := r.askTerminate(t, pending, web1)
			if test.reads {
				if r.sent(t) != 1 || len(p.Enrichment.Resources) != 1 || len(p.Enrichment.Notes) != 0 {
					t.Errorf("%+v", p.Enrichment)
				}
				if name != "masked" && p.Enrichment.Resources[0].Name != "web-1" {
					t.Errorf("%+v", p.Enrichment)
				}
				return
			}
			r.nothingSent(t)
			if len(p.Enrichment.Resources) != 0 || !slices.Equal(p.Enrichment.Notes, []string{"ec2:DescribeTags: not allowed by the policy"}) {
				t.Errorf("%+v", p.Enrichment)
			}
			var reads []event.Event
			for _, e := range r.stored(t, "sallyport.events."+p.SessionID+".>") {
				if e.Data.Head().Enriches == a.id() {
					reads = append(reads, e)
				}
			}
			if got := kinds(reads); !slices.Equal(got, []event.Kind{event.KindRequest, event.KindDecision}) {
				t.Fatalf("on record: %v", got)
			}
			if d := data[*event.Decision](t, reads); d.Effect != "deny" {
				t.Errorf("%+v", d)
			}
		})
	}
}

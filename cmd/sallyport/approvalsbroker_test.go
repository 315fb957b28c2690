package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
)

// The commands and the gateway's own broker, without anything between them.
func TestApprovalsWithTheBroker(t *testing.T) {
	a := newAsking(t)
	trial, err := identity.OpenTrial("state")
	if err != nil {
		t.Fatal(err)
	}
	conf := trial.IssuerConfig()
	conf.Audience, conf.Excluded = identity.ApproverAudience, []string{identity.TrialAudience}
	verifier, err := identity.NewVerifier([]identity.IssuerConfig{conf}, identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	broker, err := approvals.NewBroker(t.Context(), approvals.Options{Conn: a.conn, Prefix: "sallyport", Verifier: verifier, MaxPending: 5, IDs: a.ids, Source: "sallyport/test", Now: time.Now,
		Append: func(context.Context, ...event.Event) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	ask := func(digest string, count int) approvals.Request {
		t.Helper()
		r := wanted(a.ids, time.Hour)
		r.Digest, r.Approvers = strings.Repeat(digest, 64), []approvals.Needed{{Groups: []string{"sre"}, Count: count}}
		rec, err := broker.Ask(t.Context(), r)
		if err != nil || rec.State != approvals.StatePending {
			t.Fatalf("%s %v", rec.State, err)
		}
		return r
	}
	ends := func(r approvals.Request, want approvals.State) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if rec, err := broker.Wait(ctx, r.Approval, r.Digest); err != nil || rec.State != want {
			t.Fatalf("it is %s, not %s: %v", rec.State, want, err)
		}
	}
	two, no := ask("a", 2), ask("b", 1)
	if out := must(t, "approvals", "list"); !strings.Contains(out, two.Approval) || !strings.Contains(out, no.Approval) {
		t.Fatal(out)
	}
	if out := must(t, "approvals", "approve", two.Approval, "--yes", "--subject", "alice"); !strings.Contains(out, "when everybody who is needed has approved") {
		t.Error(out)
	}
	for subject, want := range map[string]string{"alice": "approved already", "local-agent": "nobody approves their own"} {
		r := do(t, "approvals", "approve", two.Approval, "--yes", "--subject", subject)
		if r.code != exitFailed || !strings.Contains(r.stderr, "not accepted: ") || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: %+v", subject, r)
		}
		clean(t, r)
	}
	write(t, "agent.jwt", must(t, "token"))
	if r := do(t, "approvals", "approve", two.Approval, "--yes", "--token-file", "agent.jwt"); r.code != exitFailed || !strings.Contains(r.stderr, "not accepted: ") || !strings.Contains(r.stderr, "audience") {
		t.Errorf("an agent's token: %+v", r)
	}
	must(t, "approvals", "approve", two.Approval, "--yes", "--subject", "bob", "--reason", "fine")
	ends(two, approvals.StateApproved)
	must(t, "approvals", "deny", no.Approval, "--reason", "no")
	ends(no, approvals.StateDenied)
	until(t, "the outcomes", func() bool { return must(t, "approvals", "list") == "nothing waits for an answer\n" })
	if out := must(t, "approvals", "show", two.Approval); !strings.Contains(out, "\napproved at ") || !strings.Contains(out, `allow by "alice"; allow by "bob" ("fine")`) {
		t.Error(out)
	}
	if r := do(t, "approvals", "approve", no.Approval, "--yes"); r.code != exitFailed || !strings.Contains(r.stderr, "too late: it is denied at") {
		t.Errorf("%+v", r)
	}

	// A grant, from what the list says of it to its end.
	granted := ask("c", 1)
	must(t, "approvals", "approve", granted.Approval, "--yes", "--subject", "alice", "--for", "10m", "--count", "7")
	ends(granted, approvals.StateApproved)
	shows := func(want string, args ...string) {
		t.Helper()
		until(t, want, func() bool { return strings.Contains(must(t, append([]string{"approvals", "list"}, args...)...), want) })
	}
	row := granted.Approval + `  9m5`
	shows("nothing waits for an answer\n\nGRANT ")
	shows(row, "--grants")
	if _, err := broker.Claim(t.Context(), granted.Approval, granted.Digest, granted.RequestID); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "approvals", "list"); !strings.Contains(out, `s  6      "local-agent"  again: terminate 2 instances in account`) {
		t.Error(out)
	}
	if out := must(t, "approvals", "list", "--grants", "--json"); !strings.Contains(out, `"left":6`) || !strings.Contains(out, `"grant":{"for":"10m0s","count":7}`) {
		t.Error(out)
	}
	if out := must(t, "approvals", "show", granted.Approval); !strings.Contains(out, `allow by "alice"; granted for 10 minutes, 7 calls in all: the same again`) || strings.Contains(out, "revoked") {
		t.Error(out)
	}
	for args, want := range map[string]string{"--subject local-agent": "nobody approves their own", "--digest " + strings.Repeat("f", 64): "its digest is"} {
		r := do(t, append([]string{"approvals", "revoke", granted.Approval}, strings.Fields(args)...)...)
		if r.code != exitFailed || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: %+v", args, r)
		}
	}
	if out := must(t, "approvals", "revoke", granted.Approval[20:], "--subject", "bob", "--reason", "enough"); out != "revoked: "+granted.Approval+"\n" {
		t.Error(out)
	}
	if out := must(t, "approvals", "show", granted.Approval); !strings.Contains(out, "the same again\ngrant revoked at ") || !strings.Contains(out, `revoke by "bob" ("enough")`) {
		t.Error(out)
	}
	if out := must(t, "approvals", "show", granted.Approval, "--json"); !strings.Contains(out, `"revoked":{"approval":"`+granted.Approval) {
		t.Error(out)
	}
	if out := must(t, "approvals", "list", "--grants"); out != "no grant is live\n" {
		t.Error(out)
	}
	if r := do(t, "approvals", "revoke", granted.Approval); r.code != exitFailed || !strings.Contains(r.stderr, "no live grant") {
		t.Errorf("%+v", r)
	}
	watched, _, stop := start(t, "approvals", "watch")
	unheard := ask("d", 1)
	until(t, "the watch", func() bool { return strings.Contains(watched.String(), unheard.Approval) })
	must(t, "approvals", "approve", unheard.Approval, "--yes", "--for", "10m", "--count", "7")
	until(t, "the grant", func() bool { return strings.Contains(must(t, "approvals", "list"), "GRANT") })
	must(t, "approvals", "revoke", unheard.Approval, "--subject", "bob")
	until(t, "the end", func() bool { return strings.Contains(watched.String(), unheard.Approval+"  revoked at ") })
	if stop() != exitDone {
		t.Error("Ctrl-C is a failure")
	}
	if _, err := broker.Claim(t.Context(), unheard.Approval, unheard.Digest, unheard.RequestID); err != nil {
		t.Errorf("what was approved is lost with its grant: %v", err)
	}
	if out := must(t, "approvals", "list", "--grants"); out != "no grant is live\n" {
		t.Error(out)
	}
	// Without a gateway the stream still says what was granted.
	last := ask("e", 1)
	must(t, "approvals", "approve", last.Approval, "--yes", "--for", "10m", "--count", "7")
	ends(last, approvals.StateApproved)
	shows(last.Approval, "--grants")
	broker.Close()
	if out := must(t, "approvals", "list", "--grants"); !strings.Contains(out, last.Approval) || !strings.Contains(out, "  ?  ") {
		t.Error(out)
	}
}

package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/oidctest"
)

// grant approves with a grant, and says what the gateway replies.
func (a *approver) grant(p *event.ApprovalPending, g approvals.Grant) approvals.Reply {
	a.t.Helper()
	body, err := json.Marshal(approvals.Answer{Approval: p.Approval, Digest: p.Digest, Decision: approvals.Allow, Token: a.r.person("ann", nil), Grant: &g})
	must(a.t, err)
	return a.send(p.Approval, body)
}

func (a *approver) granted(p *event.ApprovalPending, g approvals.Grant) {
	a.t.Helper()
	if reply := a.grant(p, g); !reply.Accepted {
		a.t.Fatalf("not accepted: %s", reply.Error)
	}
}

// left asks how much of a grant is left; 0 when nothing is.
func (a *approver) left(p *event.ApprovalPending) int {
	a.t.Helper()
	body, err := json.Marshal(approvals.Look{Approval: p.Approval, Decision: "look"})
	must(a.t, err)
	if reply := a.send(p.Approval, body); reply.Accepted {
		return reply.Grant.Left
	}
	return 0
}

// Five calls under a grant of three, with other parameters each: three pass, and the
// fourth and fifth ask.
func TestGrantOfTheSame(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 50ms"})
	a := newApprover(t, r)
	pending, outcome := a.messages("pending"), a.messages("outcome")
	refused(t, <-r.put(t, "1"), http.StatusForbidden, "pending")
	p := pendingOf(t, pending())
	if p.Extent == "" {
		t.Error("a grant cannot be for the same again")
	}
	a.granted(p, approvals.Grant{For: "10m", Count: 3})
	if o, ok := outcome().Data.(*event.ApprovalOutcome); !ok || o.Grant == nil || o.Grant.Count != 3 || o.Grant.For != "10m0s" {
		t.Errorf("%+v", o)
	}
	if n := a.left(p); n != 3 {
		t.Errorf("%d are left", n)
	}
	passed(t, <-r.put(t, "1"), http.StatusOK)
	for i, note := range []string{"2", "1"} { // the very same is no other
		x := <-r.put(t, note)
		passed(t, x, http.StatusOK)
		d := data[*event.Decision](t, r.wantKinds(t, x.id(), event.KindRequest, event.KindDecision, event.KindCredential, event.KindResponse))
		if d.Effect != "allow" || d.Approval != p.Approval || len(d.Approvers) != 1 || d.Approvers[0].Subject != "ann" || d.Grant == nil || d.Grant.Left != 1-i || !d.Grant.Until.After(r.clock.now()) {
			t.Errorf("%s: on record is %+v, grant %+v", note, d, d.Grant)
		}
	}
	for _, note := range []string{"4", "5"} {
		refused(t, <-r.put(t, note), http.StatusForbidden, "pending")
		if q := pendingOf(t, pending()); q.Approval == p.Approval {
			t.Error("it was not asked for anew")
		}
	}
	if n := r.sent(t); n != 3 {
		t.Errorf("%d calls were sent", n)
	}
	if n := a.left(p); n != 0 {
		t.Errorf("%d are left", n)
	}
}

const planPolicy = `rules:
  - name: writing
    who: {groups: [ai-agents]}
    targets: ["*"]
    actions: ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
    effect: ask
    approvers: {groups: [sre]}
  - name: never
    who: {groups: [ai-agents]}
    targets: ["*"]
    actions: ["dynamodb:*"]
    resources: ["arn:aws:dynamodb:*:*:table/Customers-protected"]
    effect: deny
  - name: security-too
    who: {groups: [ai-agents]}
    targets: ["*"]
    actions: ["dynamodb:*"]
    resources: ["arn:aws:dynamodb:*:*:table/Customers-pii"]
    effect: ask
    approvers: {groups: [security]}
`

// One grant lets a plan through: what is within it and no more, for its session alone,
// until it is revoked.
func TestGrantOfAPlan(t *testing.T) {
	r := newRig(t, rigOptions{policy: planPolicy, approvals: "hold: 50ms, max_pending_per_identity: 20"})
	a := newApprover(t, r)
	pending, outcome := a.messages("pending"), a.messages("outcome")
	const tables = "arn:aws:dynamodb:us-east-1:111122223333:table/"
	by := func(authorization, operation, table string) answer {
		item := `"Item":{"id":{"S":"c-9"}}`
		if operation != "PutItem" {
			item = `"Key":{"id":{"S":"c-9"}}`
		}
		return r.tunnelBy(t, dynamoHost, authorization).do(t, http.MethodPost, "/", fmt.Sprintf(`{"TableName":%q,%s}`, table, item), jsonCall("DynamoDB_20120810."+operation)...)
	}
	token := r.token()
	do := func(operation, table string) answer { return by(basic(token), operation, table) }
	refused(t, do("DeleteItem", "Customers"), http.StatusForbidden, "pending")
	p := pendingOf(t, pending())
	g := approvals.Grant{For: "10m", Count: 20, Actions: []string{"dynamodb:DeleteItem", "dynamodb:Put*"}, Resources: []string{tables + "Customers*"}}
	for want, change := range map[string]func(*approvals.Grant){
		"names no service":            func(g *approvals.Grant) { g.Actions = []string{"*"} },
		"leaves open what is done":    func(g *approvals.Grant) { g.Actions = []string{"dynamodb:*"} },
		"is any resource":             func(g *approvals.Grant) { g.Resources = []string{"arn:aws:dynamodb:us-east-1:111122223333:*"} },
		"not in account 111122223333": func(g *approvals.Grant) { g.Resources = []string{"arn:aws:dynamodb:us-east-1:*:table/Customers*"} },
		"needs dynamodb:DeleteItem":   func(g *approvals.Grant) { g.Actions = []string{"dynamodb:Put*"} },
		"is on " + tables:             func(g *approvals.Grant) { g.Resources = []string{tables + "Orders*"} },
		"one resource at least":       func(g *approvals.Grant) { g.Resources = nil },
	} {
		bad := g
		change(&bad)
		if reply := a.grant(p, bad); reply.Accepted || !strings.Contains(reply.Error, want) {
			t.Errorf("%q: %+v", want, reply)
		}
	}
	a.granted(p, g)
	outcome()
	passed(t, do("DeleteItem", "Customers"), http.StatusOK)
	for _, c := range [][2]string{{"PutItem", "Customers"}, {"DeleteItem", "Customers-2"}, {"PutItem", "Customers-3"}} {
		if x := do(c[0], c[1]); x.Header.Get("X-Sallyport-Reason") != "" {
			t.Errorf("%s: %d %s", c, x.StatusCode, x.body)
		}
	}
	if n := a.left(p); n != 16 {
		t.Errorf("%d are left", n)
	}
	sent := r.sent(t)
	refused(t, do("UpdateItem", "Customers"), http.StatusForbidden, "pending") // another action
	refused(t, do("PutItem", "Orders"), http.StatusForbidden, "pending")       // another table
	refused(t, do("PutItem", "Customers-pii"), http.StatusForbidden, "pending")
	if q := []*event.ApprovalPending{pendingOf(t, pending()), pendingOf(t, pending()), pendingOf(t, pending())}; len(q[2].Approvers) != 2 {
		t.Errorf("asked are %+v", q[2].Approvers)
	}
	refused(t, do("PutItem", "Customers-protected"), http.StatusForbidden, "denied")
	refused(t, by(basic(r.tokenOf("agent-2", "ai-agents")), "PutItem", "Customers"), http.StatusForbidden, "pending")
	refused(t, by("Proxy-Authorization: Bearer "+token, "PutItem", "Customers"), http.StatusForbidden, "pending") // without the label: another session
	if n := r.sent(t); n != sent {
		t.Errorf("%d calls beyond the grant were sent", n-sent)
	}

	body := func(who, digest string) []byte {
		b, err := json.Marshal(approvals.Answer{Approval: p.Approval, Digest: digest, Decision: approvals.Revoke, Token: r.person(who, map[string]any{"groups": map[bool][]string{true: {"sre"}}[who == "bob"]}), Reason: "enough"})
		must(t, err)
		return b
	}
	for _, bad := range [][]byte{body("eve", p.Digest), body("bob", strings.Repeat("ab", 32))} {
		if reply := a.send(p.Approval, bad); reply.Accepted {
			t.Error("it was revoked by one who may not, or for another digest")
		}
	}
	if n := a.left(p); n != 16 {
		t.Errorf("%d are left", n)
	}
	if reply := a.send(p.Approval, body("bob", p.Digest)); !reply.Accepted {
		t.Fatal(reply.Error)
	}
	if o, ok := outcome().Data.(*event.ApprovalOutcome); !ok || o.Outcome != approvals.Revoked || len(o.Approvers) != 2 || o.Approvers[1].Subject != "bob" || o.Approvers[1].Reason != "enough" {
		t.Errorf("%+v", o)
	}
	refused(t, do("PutItem", "Customers"), http.StatusForbidden, "pending")
}

// Beyond its time a grant lets nothing through, nor under another policy.
func TestGrantEnds(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 50ms"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	for _, end := range []func(){
		func() { r.clock.advance(3 * time.Minute) },
		func() {
			write(t, filepath.Dir(r.state), "policy.yaml", []byte(askPolicy+"# changed\n"))
			r.waitLog(t, `"policy loaded"`)
		},
	} {
		<-r.put(t, "1")
		a.granted(pendingOf(t, pending()), approvals.Grant{For: "2m", Count: 50})
		passed(t, <-r.put(t, "1"), http.StatusOK)
		passed(t, <-r.put(t, "2"), http.StatusOK)
		end()
		refused(t, <-r.put(t, "3"), http.StatusForbidden, "pending")
		a.accepted(pendingOf(t, pending()), approvals.Deny)
	}
}

// Calls that wait when a grant begins go through under it, and are not asked for any
// more; one that it does not cover waits on.
func TestGrantFreesWhatWaits(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	pending, outcome := a.messages("pending"), a.messages("outcome")
	first := r.put(t, "1")
	p := pendingOf(t, pending())
	second := r.put(t, "2")
	q := pendingOf(t, pending())
	object := make(chan answer, 1)
	c := r.tunnel(t, s3Host, r.token())
	go func() {
		object <- c.do(t, http.MethodPut, "/acme-dev-reports/new.txt", "x", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD")
	}()
	other := pendingOf(t, pending())
	a.granted(p, approvals.Grant{For: "10m", Count: 3})
	passed(t, <-first, http.StatusOK)
	x := <-second
	passed(t, x, http.StatusOK)
	d := data[*event.Decision](t, r.exchange(t, x.id()))
	if d.Approval != p.Approval || d.Grant == nil || d.Grant.Left != 1 || len(d.Approvers) != 1 {
		t.Errorf("%+v", d)
	}
	outcome()
	if o, ok := outcome().Data.(*event.ApprovalOutcome); !ok || o.Approval != q.Approval || o.Outcome != approvals.Cancelled {
		t.Errorf("%+v", o)
	}
	if n := r.sent(t); n != 2 {
		t.Errorf("%d calls were sent", n)
	}
	a.accepted(other, approvals.Deny)
	refused(t, <-object, http.StatusForbidden, "denied")
}

// A call that waited is judged again before a grant lets it through: here its token has
// expired meanwhile.
func TestGrantJudgesWhatWaits(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	first := r.put(t, "1")
	p := pendingOf(t, pending())
	short := r.idp.Token(oidctest.With(r.claims(), map[string]any{"sub": "agent-1", "groups": []string{"ai-agents"}, "exp": r.clock.now().Add(time.Minute).Unix()}))
	c := r.tunnel(t, dynamoHost, short)
	second := make(chan answer, 1)
	go func() {
		second <- c.do(t, http.MethodPost, "/", fmt.Sprintf(putItem, "2"), jsonCall("DynamoDB_20120810.PutItem")...)
	}()
	if q := pendingOf(t, pending()); q.SessionID != p.SessionID {
		t.Fatal("it is another session")
	}
	r.clock.advance(3 * time.Minute)
	a.granted(p, approvals.Grant{For: "10m", Count: 3})
	passed(t, <-first, http.StatusOK)
	refused(t, <-second, http.StatusForbidden, "identity")
	if n := a.left(p); n != 2 || r.sent(t) != 1 {
		t.Errorf("%d are left, %d were sent", n, r.sent(t))
	}
}

// Many at once are no more than were granted.
func TestGrantAtOnce(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 0s, max_pending_per_identity: 50"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	<-r.put(t, "0")
	a.granted(pendingOf(t, pending()), approvals.Grant{For: "10m", Count: 6})
	passed(t, <-r.put(t, "0"), http.StatusOK)
	var ok atomic.Int32
	var wait sync.WaitGroup
	for i := range 12 {
		got := r.put(t, fmt.Sprint(i+1))
		wait.Go(func() {
			if x := <-got; x.StatusCode == http.StatusOK {
				ok.Add(1)
			}
		})
	}
	wait.Wait()
	if n := ok.Load(); n != 5 || r.sent(t) != 6 {
		t.Errorf("%d passed and %d were sent", n, r.sent(t))
	}
}

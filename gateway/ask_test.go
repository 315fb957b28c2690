package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
)

const askPolicy = `rules:
  - name: reading
    who: {groups: [ai-agents]}
    targets: ["*"]
    actions: ["dynamodb:GetItem", "s3:GetObject"]
    effect: allow
  - name: writing
    who: {groups: [ai-agents]}
    targets: ["*"]
    actions: ["dynamodb:PutItem", "s3:PutObject"]
    effect: ask
    approvers: {groups: [sre]}
`

const putItem = `{"TableName":"Customers","Item":{"id":{"S":"c-9"},"note":{"S":"%s"}}}`

// put sends the call that needs an approval, and gives its answer later.
func (r *rig) put(t *testing.T, note string) chan answer {
	t.Helper()
	c := r.tunnel(t, dynamoHost, r.token())
	out := make(chan answer, 1)
	go func() {
		out <- c.do(t, http.MethodPost, "/", fmt.Sprintf(putItem, note), append(jsonCall("DynamoDB_20120810.PutItem"),
			fmt.Sprintf("Amz-Sdk-Invocation-Id: %d", time.Now().UnixNano()))...)
	}()
	return out
}

func (r *rig) sent(t *testing.T) int {
	t.Helper()
	_, calls := r.upstream()
	return len(calls)
}

func TestHeldAndApproved(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	pending, outcome := a.messages("pending"), a.messages("outcome")
	got := r.put(t, "password=AKIAIOSFODNN7EXAMPLQ")
	p := pendingOf(t, pending())
	if p.EventName != "PutItem" || p.Target != "dev" || p.UserIdentity.Subject != "agent-1" || p.Resources[0].ARN == "" || p.Approvers[0].Groups[0] != "sre" || p.RequestParameters == nil {
		t.Errorf("%+v", p)
	}
	if text := fmt.Sprint(p.RequestParameters); strings.Contains(text, "AKIAIOSFODNN7EXAMPLQ") {
		t.Errorf("approvers see a secret: %s", text)
	}
	r.nothingSent(t)
	a.accepted(p, approvals.Allow)
	x := <-got
	passed(t, x, http.StatusOK)
	if o, ok := outcome().Data.(*event.ApprovalOutcome); !ok || o.Outcome != approvals.Approved || o.Approval != p.Approval || o.Approvers[0].Subject != "ann" {
		t.Errorf("%+v", o)
	}
	r.wantKinds(t, x.id(), event.KindRequest, event.KindApprovalPending, event.KindApprovalVote, event.KindApprovalOutcome, event.KindDecision, event.KindCredential, event.KindResponse)
	if n := r.sent(t); n != 1 {
		t.Errorf("%d calls were sent", n)
	}
	if again := a.answer(p, approvals.Deny, r.person("bob", nil), ""); again.Accepted {
		t.Error("an answer after the end was accepted")
	}
}

func TestHeldAndDenied(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	got := r.put(t, "x")
	p := pendingOf(t, pending())
	if reply := a.answer(p, approvals.Deny, r.person("ann", map[string]any{"email": "ann@acme.example", "email_verified": true}), "not on a Friday, nor with AKIAIOSFODNN7EXAMPLQ"); !reply.Accepted {
		t.Fatal(reply.Error)
	}
	x := <-got
	refused(t, x, http.StatusForbidden, "denied")
	if !strings.Contains(string(x.body), "not on a Friday") || !strings.Contains(string(x.body), "ann@acme.example") {
		t.Errorf("%s", x.body)
	}
	if v := data[*event.ApprovalVote](t, r.exchange(t, x.id())).Vote; !strings.Contains(v.Reason, "not on a Friday") || strings.Contains(v.Reason, "AKIA") {
		t.Errorf("on record: %+v", v)
	}
	refused(t, <-r.put(t, "x"), http.StatusForbidden, "denied") // asking again does not help
	r.nothingSent(t)
}

// Past the hold the agent is told to come back; then the very same call goes through
// once, and only that one.
func TestApprovedAfterTheHold(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 50ms"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	first := <-r.put(t, "x")
	refused(t, first, http.StatusForbidden, "pending")
	p := pendingOf(t, pending())
	if !strings.Contains(string(first.body), p.Approval) {
		t.Errorf("%s does not name %s", first.body, p.Approval)
	}
	refused(t, <-r.put(t, "x"), http.StatusForbidden, "pending") // joins
	a.accepted(p, approvals.Allow)
	refused(t, <-r.put(t, "y"), http.StatusForbidden, "pending") // another call
	r.nothingSent(t)
	passed(t, <-r.put(t, "x"), http.StatusOK)
	refused(t, <-r.put(t, "x"), http.StatusForbidden, "pending")
	if q := pendingOf(t, pending()); q.Approval == p.Approval {
		t.Error("the same approval again")
	}
	if n := r.sent(t); n != 1 {
		t.Errorf("%d calls were sent", n)
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 60s, expires: 1m"})
	a := newApprover(t, r)
	pending, outcome := a.messages("pending"), a.messages("outcome")
	got := r.put(t, "x")
	p := pendingOf(t, pending())
	r.clock.advance(time.Minute)
	if reply := a.answer(p, approvals.Allow, r.person("ann", nil), ""); reply.Accepted {
		t.Error("a late answer was accepted")
	}
	if o, ok := outcome().Data.(*event.ApprovalOutcome); !ok || o.Outcome != approvals.Expired {
		t.Errorf("%+v", o)
	}
	refused(t, <-got, http.StatusForbidden, "pending")
	r.nothingSent(t)
}

// Approved in time and sent too late: the approval does not survive its end.
func TestApprovalExpiresUnused(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 50ms, expires: 1m"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	<-r.put(t, "x")
	a.accepted(pendingOf(t, pending()), approvals.Allow)
	r.clock.advance(time.Minute)
	refused(t, <-r.put(t, "x"), http.StatusForbidden, "pending")
	r.nothingSent(t)
}

// Two identical calls wait for one approval; one of them is sent.
func TestOneApprovalOneExecution(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 5s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	js, err := jetstream.New(r.nats)
	must(t, err)
	requests := follow(t, js, "SALLYPORT_EVENTS", "sallyport.events.*.*.request")
	one := r.put(t, "x")
	p := pendingOf(t, pending())
	two := r.put(t, "x")
	requests() // both have come as far as to ask
	requests()
	a.accepted(p, approvals.Allow)
	x, y := <-one, <-two
	if x.StatusCode != http.StatusOK {
		x, y = y, x
	}
	passed(t, x, http.StatusOK)
	refused(t, y, http.StatusForbidden, "pending")
	if n := r.sent(t); n != 1 {
		t.Errorf("%d calls were sent", n)
	}
}

// A client that left is never sent for; its retry joins and is.
func TestClientLeaves(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	c := r.tunnel(t, dynamoHost, r.token())
	_, err := fmt.Fprint(c, c.request(http.MethodPost, "/", fmt.Sprintf(putItem, "x"), jsonCall("DynamoDB_20120810.PutItem")...))
	must(t, err)
	p := pendingOf(t, pending())
	must(t, c.Close())
	r.waitLog(t, `"reason":"pending"`)
	retry := r.put(t, "x")
	a.accepted(p, approvals.Allow)
	passed(t, <-retry, http.StatusOK)
	if n := r.sent(t); n != 1 {
		t.Errorf("%d calls were sent", n)
	}
}

func (r *rig) waitLog(t *testing.T, text string) {
	t.Helper()
	r.log.Await(t, text)
}

// A gateway that goes away while people think leaves their work to the next.
func TestRestartWhilePending(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	pending := newApprover(t, r).messages("pending")
	got := r.put(t, "x")
	p := pendingOf(t, pending())
	r.close() // held requests are refused, at once
	refused(t, <-got, http.StatusForbidden, "pending")
	r.nothingSent(t)
	next := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 20s", state: r.state, idp: r.idp, clock: r.clock})
	held := next.put(t, "x")
	newApprover(t, next).accepted(p, approvals.Allow)
	passed(t, <-held, http.StatusOK)
}

// What an agent may do is looked at again after people thought: its token, and the
// policy.
func TestJudgedAgainAfterTheWait(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 60s, expires: 2h"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	got := r.put(t, "x")
	p := pendingOf(t, pending())
	r.clock.advance(55 * time.Minute) // the agent's token is good for 50
	a.accepted(p, approvals.Allow)
	refused(t, <-got, http.StatusForbidden, "identity")

	got = r.put(t, "y")
	p = pendingOf(t, pending())
	write(t, filepath.Dir(r.state), "policy.yaml", []byte(strings.Replace(askPolicy, "effect: ask\n    approvers: {groups: [sre]}", "effect: deny", 1)))
	r.waitLog(t, `"policy loaded"`)
	a.accepted(p, approvals.Allow)
	refused(t, <-got, http.StatusForbidden, "denied")

	r.nothingSent(t)
}

// One agent cannot fill the approvers' list.
func TestPendingIsBounded(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 0s, max_pending_per_identity: 2"})
	for _, note := range []string{"a", "b", "a"} {
		refused(t, <-r.put(t, note), http.StatusForbidden, "pending")
	}
	refused(t, <-r.put(t, "c"), http.StatusForbidden, "denied")
	r.nothingSent(t)
}

func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{policy: askPolicy})
	a := <-r.put(t, "x")
	refused(t, a, http.StatusForbidden, "denied")
	if !strings.Contains(string(a.body), "approver_issuers") {
		t.Errorf("%s", a.body)
	}
	r = newRig(t, rigOptions{policy: strings.Replace(askPolicy, "effect: ask\n    approvers: {groups: [sre]}", "effect: allow", 1) + "risk: {ask_at: 1}\n", approvals: "hold: 20s"})
	a = <-r.put(t, "x")
	refused(t, a, http.StatusForbidden, "denied")
	if !strings.Contains(string(a.body), "risk.approvers") {
		t.Errorf("%s", a.body)
	}
}

// A body that streams is read whole before anybody is asked, and what is sent is
// what was read; the same object again is the same call, however it was chunked.
func TestObjectIsHeld(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 50ms"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	put := func(body string) answer {
		return r.tunnel(t, s3Host, r.token()).do(t, http.MethodPut, "/acme-dev-reports/new.txt", body, "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD")
	}
	body := strings.Repeat("object ", 1<<18) // beyond what is kept in memory
	refused(t, put(body), http.StatusForbidden, "pending")
	p := pendingOf(t, pending())
	if p.RequestBody == nil || p.RequestBody.Size != int64(len(body)) {
		t.Errorf("%+v", p.RequestBody)
	}
	a.accepted(p, approvals.Allow)
	refused(t, put(body[:len(body)-1]+"!"), http.StatusForbidden, "pending") // one byte differs
	r.nothingSent(t)
	passed(t, put(body), http.StatusOK)
	_, calls := r.upstream()
	if sum := sha256.Sum256([]byte(body)); len(calls) != 1 || calls[0].BodySHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%d calls, %+v", len(calls), calls)
	}
}

package gateway_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/bus"
)

// A client that leaves after its call was sent gets the outcome when it comes back: by
// the same SDK call as often as that retries, by any other of the session once.
func TestRetryGetsTheOutcome(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ first, retry string }{
		"the same SDK call":  {"inv-1", "inv-1"},
		"another SDK call":   {"inv-1", "inv-2"},
		"no ids (old CLI)":   {"", ""},
		"an id only at last": {"", "inv-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 3s"})
			a := newApprover(t, r)
			pending := a.messages("pending")
			first := r.leaves(t, a, pending, s, test.first)
			s.answer <- whole("200 OK", jsonOne, stored, "X-Amzn-Requestid: AWS1")
			x := r.again(t, test.retry)
			given(t, x, http.StatusOK, stored)
			if x.Header.Get("X-Amzn-Requestid") != "AWS1" {
				t.Errorf("%v", x.Header)
			}
			s.sentTimes(t, 1)
			if sts, _ := r.upstream(); len(sts) != 1 {
				t.Errorf("%d credentials were made", len(sts))
			}
			r.givenOnRecord(t, x.id(), first)
			same := test.retry != "" && test.first == test.retry
			if x := r.again(t, test.retry); same {
				given(t, x, http.StatusOK, stored)
			} else {
				refused(t, x, http.StatusForbidden, "pending")
			}
			refused(t, r.again(t, "inv-9"), http.StatusForbidden, "pending")
			if q := pendingOf(t, pending()); q.Approval == first.Approval || q.Earlier != nil {
				t.Errorf("%+v", q)
			}
			s.sentTimes(t, 1)
		})
	}
}

// givenOnRecord checks the events of an exchange that got another's outcome.
func (r *rig) givenOnRecord(t *testing.T, exchange string, p *event.ApprovalPending) {
	t.Helper()
	list := r.wantKinds(t, exchange, event.KindRequest, event.KindDecision, event.KindResponse)
	if d := data[*event.Decision](t, list); d.OutcomeOf != p.RequestID || d.Approval != p.Approval || d.Effect != "allow" {
		t.Errorf("%+v", d)
	}
	if d := data[*event.Response](t, list); d.OutcomeOf != p.RequestID || d.Status != http.StatusOK || d.AWSRequestID != "AWS1" {
		t.Errorf("%+v", d)
	}
}

// What AWS refuses is an outcome as well.
func TestRetryGetsTheError(t *testing.T) {
	const failed = `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"The conditional request failed"}`
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	r.leaves(t, a, a.messages("pending"), s, "inv-1")
	s.answer <- whole("400 Bad Request", jsonOne, failed)
	given(t, r.again(t, "inv-2"), http.StatusBadRequest, failed)
	s.sentTimes(t, 1)
}

// A retry that arrives although the answer was written to its end: the SDK says by its
// id that it did not have it. Another call of the SDK is another call.
func TestAnswerLostOnTheWay(t *testing.T) {
	t.Parallel()
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 3s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	c := r.start(t, "x", "inv-1")
	a.accepted(pendingOf(t, pending()), approvals.Allow)
	s.answer <- whole("200 OK", jsonOne, stored)
	given(t, c.read(t, http.MethodPost), http.StatusOK, stored)
	given(t, r.again(t, "inv-1"), http.StatusOK, stored)
	refused(t, r.again(t, "inv-2"), http.StatusForbidden, "pending")
	refused(t, r.again(t, ""), http.StatusForbidden, "pending")
	s.sentTimes(t, 1)
}

// An outcome is the session's: another label of the same subject is asked for anew.
func TestOutcomeIsTheSessions(t *testing.T) {
	t.Parallel()
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 3s"})
	a := newApprover(t, r)
	r.leaves(t, a, a.messages("pending"), s, "inv-1")
	s.answer <- whole("200 OK", jsonOne, stored)
	resp, nc, _ := r.connect(t, dynamoHost+":443", "Proxy-Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("other:"+r.token())))
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	c := tls.Client(nc, &tls.Config{ServerName: dynamoHost, RootCAs: r.roots, MinVersion: tls.VersionTLS12, Time: r.clock.now})
	other := &tunnel{Conn: c, r: bufio.NewReader(c), host: dynamoHost}
	refused(t, other.do(t, http.MethodPost, "/", fmt.Sprintf(putItem, "x"), append(jsonCall("DynamoDB_20120810.PutItem"), "Amz-Sdk-Invocation-Id: inv-1")...), http.StatusForbidden, "pending")
	given(t, r.again(t, "inv-1"), http.StatusOK, stored)
}

// A grant is for executions: an outcome that is given does not use it up.
func TestOutcomeUsesNoGrant(t *testing.T) {
	t.Parallel()
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 3s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	refused(t, r.again(t, "inv-1"), http.StatusForbidden, "pending")
	p := pendingOf(t, pending())
	body, err := json.Marshal(approvals.Answer{Approval: p.Approval, Digest: p.Digest, Decision: approvals.Allow, Token: r.person("ann", nil), Grant: &approvals.Grant{For: "10m", Count: 2}})
	must(t, err)
	if reply := a.send(p.Approval, body); !reply.Accepted {
		t.Fatal(reply.Error)
	}
	c := r.start(t, "x", "inv-1")
	s.arrived(t)
	must(t, c.Close())
	r.waitLog(t, `the call is seen through`)
	s.answer <- whole("200 OK", jsonOne, stored)
	for range 3 {
		given(t, r.again(t, "inv-1"), http.StatusOK, stored)
	}
	s.sentTimes(t, 1)
	s.answer <- whole("200 OK", jsonOne, stored)
	passed(t, r.again(t, "inv-2"), http.StatusOK) // the second of two
	s.sentTimes(t, 2)
	refused(t, r.again(t, "inv-3"), http.StatusForbidden, "pending")
	s.sentTimes(t, 2)
}

// Where nobody knows what became of a call, it is asked for anew, and people are told.
func TestOutcomeNotKnown(t *testing.T) {
	t.Parallel()
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 3s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	first := r.leaves(t, a, pending, s, "inv-1")
	s.answer <- "" // AWS breaks the connection
	refused(t, r.again(t, "inv-1"), http.StatusForbidden, "pending")
	p := pendingOf(t, pending())
	if p.Earlier == nil || p.Earlier.RequestID != first.RequestID || p.Earlier.At.IsZero() {
		t.Fatalf("%+v", p.Earlier)
	}
	s.sentTimes(t, 1)
	a.accepted(p, approvals.Allow)
	s.answer <- whole("200 OK", jsonOne, stored)
	passed(t, r.again(t, "inv-1"), http.StatusOK)
	s.sentTimes(t, 2)
}

// A gateway that dies between the leave and the outcome: its retry waits until it is
// taken for dead, and people are told.
func TestGatewayDiesOnTheWay(t *testing.T) {
	t.Parallel()
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 3s"})
	pending := newApprover(t, r).messages("pending")
	refused(t, r.again(t, "inv-1"), http.StatusForbidden, "pending")
	p := pendingOf(t, pending())
	nc, err := bus.Connect(t.Context(), bus.Options{Role: bus.Gateway, URL: r.srv.NATS, CredsFile: filepath.Join(r.state, "nats", "gateway.creds")})
	must(t, err)
	defer nc.Close()
	dying, err := approvals.NewCalls(t.Context(), approvals.Options{Conn: nc, Now: r.clock.now})
	must(t, err)
	run, _, err := dying.Begin(t.Context(), p.Digest, approvals.Execution{
		Exchange: p.Approval, Approval: p.Approval, Session: approvals.SessionKey(r.idp.URL, "agent-1", label), Keep: r.clock.now().Add(time.Hour),
	})
	must(t, err)
	if run == nil {
		t.Fatal("it did not begin")
	}
	dying.Close()
	x := r.again(t, "inv-1")
	refused(t, x, http.StatusForbidden, "pending")
	if !strings.Contains(string(x.body), "its outcome is not there yet") {
		t.Errorf("%s", x.body)
	}
	s.sentTimes(t, 0)
	r.clock.advance(16 * time.Minute) // beyond the pending approval, so that it is asked for anew
	refused(t, r.again(t, "inv-1"), http.StatusForbidden, "pending")
	if p := pendingOf(t, pending()); p.Earlier == nil || p.Earlier.RequestID != run.Exchange() {
		t.Errorf("%+v", p.Earlier)
	}
	s.sentTimes(t, 0)
}

// Of what could not be sent there is no outcome to wait for, and nobody is asked again: the
// approval is not used up, is good for one call, and ends in its time.
func TestNothingSentUsesNothingUp(t *testing.T) {
	t.Parallel()
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 3s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	r.aws.SetFaults(awstest.Faults{STSDenied: true})
	c := r.start(t, "x", "inv-1")
	p := pendingOf(t, pending())
	a.accepted(p, approvals.Allow)
	refused(t, c.read(t, http.MethodPost), http.StatusForbidden, "credentials")
	refused(t, r.again(t, "inv-1"), http.StatusForbidden, "credentials") // still
	s.sentTimes(t, 0)
	r.aws.SetFaults(awstest.Faults{})
	s.answer <- whole("200 OK", jsonOne, stored)
	x := r.again(t, "inv-2")
	passed(t, x, http.StatusOK)
	if d := data[*event.Decision](t, r.exchange(t, x.id())); d.Approval != p.Approval || len(d.Approvers) != 1 {
		t.Errorf("%+v", d)
	}
	r.askedAnew(t, "inv-3", p, pending)
	s.sentTimes(t, 1)
}

// askedAnew sends the same call once more, and people are asked for another approval.
func (r *rig) askedAnew(t *testing.T, invocation string, before *event.ApprovalPending, pending func() event.Event) {
	t.Helper()
	refused(t, r.again(t, invocation), http.StatusForbidden, "pending")
	if p := pendingOf(t, pending()); p.Approval == before.Approval {
		t.Error("the same approval again")
	}
}

// What a revoked caller could not send is not left for after the lifting.
func TestRevokedLeaveIsNotReturned(t *testing.T) {
	t.Parallel()
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 3s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	gate, arrived := make(chan struct{}), make(chan struct{}, 10)
	r.aws.SetFaults(awstest.Faults{STSGate: gate, Before: func(*awstest.Received) { arrived <- struct{}{} }})
	c := r.start(t, "x", "inv-1")
	p := pendingOf(t, pending())
	a.accepted(p, approvals.Allow)
	<-arrived // at STS
	r.revoked(t, `{"subject":"agent-1","reason":"stolen laptop"}`)
	refused(t, c.read(t, http.MethodPost), http.StatusForbidden, "identity")
	close(gate)
	r.aws.SetFaults(awstest.Faults{})
	r.revoked(t, `{"subject":"agent-1","reason":"found","lift":true}`)
	r.askedAnew(t, "inv-1", p, pending)
	s.sentTimes(t, 0)
}

// An outcome has its end, as the approval has.
func TestOutcomeExpires(t *testing.T) {
	t.Parallel()
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 3s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	r.leaves(t, a, pending, s, "inv-1")
	s.answer <- whole("200 OK", jsonOne, stored)
	given(t, r.again(t, "inv-1"), http.StatusOK, stored)
	r.clock.advance(15 * time.Minute)
	refused(t, r.again(t, "inv-1"), http.StatusForbidden, "pending")
	if p := pendingOf(t, pending()); p.Earlier != nil { // it is known what became of it
		t.Errorf("%+v", p.Earlier)
	}
	s.sentTimes(t, 1)
}

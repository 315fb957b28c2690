package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/oidctest"
)

// approver is a person with a plain NATS client.
type approver struct {
	t  *testing.T
	r  *rig
	nc *nats.Conn
	js jetstream.JetStream
}

func newApprover(t *testing.T, r *rig) *approver {
	t.Helper()
	nc, err := nats.Connect(r.srv.NATS, nats.UserCredentials(filepath.Join(r.creds, "approver.creds")), nats.CustomInboxPrefix("_INBOX.approver"))
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(t, err)
	return &approver{t, r, nc, js}
}

// messages follows a part of the approvals stream from its beginning.
func (a *approver) messages(what string) func() event.Event {
	a.t.Helper()
	return follow(a.t, a.js, "SALLYPORT_APPROVALS", "sallyport.approvals."+what+".*")
}

func follow(t *testing.T, js jetstream.JetStream, stream, subject string) func() event.Event {
	t.Helper()
	cons, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	must(t, err)
	iter, err := cons.Messages()
	must(t, err)
	t.Cleanup(iter.Stop)
	next := make(chan event.Event)
	go func() {
		defer close(next)
		for {
			m, err := iter.Next()
			if err != nil {
				return
			}
			e, err := event.Decode(m.Data())
			if err != nil {
				t.Errorf("%s: %v", m.Subject(), err)
				return
			}
			select {
			case next <- e:
			case <-t.Context().Done():
				return
			}
		}
	}()
	return func() event.Event {
		t.Helper()
		select {
		case e := <-next:
			return e
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing came on %s", subject)
			return event.Event{}
		}
	}
}

func pendingOf(t *testing.T, e event.Event) *event.ApprovalPending {
	t.Helper()
	p, ok := e.Data.(*event.ApprovalPending)
	if !ok {
		t.Fatalf("%T", e.Data)
	}
	return p
}

// person is a token of an approver, changed by what the test says.
func (r *rig) person(subject string, change map[string]any) string {
	c := r.idp.Claims(subject, approverAudience, r.clock.now())
	c["groups"], c["name"] = []string{"sre"}, subject
	return r.idp.Token(oidctest.With(c, change))
}

func (a *approver) send(approval string, body []byte) approvals.Reply {
	a.t.Helper()
	m, err := a.nc.Request("sallyport.approvals.answer."+approval, body, 10*time.Second)
	must(a.t, err)
	var reply approvals.Reply
	must(a.t, json.Unmarshal(m.Data, &reply))
	return reply
}

func (a *approver) answer(p *event.ApprovalPending, decision, token, reason string) approvals.Reply {
	a.t.Helper()
	body, err := json.Marshal(approvals.Answer{Approval: p.Approval, Digest: p.Digest, Decision: decision, Token: token, Reason: reason})
	must(a.t, err)
	return a.send(p.Approval, body)
}

func (a *approver) accepted(p *event.ApprovalPending, decision string) {
	a.t.Helper()
	if r := a.answer(p, decision, a.r.person("ann", nil), "because"); !r.Accepted {
		a.t.Fatalf("not accepted: %s", r.Error)
	}
}

// Answers that must not count. Each is refused with a reason, is on record, and
// changes nothing: the good one at the end still does.
func TestAnswersThatDoNotCount(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 30s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	c := r.tunnel(t, dynamoHost, r.idp.Token(oidctest.With(r.claims(), map[string]any{"groups": []string{"ai-agents"}, "email": "Owner@acme.example", "email_verified": true})))
	got := make(chan answer, 1)
	go func() {
		got <- c.do(t, http.MethodPost, "/", fmt.Sprintf(putItem, "x"), jsonCall("DynamoDB_20120810.PutItem")...)
	}()
	p := pendingOf(t, pending())
	good := approvals.Answer{Approval: p.Approval, Digest: p.Digest, Decision: approvals.Allow, Token: r.person("ann", nil)}
	with := func(change func(*approvals.Answer)) []byte {
		x := good
		change(&x)
		b, err := json.Marshal(x)
		must(t, err)
		return b
	}
	read := 0
	token := func(token string) []byte { return with(func(x *approvals.Answer) { x.Token = token }) }
	for _, test := range []struct {
		name string
		body []byte
		want string
		who  string // whose answer it was, where its token is good
	}{
		{"another digest", with(func(x *approvals.Answer) { x.Digest = strings.Repeat("ab", 32) }), "the digest is not that", "ann"},
		{"upper case", with(func(x *approvals.Answer) { x.Digest = strings.ToUpper(x.Digest) }), "hex", ""},
		{"another approval", with(func(x *approvals.Answer) { x.Approval = "01J0000000000000000000000A" }), "subject", ""},
		{"no decision", with(func(x *approvals.Answer) { x.Decision = "" }), "decision", ""},
		{"no token", token(""), "token", ""},
		{"an agent's token", token(r.tokenOf("ann", "sre")), "audience", ""},
		{"a token for both", token(r.person("ann", map[string]any{"aud": []string{audience, approverAudience}})), "audience", ""},
		{"a forged token", token(good.Token[:len(good.Token)-8] + "AAAAAAAA"), "signature", ""},
		{"an old token", token(r.person("ann", map[string]any{"exp": r.clock.now().Add(-5 * time.Minute).Unix()})), "expired", ""},
		{"the agent itself", token(r.person("agent-1", nil)), "own request", "agent-1"},
		{"the agent's address", token(r.person("owner", map[string]any{"email": "owner@ACME.example", "email_verified": true})), "own request", "owner"},
		{"another group", token(r.person("eve", map[string]any{"groups": []string{"guests"}})), "none of the groups", "eve"},
		{"a program", token(r.person("ci", map[string]any{"name": ""})), "program", "ci"},
		{"a program with a name", token(r.person("ci", map[string]any{"client_id": "ci"})), "program", "ci"},
		{"unknown members", []byte(strings.Replace(string(with(func(*approvals.Answer) {})), "{", `{"force":true,`, 1)), "not a JSON object", ""},
		{"two answers", append(with(func(*approvals.Answer) {}), '{', '}'), "nothing behind", ""},
		{"two decisions", []byte(strings.Replace(string(with(func(*approvals.Answer) {})), "{", `{"decision":"deny",`, 1)), "each once", ""},
		{"not JSON", []byte("yes"), "not a JSON object", ""},
		{"too long", append(with(func(*approvals.Answer) {}), bytes.Repeat([]byte(" "), approvals.MaxAnswer)...), "limit", ""},
		{"a long reason", with(func(x *approvals.Answer) { x.Reason = strings.Repeat("x", approvals.MaxReason+1) }), "limit", ""},
		{"a grant without end", with(func(x *approvals.Answer) { x.Grant = &approvals.Grant{For: "999h", Count: 1} }), "grant", "ann"},
	} {
		t.Run(test.name, func(t *testing.T) {
			reply := a.send(p.Approval, test.body)
			if reply.Accepted || !strings.Contains(reply.Error, test.want) || strings.Contains(reply.Error, good.Token) {
				t.Errorf("%+v, want %q", reply, test.want)
			}
			read++
			d := refusedAnswers(t, r, read)[read-1]
			if d.ErrorCode != "approval" || !strings.Contains(d.ErrorMessage, p.Approval) || !strings.Contains(d.ErrorMessage, test.want) || d.UserIdentity.Subject != test.who ||
				(d.UserIdentity.Issuer != "") != (test.who != "") {
				t.Errorf("on record is %+v, want %q by %q", d, test.want, test.who)
			}
		})
	}
	if _, err := a.nc.Request("sallyport.approvals.answer.01J0000000000000000000000A", with(func(x *approvals.Answer) { x.Approval = "01J0000000000000000000000A" }), 10*time.Second); err != nil {
		t.Error(err) // one that there is not
	}
	if d := refusedAnswers(t, r, read+1)[read]; d.UserIdentity.Subject != "ann" || !strings.Contains(d.ErrorMessage, "ended") {
		t.Errorf("%+v", d)
	}
	// A subject is up to the client of NATS, and no text for the record.
	if m, err := a.nc.Request("sallyport.approvals.answer.\x1b[31m"+strings.Repeat("x", 2000), with(func(*approvals.Answer) {}), 10*time.Second); err != nil || !strings.Contains(string(m.Data), "not that of its subject") {
		t.Errorf("%v %v", m, err)
	}
	if d := refusedAnswers(t, r, read+2)[read+1]; !strings.HasPrefix(d.ErrorMessage, "an answer to no approval was refused: ") || len(d.ErrorMessage) > 200 {
		t.Errorf("%+v", d)
	}
	for _, e := range r.stored(t, "sallyport.events.>") {
		text, err := event.Encode(e)
		must(t, err)
		if bytes.Contains(text, []byte(good.Token[:20])) || bytes.Contains(text, []byte(`"eyJ`)) {
			t.Errorf("a token is on record: %s", text)
		}
	}
	r.nothingSent(t)
	a.accepted(p, approvals.Allow)
	passed(t, <-got, http.StatusOK)
	if strings.Contains(r.log.String(), good.Token) {
		t.Error("an approver's token was logged")
	}
}

// NATS itself keeps everybody but gateways from the state, and everybody but
// approvers from answering.
func TestOnlyApproversAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 50ms"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	<-r.put(t, "x")
	p := pendingOf(t, pending())
	if _, err := r.nats.Request("sallyport.approvals.answer."+p.Approval, nil, 200*time.Millisecond); err == nil {
		t.Error("an operator's answer was taken")
	}
	for _, subject := range []string{"$KV.SALLYPORT_PENDING." + p.Digest, "$JS.API.DIRECT.GET.KV_SALLYPORT_PENDING.$KV.SALLYPORT_PENDING." + p.Digest} {
		if _, err := a.nc.Request(subject, []byte("{}"), 200*time.Millisecond); err == nil {
			t.Errorf("an approver reached %s", subject)
		}
	}
}

// refusedAnswers are the refused answers on record, so many as there must be.
func refusedAnswers(t *testing.T, r *rig, n int) []*event.Refused {
	t.Helper()
	var out []*event.Refused
	for _, e := range r.stored(t, "sallyport.events.none.*.refused") {
		if d, ok := e.Data.(*event.Refused); ok {
			out = append(out, d)
		}
	}
	if len(out) != n {
		t.Fatalf("%d refused answers are on record, want %d", len(out), n)
	}
	return out
}

// The record tells who agreed first, before the approval has ended.
func TestVotesOnRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{policy: strings.Replace(askPolicy, "{groups: [sre]}", "{groups: [sre], count: 2}", 1), approvals: "hold: 30s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	got := r.put(t, "x")
	p := pendingOf(t, pending())
	a.accepted(p, approvals.Allow) // ann
	one := data[*event.ApprovalVote](t, r.stored(t, "sallyport.events.*."+p.RequestID+".approval.vote"))
	if one.Vote.Subject != "ann" || one.State != "pending" || one.Approval != p.Approval || one.Digest != p.Digest || one.UserIdentity.Subject != "agent-1" || one.Vote.Reason != "because" {
		t.Errorf("%+v", one)
	}
	if reply := a.answer(p, approvals.Allow, r.person("bob", nil), ""); !reply.Accepted {
		t.Fatal(reply.Error)
	}
	passed(t, <-got, http.StatusOK)
	list := r.stored(t, "sallyport.events.*."+p.RequestID+".approval.*")
	if want := []event.Kind{event.KindApprovalPending, event.KindApprovalVote, event.KindApprovalVote, event.KindApprovalOutcome}; !slices.Equal(kinds(list), want) {
		t.Fatalf("%v, want %v", kinds(list), want)
	}
	if v, ok := list[2].Data.(*event.ApprovalVote); !ok || v.Vote.Subject != "bob" || v.State != "approved" {
		t.Errorf("%+v", list[2].Data)
	}
}

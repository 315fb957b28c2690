package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/oidctest"
	"github.com/sallyport/sallyport/revocation"
)

// order publishes to the kill switch, as an operator's program would, and gives the
// replies of so many gateways.
func (r *rig) order(t *testing.T, gateways int, text string) []revocation.Confirmation {
	t.Helper()
	inbox := r.nats.NewRespInbox()
	sub, err := r.nats.SubscribeSync(inbox)
	must(t, err)
	defer func() { _ = sub.Unsubscribe() }()
	must(t, r.nats.PublishRequest("sallyport.control.revoke", inbox, []byte(text)))
	var out []revocation.Confirmation
	for range gateways {
		m, err := sub.NextMsg(10 * time.Second)
		must(t, err)
		var reply revocation.Confirmation
		must(t, json.Unmarshal(m.Data, &reply))
		out = append(out, reply)
	}
	return out
}

func (r *rig) revoked(t *testing.T, text string) revocation.Confirmation {
	t.Helper()
	reply := r.order(t, 1, text)[0]
	if !reply.Accepted || reply.Error != "" || !strings.HasPrefix(reply.Gateway, "sallyport/") {
		t.Fatalf("%+v", reply)
	}
	return reply
}

// cutOff fails unless the other side has ended the connection.
func (c *tunnel) cutOff(t *testing.T) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	var timeout net.Error
	if n, err := c.r.Read(make([]byte, 1)); n > 0 || err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the tunnel is open: %d %v", n, err)
	}
}

const bob = `{"subject":"bob","reason":"stolen laptop AKIAIOSFODNN7EXAMPLQ"}`

// Everything of a subject ends with its revocation: a held request, one whose answer is
// under way, an idle tunnel, an approval that was given; and nothing new begins, until
// it is lifted. Another subject notices nothing.
func TestRevokedSubject(t *testing.T) {
	begun := make(chan struct{})
	r, aws := newScripted(t, rigOptions{policy: askPolicy, approvals: "hold: 60s"}, func(w net.Conn, q *http.Request) bool {
		_, _ = io.Copy(io.Discard, q.Body)
		if q.Method == http.MethodGet { // an object that never ends
			_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbeginning")
			close(begun)
			_, _ = io.Copy(io.Discard, w)
			return false
		}
		_, _ = io.WriteString(w, whole("200 OK", "application/x-amz-json-1.0", "{}"))
		return true
	})
	a := newApprover(t, r)
	pending, outcome := a.messages("pending"), a.messages("outcome")
	token := r.tokenOf("bob", "ai-agents")
	put := func(c *tunnel, note string) chan answer {
		out := make(chan answer, 1)
		go func() {
			out <- c.do(t, http.MethodPost, "/", fmt.Sprintf(putItem, note), jsonCall("DynamoDB_20120810.PutItem")...)
		}()
		return out
	}
	idle := r.tunnel(t, dynamoHost, token)
	approvedFor := r.tunnel(t, dynamoHost, token)
	_, err := io.WriteString(approvedFor, approvedFor.request(http.MethodPost, "/", fmt.Sprintf(putItem, "approved"), jsonCall("DynamoDB_20120810.PutItem")...))
	must(t, err)
	p := pendingOf(t, pending())
	must(t, approvedFor.Close())
	r.waitLog(t, `"reason":"pending"`)
	a.accepted(p, approvals.Allow) // and nobody has used it
	outcome()
	held := put(r.tunnel(t, dynamoHost, token), "held")
	heldFor := pendingOf(t, pending())
	running := r.tunnel(t, s3Host, token)
	_, err = io.WriteString(running, running.request(http.MethodGet, "/acme-dev-reports/big", ""))
	must(t, err)
	<-begun
	others := put(r.tunnel(t, dynamoHost, r.token()), "others")
	othersFor := pendingOf(t, pending())

	reply := r.revoked(t, bob)
	if reply.Sessions != 1 || reply.Requests != 2 || reply.Tunnels < 2 || reply.Approvals != 2 || !reply.Until.IsZero() {
		t.Errorf("%+v", reply)
	}
	before := len(aws.calls())
	x := <-held
	refused(t, x, http.StatusForbidden, "identity")
	if !strings.Contains(string(x.body), "stolen laptop") || !strings.Contains(string(x.body), "revoked") || strings.Contains(string(x.body), "AKIAIOSFODNN7EXAMPLQ") {
		t.Errorf("%s", x.body)
	}
	resp, err := http.ReadResponse(running.r, nil)
	must(t, err)
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the running answer ended well after %d bytes", len(body))
	}
	idle.cutOff(t)
	for range 2 {
		if o, ok := outcome().Data.(*event.ApprovalOutcome); ok && o.Approval == heldFor.Approval {
			if o.Outcome != approvals.Cancelled {
				t.Errorf("%+v", o)
			}
			break
		}
	}
	if again := a.answer(heldFor, approvals.Allow, r.person("ann", nil), ""); again.Accepted {
		t.Error("a cancelled approval was answered")
	}
	for range 2 {
		c := r.tunnel(t, dynamoHost, token)
		refused(t, <-put(c, "approved"), http.StatusForbidden, "identity")
		refused(t, c.getItem(t), http.StatusForbidden, "identity")
	}
	a.accepted(othersFor, approvals.Allow)
	passed(t, <-others, http.StatusOK)
	if n := len(aws.calls()); n != before+1 {
		t.Errorf("%d calls after the revocation, want the other subject's", n-before)
	}

	e := r.event(t, "none", event.KindRevoked).Data.(*event.Revoked) //nolint:forcetypeassert // the kind says so
	if e.Subject != "bob" || e.SessionsClosed != 1 || e.RequestsCut != 2 || !slices.Contains(e.Approvals, p.Approval) || !slices.Contains(e.Approvals, heldFor.Approval) || strings.Contains(e.Reason, "AKIA") {
		t.Errorf("%+v", e)
	}
	d := data[*event.Aborted](t, r.exchange(t, resp.Header.Get("X-Sallyport-Request-Id")))
	if d.ErrorCode != "identity" || !strings.Contains(d.ErrorMessage, "revoked") || !strings.Contains(d.ErrorMessage, "whether AWS acted") {
		t.Errorf("%+v", d)
	}
	if c, ok := r.session(t, d.SessionID, event.KindSessionClosed).Data.(*event.SessionClosed); !ok || c.Reason != "revoked" {
		t.Errorf("%+v", c)
	}

	r.revoked(t, `{"subject":"bob","reason":"found","lift":true}`)
	c := r.tunnel(t, dynamoHost, token)
	passed(t, c.getItem(t), http.StatusOK)
	anew := put(c, "approved")
	q := pendingOf(t, pending())
	if q.Approval == p.Approval {
		t.Error("an approval came back with its subject")
	}
	a.accepted(q, approvals.Allow)
	passed(t, <-anew, http.StatusOK)
}

// An approved call goes on without its client, and not without its leave: one that is
// revoked while its credential is made ends then, and tells its client why.
func TestRevokedWhileMinting(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 60s"})
	gate, arrived := make(chan struct{}), make(chan struct{}, 1)
	defer close(gate)
	r.aws.SetFaults(awstest.Faults{STSGate: gate, Before: func(*awstest.Received) { arrived <- struct{}{} }})
	a := newApprover(t, r)
	pending := a.messages("pending")
	held := r.put(t, "approved")
	a.accepted(pendingOf(t, pending()), approvals.Allow)
	<-arrived // at STS
	if reply := r.revoked(t, `{"subject":"agent-1","reason":"stolen laptop"}`); reply.Requests != 1 {
		t.Errorf("%+v", reply)
	}
	var x answer
	select {
	case x = <-held:
	case <-time.After(20 * time.Second):
		t.Fatal("the client was told nothing")
	}
	refused(t, x, http.StatusForbidden, "identity")
	if d := data[*event.Aborted](t, r.exchange(t, x.id())); d.Stage != "credential" || d.ErrorCode != "identity" {
		t.Errorf("%+v", d)
	}
	if _, calls := r.upstream(); len(calls) != 0 {
		t.Errorf("%d calls were sent", len(calls))
	}
}

// event waits for an event of a kind, of a session or of none.
func (r *rig) event(t *testing.T, session string, kind event.Kind) event.Event {
	t.Helper()
	list := r.follow(t, "sallyport.events."+session+".*."+string(kind), func(event.Event) bool { return true })
	return list[len(list)-1]
}

// A target's revocation stops what goes there, and no tunnel nor session.
func TestRevokedTarget(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := r.tunnel(t, dynamoHost, r.token())
	get := func(target string) answer {
		return c.do(t, http.MethodPost, "/", getItem, append(jsonCall("DynamoDB_20120810.GetItem"), c.signature(target))...)
	}
	reply := r.revoked(t, `{"target":"wide","reason":"account under attack","for":"3m"}`)
	if want := r.clock.now().Add(3 * time.Minute); reply.Until.Before(want.Add(-time.Minute)) || reply.Until.After(want) || reply.Tunnels != 0 || reply.Sessions != 0 {
		t.Errorf("%+v", reply)
	}
	refused(t, get("wide"), http.StatusForbidden, "denied")
	passed(t, get("dev"), http.StatusOK)
	r.clock.advance(3 * time.Minute)
	passed(t, get("wide"), http.StatusOK)
}

// A session's revocation holds for its label: its agent would else go on in a new one.
func TestRevokedSession(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := r.tunnel(t, dynamoHost, r.token())
	a := c.getItem(t)
	passed(t, a, http.StatusOK)
	session := r.exchange(t, a.id())[0].Session()
	reply := r.revoked(t, fmt.Sprintf(`{"session":%q,"reason":"runs wild"}`, session))
	if reply.Sessions != 1 || reply.Tunnels != 1 {
		t.Errorf("%+v", reply)
	}
	c.cutOff(t)
	refused(t, r.tunnel(t, dynamoHost, r.token()).getItem(t), http.StatusForbidden, "identity")
	passed(t, r.tunnel(t, dynamoHost, r.tokenOf("other", "ai-agents")).getItem(t), http.StatusOK)
	if e, ok := r.event(t, session, event.KindRevoked).Data.(*event.Revoked); !ok || e.Session != session || e.UserIdentity.Subject != "agent-1" || e.SessionsClosed != 1 {
		t.Errorf("%+v", e)
	}
	r.revoked(t, fmt.Sprintf(`{"session":%q,"reason":"mended","lift":true}`, session))
	passed(t, r.tunnel(t, dynamoHost, r.token()).getItem(t), http.StatusOK)
}

// What is passed through untouched is cut too, and not opened again.
func TestRevokedTunnels(t *testing.T) {
	r := newRig(t, rigOptions{proxy: `, tunnel: ["localhost.example:443"]`})
	resp, _, _ := r.connect(t, "localhost.example:443", basic(r.token()))
	if resp.StatusCode == http.StatusForbidden {
		t.Fatalf("before it is revoked: %s", resp.Status)
	}
	r.revoked(t, `{"subject":"agent-1","reason":"x"}`)
	resp, _, _ = r.connect(t, "localhost.example:443", basic(r.token()))
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "revoked") {
		t.Errorf("%s %s", resp.Status, body)
	}
}

// Every gateway acts: the one that has nothing of it, one that starts later, and one
// that has been started anew.
func TestRevokedOnEveryGateway(t *testing.T) {
	first := newRig(t, rigOptions{externalBus: true})
	second := newRig(t, rigOptions{on: first})
	c := second.tunnel(t, dynamoHost, second.token())
	passed(t, c.getItem(t), http.StatusOK)
	tunnels := 0
	for _, reply := range first.order(t, 2, `{"subject":"agent-1","issuer":"`+first.idp.URL+`","reason":"x"}`) {
		if !reply.Accepted || reply.Error != "" {
			t.Errorf("%+v", reply)
		}
		tunnels += reply.Tunnels
	}
	if tunnels != 1 {
		t.Errorf("%d tunnels were cut", tunnels)
	}
	c.cutOff(t)
	first.aws.Forget()
	second.aws.Forget()
	third := newRig(t, rigOptions{on: first})
	for _, r := range []*rig{first, second, third} {
		refused(t, r.tunnel(t, dynamoHost, r.token()).getItem(t), http.StatusForbidden, "identity")
		r.nothingSent(t)
		passed(t, r.tunnel(t, dynamoHost, r.tokenOf("other", "ai-agents")).getItem(t), http.StatusOK)
	}
	first.order(t, 3, `{"subject":"agent-1","issuer":"`+first.idp.URL+`","reason":"x","lift":true}`)
	for _, r := range []*rig{first, second, third} {
		passed(t, r.tunnel(t, dynamoHost, r.token()).getItem(t), http.StatusOK)
	}
}

// A restart forgets nothing.
func TestRevokedAfterARestart(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.revoked(t, `{"subject":"agent-1","reason":"x"}`)
	r.close()
	next := newRig(t, rigOptions{state: r.state, idp: r.idp, clock: r.clock})
	refused(t, next.tunnel(t, dynamoHost, next.token()).getItem(t), http.StatusForbidden, "identity")
	next.nothingSent(t)
}

// Orders that mean nothing change nothing, and say why.
func TestOrdersRefused(t *testing.T) {
	r := newRig(t, rigOptions{})
	for name, test := range map[string]struct{ order, want string }{
		"nothing":          {``, "JSON"},
		"empty":            {`{}`, "one of"},
		"no reason":        {`{"subject":"agent-1"}`, "reason"},
		"blank reason":     {`{"subject":"agent-1","reason":" "}`, "reason"},
		"two":              {`{"subject":"agent-1","target":"dev","reason":"x"}`, "one of"},
		"issuer alone":     {`{"issuer":"` + r.idp.URL + `","reason":"x"}`, "one of"},
		"issuer of target": {`{"target":"dev","issuer":"i","reason":"x"}`, "issuer"},
		"unknown member":   {`{"subject":"agent-1","reason":"x","everybody":true}`, "JSON"},
		"other case":       {`{"Subject":"agent-1","reason":"x"}`, "JSON"},
		"twice":            {`{"subject":"agent-1","subject":"other","reason":"x"}`, "JSON"},
		"null":             {`{"subject":null,"target":"dev","reason":"x"}`, "JSON"},
		"behind":           {`{"subject":"agent-1","reason":"x"}{}`, "behind"},
		"bad time":         {`{"subject":"agent-1","reason":"x","for":"soon"}`, "for"},
		"negative time":    {`{"subject":"agent-1","reason":"x","for":"-1h"}`, "for"},
		"not an id":        {`{"session":"*","reason":"x"}`, "session"},
		"no such session":  {`{"session":"01J0000000000000000000000A","reason":"x"}`, "session"},
		"no such target":   {`{"target":"prod","reason":"x"}`, "target"},
		"not revoked":      {`{"subject":"agent-1","reason":"x","lift":true}`, "not revoked"},
		"long reason":      {`{"subject":"agent-1","reason":"` + strings.Repeat("x", revocation.MaxReason+1) + `"}`, "limit"},
		"too long":         {`{"subject":"agent-1","reason":"x"}` + strings.Repeat(" ", revocation.MaxOrder), "limit"},
		"control":          {`{"subject":"agent-1\n","reason":"x"}`, "control"},
	} {
		reply := r.order(t, 1, test.order)[0]
		if reply.Accepted || !strings.Contains(reply.Error, test.want) {
			t.Errorf("%s: %+v, want %q", name, reply, test.want)
		}
	}
	passed(t, r.tunnel(t, dynamoHost, r.token()).getItem(t), http.StatusOK)
	a := newApprover(t, r)
	if _, err := a.nc.Request("sallyport.control.revoke", []byte(bob), 200*time.Millisecond); err == nil {
		t.Error("an approver's order was taken")
	}
	if stored := r.stored(t, "sallyport.events.*.*.revoked"); len(stored) != 0 {
		t.Errorf("%+v", stored)
	}
}

// While it cannot know what was revoked a gateway lets nobody through, and it knows it
// again before it does.
func TestRevokedWhileAway(t *testing.T) {
	near := newRig(t, rigOptions{externalBus: true})
	line := newLine(t, near.bus.URL())
	far := newRig(t, rigOptions{on: near, natsURL: line.url})
	c := far.tunnel(t, dynamoHost, far.token())
	passed(t, c.getItem(t), http.StatusOK)
	line.cut()
	near.order(t, 1, `{"subject":"agent-1","reason":"x"}`)
	far.aws.Forget()
	refused(t, c.getItem(t), http.StatusServiceUnavailable, "unavailable")
	line.mend()
	for reason := ""; reason != "identity"; { // until NATS is there again, which may cut the tunnel meanwhile
		nc, err := net.Dial("tcp", far.srv.Proxy.String())
		must(t, err)
		must(t, nc.SetDeadline(time.Now().Add(10*time.Second)))
		if c, err := far.clientOf(nc, dynamoHost, far.token()); err == nil {
			if _, err = io.WriteString(c, c.request(http.MethodPost, "/", getItem, jsonCall("DynamoDB_20120810.GetItem")...)); err == nil {
				if resp, err := http.ReadResponse(c.r, nil); err == nil {
					if reason = resp.Header.Get("X-Sallyport-Reason"); reason != "identity" && reason != "unavailable" {
						t.Fatalf("%s %s", resp.Status, reason)
					}
				}
			}
		}
		_ = nc.Close()
	}
	far.nothingSent(t)
}

// line is a connection to NATS that can be cut.
type line struct {
	url  string
	mu   sync.Mutex
	open []net.Conn
	off  bool
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := &line{url: "nats://" + ln.Addr().String()}
	var wait sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); l.cut(); wait.Wait() })
	wait.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", strings.TrimPrefix(to, "nats://"))
			l.mu.Lock()
			if l.off || err != nil {
				_ = c.Close()
				if err == nil {
					_ = up.Close()
				}
				l.mu.Unlock()
				continue
			}
			l.open = append(l.open, c, up)
			l.mu.Unlock()
			for _, p := range [][2]net.Conn{{c, up}, {up, c}} {
				wait.Go(func() { _, _ = io.Copy(p[0], p[1]); _ = c.Close(); _ = up.Close() })
			}
		}
	})
	return l
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = true
	for _, c := range l.open {
		_ = c.Close()
	}
	l.open = nil
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = false
}

// Agents that send all the time, and a revocation in the middle of it: once it is
// confirmed none of the subject's requests reaches AWS, and the others' do.
func TestNothingAfterTheReply(t *testing.T) {
	r := newRig(t, rigOptions{})
	stop := make(chan struct{})
	var wait sync.WaitGroup
	for i := range 6 {
		subject := []string{"bob", "eve"}[i%2]
		token := r.idp.Token(oidctest.With(r.claims(), map[string]any{"sub": subject, "groups": []string{"ai-agents"}}))
		wait.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				nc, err := net.Dial("tcp", r.srv.Proxy.String())
				if err != nil {
					return
				}
				r.sendUntilCut(nc, token, subject, stop)
			}
		})
	}
	seen := func(subject string) int {
		_, calls := r.upstream()
		n := 0
		for _, c := range calls {
			if strings.Contains(c.Target, "/"+subject) {
				n++
			}
		}
		return n
	}
	until := func(subject string, n int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); seen(subject) < n; {
			if time.Now().After(end) {
				t.Fatalf("%s has sent %d requests", subject, seen(subject))
			}
			time.Sleep(time.Millisecond)
		}
	}
	until("bob", 20)
	r.revoked(t, `{"subject":"bob","reason":"x"}`)
	until("eve", seen("eve")+12) // what had been sent before the reply is counted when AWS has read it
	after := seen("bob")
	until("eve", seen("eve")+30)
	if n := seen("bob"); n != after {
		t.Errorf("%d requests of the revoked subject went to AWS after the reply", n-after)
	}
	close(stop)
	wait.Wait()
}

func (r *rig) sendUntilCut(nc net.Conn, token, subject string, stop chan struct{}) {
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	c, err := r.clientOf(nc, s3Host, token)
	if err != nil {
		return
	}
	for {
		select {
		case <-stop:
			return
		default:
		}
		if _, err := io.WriteString(c, c.request(http.MethodGet, "/acme-dev-reports/"+subject, "")); err != nil {
			return
		}
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}

// A revoked subject decides nothing either: a token that was stolen approves no call, until
// the revocation is lifted.
func TestRevokedApprover(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 60s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	got := r.put(t, "x")
	p := pendingOf(t, pending())
	reply := func(who, decision string) approvals.Reply {
		text, err := json.Marshal(approvals.Answer{Approval: p.Approval, Digest: p.Digest, Decision: decision, Token: r.person(who, nil)})
		must(t, err)
		return a.send(p.Approval, text)
	}
	r.revoked(t, `{"subject":"ann","issuer":"`+r.idp.URL+`","reason":"stolen laptop"}`)
	for i, decision := range []string{approvals.Allow, approvals.Deny} {
		if out := reply("ann", decision); out.Accepted || !strings.Contains(out.Error, "revoked by an operator") {
			t.Errorf("%s: %+v", decision, out)
		}
		if d := refusedAnswers(t, r, i+1)[i]; d.UserIdentity.Subject != "ann" || !strings.Contains(d.ErrorMessage, "revoked by an operator") {
			t.Errorf("%+v", d)
		}
	}
	r.nothingSent(t)
	r.revoked(t, `{"subject":"ann","issuer":"`+r.idp.URL+`","reason":"found","lift":true}`)
	if out := reply("ann", approvals.Allow); !out.Accepted {
		t.Errorf("lifted: %+v", out)
	}
	passed(t, <-got, http.StatusOK)
}

// A revocation of the target reaches a request whose client pauses within its body: it
// is told and ended, and not when the client has been waited for long enough. The
// client's tunnel stays, as its caller may go on elsewhere.
func TestRevokedWhileTheBodyPauses(t *testing.T) {
	const revoke = `{"target":"dev","reason":"account under attack","for":"3m"}`
	t.Run("upload", func(t *testing.T) {
		read := make(chan struct{})
		r, _ := newScripted(t, rigOptions{}, func(_ net.Conn, req *http.Request) bool {
			_, _ = io.CopyN(io.Discard, req.Body, 64<<10)
			close(read)
			_, _ = io.Copy(io.Discard, req.Body)
			return false
		})
		c := r.tunnel(t, uploadHost, r.token())
		_, err := io.WriteString(c, c.putHead("k", 8<<20)+strings.Repeat("x", 64<<10))
		must(t, err)
		<-read
		r.toldRevoked(t, c, http.MethodPut, revoke)
	})
	t.Run("judged", func(t *testing.T) {
		r := newRig(t, rigOptions{})
		c := r.tunnel(t, dynamoHost, r.token())
		_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: "+dynamoHost+"\r\n"+c.signature("dev")+"\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\nContent-Type: application/x-amz-json-1.0\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
		must(t, err)
		for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} { // the gateway reads
			if line, err := c.r.ReadString('\n'); line != want {
				t.Fatalf("%q %v", line, err)
			}
		}
		_, err = io.WriteString(c, "{")
		must(t, err)
		r.toldRevoked(t, c, http.MethodPost, revoke)
		r.nothingSent(t)
	})
}

// toldRevoked revokes, and fails unless the client is told so before it would be given
// up.
func (r *rig) toldRevoked(t *testing.T, c *tunnel, method, text string) {
	t.Helper()
	r.revoked(t, text)
	must(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
	a := c.read(t, method)
	if a.StatusCode != http.StatusForbidden || !strings.Contains(string(a.body), "account under attack") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	r.exchange(t, a.id())
}

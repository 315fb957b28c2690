package approvals_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
)

// gatewaySide is what a gateway is to an approver: messages in the stream, and
// somebody who answers.
type gatewaySide struct {
	t      *testing.T
	server *bus.Server
	conn   *nats.Conn
	ids    *event.IDs
}

func newGatewaySide(t *testing.T) *gatewaySide {
	t.Helper()
	server, err := bus.Start(t.Context(), bus.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	g := &gatewaySide{t: t, server: server, ids: event.NewIDs(nil)}
	g.conn = g.connect(bus.Gateway)
	return g
}

func (g *gatewaySide) connect(role bus.Role) *nats.Conn {
	g.t.Helper()
	conn, err := bus.Connect(g.t.Context(), bus.Options{Role: role, URL: g.server.URL(), CredsFile: g.server.CredsFile(role)})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(conn.Close)
	return conn
}

func (g *gatewaySide) client(role bus.Role, now func() time.Time) *approvals.Client {
	g.t.Helper()
	c, err := approvals.NewClient(approvals.ClientOptions{Conn: g.connect(role), Now: now})
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}

// publish is durable when it returns.
func (g *gatewaySide) publish(kind, id string, data any) {
	g.t.Helper()
	body, err := json.Marshal(map[string]any{"specversion": "1.0", "type": "dev.sallyport.approval." + kind + ".v1", "id": g.ids.New(), "source": "sallyport/test", "datacontenttype": "application/json", "data": data})
	if err != nil {
		g.t.Fatal(err)
	}
	g.raw(kind, id, body)
}

func (g *gatewaySide) raw(kind, id string, body []byte) {
	g.t.Helper()
	m, err := g.conn.Request("sallyport.approvals."+kind+"."+id, body, 10*time.Second)
	if err != nil {
		g.t.Fatalf("publish %s: %v", kind, err)
	}
	if !strings.Contains(string(m.Data), `"stream":"SALLYPORT_APPROVALS"`) {
		g.t.Fatalf("publish %s: %s", kind, m.Data)
	}
}

func (g *gatewaySide) ask(expires time.Duration, params map[string]any) approvals.Request {
	g.t.Helper()
	r := approvals.Request{Approval: g.ids.New(), Digest: strings.Repeat("ab", 32), RequestID: g.ids.New(), SessionID: g.ids.New(), Service: "ec2", Operation: "TerminateInstances",
		Parameters: params, Created: time.Now(), Expires: time.Now().Add(expires)}
	g.publish("pending", r.Approval, r)
	return r
}

func (g *gatewaySide) end(r approvals.Request, outcome string) {
	g.t.Helper()
	g.publish("outcome", r.Approval, approvals.Outcome{Approval: r.Approval, Digest: r.Digest, Outcome: outcome, At: time.Now()})
}

// reply answers every answer with f.
func (g *gatewaySide) reply(f func(subject string, body []byte) []byte) {
	g.t.Helper()
	if _, err := g.conn.QueueSubscribe("sallyport.approvals.answer.*", "gateways", func(m *nats.Msg) { _ = m.Respond(f(m.Subject, m.Data)) }); err != nil {
		g.t.Fatal(err)
	}
	if err := g.conn.Flush(); err != nil {
		g.t.Fatal(err)
	}
}

func ids(list []approvals.Request) string {
	var out []string
	for _, r := range list {
		out = append(out, r.Approval)
	}
	return strings.Join(out, " ")
}

func TestPending(t *testing.T) {
	g := newGatewaySide(t)
	c := g.client(bus.Approver, nil)
	if list, err := c.Pending(t.Context(), nil); err != nil || len(list) != 0 {
		t.Fatalf("of an empty stream: %v %v", list, err)
	}
	first := g.ask(time.Hour, map[string]any{"N": json.Number("12345678901234567890")})
	denied := g.ask(time.Hour, nil)
	g.ask(-time.Second, nil) // expired, and nobody has said so
	second := g.ask(time.Hour, nil)
	g.end(denied, approvals.Denied)
	again := first
	again.Digest = strings.Repeat("cd", 32)
	g.publish("pending", first.Approval, again)
	g.publish("pending", denied.Approval, denied)
	var bad []string
	g.raw("pending", g.ids.New(), []byte("{"))
	g.publish("outcome", g.ids.New(), first) // of another
	list, err := c.Pending(t.Context(), func(err error) { bad = append(bad, err.Error()) })
	if err != nil || ids(list) != first.Approval+" "+second.Approval {
		t.Fatalf("%v %v", ids(list), err)
	}
	if list[0].Digest != first.Digest || list[0].Parameters["N"] != json.Number("12345678901234567890") {
		t.Errorf("it is not what was asked first: %+v", list[0])
	}
	if len(bad) != 2 {
		t.Errorf("damaged: %q", bad)
	}
	late := g.client(bus.Approver, func() time.Time { return time.Now().Add(2 * time.Hour) })
	if list, err := late.Pending(t.Context(), nil); err != nil || len(list) != 0 {
		t.Errorf("two hours later: %v %v", ids(list), err)
	}
	// The damaged messages come before this one.
	g.ask(time.Hour, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 { // broken off on the way, and before it began
		if list, err := c.Pending(ctx, func(error) { cancel() }); !errors.Is(err, context.Canceled) {
			t.Errorf("broken off, and it says that %d are pending: %v", len(list), err)
		}
	}
}

func TestGet(t *testing.T) {
	g := newGatewaySide(t)
	c := g.client(bus.Approver, nil)
	r := g.ask(time.Hour, nil)
	forged := r
	forged.Digest = strings.Repeat("cd", 32)
	g.publish("pending", r.Approval, forged)
	got, outcome, err := c.Get(t.Context(), r.Approval)
	if err != nil || outcome != nil || got.Digest != r.Digest {
		t.Fatalf("%+v %v %v", got, outcome, err)
	}
	g.end(r, approvals.Approved)
	g.end(r, approvals.Denied)
	if _, outcome, err = c.Get(t.Context(), r.Approval); err != nil || outcome == nil || outcome.Outcome != approvals.Approved {
		t.Fatalf("%+v %v", outcome, err)
	}
	for _, id := range []string{g.ids.New(), "", "*", ">", "01J", r.Approval + ".x"} {
		if _, _, err := c.Get(t.Context(), id); !errors.Is(err, approvals.ErrUnknown) {
			t.Errorf("%q: %v", id, err)
		}
	}
	damaged := g.ids.New()
	g.raw("pending", damaged, []byte(`{"specversion":"1.0","type":"dev.sallyport.approval.pending.v1","data":{"approval":"`+damaged+`"}}`))
	if _, _, err := c.Get(t.Context(), damaged); err == nil || !strings.Contains(err.Error(), "no digest") {
		t.Errorf("without a digest: %v", err)
	}
}

func TestFollow(t *testing.T) {
	g := newGatewaySide(t)
	c := g.client(bus.Approver, nil)
	before := g.ask(time.Hour, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said := make(chan string, 8)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Follow(ctx, func(list []approvals.Request) error { said <- "begin " + ids(list); return nil }, func(u approvals.Update) error {
			if u.Outcome != nil {
				said <- u.Outcome.Outcome + " " + u.Approval()
			} else {
				said <- "asked " + u.Approval()
			}
			return nil
		}, nil)
	}()
	want := func(w string) {
		t.Helper()
		select {
		case got := <-said:
			if got != w {
				t.Fatalf("got %s, want %s", got, w)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s did not come", w)
		}
	}
	want("begin " + before.Approval)
	next := g.ask(time.Hour, nil)
	want("asked " + next.Approval)
	g.publish("pending", next.Approval, next)
	g.end(before, approvals.Approved)
	want("approved " + before.Approval)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAnswer(t *testing.T) {
	g := newGatewaySide(t)
	c := g.client(bus.Approver, nil)
	a := approvals.Answer{Approval: g.ids.New(), Digest: strings.Repeat("ab", 32), Decision: approvals.Allow, Token: "eyJ.secret.token", Reason: "ok", Grant: &approvals.Grant{For: "15m", Count: 3}}
	if err := c.Answer(t.Context(), a); !errors.Is(err, approvals.ErrNoGateway) {
		t.Errorf("without a gateway: %v", err)
	}
	var reply []byte
	g.reply(func(subject string, body []byte) []byte {
		want := fmt.Sprintf(`{"approval":"%s","digest":"%s","decision":"allow","token":"eyJ.secret.token","reason":"ok","grant":{"for":"15m","count":3}}`, a.Approval, a.Digest)
		if subject != "sallyport.approvals.answer."+a.Approval || string(body) != want {
			t.Errorf("sent %s on %s", body, subject)
		}
		return reply
	})
	reply = []byte(`{"accepted":true}`)
	if err := c.Answer(t.Context(), a); err != nil {
		t.Error(err)
	}
	reply = []byte(`{"accepted":false,"error":"another digest\u001b[2J"}`)
	var refused *approvals.RefusedError
	if err := c.Answer(t.Context(), a); !errors.As(err, &refused) || refused.Reason != `another digest\x1b[2J` {
		t.Errorf("refused: %v", err)
	}
	for _, r := range []string{"", "{}", "null", `{"accepted":"yes"}`, `[true]`} {
		reply = []byte(r)
		if err := c.Answer(t.Context(), a); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("reply %q: %v", r, err)
		}
	}
	long := a
	long.Token = strings.Repeat("x", approvals.MaxAnswer)
	if err := c.Answer(t.Context(), long); err == nil || !strings.Contains(err.Error(), "may have 65536") || len(err.Error()) > 300 {
		t.Errorf("too long: %v", err)
	}
	for _, id := range []string{"", "*", "x.y", ">"} {
		bad := a
		bad.Approval = id
		if err := c.Answer(t.Context(), bad); !errors.Is(err, approvals.ErrUnknown) {
			t.Errorf("%q: %v", id, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Answer(ctx, a); !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v", err)
	}
}

// What NATS forbids is said at once, not after a timeout.
func TestForbidden(t *testing.T) {
	g := newGatewaySide(t)
	g.reply(func(string, []byte) []byte { return []byte(`{"accepted":true}`) })
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
	defer cancel()
	c := g.client(bus.Recorder, nil)
	if _, err := c.Pending(ctx, nil); !errors.Is(err, approvals.ErrForbidden) {
		t.Errorf("reading: %v", err)
	}
	if err := c.Answer(ctx, approvals.Answer{Approval: g.ids.New()}); !errors.Is(err, approvals.ErrForbidden) {
		t.Errorf("answering: %v", err)
	}
}

// A reply that never comes is no yes.
func TestNoAnswer(t *testing.T) {
	g := newGatewaySide(t)
	if _, err := g.conn.SubscribeSync("sallyport.approvals.answer.*"); err != nil {
		t.Fatal(err)
	}
	if err := g.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	c, err := approvals.NewClient(approvals.ClientOptions{Conn: g.connect(bus.Approver), Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Answer(t.Context(), approvals.Answer{Approval: g.ids.New()}); !errors.Is(err, approvals.ErrNoAnswer) {
		t.Error(err)
	}
}

func TestDecodeMessage(t *testing.T) {
	const id = "01J00000000000000000000001"
	pending := `{"specversion":"1.0","type":"dev.sallyport.approval.pending.v1","data":{"approval":"` + id + `","digest":"` + strings.Repeat("ab", 32) + `"}}`
	outcome := `{"specversion":"1.0","type":"dev.sallyport.approval.outcome.v1","data":{"approval":"` + id + `","outcome":"denied"}}`
	for _, c := range []struct{ subject, body string }{{"sallyport.approvals.pending." + id, pending}, {"sallyport.approvals.outcome." + id, outcome}} {
		if u, err := approvals.DecodeMessage("sallyport", c.subject, []byte(c.body)); err != nil || u.Approval() != id {
			t.Errorf("%s: %+v %v", c.subject, u, err)
		}
	}
	for name, c := range map[string]struct{ subject, body string }{
		"other type":     {"sallyport.approvals.outcome." + id, pending},
		"other approval": {"sallyport.approvals.pending.01J00000000000000000000002", pending},
		"other prefix":   {"other.approvals.pending." + id, pending},
		"no id":          {"sallyport.approvals.pending.x", pending},
		"more":           {"sallyport.approvals.pending." + id + ".x", pending},
		"answer":         {"sallyport.approvals.answer." + id, pending},
		"digest":         {"sallyport.approvals.pending." + id, strings.Replace(pending, "abab", "ABAB", 1)},
		"short digest":   {"sallyport.approvals.pending." + id, strings.Replace(pending, "abab", "ab", 1)},
		"version":        {"sallyport.approvals.pending." + id, strings.Replace(pending, "1.0", "0.3", 1)},
		"not JSON":       {"sallyport.approvals.pending." + id, pending[1:]},
		"not UTF-8":      {"sallyport.approvals.pending." + id, strings.Replace(pending, `"data"`, "\"x\":\"\xff\",\"data\"", 1)},
		"wrong data":     {"sallyport.approvals.pending." + id, strings.Replace(pending, `{"approval"`, `{"actions":"x","approval"`, 1)},
		"no data":        {"sallyport.approvals.pending." + id, `{"specversion":"1.0","type":"dev.sallyport.approval.pending.v1"}`},
	} {
		if u, err := approvals.DecodeMessage("sallyport", c.subject, []byte(c.body)); err == nil {
			t.Errorf("%s: accepted as %+v", name, u)
		}
	}
}

func FuzzDecodeMessage(f *testing.F) {
	const id = "01J00000000000000000000001"
	for _, kind := range []string{"pending", "outcome"} {
		f.Add("sallyport.approvals."+kind+"."+id, []byte(`{"specversion":"1.0","type":"dev.sallyport.approval.`+kind+`.v1","data":{"approval":"`+id+`","digest":"`+strings.Repeat("ab", 32)+`","requestParameters":{"a":[1,"x"]}}}`))
	}
	f.Fuzz(func(t *testing.T, subject string, body []byte) {
		u, err := approvals.DecodeMessage("sallyport", subject, body)
		if err == nil && (!event.ValidID(u.Approval()) || !strings.HasSuffix(subject, "."+u.Approval()) || (u.Request == nil) == (u.Outcome == nil)) {
			t.Fatalf("%s %s: %+v", subject, body, u)
		}
	})
}

func TestNewClient(t *testing.T) {
	if _, err := approvals.NewClient(approvals.ClientOptions{}); err == nil {
		t.Error("without a connection")
	}
	g := newGatewaySide(t)
	if _, err := approvals.NewClient(approvals.ClientOptions{Conn: g.conn, Prefix: "a.*"}); err == nil {
		t.Error("a prefix with a star")
	}
	if approvals.Stream != bus.ApprovalsStream {
		t.Error("the stream has another name")
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
)

// The example speaks with a real bus, by the gateway's own types and encoding: it
// asks about what is pending, sends exactly the answer of the wire format, and shows
// nothing that a terminal would obey.
func TestApprove(t *testing.T) {
	dir := t.TempDir()
	server, err := bus.Start(t.Context(), bus.ServerOptions{Dir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	conn, err := bus.Connect(t.Context(), bus.Options{Role: bus.Gateway, InProcess: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	answers := make(chan approvals.Answer, 8)
	if _, err := conn.Subscribe("sallyport.approvals.answer.*", func(m *nats.Msg) {
		var a approvals.Answer
		dec := json.NewDecoder(bytes.NewReader(m.Data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&a); err != nil || !strings.HasSuffix(m.Subject, "."+a.Approval) {
			t.Errorf("%s on %s: %v", m.Data, m.Subject, err)
		}
		answers <- a
		reply, _ := json.Marshal(approvals.Reply{Accepted: a.Decision == approvals.Allow, Error: "\x1b[2J"})
		_ = m.Respond(reply)
	}); err != nil {
		t.Fatal(err)
	}
	ids := event.NewIDs(nil)
	ask := func(digest string, expires time.Duration) string {
		t.Helper()
		id := ids.New()
		body, err := event.Encode(event.Event{ID: ids.New(), Source: "sallyport/test", Time: time.Now(), Data: &event.ApprovalPending{
			Common:   event.Common{RequestID: ids.New(), SessionID: ids.New(), EventTime: time.Now(), UserIdentity: event.UserIdentity{Label: "x\u009b2J\u202e"}},
			Approval: id, Digest: strings.Repeat(digest, 64), Approvers: []event.Needed{{Groups: []string{"sre"}, Count: 1}}, Created: time.Now(), Expires: time.Now().Add(expires),
		}})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := conn.Request("sallyport.approvals.pending."+id, body, 10*time.Second); err != nil || !strings.Contains(string(m.Data), bus.ApprovalsStream) {
			t.Fatalf("publish: %v", err)
		}
		return id
	}
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("eyJ.alice\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	in, typed := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- approve(t.Context(), filepath.Join(dir, "nats", "url"), server.CredsFile(bus.Approver), token, in, &out)
	}()
	consuming(t, server)
	first, second := ask("a", time.Hour), ask("b", time.Hour)
	ask("c", time.Hour) // what nobody answers, nobody sends
	_, _ = io.WriteString(typed, "y\nanything else\n")
	_ = typed.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, want := range []approvals.Answer{
		{Approval: first, Digest: strings.Repeat("a", 64), Decision: approvals.Allow, Token: "eyJ.alice"},
		{Approval: second, Digest: strings.Repeat("b", 64), Decision: approvals.Deny, Token: "eyJ.alice"},
	} {
		if got := <-answers; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if len(answers) > 0 {
		t.Errorf("more was sent: %+v", <-answers)
	}
	for _, c := range out.String() {
		if c > '~' || c < ' ' && c != '\n' {
			t.Fatalf("U+%04X on a terminal:\n%s", c, out.String())
		}
	}
	if !strings.Contains(out.String(), `accepted\":true`) || !strings.Contains(out.String(), `accepted\":false`) {
		t.Error(out.String())
	}
}

// consuming waits until the example has its consumer; it sees what comes from then on.
func consuming(t *testing.T, server *bus.Server) {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{Role: bus.Approver, InProcess: server})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		stream, err := js.Stream(t.Context(), bus.ApprovalsStream)
		if err != nil {
			t.Fatal(err)
		}
		if stream.CachedInfo().State.Consumers > 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatal("the example does not consume")
		case <-tick.C:
		}
	}
}

func TestApproveFails(t *testing.T) {
	if err := approve(t.Context(), "none", "none", "none", strings.NewReader(""), io.Discard); err == nil {
		t.Error("without a server")
	}
}

package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/logtest"
	"github.com/sallyport/sallyport/internal/oidctest"
)

// Somebody on a machine with nothing but NATS credentials logs in on another device, and
// answers with the token of that, which a file keeps for the next answer.
func TestApproveAfterALogin(t *testing.T) {
	a := newAsking(t)
	a.listen()
	is, err := oidctest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(is.Close)
	write(t, "idp.pem", string(is.RootPEM()))
	is.Person = func(client string) map[string]any {
		return oidctest.With(is.Claims("ann", client, time.Now()), map[string]any{"name": "Ann"})
	}
	r := a.terminate(time.Hour)
	at := []string{"--nats", a.server.URL(), "--creds", "state/nats/approver.creds"}
	if err := os.Rename("sallyport.yaml", "none"); err != nil {
		t.Fatal(err)
	}
	if got := do(t, append([]string{"approvals", "deny", r.Approval}, at...)...); got.code != exitFailed || !strings.Contains(got.stderr, "--token-file") || !strings.Contains(got.stderr, "--issuer and --client-id") {
		t.Errorf("without a token: %+v", got)
	}
	if got := do(t, append([]string{"approvals", "deny", r.Approval, "--issuer", is.URL}, at...)...); got.code != exitUsage || !strings.Contains(got.stderr, "belong together") {
		t.Errorf("without a client: %+v", got)
	}
	login := append([]string{"--issuer", is.URL, "--issuer-ca-file", "idp.pem", "--client-id", "approvers"}, at...)
	got := do(t, append([]string{"approvals", "approve", r.Approval, "--yes", "--token-file", "me.jwt", "--json"}, login...)...)
	if got.code != exitDone || !strings.Contains(got.stderr, "Log in at "+is.URL+"/activate\nand enter the code WDJB-MJHT\n") || strings.Contains(got.stdout+got.stderr, "eyJ") {
		t.Fatalf("%+v", got)
	}
	token := (<-a.answers).Token
	if kept, err := os.ReadFile("me.jwt"); err != nil || strings.TrimSpace(string(kept)) != token {
		t.Errorf("%s is kept: %v", kept, err)
	}
	if info, err := os.Stat("me.jwt"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	got = do(t, append([]string{"approvals", "deny", r.Approval, "--token-file", "me.jwt"}, login...)...)
	if got.code != exitDone || strings.Contains(got.stderr, "Log in") || (<-a.answers).Token != token || is.Count(oidctest.DevicePath) != 1 {
		t.Errorf("a second login: %+v", got)
	}
	is.Person = func(string) map[string]any { return nil }
	if got = do(t, append([]string{"approvals", "deny", r.Approval}, login...)...); got.code != exitFailed || !strings.Contains(got.stderr, "log in: it was refused there") {
		t.Errorf("%+v", got)
	}
}

// A view has the terminal: a login comes before it, and none while it is there.
func TestLoginBeforeAView(t *testing.T) {
	l := login{issuer: "https://idp.example", client: "approvers", expires: time.Now().Add(time.Minute)}
	if err := l.before(t.Context(), ""); err != nil {
		t.Error(err)
	}
	l.expires = time.Now()
	if _, err := l.token(t.Context(), ""); !errors.Is(err, errLoginOver) {
		t.Error(err)
	}
	if err := (&login{}).before(t.Context(), ""); err != nil {
		t.Errorf("without a login: %v", err)
	}
}

func TestWhereToLogIn(t *testing.T) {
	var out logtest.Buffer
	if sayWhere(&out, "https://idp.example/\x1b[2J", "A\nB"); out.String() != "\nLog in at https://idp.example/\\x1b[2J\nand enter the code A\\nB\n" {
		t.Errorf("%q", out.String())
	}
}

// Where there is no configuration, a flag says what subjects begin with: nothing would
// seem to wait otherwise.
func TestApprovalsUnderAPrefix(t *testing.T) {
	newUser(t)
	server, err := bus.Start(t.Context(), bus.ServerOptions{Dir: "nats", Prefix: "acme.agents"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	conn, err := bus.Connect(t.Context(), bus.Options{Role: bus.Gateway, InProcess: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	r := wanted(event.NewIDs(nil), time.Hour)
	text, err := json.Marshal(map[string]any{"specversion": "1.0", "type": "dev.sallyport.approval.pending.v1", "id": r.RequestID, "source": "sallyport/test", "data": r})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Request("acme.agents.approvals.pending."+r.Approval, text, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	args := []string{"approvals", "list", "--nats", server.URL(), "--creds", server.CredsFile(bus.Approver), "--subject-prefix"}
	if out := must(t, append(args, "acme.agents")...); !strings.Contains(out, r.Approval) {
		t.Error(out)
	}
	args[5] = "none.creds"
	if got := do(t, append(args, "acme.agents")...); got.code != exitFailed || !strings.Contains(got.stderr, "none.creds") || strings.Contains(got.stderr, "sallyport serve") {
		t.Errorf("without credentials: %+v", got)
	}
	if got := do(t, append(args, "a.>")...); got.code != exitUsage || !strings.Contains(got.stderr, "--subject-prefix: ") {
		t.Errorf("%+v", got)
	}
}

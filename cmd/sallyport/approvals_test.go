package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/logtest"
	"github.com/sallyport/sallyport/internal/secret"
)

// asking is the gateway's side of approvals: it asks, and answers answers.
type asking struct {
	t       *testing.T
	server  *bus.Server
	conn    *nats.Conn
	ids     *event.IDs
	answers chan approvals.Answer
	reply   approvals.Reply
}

// newAsking is the folder of a user with the bus of a gateway that runs there.
func newAsking(t *testing.T) *asking {
	t.Helper()
	dir := initialise(t)
	server, err := bus.Start(t.Context(), bus.ServerOptions{Dir: filepath.Join(dir, "state", "nats")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	conn, err := bus.Connect(t.Context(), bus.Options{Role: bus.Gateway, InProcess: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return &asking{t: t, server: server, conn: conn, ids: event.NewIDs(nil), answers: make(chan approvals.Answer, 1), reply: approvals.Reply{Accepted: true}}
}

// listen takes answers; before it, no gateway does.
func (a *asking) listen() {
	a.t.Helper()
	_, err := a.conn.QueueSubscribe("sallyport.approvals.answer.*", "gateways", func(m *nats.Msg) {
		var got approvals.Answer
		dec := json.NewDecoder(bytes.NewReader(m.Data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&got); err != nil {
			a.t.Errorf("answer %s: %v", m.Data, err)
		}
		reply, _ := json.Marshal(a.reply)
		a.answers <- got
		_ = m.Respond(reply)
	})
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.conn.Flush(); err != nil {
		a.t.Fatal(err)
	}
}

func (a *asking) publish(kind, id string, data any) {
	a.t.Helper()
	body, err := json.Marshal(map[string]any{"specversion": "1.0", "type": "dev.sallyport.approval." + kind + ".v1", "id": a.ids.New(), "source": "sallyport/test", "datacontenttype": "application/json", "data": data})
	if err != nil {
		a.t.Fatal(err)
	}
	m, err := a.conn.Request("sallyport.approvals."+kind+"."+id, body, 10*time.Second)
	if err != nil {
		a.t.Fatal(err)
	}
	if !strings.Contains(string(m.Data), bus.ApprovalsStream) {
		a.t.Fatalf("%s", m.Data)
	}
}

// terminate asks to end two instances.
func (a *asking) terminate(expires time.Duration) approvals.Request {
	a.t.Helper()
	r := wanted(a.ids, expires)
	a.publish("pending", r.Approval, r)
	return r
}

func wanted(ids *event.IDs, expires time.Duration) approvals.Request {
	now := time.Now()
	return approvals.Request{Approval: ids.New(), Digest: strings.Repeat("ab", 32), RequestID: ids.New(), SessionID: ids.New(),
		Who: event.UserIdentity{Issuer: identity.TrialIssuer, Subject: "local-agent", Label: "x\x1b[2J\u202e"}, Target: "dev", Account: "111122223333", Region: "eu-west-1",
		RoleARN: "arn:aws:iam::111122223333:role/agent-dev", Service: "ec2", Operation: "TerminateInstances", Actions: []string{"ec2:TerminateInstances"}, AccessLevel: "Write",
		Resources: []event.Resource{{ARN: "arn:aws:ec2:eu-west-1:111122223333:instance/i-0a", Type: "instance"}, {ARN: "arn:aws:ec2:eu-west-1:111122223333:instance/i-0b", Type: "instance"}},
		Risk:      event.Risk{Score: 60}, Rules: []string{"ask"}, Approvers: []approvals.Needed{{Groups: []string{"sre", "leads"}, Count: 1}}, PolicyVersion: "abc", Extent: strings.Repeat("cd", 32),
		Created: now, Expires: now.Add(expires)}
}

func TestApprovalsListAndShow(t *testing.T) {
	a := newAsking(t)
	if out := must(t, "approvals", "list"); out != "nothing waits for an answer\n" {
		t.Error(out)
	}
	if out := must(t, "approvals", "list", "--json"); out != "[]\n" {
		t.Error(out)
	}
	r := a.terminate(time.Hour)
	out := must(t, "approvals", "list")
	if !strings.HasPrefix(out, "APPROVAL ") || !strings.Contains(out, r.Approval) || !strings.Contains(out, `59m5`) || !strings.Contains(out, `"local-agent"  terminate 2 instances in account 111122223333 (dev), eu-west-1`) {
		t.Error(out)
	}
	var list []approvals.Request
	out = must(t, "approvals", "list", "--json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 || list[0].Digest != r.Digest || list[0].Who.Label != r.Who.Label {
		t.Errorf("%v %s", err, out)
	}
	ascii := regexp.MustCompile(`^[ -~]+\n$`)
	if !ascii.MatchString(out) {
		t.Errorf("a terminal could obey %q", out)
	}
	for _, id := range []string{r.Approval, strings.ToLower(r.Approval), r.Approval[:20], r.Approval[20:]} {
		out = must(t, "approvals", "show", id)
		if !strings.HasPrefix(out, "terminate 2 instances in account") || !strings.Contains(out, "\npending, 59m5") || !strings.Contains(out, r.Digest) || !strings.Contains(out, `"x\x1b[2J\u202e" (chosen by the agent)`) {
			t.Errorf("%s: %s", id, out)
		}
	}
	var shown shownApproval
	out = must(t, "approvals", "show", r.Approval, "--json")
	if err := json.Unmarshal([]byte(out), &shown); err != nil || shown.Request.Digest != r.Digest || shown.Summary.Headline == "" || shown.Outcome != nil || !ascii.MatchString(out) {
		t.Errorf("%v %s", err, out)
	}
	a.publish("outcome", r.Approval, approvals.Outcome{Approval: r.Approval, Digest: r.Digest, Outcome: approvals.Denied, At: time.Now(), Approvers: []approvals.Vote{{Subject: "alice", Decision: approvals.Deny, Reason: "no\n"}}})
	if out := must(t, "approvals", "show", r.Approval); !strings.Contains(out, "\ndenied at ") || !strings.Contains(out, `deny by "alice" ("no\n")`) {
		t.Error(out)
	}
	if out := must(t, "approvals", "list"); out != "nothing waits for an answer\n" {
		t.Error(out)
	}
	for _, c := range []struct{ id, want string }{{a.ids.New(), "there is no such approval"}, {"01J", "the whole id"}, {"zzzz", "no pending approval's id"}, {r.Approval[20:], "no pending approval's id"}} {
		res := do(t, "approvals", "show", c.id)
		if res.code != exitFailed || !strings.Contains(res.stderr, c.want) {
			t.Errorf("%s: %+v", c.id, res)
		}
		clean(t, res)
	}
	first, second := a.terminate(time.Hour), a.terminate(time.Hour)
	if res := do(t, "approvals", "show", first.Approval[:4]); first.Approval[:4] != second.Approval[:4] || res.code != exitFailed || !strings.Contains(res.stderr, "2 pending approvals") {
		t.Errorf("%+v", res)
	}
}

// Away from the gateway: URL, creds and token by flags.
func TestApprovalsFromElsewhere(t *testing.T) {
	a := newAsking(t)
	a.listen()
	r := a.terminate(time.Hour)
	write(t, "alice.jwt", must(t, "token", "--approver", "--subject", "alice", "--groups", "sre"))
	trial, err := identity.OpenTrial("state")
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(mustAbs(t, "."), "alice.jwt")
	creds := a.server.CredsFile(bus.Approver)
	t.Chdir(t.TempDir())
	nats := []string{"--nats", a.server.URL(), "--creds", creds}
	if out := must(t, append([]string{"approvals", "list"}, nats...)...); !strings.Contains(out, r.Approval) {
		t.Error(out)
	}
	res := do(t, append([]string{"approvals", "deny", r.Approval}, nats...)...)
	if res.code != exitFailed || !strings.Contains(res.stderr, "Give --token-file") {
		t.Errorf("%+v", res)
	}
	must(t, append([]string{"approvals", "deny", r.Approval, "--token-file", token, "--reason", "not today"}, nats...)...)
	got := <-a.answers
	if p := verified(t, trial, got.Token); p.Subject != "alice" || got.Decision != approvals.Deny || got.Reason != "not today" || got.Grant != nil {
		t.Errorf("%+v %+v", got, p)
	}
	res = do(t, "approvals", "list", "--nats", a.server.URL())
	if res.code != exitUsage || !strings.Contains(res.stderr, "--creds") {
		t.Errorf("%+v", res)
	}
	res = do(t, "approvals", "list", "--nats", a.server.URL(), "--creds", a.server.CredsFile(bus.Recorder))
	if res.code != exitFailed || !strings.Contains(res.stderr, "credentials of an approver") {
		t.Errorf("%+v", res)
	}
	clean(t, res)
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// verified is who a token of the trial issuer for approvers is.
func verified(t *testing.T, trial *identity.Trial, token string) *identity.Principal {
	t.Helper()
	conf := trial.IssuerConfig()
	conf.Audience = identity.ApproverAudience
	v, err := identity.NewVerifier([]identity.IssuerConfig{conf}, identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := v.Verify(t.Context(), secret.New(token))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const instances = "arn:aws:ec2:eu-west-1:111122223333:instance/*"

func TestApprove(t *testing.T) {
	a := newAsking(t)
	trial, err := identity.OpenTrial("state")
	if err != nil {
		t.Fatal(err)
	}
	r := a.terminate(time.Hour)
	res := do(t, "approvals", "approve", r.Approval, "--yes")
	if res.code != exitFailed || !strings.Contains(res.stderr, "no gateway is running") {
		t.Errorf("without a gateway: %+v", res)
	}
	a.listen()
	out := must(t, "approvals", "approve", r.Approval, "--yes", "--for", "15m", "--count", "3", "--reason", "clean-up")
	got := <-a.answers
	if !strings.Contains(out, "terminate 2 instances") || !strings.Contains(out, "This grants:\n  for 15 minutes, at most 3 calls of this session, this one among them,") || !strings.HasSuffix(out, "\napprove: accepted\n") || token.MatchString(out) {
		t.Error(out)
	}
	if got.Approval != r.Approval || got.Digest != r.Digest || got.Decision != approvals.Allow || got.Reason != "clean-up" || got.Grant == nil || !reflect.DeepEqual(*got.Grant, approvals.Grant{For: "15m0s", Count: 3}) {
		t.Errorf("%+v", got)
	}
	p := verified(t, trial, got.Token)
	if p.Subject != trialApprover || strings.Join(p.Groups, " ") != "leads sre" {
		t.Errorf("%+v", p)
	}
	must(t, "approvals", "approve", r.Approval, "--yes", "--for", "5m", "--count", "9", "--action", "ec2:TerminateInstances", "--action", "ec2:Stop*", "--resource", instances)
	if got := <-a.answers; got.Grant == nil || !reflect.DeepEqual(*got.Grant, approvals.Grant{For: "5m0s", Count: 9, Actions: []string{"ec2:TerminateInstances", "ec2:Stop*"}, Resources: []string{instances}}) {
		t.Errorf("%+v", got)
	}
	// A refusal is a failure, and says why.
	a.reply = approvals.Reply{Error: "nobody approves their own request\x1b[2J"}
	res = do(t, "approvals", "approve", r.Approval, "--yes", "--subject", "bob")
	if got := <-a.answers; verified(t, trial, got.Token).Subject != "bob" {
		t.Errorf("%+v", got)
	}
	if res.code != exitFailed || res.stderr != "sallyport: not accepted: nobody approves their own request\\x1b[2J\n" {
		t.Errorf("%+v", res)
	}
	res = do(t, "approvals", "approve", r.Approval, "--yes", "--json")
	<-a.answers
	var said sent
	if err := json.Unmarshal([]byte(res.stdout), &said); err != nil || said.Accepted || said.Error == "" || said.Digest != r.Digest || res.code != exitFailed {
		t.Errorf("%v %+v", err, res)
	}
	a.reply = approvals.Reply{Accepted: true}
	res = do(t, "approvals", "approve", r.Approval, "--digest", r.Digest, "--json")
	<-a.answers
	if err := json.Unmarshal([]byte(res.stdout), &said); err != nil || !said.Accepted || res.code != exitDone || !strings.Contains(res.stderr, "terminate 2 instances") {
		t.Errorf("%v %+v", err, res)
	}
	// Nothing of these is sent.
	a.publish("outcome", r.Approval, approvals.Outcome{Approval: r.Approval, Outcome: approvals.Expired, At: time.Now()})
	open, gone := a.terminate(time.Hour), a.terminate(-time.Second)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"approve " + r.Approval + " --yes", exitFailed, "too late: it is expired"},
		{"deny " + gone.Approval, exitFailed, "too late: it is expired at"},
		{"approve " + open.Approval, exitUsage, "no terminal to ask on: give --yes"},
		{"approve " + open.Approval + " --digest " + strings.Repeat("cd", 32), exitFailed, "its digest is abab"},
		{"approve " + open.Approval + " --yes --for 15m", exitUsage, "belong together"},
		{"approve " + open.Approval + " --yes --count 2", exitUsage, "belong together"},
		{"approve " + open.Approval + " --yes --for 0s --count 2", exitUsage, "lets nothing through"},
		{"approve " + open.Approval + " --yes --for 15m --count 0", exitUsage, "lets nothing through"},
		{"approve " + open.Approval + " --for 1m --count 2 --digest " + open.Digest, exitUsage, "a grant is read before it is given"},
		{"approve " + open.Approval + " --yes --action ec2:Get* --resource " + instances, exitUsage, "belong together"},
		{"approve " + open.Approval + " --yes --for 1m --count 2 --action ec2:Get*", exitUsage, "belong together"},
		{"approve " + open.Approval + " --yes --for 1m --count 2 --resource " + instances, exitUsage, "belong together"},
		{"approve " + open.Approval + " --yes --for 1m --count 2 --action ec2:Get* --resource " + instances, exitFailed, "needs ec2:TerminateInstances"},
		{"approve " + open.Approval + " --yes --for 1m --count 2 --action ec2:* --resource " + instances, exitFailed, "leaves open what is done"},
		{"approve " + open.Approval + " --yes --for 1m --count 2 --action ec2:TerminateInstances --resource *", exitFailed, "6 parts"},
		{"revoke " + open.Approval, exitFailed, "no live grant is of an approval"},
		{"revoke x", exitFailed, "four or more"},
		{"approve " + open.Approval + " --yes --for 61m --count 1", exitUsage, "up to 1h0m0s"},
		{"approve " + open.Approval + " --yes --for 1m --count 101", exitUsage, "up to 100"},
		{"approve " + open.Approval + " --yes --reason " + strings.Repeat("x", 1025), exitUsage, "may have 1024"},
		{"deny " + open.Approval + " --token-file none", exitFailed, "none"},
		{"deny", exitUsage, "accepts 1 arg"},
	} {
		res := do(t, append([]string{"approvals"}, strings.Fields(c.args)...)...)
		if res.code != c.code || !strings.Contains(res.stderr, c.want) {
			t.Errorf("%s: %+v", c.args, res)
		}
		clean(t, res)
	}
	edit(t, "sallyport.yaml", "local: true", "local: false\n  issuers: [{issuer: \"https://idp.example.com/\", audience: sallyport}]")
	if res := do(t, "approvals", "deny", open.Approval); res.code != exitFailed || !strings.Contains(res.stderr, "--token-file") {
		t.Errorf("%+v", res)
	}
	select {
	case got := <-a.answers:
		t.Errorf("sent %+v", got)
	default:
	}
}

// onTerminal has every reader and writer be a terminal.
func onTerminal(t *testing.T) {
	before := isTerminal
	isTerminal = func(any) bool { return true }
	t.Cleanup(func() { isTerminal = before })
}

// On a terminal nothing but yes is a yes, and what was shown is what is sent, even
// where the request is another one by then.
func TestApproveAsks(t *testing.T) {
	a := newAsking(t)
	a.listen()
	r := a.terminate(time.Hour)
	onTerminal(t)
	approve := func(in io.Reader) (int, string) {
		var out, errs logtest.Buffer
		code := run(t.Context(), []string{"approvals", "approve", r.Approval}, in, &out, &errs)
		return code, out.String() + errs.String()
	}
	for _, in := range []string{"", "\n", "y\n", "YES\n", "no\n", "yes please\n", "EOF\n"} {
		if code, said := approve(strings.NewReader(in)); code != exitFailed || !strings.Contains(said, "nothing was sent") || !strings.Contains(said, r.Digest) {
			t.Errorf("%q: %d %s", in, code, said)
		}
	}
	reader, writer := io.Pipe()
	go func() {
		other := r
		other.Digest = strings.Repeat("cd", 32)
		a.publish("pending", r.Approval, other)
		_, _ = writer.Write([]byte("yes\n"))
	}()
	if code, said := approve(reader); code != exitDone || !strings.Contains(said, "Type yes to approve: ") {
		t.Errorf("%d %s", code, said)
	}
	if got := <-a.answers; got.Digest != r.Digest {
		t.Errorf("sent %s, which was not shown", got.Digest)
	}
	// What a grant is said to be is what is sent, and a digest alone does not agree to it.
	var out, errs logtest.Buffer
	code := run(t.Context(), []string{"approvals", "approve", r.Approval, "--for", "15m", "--count", "4", "--digest", r.Digest}, strings.NewReader("yes\n"), &out, &errs)
	if said := out.String(); code != exitDone || !strings.Contains(said, "at most 4 calls of this session") || strings.Index(said, "at most 4 calls") > strings.Index(said, "Type yes to approve: ") {
		t.Errorf("%d %s %s", code, said, errs.String())
	}
	if got := <-a.answers; got.Grant == nil || got.Grant.Count != 4 {
		t.Errorf("sent %+v", got.Grant)
	}
	ctx, cancel := context.WithCancel(t.Context())
	never, _ := io.Pipe()
	cancel()
	if err := confirm(ctx, never, io.Discard); err == nil {
		t.Error("Ctrl-C is a yes")
	}
}

func TestApprovalsWatch(t *testing.T) {
	a := newAsking(t)
	first := a.terminate(time.Hour)
	out, _, stop := start(t, "approvals", "watch")
	js, _, stopJSON := start(t, "approvals", "watch", "--json")
	until(t, "what was pending", func() bool {
		return strings.Contains(out.String(), first.Approval+"  pending until ") && strings.Contains(js.String(), `{"pending":{"approval":"`+first.Approval)
	})
	second := a.terminate(time.Hour)
	a.publish("outcome", second.Approval, approvals.Outcome{Approval: second.Approval, Outcome: approvals.Approved, At: time.Now(), Approvers: []approvals.Vote{{Subject: "alice", Decision: approvals.Allow}}})
	until(t, "what came", func() bool {
		return strings.Contains(out.String(), second.Approval+"  approved at ") && strings.Contains(out.String(), `allow by "alice"`) && strings.Contains(js.String(), `{"outcome":{"approval":"`+second.Approval)
	})
	if stop() != exitDone || stopJSON() != exitDone {
		t.Error("Ctrl-C is a failure")
	}
	if n := strings.Count(out.String(), "\n"); n != 3 || !strings.Contains(out.String(), "risk 60, \"local-agent\": terminate 2 instances") {
		t.Errorf("%d lines:\n%s", n, out)
	}
}

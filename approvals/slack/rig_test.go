package slack_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/approvals/slack"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/logtest"
	"github.com/sallyport/sallyport/internal/oidctest"
	"github.com/sallyport/sallyport/internal/secret"
)

// rig is gateways on one bus, with the fake of Slack, an issuer of people, and an
// approver's side of NATS.
type rig struct {
	t        *testing.T
	slack    *fakeSlack
	server   *bus.Server
	verifier *identity.Verifier
	issuer   *oidctest.Issuer
	ids      *event.IDs
	client   *approvals.Client
	log      *logtest.Buffer

	mu      sync.Mutex
	later   time.Duration
	events  []event.Event
	results chan string // what became of each try
}

// gateway is one process: a broker and its notifier.
type gateway struct {
	broker *approvals.Broker
	stop   func()
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.later)
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.later += d
}

func (r *rig) recorded() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, _ := json.Marshal(r.events)
	return string(text)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, slack: newFakeSlack(t), log: &logtest.Buffer{}, results: make(chan string, 256)}
	r.ids = event.NewIDs(r.now)
	var err error
	if r.issuer, err = oidctest.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.issuer.Close)
	root := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, r.issuer.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if r.verifier, err = identity.NewVerifier([]identity.IssuerConfig{{Issuer: r.issuer.URL, Audience: "approvers", CAFile: root}}, identity.Options{Now: r.now}); err != nil {
		t.Fatal(err)
	}
	if r.server, err = bus.Start(t.Context(), bus.ServerOptions{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.server.Shutdown)
	approver, err := bus.Connect(t.Context(), bus.Options{Role: bus.Approver, URL: r.server.URL(), CredsFile: r.server.CredsFile(bus.Approver)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(approver.Close)
	if r.client, err = approvals.NewClient(approvals.ClientOptions{Conn: approver}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.nothingLeaked)
	return r
}

// nothingLeaked looks for what no log may have.
func (r *rig) nothingLeaked() {
	logged := r.log.String()
	for _, no := range []string{botToken, appToken, "secret-ticket", "eyJ"} {
		if strings.Contains(logged, no) || strings.Contains(r.recorded(), no) {
			r.t.Errorf("%s is in the log or on record:\n%s", no, logged)
		}
	}
}

// gateway starts one, listening where listening is set.
func (r *rig) gateway(listening bool) *gateway {
	r.t.Helper()
	conn, err := bus.Connect(r.t.Context(), bus.Options{Role: bus.Gateway, InProcess: r.server})
	if err != nil {
		r.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b, err := approvals.NewBroker(r.t.Context(), approvals.Options{Conn: conn, Prefix: "sallyport", Verifier: r.verifier, MaxPending: 50, IDs: r.ids, Source: "sallyport/test", Now: r.now, Log: log,
		Append: func(_ context.Context, e ...event.Event) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e...)
			return nil
		}})
	if err != nil {
		r.t.Fatal(err)
	}
	n, err := slack.New(r.t.Context(), slack.Options{
		Broker: b, Consumer: bus.SlackDurable, BotToken: secret.New(botToken), AppToken: secret.New(appToken), Channel: channel, LinkFor: 24 * time.Hour,
		APIURL: r.slack.http.URL + "/api/", Now: r.now, Log: log,
		Count: func(result string) { r.results <- result },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); n.Run(ctx) }()
	if listening {
		take(r.t, r.slack.opened)
	}
	stop := sync.OnceFunc(func() { cancel(); <-done; n.Close(); b.Close(); conn.Close() })
	r.t.Cleanup(stop)
	return &gateway{b, stop}
}

func (r *rig) token(subject, email string, groups ...string) string {
	return r.issuer.Token(oidctest.With(r.issuer.Claims(subject, "approvers", r.now()), map[string]any{"email": email, "email_verified": true, "groups": groups}))
}

// request is one that waits; change may be nil.
func (r *rig) request(g *gateway, change func(*approvals.Request)) approvals.Request {
	r.t.Helper()
	now := r.now()
	q := approvals.Request{
		Approval: r.ids.New(), RequestID: r.ids.New(), SessionID: r.ids.New(), Who: event.UserIdentity{Issuer: "https://agents.example", Subject: "bot", Label: "fix-42"},
		Target: "dev", RoleARN: "arn:aws:iam::111122223333:role/agent", Account: "111122223333", Region: "eu-west-1", Service: "ec2", Operation: "TerminateInstances",
		Actions: []string{"ec2:TerminateInstances"}, AccessLevel: "Write", Resources: []event.Resource{{ARN: "arn:aws:ec2:eu-west-1:111122223333:instance/i-0abc", Type: "instance"}},
		Parameters: map[string]any{"InstanceIds": []any{"i-0abc"}}, Risk: event.Risk{Score: 70, Reasons: []string{"destroys: +50"}}, Rules: []string{"ask-first"},
		Approvers: []approvals.Needed{{Groups: []string{"sre"}, Count: 1}}, PolicyVersion: "5b1e", Created: now, Expires: now.Add(15 * time.Minute),
	}
	sum := sha256.Sum256([]byte(q.Approval))
	q.Digest = hex.EncodeToString(sum[:])
	if change != nil {
		change(&q)
	}
	q = q.Bounded()
	if rec, err := g.broker.Ask(r.t.Context(), q); err != nil || rec.State != approvals.StatePending {
		r.t.Fatalf("%s %v", rec.State, err)
	}
	return q
}

// ends waits for an approval's end.
func (r *rig) ends(g *gateway, q approvals.Request, want approvals.State) approvals.Record {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	rec, err := g.broker.Wait(ctx, q.Approval, q.Digest)
	if err != nil || rec.State != want {
		r.t.Fatalf("it is %s, not %s: %v", rec.State, want, err)
	}
	return rec
}

func (r *rig) pending(g *gateway, q approvals.Request) {
	r.t.Helper()
	if ok, err := g.broker.IsPending(r.t.Context(), q.Approval, q.Digest); err != nil || !ok {
		r.t.Errorf("it waits no more: %v", err)
	}
}

// told is the next message to one person.
func (r *rig) told(user, part string) string {
	r.t.Helper()
	got := take(r.t, r.slack.told)
	if !strings.HasPrefix(got, user+": ") || !strings.Contains(got, part) {
		r.t.Errorf("told was %q, not %s %q", got, user, part)
	}
	return got
}

// codeFrom is the code in what somebody was told.
func codeFrom(told string) string {
	_, rest, _ := strings.Cut(told, "approvals link ")
	return rest[:min(19, len(rest))]
}

// link links an account as its person would.
func (r *rig) link(user, value, token string) {
	r.t.Helper()
	r.slack.press(user, "approve", value, nil)
	code := codeFrom(r.told(user, "linked to nobody"))
	if _, err := r.client.Link(r.t.Context(), approvals.Redemption{Code: code, Token: token}); err != nil {
		r.t.Fatal(err)
	}
}

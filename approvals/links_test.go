package approvals

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/oidctest"
)

// linkRig is a gateway that links accounts, an issuer of people, and an approver.
type linkRig struct {
	issuer *oidctest.Issuer
	broker *Broker
	links  *Links
	client *Client
	gone   atomic.Value // string: a subject that was revoked
	email  atomic.Value // string or error: what the chat service says of every account

	mu     sync.Mutex
	later  time.Duration
	events []event.Event
}

func (r *linkRig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.later)
}

func (r *linkRig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.later += d
}

func (r *linkRig) recorded() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, _ := json.Marshal(r.events)
	return string(text)
}

func (r *linkRig) token(subject, email string, more map[string]any) string {
	claims := oidctest.With(r.issuer.Claims(subject, "approvers", r.now()), map[string]any{"email": email, "email_verified": true, "groups": []string{"sre"}})
	return r.issuer.Token(oidctest.With(claims, more))
}

func newLinkRig(t *testing.T) *linkRig {
	t.Helper()
	r := &linkRig{}
	var err error
	if r.issuer, err = oidctest.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.issuer.Close)
	root := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, r.issuer.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	verifier, err := identity.NewVerifier([]identity.IssuerConfig{{Issuer: r.issuer.URL, Audience: "approvers", CAFile: root}}, identity.Options{Now: r.now})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := bus.Start(t.Context(), bus.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	gateway, err := bus.Connect(t.Context(), bus.Options{Role: bus.Gateway, InProcess: srv})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	r.broker, err = NewBroker(t.Context(), Options{
		Stopped: func(_ context.Context, issuer, subject string) error {
			if subject == r.gone.Load() && issuer == r.issuer.URL {
				return errors.New("it was revoked")
			}
			return nil
		}, Conn: gateway, Prefix: "sallyport", Verifier: verifier, MaxPending: 5, IDs: event.NewIDs(r.now), Source: "sallyport/test", Now: r.now,
		Append: func(_ context.Context, e ...event.Event) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e...)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.broker.Close)
	r.email.Store("ann@acme.example")
	r.links, err = r.broker.Links(t.Context(), LinkOptions{Medium: "slack", For: 24 * time.Hour, Email: func(context.Context, Account) (string, error) {
		switch v := r.email.Load().(type) {
		case string:
			return v, nil
		default:
			return "", v.(error)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.links.Close)
	approver, err := bus.Connect(t.Context(), bus.Options{Role: bus.Approver, URL: srv.URL(), CredsFile: srv.CredsFile(bus.Approver)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(approver.Close)
	if r.client, err = NewClient(ClientOptions{Conn: approver}); err != nil {
		t.Fatal(err)
	}
	return r
}

var annInSlack = Account{Team: "T1", User: "U1"}

func (r *linkRig) link(t *testing.T) Link {
	t.Helper()
	text, err := r.links.Code(t.Context(), annInSlack)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Link(t.Context(), Redemption{Code: text, Token: r.token("ann", "Ann@ACME.example", nil)}); err != nil {
		t.Fatal(err)
	}
	l, err := r.links.Find(t.Context(), annInSlack)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A code links one account to one person, once.
func TestLink(t *testing.T) {
	r := newLinkRig(t)
	if _, err := r.links.Find(t.Context(), annInSlack); !errors.Is(err, ErrNotLinked) {
		t.Fatalf("before: %v", err)
	}
	l := r.link(t)
	if l.Issuer != r.issuer.URL || l.Subject != "ann" || l.Email != "Ann@ACME.example" || len(l.Groups) != 1 || l.Until.Sub(r.now()) > 24*time.Hour {
		t.Errorf("%+v", l)
	}
	for _, other := range []Account{{"T1", "U2"}, {"T2", "U1"}, {"", ""}, {"T1", "*"}, {"T1.U1", "U1"}} {
		if got, err := r.links.Find(t.Context(), other); !errors.Is(err, ErrNotLinked) {
			t.Errorf("%v is %+v", other, got)
		}
	}
	r.pass(24 * time.Hour)
	if got, err := r.links.Find(t.Context(), annInSlack); !errors.Is(err, ErrNotLinked) {
		t.Errorf("a day later: %+v %v", got, err)
	}
	if _, err := r.links.Vote(t.Context(), l, ids.New(), strings.Repeat("ab", 32), Allow, ""); err == nil || !strings.Contains(err.Error(), "link has ended") {
		t.Errorf("a vote by a link that has ended: %v", err)
	}
}

func TestLinkRefused(t *testing.T) {
	r := newLinkRig(t)
	fresh := func() string {
		t.Helper()
		text, err := r.links.Code(t.Context(), annInSlack)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	ann := r.token("ann", "ann@acme.example", nil)
	refused := func(name, code, token, want string) {
		t.Helper()
		_, err := r.client.Link(t.Context(), Redemption{Code: code, Token: token})
		var no *RefusedError
		if !errors.As(err, &no) || !strings.Contains(no.Reason, want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.links.Find(t.Context(), annInSlack); !errors.Is(err, ErrNotLinked) {
			t.Errorf("%s: linked", name)
		}
	}
	mallory := r.token("mallory", "mallory@acme.example", nil)
	code := fresh()
	refused("another's address", code, mallory, "another e-mail address")
	refused("a code that was used in vain", code, ann, "was used")
	refused("no such code", "AAAA-BBBB-CCCC-DDDD", ann, "not known")
	refused("no code", "x", ann, "not known")
	refused("another's subject", "../../x", ann, "not known")
	refused("address not verified", fresh(), r.token("ann", "ann@acme.example", map[string]any{"email_verified": false, "name": "Ann"}), "no verified e-mail")
	refused("agents' audience", fresh(), r.token("ann", "ann@acme.example", map[string]any{"aud": "sallyport"}), "audience")
	refused("a program", fresh(), r.token("ann", "ann@acme.example", map[string]any{"idtyp": "app"}), "program")
	refused("no token", fresh(), "", "code and token")
	refused("forged", fresh(), ann[:len(ann)-4]+"AAAA", "")
}

func TestLinkOfAGuest(t *testing.T) {
	r := newLinkRig(t)
	r.email = atomic.Value{}
	r.email.Store(errors.New("the account is a guest's"))
	text, err := r.links.Code(t.Context(), annInSlack)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Link(t.Context(), Redemption{Code: text, Token: r.token("ann", "ann@acme.example", nil)}); err == nil || !strings.Contains(err.Error(), "guest") {
		t.Error(err)
	}
	if got := r.recorded(); !strings.Contains(got, "the link of an account was refused: the account is a guest's") || !strings.Contains(got, `"subject":"ann"`) || strings.Contains(got, text) {
		t.Errorf("on record: %s", got)
	}
}

// Ten minutes, and once, whoever else has it.
func TestCodeIsGoodOnce(t *testing.T) {
	r := newLinkRig(t)
	token := r.token("ann", "ann@acme.example", nil)
	for range 5 {
		text, err := r.links.Code(t.Context(), annInSlack)
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		var taken atomic.Int32
		for range 8 {
			wait.Go(func() {
				if _, err := r.links.take(t.Context(), strings.ReplaceAll(text, "-", "")); err == nil {
					taken.Add(1)
				}
			})
		}
		wait.Wait()
		if n := taken.Load(); n != 1 {
			t.Fatalf("a code was taken %d times", n)
		}
	}
	text, err := r.links.Code(t.Context(), annInSlack)
	if err != nil {
		t.Fatal(err)
	}
	r.pass(CodeFor)
	if _, err := r.client.Link(t.Context(), Redemption{Code: text, Token: token}); err == nil || !strings.Contains(err.Error(), "older than 10 minutes") {
		t.Errorf("ten minutes later: %v", err)
	}
}

// A vote through a link is held to all that an answer is held to, says where it came
// from, and is on record when it is refused.
func TestVoteOfALink(t *testing.T) {
	r := newLinkRig(t)
	l := r.link(t)
	ask := func(i int) Request {
		t.Helper()
		q := liveRequest(i, Needed{Groups: []string{"sre"}, Count: 2})
		if _, err := r.broker.Ask(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		return q
	}
	q := ask(1)
	other := ask(2)
	changed := func(f func(*Link)) Link { c := l; f(&c); return c }
	for name, c := range map[string]struct {
		link             Link
		approval, digest string
		decision, reason string
		want             string
	}{
		"the agent itself":  {changed(func(l *Link) { l.Issuer, l.Subject = q.Who.Issuer, q.Who.Subject }), q.Approval, q.Digest, Allow, "", "nobody approves their own"},
		"other groups":      {changed(func(l *Link) { l.Groups = []string{"guests"} }), q.Approval, q.Digest, Allow, "", "none of the groups"},
		"another's digest":  {l, q.Approval, other.Digest, Allow, "", "the digest is not that"},
		"no such digest":    {l, q.Approval, strings.Repeat("0", 64), Allow, "", "the digest is not that"},
		"no digest":         {l, q.Approval, "slack.link.T1.U1", Allow, "", "names no approval"},
		"no decision":       {l, q.Approval, q.Digest, "", "", "decision"},
		"a long reason":     {l, q.Approval, q.Digest, Deny, strings.Repeat("x", MaxReason+1), "limit is 1024"},
		"nobody":            {Link{}, q.Approval, q.Digest, Allow, "", "linked to nobody"},
		"a link without id": {changed(func(l *Link) { l.Account = Account{} }), q.Approval, q.Digest, Allow, "", "linked to nobody"},
	} {
		if _, err := r.links.Vote(t.Context(), c.link, c.approval, c.digest, c.decision, c.reason); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		} else if !strings.Contains(r.recorded(), strings.Split(c.want, "\"")[0]) {
			t.Errorf("%s is not on record", name)
		}
	}
	rec, err := r.links.Vote(t.Context(), l, q.Approval, q.Digest, Allow, "ok")
	if err != nil || rec.State != StatePending || len(rec.Votes) != 1 || rec.Votes[0].Via != "slack" {
		t.Fatalf("%+v %v", rec, err)
	}
	if _, err := r.links.Vote(t.Context(), l, q.Approval, q.Digest, Allow, ""); err == nil || !strings.Contains(err.Error(), "approved already") {
		t.Errorf("twice: %v", err)
	}
	// The same person on NATS is no other one.
	err = r.client.Answer(t.Context(), Answer{Approval: q.Approval, Digest: q.Digest, Decision: Allow, Token: r.token("ann", "ann@acme.example", nil)})
	if err == nil || !strings.Contains(err.Error(), "approved already") {
		t.Errorf("once here, once there: %v", err)
	}
	if err := r.client.Answer(t.Context(), Answer{Approval: q.Approval, Digest: q.Digest, Decision: Allow, Token: r.token("bob", "bob@acme.example", nil)}); err != nil {
		t.Fatal(err)
	}
	if got := r.recorded(); !strings.Contains(got, `"via":"slack"`) {
		t.Error("the outcome does not say that a vote came through Slack")
	}
	if rec, err := r.links.Vote(t.Context(), l, other.Approval, other.Digest, Deny, ""); err != nil || rec.State != StateDenied {
		t.Errorf("%s %v", rec.State, err)
	}
	if ok, err := r.broker.IsPending(t.Context(), other.Approval, other.Digest); ok || err != nil {
		t.Error("it waits still")
	}
}

// What no gateway wrote as a link is none: a user of NATS who may create consumers can
// have other streams' messages copied into the bucket.
func TestForgedLink(t *testing.T) {
	r := newLinkRig(t)
	l := r.link(t)
	good, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	bob := Account{"T1", "U2"}
	for name, text := range map[string]string{
		"another's": string(good), "an event": `{"specversion":"1.0","team":"T1","user":"U2"}`, "empty": "", "null": "null", "zero": `{"team":"T1","user":"U2"}`,
		"another member": strings.NewReplacer("U1", "U2", `{"team"`, `{"specversion":"1.0","team"`).Replace(string(good)),
		"more behind":    strings.Replace(string(good), "U1", "U2", 1) + "{}", "another issuer": strings.NewReplacer("U1", "U2", r.issuer.URL, "https://evil.example").Replace(string(good)),
	} {
		if _, err := r.broker.store.kv.Put(t.Context(), "slack.link.T1.U2", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := r.links.Find(t.Context(), bob); !errors.Is(err, ErrNotLinked) {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	if _, err := r.broker.store.kv.Put(t.Context(), "slack.link.T1.U2", []byte(strings.Replace(string(good), "U1", "U2", 1))); err != nil {
		t.Fatal(err)
	}
	if _, err := r.links.Find(t.Context(), bob); err != nil {
		t.Errorf("this test tests nothing: %v", err)
	}
}

func TestSameMailbox(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{{"Ann@Acme.example", "ann@acme.EXAMPLE", true}, {"", "", false}, {"ann@acme.example", "ann@acme.example ", false}, {"k@x", "\u212a@x", false}, {"s@x", "\u017f@x", false}, {"é@x", "É@x", false}, {"é@x", "é@X", true}} {
		if SameMailbox(c.a, c.b) != c.same || SameMailbox(c.b, c.a) != c.same {
			t.Errorf("%q %q: %v", c.a, c.b, !c.same)
		}
	}
}

func FuzzParseRedemption(f *testing.F) {
	f.Add([]byte(`{"code":"abcd-efgh-2345-6789","token":"t"}`))
	f.Add([]byte(`{"code":"ABCDEFGH23456777","token":"secret"}`))
	f.Add([]byte(`{"code":"slack.link.T1.U1","token":"t"}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRedemption(b)
		switch {
		case err == nil && (len(r.Code) != 16 || strings.ContainsAny(r.Code, ".*> ") || r.Token == "" || len(b) > maxLink):
			t.Errorf("%q was taken as %+v", b, r)
		case err != nil && (r != Redemption{}):
			t.Errorf("%q: an error and %+v", b, r)
		}
	})
}

// Who is revoked neither links an account nor answers by one that was linked before.
func TestRevokedLink(t *testing.T) {
	r := newLinkRig(t)
	l := r.link(t)
	q := liveRequest(1, Needed{Groups: []string{"sre"}, Count: 1})
	q.Expires = r.now().Add(time.Hour)
	if _, err := r.broker.Ask(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	r.gone.Store("ann")
	for _, decision := range []string{Allow, Deny} {
		if rec, err := r.links.Vote(t.Context(), l, q.Approval, q.Digest, decision, ""); err == nil || !strings.Contains(err.Error(), "revoked") || !strings.Contains(r.recorded(), "it was revoked") {
			t.Errorf("%s: %s %v", decision, rec.State, err)
		}
	}
	text, err := r.links.Code(t.Context(), annInSlack)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Link(t.Context(), Redemption{Code: text, Token: r.token("ann", "ann@acme.example", nil)}); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("linked: %v", err)
	}
	r.gone.Store("")
	if rec, err := r.links.Vote(t.Context(), l, q.Approval, q.Digest, Allow, ""); err != nil || rec.State != StateApproved {
		t.Errorf("lifted: %s %v", rec.State, err)
	}
}

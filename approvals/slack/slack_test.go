package slack_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
)

// The whole way: posted, a press by nobody, a code, a link, a press that counts, and
// the message says who decided.
func TestApproveInSlack(t *testing.T) {
	r := newRig(t)
	g := r.gateway(true)
	q := r.request(g, nil)
	p := take(t, r.slack.changed)
	if p.title() != "Approval needed, risk 70 of 100" {
		t.Error(p.title())
	}
	for _, want := range []string{`terminate instance "i-0abc" in account 111122223333 (dev), eu-west-1`, q.Digest, q.Approval, "destroys: +50", "ask-first", "1 person of sre", `InstanceIds = ["i-0abc"]`, "5b1e", `"bot"`} {
		if !strings.Contains(p.all(), want) {
			t.Errorf("%s is not in the message: %q", want, p.all())
		}
	}
	r.slack.press("U0ANN", "approve", p.button("approve"), nil)
	code := codeFrom(r.told("U0ANN", "linked to nobody"))
	r.pending(g, q)
	until, err := r.client.Link(t.Context(), approvals.Redemption{Code: code, Token: r.token("ann", "Ann@acme.example", "sre")})
	if err != nil || until.After(r.now().Add(24*time.Hour)) {
		t.Fatal(until, err)
	}
	r.slack.press("U0ANN", "approve", p.button("approve"), nil)
	r.told("U0ANN", "Accepted")
	rec := r.ends(g, q, approvals.StateApproved)
	if v := rec.Votes[0]; v.Subject != "ann" || v.Issuer != r.issuer.URL || v.Via != "slack" || v.Email != "Ann@acme.example" {
		t.Errorf("%+v", v)
	}
	after := take(t, r.slack.changed)
	if after.ts != p.ts || after.title() != "Approved" || after.button("approve") != "" || after.button("deny") != "" || !strings.Contains(after.all(), `approved: allow by "Ann@acme.example" through slack`) || !strings.Contains(after.all(), q.Digest) {
		t.Errorf("%s %s", after.title(), after.raw)
	}
	r.slack.press("U0ANN", "approve", p.button("approve"), nil)
	r.told("U0ANN", "this approval has ended: it is approved")
}

// A denial takes a reason.
func TestDenyInSlack(t *testing.T) {
	r := newRig(t)
	g := r.gateway(true)
	q := r.request(g, nil)
	p := take(t, r.slack.changed)
	r.slack.press("U0ANN", "deny", p.button("deny"), nil)
	code := codeFrom(r.told("U0ANN", "linked to nobody"))
	if _, err := r.client.Link(t.Context(), approvals.Redemption{Code: code, Token: r.token("ann", "ann@acme.example", "sre")}); err != nil {
		t.Fatal(err)
	}
	r.slack.press("U0ANN", "deny", p.button("deny"), nil)
	view := take(t, r.slack.views)
	r.pending(g, q)
	send := func(user, about string) {
		t.Helper()
		r.slack.send(map[string]any{"type": "view_submission", "team": map[string]any{"id": team}, "user": map[string]any{"id": user, "team_id": team},
			"view": map[string]any{"callback_id": view["callback_id"], "private_metadata": about,
				"state": map[string]any{"values": map[string]any{"reason": map[string]any{"reason": map[string]any{"type": "plain_text_input", "value": "not <!channel> *today*"}}}}}})
	}
	r.slack.user("U0BOB", "bob@acme.example", nil)
	send("U0BOB", view["private_metadata"].(string))
	r.told("U0BOB", "linked to nobody")
	send("U0ANN", q.Approval+"."+strings.Repeat("0", 64))
	r.told("U0ANN", "the digest is not that")
	r.pending(g, q)
	send("U0ANN", view["private_metadata"].(string))
	r.told("U0ANN", "Accepted")
	rec := r.ends(g, q, approvals.StateDenied)
	if rec.Votes[0].Reason != "not <!channel> *today*" {
		t.Errorf("%+v", rec.Votes)
	}
	after := take(t, r.slack.changed)
	if after.title() != "Denied" || !strings.Contains(after.all(), "not <!channel> *today*") {
		t.Error(after.raw)
	}
	check(t, after)
}

// Buttons that must not count, each with its reason, on record.
func TestPressesThatDoNotCount(t *testing.T) {
	r := newRig(t)
	g := r.gateway(true)
	self := func(q *approvals.Request) { q.Email = "ann@acme.example" }
	q, own := r.request(g, nil), r.request(g, self)
	p, mine := take(t, r.slack.changed), take(t, r.slack.changed)
	r.link("U0ANN", p.button("approve"), r.token("ann", "ann@acme.example", "sre"))
	press := func(user, value, want string, more map[string]any) {
		t.Helper()
		r.slack.press(user, "approve", value, more)
		r.told(user, want)
		if !strings.Contains(r.recorded(), want) {
			t.Errorf("%q is not on record", want)
		}
		r.pending(g, q)
		r.pending(g, own)
	}
	press("U0ANN", mine.button("approve"), "nobody approves their own request", nil)
	press("U0ANN", q.Approval+"."+own.Digest, "the digest is not that", nil)
	press("U0ANN", q.Approval+"."+strings.Repeat("f", 64), "the digest is not that", nil)
	press("U0ANN", "x", "names no approval", nil)
	press("U0ANN", q.Approval+".slack.link.T0ACME.U0ANN", "names no approval", nil)
	for user, more := range map[string]map[string]any{
		"U0GUEST": {"is_restricted": true}, "U0SINGLE": {"is_ultra_restricted": true}, "U0GONE": {"deleted": true}, "U0ROBOT": {"is_bot": true},
	} {
		r.slack.user(user, "ann@acme.example", more)
		press(user, p.button("approve"), "guests, bots and accounts that are not active", nil)
	}
	r.slack.user("U0STRANGER", "ann@acme.example", map[string]any{"team_id": "T0OTHER"})
	press("U0STRANGER", p.button("approve"), "own Slack workspace", nil)
	press("U0STRANGER", p.button("approve"), "own Slack workspace", map[string]any{"user": map[string]any{"id": "U0STRANGER", "team_id": "T0OTHER"}})
	press("U0ANN", p.button("approve"), "own Slack workspace", map[string]any{"user": map[string]any{"id": "U0ANN", "team_id": "T0OTHER"}})
	r.slack.user("U0NOMAIL", "", nil)
	press("U0NOMAIL", p.button("approve"), "no confirmed e-mail", nil)
	r.slack.user("U0CLAIM", "ann@acme.example", map[string]any{"is_email_confirmed": false})
	press("U0CLAIM", p.button("approve"), "no confirmed e-mail", nil)
	// Another channel's button says nothing to anybody.
	r.slack.press("U0ANN", "approve", p.button("approve"), map[string]any{"channel": map[string]any{"id": "C0OTHER"}})
	// The address of the profile is no longer the person's.
	r.slack.user("U0ANN", "mallory@acme.example", nil)
	r.slack.press("U0ANN", "approve", p.button("approve"), nil)
	r.told("U0ANN", "linked to nobody")
	r.pending(g, q)
	if !strings.Contains(r.recorded(), "no longer that of the person") {
		t.Error("the changed address is not on record")
	}
	r.slack.user("U0ANN", "ann@acme.example", nil)
	// A group that is asked no more, as far as the link knows.
	other := r.request(g, func(q *approvals.Request) { q.Approvers = []approvals.Needed{{Groups: []string{"security"}, Count: 1}} })
	o := take(t, r.slack.changed)
	r.slack.press("U0ANN", "approve", o.button("approve"), nil)
	r.told("U0ANN", "none of the groups")
	r.pending(g, other)
	// A day later nobody is linked.
	r.pass(24 * time.Hour)
	late := r.request(g, nil)
	l := take(t, r.slack.changed)
	for l.button("approve") == "" { // those that have expired meanwhile
		l = take(t, r.slack.changed)
	}
	r.slack.press("U0ANN", "approve", l.button("approve"), nil)
	r.told("U0ANN", "linked to nobody")
	r.pending(g, late)
}

// Codes: another's address, twice, too late, too many.
func TestCodes(t *testing.T) {
	r := newRig(t)
	g := r.gateway(true)
	q := r.request(g, nil)
	p := take(t, r.slack.changed)
	press := func() string {
		t.Helper()
		r.slack.press("U0ANN", "approve", p.button("approve"), nil)
		return codeFrom(r.told("U0ANN", "linked to nobody"))
	}
	redeem := func(code, token, want string) {
		t.Helper()
		_, err := r.client.Link(t.Context(), approvals.Redemption{Code: code, Token: token})
		var refused *approvals.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(refused.Reason, want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
	ann := r.token("ann", "ann@acme.example", "sre")
	// Somebody sent their code to ann: it is not her account that it was made for.
	r.slack.user("U0MALLORY", "mallory@acme.example", nil)
	r.slack.press("U0MALLORY", "approve", p.button("approve"), nil)
	trap := codeFrom(r.told("U0MALLORY", "linked to nobody"))
	redeem(trap, ann, "another e-mail address")
	redeem(trap, r.token("mallory", "mallory@acme.example", "guests"), "was used")
	code := press()
	if _, err := r.client.Link(t.Context(), approvals.Redemption{Code: strings.ToLower(code), Token: ann}); err != nil {
		t.Fatal(err)
	}
	redeem(code, ann, "was used")
	r.pending(g, q)
	// Many presses make few codes.
	r.slack.user("U0BOB", "bob@acme.example", nil)
	var codes []string
	for range 3 {
		r.slack.press("U0BOB", "approve", p.button("approve"), nil)
		codes = append(codes, codeFrom(r.told("U0BOB", "linked to nobody")))
	}
	r.slack.press("U0BOB", "approve", p.button("approve"), nil)
	r.told("U0BOB", "codes already")
	r.pass(10 * time.Minute)
	redeem(codes[0], r.token("bob", "bob@acme.example", "sre"), "older than 10 minutes")
}

// Two gateways: one posts, and the press may come to the other, also after a restart
// of both; the one that runs then says how it ended.
func TestSeveralGatewaysAndRestart(t *testing.T) {
	r := newRig(t)
	one := r.gateway(true)
	two := r.gateway(true)
	var posts []*post
	var asked []approvals.Request
	for i := range 4 {
		asked = append(asked, r.request([]*gateway{one, two}[i%2], nil))
		posts = append(posts, take(t, r.slack.changed))
	}
	r.link("U0ANN", posts[0].button("approve"), r.token("ann", "ann@acme.example", "sre"))
	r.slack.press("U0ANN", "approve", posts[0].button("approve"), nil) // to the gateway that came last
	r.told("U0ANN", "Accepted")
	r.ends(one, asked[0], approvals.StateApproved)
	if p := take(t, r.slack.changed); p.ts != posts[0].ts || p.title() != "Approved" {
		t.Error(p.raw)
	}
	one.stop()
	two.stop()
	three := r.gateway(true)
	r.slack.press("U0ANN", "approve", posts[1].button("approve"), nil)
	r.told("U0ANN", "Accepted")
	r.ends(three, asked[1], approvals.StateApproved)
	if p := take(t, r.slack.changed); p.ts != posts[1].ts || p.title() != "Approved" {
		t.Error(p.raw)
	}
	if n := r.slack.called("chat.postMessage"); n != 4 {
		t.Errorf("4 requests, %d messages", n)
	}
}

// Slack that is away holds up nobody and loses nothing; what has ended meanwhile is not
// posted any more.
func TestSlackAway(t *testing.T) {
	r := newRig(t)
	r.slack.set(func() { r.slack.down = http.StatusServiceUnavailable })
	g := r.gateway(false)
	q, gone := r.request(g, nil), r.request(g, nil)
	if err := r.client.Answer(t.Context(), approvals.Answer{Approval: gone.Approval, Digest: gone.Digest, Decision: approvals.Allow, Token: r.token("ann", "ann@acme.example", "sre")}); err != nil {
		t.Fatal(err)
	}
	r.ends(g, gone, approvals.StateApproved)
	for take(t, r.results) != approvals.Retried {
	}
	r.slack.set(func() { r.slack.down = 0 })
	if p := take(t, r.slack.changed); !strings.Contains(p.all(), q.Digest) {
		t.Error(p.all())
	}
	q2 := r.request(g, nil)
	if p := take(t, r.slack.changed); !strings.Contains(p.all(), q2.Digest) {
		t.Errorf("what had ended was posted: %s", p.all())
	}
}

// What Slack does not take is left, and what comes after it is posted.
func TestSlackRefuses(t *testing.T) {
	r := newRig(t)
	g := r.gateway(true)
	r.slack.set(func() { r.slack.fails["chat.postMessage"] = "not_in_channel" })
	refused := r.request(g, nil)
	if got := take(t, r.results); got != approvals.Dropped {
		t.Errorf("it was %s", got)
	}
	r.slack.set(func() { delete(r.slack.fails, "chat.postMessage") })
	r.pending(g, refused)
	q := r.request(g, nil)
	if p := take(t, r.slack.changed); !strings.Contains(p.all(), q.Digest) {
		t.Error(p.all())
	}
	if log := r.log.String(); !strings.Contains(log, "not_in_channel") || !strings.Contains(log, refused.Approval) {
		t.Error(log)
	}
}

// The socket drops; buttons work again when it is back.
func TestReconnect(t *testing.T) {
	r := newRig(t)
	g := r.gateway(true)
	q := r.request(g, nil)
	p := take(t, r.slack.changed)
	r.link("U0ANN", p.button("approve"), r.token("ann", "ann@acme.example", "sre"))
	r.slack.drop()
	take(t, r.slack.opened)
	r.slack.press("U0ANN", "approve", p.button("approve"), nil)
	r.told("U0ANN", "Accepted")
	r.ends(g, q, approvals.StateApproved)
}

// Tokens go to Slack, and not to where something in between would send us.
func TestRedirect(t *testing.T) {
	r := newRig(t)
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	r.slack.set(func() { r.slack.redirect = other.URL })
	g := r.gateway(false)
	r.request(g, nil)
	if got := take(t, r.results); got != approvals.Dropped {
		t.Errorf("it was %s", got)
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d calls went elsewhere", n)
	}
}

// hostile are texts of agents that mean something to Slack, or to a reader.
var hostile = []string{
	"<!channel>", "<!here|x>", "<@U0ANN>", "<#C0APPROVALS>", "<http://evil.example|ok>", "*Approved by ann*", "_x_", "~x~", "`x`", "```x```", "&lt;!channel&gt;", ":white_check_mark:",
	"<!date^1392734382^{date}|now>", "a\nApproved: ann\n", "a\r\nb", "x\u202egnp.exe", "\u05d0\u05d1", "\x1b[2K", "@channel @here", "http://evil.example/ok", "\" Rule: none needed \"", "> quote",
	strings.Repeat("A", 2000), strings.Repeat("\U0001f600", 1000),
}

// check asserts that a message shows what an agent wrote where Slack parses nothing and
// nobody takes it for ours.
func check(t *testing.T, p *post) {
	t.Helper()
	_, bare := texts(p.blocks)
	for _, s := range bare {
		if s != ": " && s != "\n" && (!regexp.MustCompile("^[A-Z][A-Za-z ,]{0,19}$").MatchString(s) || slices.Contains(hostile, s)) {
			t.Errorf("%q looks like ours", s)
		}
	}
	if strings.ContainsAny(p.text, "<>*_~`@#\n\r\x1b\u202e") || strings.Contains(p.text, "://") || strings.Contains(strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(p.text), "&") {
		t.Errorf("the text for notifications is parsed: %q", p.text)
	}
	all, _ := texts(p.blocks)
	for _, s := range all {
		if strings.ContainsAny(s, "\r\x1b\u202e\u05d0") {
			t.Errorf("%q has what moves or turns a line", s)
		}
	}
}

func TestHostileNames(t *testing.T) {
	r := newRig(t)
	g := r.gateway(true)
	for _, s := range hostile {
		q := r.request(g, func(q *approvals.Request) {
			q.Who.Subject, q.Who.Label, q.Email, q.Reason = s, s, s, s
			q.Who.Groups = []string{s, s}
			q.Risk.Reasons, q.Rules = slices.Repeat([]string{strings.Repeat("r", 100)}, 20), slices.Repeat([]string{strings.Repeat("n", 100)}, 16)
			q.Actions, q.RoleARN = slices.Repeat([]string{"s3:DeleteBucket"}, 60), strings.Repeat("a", 300)
			q.Approvers = []approvals.Needed{{Groups: slices.Repeat([]string{strings.Repeat("g", 100)}, 16), Count: 1}}
			q.Resources = nil
			for range 70 {
				q.Resources = append(q.Resources, event.Resource{ARN: "arn:aws:s3:::" + s, AccountID: s})
			}
			q.Service, q.Operation = "s3", "DeleteBucket"
			q.Parameters = map[string]any{s: s, "Bucket": s, "List": []any{s, map[string]any{s: s}}}
			for i := range 70 {
				q.Parameters[strings.Repeat("p", i+1)] = s
			}
		})
		p := take(t, r.slack.changed) // the fake has checked the limits
		check(t, p)
		if !strings.Contains(p.all(), q.Digest) || p.button("approve") != q.Approval+"."+q.Digest || p.title() != "Approval needed, risk 70 of 100" {
			t.Errorf("%.40q: the message is not whole: %s", s, p.all())
		}
		if !strings.Contains(p.all(), "and 6 more that are not shown") && !strings.Contains(p.all(), "more, which `sallyport approvals show` has") {
			t.Errorf("%.40q: what is not shown is not said", s)
		}
	}
}

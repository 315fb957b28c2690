package approvals

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
)

var epoch = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// The people of the model. ann has two accounts; bot's owner has one at another
// issuer with the address that bot's token has.
var people = map[string]Vote{
	"ann":     {Issuer: "https://people", Subject: "ann", Email: "ann@acme.example", Groups: []string{"sre"}},
	"ann2":    {Issuer: "https://other", Subject: "a.smith", Email: "Ann@acme.example", Groups: []string{"sre", "security"}},
	"bob":     {Issuer: "https://people", Subject: "bob", Groups: []string{"sre", "security"}},
	"self":    {Issuer: "https://idp", Subject: "bot", Groups: []string{"sre", "security"}},
	"owner":   {Issuer: "https://people", Subject: "owner", Email: "OWNER@acme.example", Groups: []string{"sre", "security"}},
	"visitor": {Issuer: "https://people", Subject: "eve", Groups: []string{"guests"}},
}

func modelRequest(needed ...Needed) Request {
	return Request{
		Approval: "01J0000000000000000000000A", Digest: strings.Repeat("ab", 32),
		Who: event.UserIdentity{Issuer: "https://idp", Subject: "bot"}, Email: "owner@acme.example",
		RequestID: "a", SessionID: "01J0000000000000000000000S", PolicyVersion: "v", Extent: Extent(modelCall), Risk: event.Risk{Score: 60},
		Approvers: needed, Created: epoch, Expires: epoch.Add(10 * time.Minute),
	}
}

// modelCall is what every request of the model does.
var modelCall = &awsapi.Call{Service: "ec2", Operation: "StopInstances", Actions: []awsapi.Action{{Name: "ec2:StopInstances", Resources: []awsapi.Resource{{ARN: "arn:aws:ec2:eu-west-1:111122223333:instance/i-0a"}}}}}

// world is a record and what an observer remembers of it.
type world struct {
	Record  Record
	Grant   *GrantRecord `json:",omitempty"` // nil until it begins
	Revoked bool         // by an operator
	Ended   bool         // somebody has revoked the grant
	Taken   int          // calls that the grant let through
	Now     int          // index into instants
	First   State        // the first state that was not pending
	Uses    int          // claims that were given, and not returned
	Holder  string       // exchange that has the leave, as far as it knows
	Sent    int          // calls that went out under a claim
	Path    []string     `json:"-"`
}

// The beginning, before the grants end, and the moment at which the approval expires,
// after their end.
var instants = []time.Time{epoch, epoch.Add(5 * time.Minute), epoch.Add(10 * time.Minute)}

// All orders of votes by six people, with and without a grant, of expiry,
// cancellation, claims by two exchanges, which go out or cannot, more calls under the grant by its session and
// by another, its revocation by four people, the clock and restarts, until nothing new
// comes up. Every state that is reached is checked, and every step to it.
func TestModel(t *testing.T) {
	states := 0
	for name, needed := range map[string][]Needed{
		"one":         {{Groups: []string{"sre"}, Count: 1}},
		"two":         {{Groups: []string{"sre"}, Count: 2}},
		"both groups": {{Groups: []string{"sre"}, Count: 2}, {Groups: []string{"security"}, Count: 1}},
		"nobody":      {{}},
		"no entry":    nil,
	} {
		n := explore(t, needed)
		t.Logf("%s: %d states", name, n)
		states += n
	}
	t.Logf("%d states in all", states)
}

func explore(t *testing.T, needed []Needed) int {
	seen := map[string]bool{}
	queue := []world{{Record: NewRecord(modelRequest(needed...))}}
	for len(queue) > 0 {
		w := queue[0]
		queue = queue[1:]
		raw, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(raw)] {
			continue
		}
		if seen[string(raw)] = true; len(seen) > 50000 {
			t.Fatalf("%v: there is no end to it", w.Path)
		}
		w.check(t)
		for _, step := range steps {
			next := w
			if raw, err = json.Marshal(w.Record); err != nil { // every step is after a restart
				t.Fatal(err)
			}
			next.Record = Record{}
			if err := json.Unmarshal(raw, &next.Record); err != nil {
				t.Fatal(err)
			}
			grant, err := json.Marshal(w.Grant)
			if err != nil {
				t.Fatal(err)
			}
			next.Grant = nil
			if err := json.Unmarshal(grant, &next.Grant); err != nil {
				t.Fatal(err)
			}
			next.Path = append(slices.Clone(w.Path), step.name)
			if err := step.do(&next); err != nil {
				again, _ := json.Marshal(next.Record)
				if granted, _ := json.Marshal(next.Grant); string(again) != string(raw) || string(granted) != string(grant) {
					t.Fatalf("%v: an error (%v) changed the record", next.Path, err)
				}
				continue
			}
			if next.First == "" && next.Record.State != StatePending {
				next.First = next.Record.State
			}
			next.follows(t, w)
			queue = append(queue, next)
		}
	}
	return len(seen)
}

type step struct {
	name string
	do   func(*world) error
}

var steps = makeSteps()

func makeSteps() []step {
	out := []step{
		{"tick", func(w *world) error {
			if w.Now+1 == len(instants) {
				return fmt.Errorf("the end")
			}
			w.Now++
			return nil
		}},
		{"expire", func(w *world) error {
			if !w.Record.Expire(w.now()) {
				return fmt.Errorf("not now")
			}
			return nil
		}},
		{"cancel", func(w *world) error {
			if !w.Record.Cancel(w.now()) {
				return fmt.Errorf("not now")
			}
			return nil
		}},
	}
	out = append(out, step{"revoke", func(w *world) error {
		if !w.Record.Revoke(w.now()) {
			return fmt.Errorf("not now")
		}
		w.Revoked = true
		return nil
	}})
	for _, exchange := range []string{"x", "y"} {
		out = append(out, step{"claim " + exchange, func(w *world) error {
			if err := w.Record.Claim(exchange, w.now()); err != nil {
				return err
			}
			w.Uses, w.Holder = w.Uses+1, exchange
			if w.Record.Grant != nil && w.Record.Grant.Left > 1 && w.Grant == nil { // as Broker.begin
				g := newGrantRecord(w.Record)
				w.Grant = &g
			}
			return nil
		}})
	}
	for _, exchange := range []string{"x", "y"} {
		out = append(out, step{exchange + " goes out", func(w *world) error {
			if w.Holder != exchange || w.Sent > 0 {
				return fmt.Errorf("not now")
			}
			w.Sent++
			return nil
		}}, step{exchange + " could not go out", func(w *world) error {
			if w.Sent > 0 { // as handler.settle
				return fmt.Errorf("not now")
			}
			if err := w.Record.Return(exchange); err != nil {
				return err
			}
			if w.Holder != exchange {
				w.Sent = 100 // the other one may be on its way
			}
			w.Uses, w.Holder = w.Uses-1, ""
			return nil
		}})
	}
	for _, session := range []string{"01J0000000000000000000000S", "01J0000000000000000000000T"} {
		out = append(out, step{"more of " + session[25:], func(w *world) error {
			if w.Grant == nil {
				return ErrNoGrant
			}
			r := w.Record.Request
			r.RequestID, r.SessionID = "b", session
			if err := w.Grant.Take(r, modelCall, w.now()); err != nil {
				return err
			}
			if session[25:] != "S" {
				w.Taken = 100
			}
			w.Taken++
			return nil
		}})
	}
	for _, who := range []string{"ann", "bob", "self", "visitor"} {
		out = append(out, step{who + " revokes", func(w *world) error {
			if w.Record.Grant == nil || w.Record.State != StateApproved && w.Record.State != StateUsed { // as Broker.revoke
				return ErrGrantEnded
			}
			g := newGrantRecord(w.Record)
			if w.Grant != nil {
				g = *w.Grant
			}
			v := people[who]
			v.Decision, v.At = Revoke, w.now()
			if err := g.Revoke(v, w.now()); err != nil {
				return err
			}
			w.Grant, w.Ended = &g, true
			return nil
		}})
	}
	for name, v := range people {
		for _, decision := range []string{Allow, Deny} {
			for _, g := range []*Leave{nil, {Until: epoch.Add(6 * time.Minute), Left: 3}} {
				if g != nil && (decision == Deny || name == "owner" || name == "self" || name == "visitor") {
					continue
				}
				out = append(out, step{fmt.Sprintf("%s %ss %v", name, decision, g != nil), func(w *world) error {
					v.Decision, v.At, v.Reason = decision, w.now(), map[bool]string{true: "grant"}[g != nil]
					return w.Record.Vote(v, g, w.now())
				}})
			}
		}
	}
	return out
}

func (w *world) now() time.Time { return instants[w.Now] }

// check is what holds in every state.
func (w *world) check(t *testing.T) {
	t.Helper()
	r := &w.Record
	fail := func(why string) { t.Fatalf("%v: %s: %+v", w.Path, why, *r) }
	var allows []Vote
	for _, v := range r.Votes {
		if v.Subject == "bot" || v.Subject == "owner" || v.Subject == "eve" {
			fail("a vote that does not count was counted")
		}
		if v.Decision == Allow {
			allows = append(allows, v)
		} else if r.State != StateDenied {
			fail("a deny did not end it")
		}
		if !v.At.Before(r.Request.Expires) {
			fail("a vote came after the end")
		}
	}
	if r.State == StateApproved || r.State == StateUsed {
		if len(r.Request.Approvers) == 0 {
			fail("approved by nobody")
		}
		for _, n := range r.Request.Approvers {
			distinct := map[string]bool{}
			for _, v := range allows {
				if n.has(v) {
					distinct[strings.ToLower(v.Email+"/"+map[bool]string{true: v.Subject}[v.Email == ""])] = true
				}
			}
			if len(distinct) < max(n.Count, 1) {
				fail(fmt.Sprintf("%v is not satisfied", n))
			}
		}
	}
	if w.Uses > 1 || w.Uses == 1 && r.State != StateUsed || w.Sent > w.Uses {
		fail("used more often than once")
	}
	if w.Taken > 0 && (w.Uses == 0 || r.Grant == nil || w.Uses+w.Taken > 3) {
		fail("more was let through than was granted")
	}
	if g := w.Grant; g != nil {
		if len(g.Votes) != len(r.Votes) || !w.Revoked && r.State != StateApproved && r.State != StateUsed {
			fail("a grant of what was not approved")
		}
		for _, v := range allows {
			if v.Reason != "grant" {
				fail("a grant that not all have given")
			}
		}
		if by := g.Revoked; by != nil && (g.Leave.Left != 0 || by.Subject == "bot" || by.Subject == "eve") {
			fail("revoked, and by whom")
		}
	}
}

// follows is what holds of every step.
func (w *world) follows(t *testing.T, before world) {
	t.Helper()
	fail := func(why string) { t.Fatalf("%v: %s: %+v, before %+v", w.Path, why, w.Record, before.Record) }
	if before.First != "" && before.First != StateApproved && w.Record.State != before.First {
		fail("a terminal state was not final")
	}
	if w.Revoked && (w.Record.State != StateCancelled || w.Record.Grant != nil || w.Uses > before.Uses) {
		fail("revoked, and not over")
	}
	if before.First == StateApproved && !w.Revoked && w.Record.State != StateApproved && w.Record.State != StateUsed {
		fail("an approval was taken back")
	}
	if before.Record.State == StateUsed && w.Record.State != StateUsed && (w.Sent > 0 || w.Grant != nil) {
		fail("a used approval came back")
	}
	if w.Uses > before.Uses && !w.now().Before(before.Record.Request.Expires) {
		fail("a claim after the end")
	}
	if w.Taken > before.Taken && (before.Ended || !w.now().Before(before.Record.Grant.Until)) {
		fail("a grant was used after its end")
	}
	if before.First != "" && len(w.Record.Votes) != len(before.Record.Votes) {
		fail("a vote after the end")
	}
}

func TestZeroRecordLetsNothingThrough(t *testing.T) {
	var r Record
	if r.Claim("x", epoch) == nil || r.Vote(people["ann"], nil, epoch) == nil || r.Expire(epoch) || r.Cancel(epoch) {
		t.Errorf("%+v", r)
	}
	if r.enough() {
		t.Error("nobody is enough")
	}
	if _, ended := r.Outcome(); ended {
		t.Error("it has an outcome")
	}
}

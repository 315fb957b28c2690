package approvals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
)

// approve asks for a call on a broker and has ann approve it, with a grant.
func approve(t *testing.T, b *Broker, c *awsapi.Call, g Grant) Request {
	t.Helper()
	r := requestOf(c)
	r.Approval, r.SessionID, r.RequestID = ids.New(), ids.New(), ids.New()
	r.Digest = strings.Repeat("0", 38) + strings.ToLower(r.Approval) // hex or not is all the same to the bucket
	r.Created, r.Expires = time.Now(), time.Now().Add(time.Minute)
	if _, err := b.Ask(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	l, err := g.leave(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.change(t.Context(), r.Approval, r.Digest, func(r *Record) error { return r.Vote(allowOf("ann"), l, time.Now()) }); err != nil {
		t.Fatal(err)
	}
	return r
}

func claim(t *testing.T, b *Broker, r Request) {
	t.Helper()
	if _, err := b.Claim(t.Context(), r.Approval, r.Digest, r.RequestID); err != nil {
		t.Fatal(err)
	}
}

func again(r Request) Request {
	r.RequestID = ids.New()
	return r
}

func revokeOf(name string) Vote {
	v := people[name]
	v.Decision, v.At = Revoke, time.Now()
	return v
}

// seen waits until a broker has heard of a grant from its watch.
func seen(t *testing.T, b *Broker, approval string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, ok := b.grantOf(approval); ok {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("the grant does not come")
		}
	}
}

// Calls on two gateways at once, and in half of the rounds a revocation among them:
// no more are let through than were granted, none after the end, and every use leaves
// another number.
func TestGrantRace(t *testing.T) {
	all := brokers(t, 2, time.Now)
	c := ec2Call("TerminateInstances", instanceARN+"i-1")
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	for i := range rounds {
		r := approve(t, all[i%2], c, Grant{For: "10m", Count: 11})
		if _, err := all[0].UseGrant(t.Context(), again(r), c); !errors.Is(err, ErrNoGrant) {
			t.Fatalf("used before its own call: %v", err)
		}
		claim(t, all[0], r)
		seen(t, all[1], r.Approval)
		var used atomic.Int32
		var left sync.Map
		var wait sync.WaitGroup
		for j := range 24 {
			wait.Go(func() {
				g, err := all[j%2].UseGrant(t.Context(), again(r), c)
				if err != nil {
					if !errors.Is(err, ErrNoGrant) {
						t.Errorf("%v", err)
					}
					return
				}
				used.Add(1)
				if _, twice := left.LoadOrStore(g.Leave.Left, true); twice {
					t.Errorf("two were told that %d are left", g.Leave.Left)
				}
			})
		}
		if i%2 == 1 {
			wait.Go(func() {
				if err := all[0].revoke(t.Context(), r.Approval, r.Digest, revokeOf("bob")); err != nil && !errors.Is(err, ErrGrantEnded) {
					t.Errorf("%v", err)
				}
			})
		}
		wait.Wait()
		if n := used.Load(); n > 10 || i%2 == 0 && n != 10 {
			t.Fatalf("round %d: %d calls, 10 were granted", i, n)
		}
		for _, b := range all {
			if _, err := b.UseGrant(t.Context(), again(r), c); !errors.Is(err, ErrNoGrant) {
				t.Fatalf("used after its end: %v", err)
			}
		}
	}
}

// One who may end a grant ends it, before it began too; nobody else does.
func TestRevokeGrant(t *testing.T) {
	all := brokers(t, 2, time.Now)
	var events []event.Event
	for _, b := range all {
		b.o.Append = func(_ context.Context, e ...event.Event) error { events = append(events, e...); return nil }
	}
	c := ec2Call("TerminateInstances", instanceARN+"i-1")
	ends := func(r Request) {
		t.Helper()
		for _, who := range []string{"self", "owner"} {
			if err := all[0].revoke(t.Context(), r.Approval, r.Digest, revokeOf(who)); !errors.Is(err, ErrSelf) {
				t.Errorf("%s: %v", who, err)
			}
		}
		if err := all[0].revoke(t.Context(), r.Approval, r.Digest, revokeOf("visitor")); !errors.Is(err, ErrNotAsked) {
			t.Errorf("visitor: %v", err)
		}
		for _, wrong := range [][2]string{{ids.New(), r.Digest}, {r.Approval, strings.Repeat("cd", 32)}} {
			if err := all[0].revoke(t.Context(), wrong[0], wrong[1], revokeOf("bob")); !errors.Is(err, ErrGrantEnded) {
				t.Errorf("%v: %v", wrong, err)
			}
		}
		events = nil
		if err := all[1].revoke(t.Context(), r.Approval, r.Digest, revokeOf("bob")); err != nil {
			t.Fatal(err)
		}
		d, ok := events[0].Data.(*event.ApprovalOutcome)
		if !ok || len(events) != 1 || d.Outcome != Revoked || d.Approval != r.Approval || len(d.Approvers) != 2 || d.Approvers[1].Subject != "bob" || d.Approvers[1].Decision != Revoke || d.SessionID != r.SessionID {
			t.Errorf("on record is %+v", events)
		}
		if err := all[1].revoke(t.Context(), r.Approval, r.Digest, revokeOf("bob")); !errors.Is(err, ErrGrantEnded) {
			t.Errorf("again: %v", err)
		}
	}
	begun := approve(t, all[0], c, DefaultGrant)
	claim(t, all[0], begun)
	seen(t, all[1], begun.Approval)
	if _, err := all[0].UseGrant(t.Context(), again(begun), c); err != nil {
		t.Fatal(err)
	}
	ends(begun)
	before := approve(t, all[0], c, DefaultGrant)
	ends(before)
	claim(t, all[0], before) // the call itself was approved
	for _, r := range []Request{begun, before} {
		if _, err := all[0].UseGrant(t.Context(), again(r), c); !errors.Is(err, ErrNoGrant) {
			t.Errorf("used after its end: %v", err)
		}
	}
	once := requestOf(c)
	once.Digest, once.Expires = strings.Repeat("ef", 32), time.Now().Add(time.Minute)
	if _, err := all[0].Ask(t.Context(), once); err != nil {
		t.Fatal(err)
	}
	if err := all[0].revoke(t.Context(), once.Approval, once.Digest, revokeOf("bob")); !errors.Is(err, ErrGrantEnded) {
		t.Errorf("of what is pending: %v", err)
	}
}

// What is left is told to whoever asks, from before the grant begins to its end.
func TestLookAtGrant(t *testing.T) {
	var later atomic.Int64 // the broker's own goroutines look at the clock too
	begun := time.Now()
	now := func() time.Time { return begun.Add(time.Duration(later.Load())) }
	b := brokers(t, 1, now)[0]
	c := ec2Call("TerminateInstances", instanceARN+"i-1")
	r := approve(t, b, c, Grant{For: "10m", Count: 3})
	left := func(want int) {
		t.Helper()
		reply, ok := b.look(r.Approval, []byte(`{"approval":"`+r.Approval+`","decision":"look"}`))
		if got := reply.Grant; !ok || reply.Accepted != (want > 0) || (got == nil) != (want == 0) || got != nil && (got.Left != want || !got.Until.After(now())) {
			t.Errorf("%t %+v, want %d", ok, reply, want)
		}
	}
	left(3)
	claim(t, b, r)
	left(2)
	if _, err := b.UseGrant(t.Context(), again(r), c); err != nil {
		t.Fatal(err)
	}
	left(1)
	later.Store(int64(11 * time.Minute))
	left(0)
	b.Sweep(t.Context())
	left(0)
	if _, known := b.grantOf(r.Approval); known {
		t.Error("it is remembered for ever")
	}
	for _, text := range []string{"", "x", `{"decision":"allow"}`, `["look"]`, `{"decision":"look"}` + strings.Repeat(" ", MaxAnswer)} {
		if _, ok := b.look(r.Approval, []byte(text)); ok {
			t.Errorf("%.40s is a look", text)
		}
	}
}

// What no gateway wrote under a grant's key lets nothing through.
func TestDamagedGrant(t *testing.T) {
	b := brokers(t, 1, time.Now)[0]
	c := ec2Call("TerminateInstances", instanceARN+"i-1")
	r := approve(t, b, c, DefaultGrant)
	claim(t, b, r)
	g, ok := b.grantOf(r.Approval)
	if !ok {
		t.Fatal("there is no grant")
	}
	other := g
	other.Request.Approval = ids.New()
	newer := map[string]any{"request": g.Request, "votes": g.Votes, "grant": g.Leave, "x": 1}
	for i, v := range []any{nil, "x", other, newer, Record{Request: r, State: StateApproved}, map[string]any{"grant": g.Leave}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.store.kv.Put(t.Context(), g.key(), text); err != nil {
			t.Fatal(err)
		}
		if _, err := b.UseGrant(t.Context(), again(r), c); !errors.Is(err, ErrNoGrant) {
			t.Errorf("%d: %s was used: %v", i, text, err)
		}
	}
}

// Of several grants that cover a call the oldest is used up first, and a call that
// none covers costs none.
func TestSeveralGrants(t *testing.T) {
	b := brokers(t, 1, time.Now)[0]
	c := ec2Call("TerminateInstances", instanceARN+"i-1")
	first := approve(t, b, c, Grant{For: "10m", Count: 2})
	claim(t, b, first)
	second := first
	second.Approval, second.Digest, second.RequestID = ids.New(), strings.Repeat("12", 32), ids.New()
	g := newGrantRecord(Record{Request: second, Votes: []Vote{allowOf("ann")}, Grant: &Leave{Until: time.Now().Add(time.Minute), Left: 3}})
	revision, err := b.store.putGrant(t.Context(), g, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.learnGrant(g, revision)
	if _, err := b.UseGrant(t.Context(), again(first), ec2Call("TerminateInstances", instanceARN+"i-2")); !errors.Is(err, ErrNoGrant) {
		t.Error(err)
	}
	var got []string
	for range 4 {
		g, err := b.UseGrant(t.Context(), again(first), c)
		if err != nil {
			got = append(got, "asked")
			continue
		}
		got = append(got, fmt.Sprint(g.Request.Approval == first.Approval, g.Leave.Left))
	}
	if want := "true 0, false 1, false 0, asked"; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %s", got, want)
	}
}

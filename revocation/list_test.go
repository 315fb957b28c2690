package revocation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/refusal"
)

// gateways are lists on one bus, and the operator's connection to it.
type gateways struct {
	connect  func(bus.Role) *nats.Conn
	lists    []*List
	operator *nats.Conn
	enforced atomic.Int64
}

func newGateways(t *testing.T, n int) *gateways {
	t.Helper()
	srv, err := bus.Start(t.Context(), bus.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	connect := func(role bus.Role) *nats.Conn {
		nc, err := bus.Connect(t.Context(), bus.Options{Role: role, InProcess: srv})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	g := &gateways{connect: connect, operator: connect(bus.Operator)}
	for range n {
		g.start(t)
	}
	return g
}

// start starts one more gateway.
func (g *gateways) start(t *testing.T) *List {
	t.Helper()
	l, err := NewList(t.Context(), Options{
		Conn: g.connect(bus.Gateway), Prefix: "sallyport", Source: fmt.Sprint("sallyport/", len(g.lists)), Targets: []string{"dev"}, Now: time.Now,
		Session: func(string) (Caller, bool) { return Caller{}, false },
		Enforce: func(context.Context, Revocation) Ended { g.enforced.Add(1); return Ended{} },
		Record:  func(context.Context, Revocation, Ended) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if e := l.Refusal(t.Context(), Caller{Subject: "x"}); e == nil || e.Reason != refusal.Unavailable {
		t.Errorf("before it started it said %v", e)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	g.lists = append(g.lists, l)
	return l
}

func (g *gateways) order(t *testing.T, o Order) []Confirmation {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	inbox := g.operator.NewRespInbox()
	sub, err := g.operator.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := g.operator.PublishRequest("sallyport.control.revoke", inbox, text); err != nil {
		t.Fatal(err)
	}
	out := make([]Confirmation, len(g.lists))
	for i := range out {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(m.Data, &out[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Revocations and liftings, one after the other: after the replies every gateway says
// what the last order said, however their writes into the bucket fell together.
func TestLastOrderHolds(t *testing.T) {
	g := newGateways(t, 3)
	orders := []Order{{Subject: "bob"}, {Subject: "bob", Issuer: "i"}, {Target: "dev"}}
	callers := []Caller{{Subject: "bob", Issuer: "j"}, {Subject: "bob", Issuer: "i"}, {Subject: "eve", Target: "dev"}}
	in := [3]bool{}
	for round := range 60 {
		k := round * 7 % 3
		o := orders[k]
		o.Reason, o.Lift = fmt.Sprint("round ", round), in[k]
		in[k] = !in[k]
		for _, r := range g.order(t, o) {
			if !r.Accepted || r.Error != "" {
				t.Fatalf("round %d: %+v", round, r)
			}
		}
		want := []bool{in[0], in[0] || in[1], in[2]}
		for i, l := range g.lists {
			for j, c := range callers {
				if e := l.Refusal(t.Context(), c); (e != nil) != want[j] {
					t.Fatalf("round %d: gateway %d says %v of %+v, want %v", round, i, e, c, want[j])
				}
			}
		}
	}
	if g.enforced.Load() < 30 {
		t.Errorf("carried out %d times", g.enforced.Load())
	}
}

// Where the bucket cannot be written an order to revoke is in force all the same, and
// the operator is told that it may not stay.
func TestNotKept(t *testing.T) {
	g := newGateways(t, 1)
	g.lists[0].kv = broken{g.lists[0].kv}
	r := g.order(t, Order{Subject: "bob", Reason: "x"})[0]
	if r.Accepted || !strings.Contains(r.Error, "in force on this gateway") {
		t.Errorf("%+v", r)
	}
	if g.lists[0].Refusal(t.Context(), Caller{Subject: "bob"}) == nil {
		t.Error("it is not in force")
	}
	r = g.order(t, Order{Subject: "bob", Reason: "x", Lift: true})[0]
	if r.Accepted || !strings.Contains(r.Error, "stays in force") || g.lists[0].Refusal(t.Context(), Caller{Subject: "bob"}) == nil {
		t.Errorf("%+v", r)
	}
}

type broken struct{ keyValue }

func (broken) Put(context.Context, string, []byte) (uint64, error) { return 0, errors.New("no quorum") }

// What no gateway wrote revokes nobody and lifts nothing.
func TestDamagedEntry(t *testing.T) {
	g := newGateways(t, 2)
	g.order(t, Order{Subject: "bob", Reason: "x"})
	lifted, err := json.Marshal(Revocation{Subject: "eve", Lifted: true})
	if err != nil {
		t.Fatal(err)
	}
	key := Revocation{Subject: "bob"}.key()
	for _, text := range []string{"x", `{}`, string(lifted)} {
		if _, err := g.lists[0].kv.Put(t.Context(), key, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	g.order(t, Order{Subject: "other", Reason: "x"}) // behind them
	for i, l := range g.lists {
		if l.Refusal(t.Context(), Caller{Subject: "bob"}) == nil || l.Refusal(t.Context(), Caller{Subject: "eve"}) != nil {
			t.Errorf("gateway %d took it", i)
		}
	}
}

// The NATS server sends its answers wherever a user says, the bucket's subjects among
// them, though that user may not publish there. A revocation that is overwritten in this
// way is put back: it holds on the gateway that starts next.
func TestOverwrittenByAnApprover(t *testing.T) {
	g := newGateways(t, 2)
	bob := Revocation{Subject: "bob"}
	g.order(t, Order{Subject: "bob", Reason: "stolen"})
	g.overwrite(t, bob.key())
	stored := func() (r Revocation, ok bool) {
		entry, err := g.lists[0].kv.(jetstream.KeyValue).Get(t.Context(), bob.key())
		if err != nil {
			t.Fatal(err)
		}
		return decodeRevocation(bob.key(), entry.Value())
	}
	comes(t, "it is put back", func() bool { r, ok := stored(); return ok && r.Reason == "stolen" })
	for i, l := range append(g.lists, g.start(t)) {
		if e := l.Refusal(t.Context(), Caller{Subject: "bob"}); e == nil || e.Reason != refusal.Identity {
			t.Errorf("gateway %d says %v", i, e)
		}
		if e := l.Refusal(t.Context(), Caller{Subject: "eve"}); e != nil {
			t.Errorf("gateway %d says %v", i, e)
		}
	}
}

// A gateway that was here knows better than to stop for what it has never heard of, and
// does not put back what was lifted: it may have been revoked since, elsewhere.
func TestOverwrittenBesideARunningGateway(t *testing.T) {
	g := newGateways(t, 1)
	l := g.lists[0]
	g.order(t, Order{Subject: "bob", Reason: "stolen"})
	g.order(t, Order{Subject: "bob", Reason: "found", Lift: true})
	bob := Revocation{Subject: "bob"}.key()
	g.overwrite(t, Revocation{Subject: "eve"}.key())
	g.overwrite(t, bob)
	g.order(t, Order{Subject: "other", Reason: "x"}) // behind them
	if e := l.Refusal(t.Context(), Caller{Subject: "someone"}); e != nil {
		t.Errorf("it says %v", e)
	}
	if entry, err := l.kv.(jetstream.KeyValue).Get(t.Context(), bob); err != nil || !bytes.Contains(entry.Value(), []byte("stream_info_response")) {
		t.Errorf("%v", err)
	}
	l.read.Add(100) // as after a lost connection: what it read is read again
	if e := l.Refusal(t.Context(), Caller{Subject: "someone"}); e == nil || e.Reason != refusal.Unavailable {
		t.Errorf("after it was away it says %v", e)
	}
}

// Where no gateway ran meanwhile nobody knows whom the revocation stopped: then nobody is
// let through, until it is given again, or its key deleted by whoever rules the bucket.
func TestOverwrittenUnseen(t *testing.T) {
	g := newGateways(t, 1)
	g.order(t, Order{Subject: "bob", Reason: "stolen"})
	g.lists[0].Close()
	g.lists = nil
	bob, eve := Revocation{Subject: "bob"}.key(), Revocation{Subject: "eve"}.key()
	g.overwrite(t, bob)
	g.overwrite(t, eve)
	g.overwrite(t, "no-key-of-ours")
	l := g.start(t)
	knows := func(want bool) {
		t.Helper()
		if e := l.Refusal(t.Context(), Caller{Subject: "someone"}); want == (e != nil) || e != nil && e.Reason != refusal.Unavailable {
			t.Errorf("it says %v", e)
		}
	}
	knows(false)
	if r := g.order(t, Order{Subject: "bob", Reason: "stolen"})[0]; !r.Accepted || r.Error != "" {
		t.Errorf("%+v", r)
	}
	knows(false)
	if err := l.kv.(jetstream.KeyValue).Delete(t.Context(), eve); err != nil {
		t.Fatal(err)
	}
	g.order(t, Order{Subject: "other", Reason: "x"}) // behind it
	comes(t, "the deletion is seen", func() bool { return l.unreadable() == "" })
	knows(true)
	if l.Refusal(t.Context(), Caller{Subject: "bob"}) == nil {
		t.Error("bob is not revoked")
	}
}

// overwrite has the server's answer to an approver written where only gateways may.
func (g *gateways) overwrite(t *testing.T, key string) {
	t.Helper()
	approver := g.connect(bus.Approver)
	if err := approver.PublishRequest("$JS.API.STREAM.INFO."+bus.ApprovalsStream, "$KV."+Bucket+"."+key, nil); err != nil {
		t.Fatal(err)
	}
	if err := approver.Flush(); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(g.connect(bus.Gateway))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), Bucket)
	if err != nil {
		t.Fatal(err)
	}
	comes(t, "the server writes there, or this test is of no use any more", func() bool {
		entry, err := kv.Get(t.Context(), key)
		return err == nil && (bytes.Contains(entry.Value(), []byte("stream_info_response")) || entry.Revision() > 3)
	})
}

// comes waits for what another goroutine, or the server, does.
func comes(t *testing.T, what string, there func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !there() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain: " + what)
		}
	}
}

func BenchmarkRefusal(b *testing.B) {
	l := &List{o: Options{Now: time.Now}, known: map[string]*entry{}, covers: map[Caller]map[string]*entry{}, lost: map[string]uint64{}}
	for i := range MaxKept {
		r := Revocation{Subject: fmt.Sprint("agent-", i), Reason: "x"}
		l.learn(r.key(), r, 1)
	}
	c := Caller{Issuer: "https://idp.example", Subject: "bob", Label: "l", Session: "s", Target: "dev"}
	for b.Loop() {
		if l.find(c) != nil {
			b.Fatal("refused")
		}
	}
}

// What the bucket said earlier does not undo what it said later.
func TestOldNewsIsNone(t *testing.T) {
	l := &List{o: Options{Now: time.Now}, known: map[string]*entry{}, covers: map[Caller]map[string]*entry{}, lost: map[string]uint64{}}
	r := Revocation{Subject: "bob", Reason: "x"}
	lifted := r
	lifted.Lifted = true
	for _, step := range []struct {
		r        Revocation
		revision uint64
		news, in bool
	}{
		{r, 5, true, true}, {lifted, 4, false, true}, {lifted, 5, false, true}, {lifted, 6, false, false}, {r, 3, false, false}, {r, 7, true, true}, {r, 8, false, true},
		{lifted, 9, false, false}, {r, 0, true, true}, {lifted, 9, false, true}, {r, 10, false, true},
	} {
		_, news := l.learn(r.key(), step.r, step.revision)
		if in := l.find(Caller{Subject: "bob"}) != nil; news != step.news || in != step.in {
			t.Errorf("%+v: news %v, in force %v", step, news, in)
		}
	}
}

package approvals

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
)

// knows waits until every broker knows of n pending approvals.
func knows(t *testing.T, all []*Broker, n int) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for _, b := range all {
		for {
			b.mu.Lock()
			have := 0
			for _, k := range b.known {
				if k.record.State == StatePending {
					have++
				}
			}
			b.mu.Unlock()
			if have == n {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("a gateway knows of %d pending approvals, not of %d", have, n)
			}
			runtime.Gosched()
		}
	}
}

// flood is a request of its own, of one of many identities.
func flood(i int, subject string) Request {
	r := liveRequest(i, Needed{Groups: []string{"sre"}, Count: 1})
	r.Who = event.UserIdentity{Issuer: "https://idp", Subject: subject}
	return r
}

// All identities together fill the list to its bound and no further, whichever gateway
// they come through; what ends makes room again, and what has been asked is not asked
// anew.
func TestFloodOfAll(t *testing.T) {
	all := brokers(t, 2, time.Now)
	var wait sync.WaitGroup
	for w := range 8 {
		wait.Go(func() {
			for i := w; i < MaxPendingAll-1; i += 8 {
				if _, err := all[i%2].store.put(t.Context(), NewRecord(flood(i, fmt.Sprint("agent-", i))), 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	knows(t, all, MaxPendingAll-1)
	last := flood(MaxPendingAll, "last")
	if _, err := all[0].Ask(t.Context(), last); err != nil {
		t.Fatalf("the last place: %v", err)
	}
	knows(t, all, MaxPendingAll)
	for i, b := range all {
		if _, err := b.Ask(t.Context(), flood(MaxPendingAll+1+i, "late")); !errors.Is(err, ErrTooManyAll) {
			t.Errorf("gateway %d: beyond the bound: %v", i, err)
		}
		again := flood(MaxPendingAll, "last")
		if rec, err := b.Ask(t.Context(), again); err != nil || rec.Request.Approval != last.Approval {
			t.Errorf("gateway %d: the same request does not join: %v", i, err)
		}
	}
	if _, err := all[1].change(t.Context(), last.Approval, last.Digest, func(r *Record) error { r.Cancel(time.Now()); return nil }); err != nil {
		t.Fatal(err)
	}
	knows(t, all, MaxPendingAll-1)
	if _, err := all[0].Ask(t.Context(), flood(MaxPendingAll+3, "late")); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// One identity fills its own places, on both gateways together, and nobody else's. The
// same subject of another issuer is another identity.
func TestFloodOfOne(t *testing.T) {
	all := brokers(t, 2, time.Now) // MaxPending is 5
	for i := range 5 {
		if _, err := all[i%2].Ask(t.Context(), flood(i, "bot")); err != nil {
			t.Fatal(err)
		}
		knows(t, all, i+1)
	}
	other := flood(20, "bot")
	other.Who.Issuer = "https://other"
	for i, b := range all {
		if _, err := b.Ask(t.Context(), flood(10+i, "bot")); !errors.Is(err, ErrTooMany) {
			t.Errorf("gateway %d: a sixth: %v", i, err)
		}
		if rec, err := b.Ask(t.Context(), flood(0, "bot")); err != nil || rec.State != StatePending {
			t.Errorf("gateway %d: one of the five does not join: %v", i, err)
		}
	}
	if _, err := all[1].Ask(t.Context(), other); err != nil {
		t.Errorf("another identity: %v", err)
	}
}

// Many identical requests at once make one approval, and on each gateway some of them
// are held and the others sent away.
func TestFloodOfIdenticalRequests(t *testing.T) {
	all := brokers(t, 2, time.Now)
	var published atomic.Int64
	for _, b := range all {
		b.o.Append = func(_ context.Context, list ...event.Event) error {
			for _, e := range list {
				if e.Kind() == event.KindApprovalPending {
					published.Add(1)
				}
			}
			return nil
		}
	}
	var asking, holding sync.WaitGroup
	var away, through atomic.Int64
	var one sync.Map
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i := range 60 {
		asking.Add(1)
		holding.Go(func() {
			b := all[i%2]
			rec, err := b.Ask(ctx, flood(1, "bot"))
			one.Store(rec.Request.Approval, true)
			asking.Done()
			if err != nil {
				t.Error(err)
				return
			}
			asking.Wait() // all at the same moment
			switch rec, err = b.Wait(ctx, rec.Request.Approval, rec.Request.Digest); {
			case errors.Is(err, ErrHeld):
				away.Add(1)
			case err != nil || rec.State != StateApproved:
				t.Errorf("%s %v", rec.State, err)
			default:
				through.Add(1)
			}
		})
	}
	asking.Wait()
	for end := time.Now().Add(20 * time.Second); away.Load() < 60-2*MaxHeld && time.Now().Before(end); {
		runtime.Gosched()
	}
	ids := 0
	one.Range(func(id, _ any) bool {
		ids++
		vote := Vote{Issuer: "https://people", Subject: "ann", Groups: []string{"sre"}, Decision: Allow}
		if _, err := all[0].change(ctx, fmt.Sprint(id), flood(1, "bot").Digest, func(r *Record) error { return r.Vote(vote, nil, time.Now()) }); err != nil {
			t.Error(err)
		}
		return true
	})
	holding.Wait()
	if ids != 1 || published.Load() != 1 || through.Load() != 2*MaxHeld {
		t.Errorf("%d approvals, published %d times; %d requests held, %d sent away", ids, published.Load(), through.Load(), away.Load())
	}
}

// Answers that are refused come on record at a bounded rate, however many there are.
func TestFloodOfAnswers(t *testing.T) {
	b := brokers(t, 1, time.Now)[0]
	var n atomic.Int64
	b.o.Append = func(context.Context, ...event.Event) error { n.Add(1); return nil }
	start := time.Now()
	for range 5000 {
		b.audit(t.Context(), ids.New(), nil, errors.New("bad"))
	}
	if most := int64(101 + 10*time.Since(start).Seconds()); n.Load() < 100 || n.Load() > most {
		t.Errorf("%d of 5,000 are on record, want 100 to %d", n.Load(), most)
	}
}

// What the bucket has lost, or its administrator has deleted, ends here when its time
// comes: it would else take up its identity's room until the gateway is started again.
func TestFloodOfWhatIsGone(t *testing.T) {
	var later atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	b := brokers(t, 1, now)[0]
	for i := range 5 {
		r := flood(i, "bot")
		if _, err := b.Ask(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if i < 3 {
			if err := b.store.kv.Delete(t.Context(), r.Digest); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := b.Ask(t.Context(), flood(5, "bot")); !errors.Is(err, ErrTooMany) {
		t.Errorf("beyond the bound: %v", err)
	}
	later.Store(int64(2 * time.Minute)) // a request waits for one
	late := flood(5, "bot")
	late.Expires = now().Add(time.Minute)
	if _, err := b.Ask(t.Context(), late); err != nil {
		t.Errorf("all that waited is over: %v", err)
	}
	later.Store(int64(3 * time.Hour))
	b.Sweep(t.Context()) // ends the others
	later.Store(int64(5 * time.Hour))
	b.Sweep(t.Context())
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) > 0 {
		t.Errorf("%d are known still", len(b.known))
	}
}

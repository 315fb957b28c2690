package approvals

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
)

// A gateway that dies after it has written an approval and before it has published it
// leaves a request that nobody knows of: another one tells, once.
func TestKilledBeforeAnnouncing(t *testing.T) {
	var offset atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	all := brokers(t, 3, now)
	var mu sync.Mutex
	recorded := map[string]int{} // approvals on record as pending
	for i, b := range all {
		b.o.Append = func(_ context.Context, list ...event.Event) error {
			if i == 0 {
				runtime.Goexit() // as a kill does: nothing after it happens
			}
			mu.Lock()
			defer mu.Unlock()
			for _, e := range list {
				if p, ok := e.Data.(*event.ApprovalPending); ok {
					if recorded[p.Approval]++; p.RequestParameters["InstanceIds"] == nil {
						t.Errorf("its parameters are lost: %+v", p)
					}
				}
			}
			return nil
		}
	}
	r := liveRequest(1, Needed{Groups: []string{"sre"}, Count: 1})
	r.Parameters = map[string]any{"InstanceIds": []any{"i-0abc"}}
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		_, _ = all[0].Ask(t.Context(), r)
		t.Error("it was not killed")
	}()
	<-killed
	rec, _, err := all[1].store.get(t.Context(), r.Digest)
	if err != nil || rec.State != StatePending || rec.Announced {
		t.Fatalf("%+v %v", rec, err)
	}
	for _, b := range all[1:] { // in time nobody else does anything
		b.learn(rec, 1)
		b.Sweep(t.Context())
	}
	if recorded[r.Approval] != 0 {
		t.Error("told before the gateway that began had its time")
	}
	offset.Store(int64(announceGrace + time.Second))
	var wait sync.WaitGroup
	for range 20 {
		for _, b := range all[1:] {
			wait.Go(func() { b.Sweep(t.Context()) })
		}
	}
	wait.Wait()
	for range 5 { // and nobody does it again
		for _, b := range all[1:] {
			b.Sweep(t.Context())
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if n := recorded[r.Approval]; n != 1 {
		t.Errorf("it was put on record %d times", n)
	}
	stream := published(t, all[1])
	if n := stream["sallyport.approvals.pending."+r.Approval]; n != 1 {
		t.Errorf("approvers were told %d times: %v", n, stream)
	}
}

// published counts the messages of each subject of the stream of approvals.
func published(t *testing.T, b *Broker) map[string]uint64 {
	t.Helper()
	s, err := b.js.Stream(t.Context(), Stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Subjects
}

// What was announced is not announced again, by whomever and however late.
func TestAnnouncedOnce(t *testing.T) {
	var offset atomic.Int64
	all := brokers(t, 2, func() time.Time { return time.Now().Add(time.Duration(offset.Load())) })
	r := liveRequest(1, Needed{Groups: []string{"sre"}, Count: 1})
	if _, err := all[0].Ask(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(10 * time.Second)
	for rec := (Record{}); !rec.Announced; runtime.Gosched() {
		var err error
		if rec, _, err = all[1].store.get(t.Context(), r.Digest); err != nil || time.Now().After(end) {
			t.Fatalf("%+v %v", rec, err)
		}
	}
	offset.Store(int64(announceGrace + time.Second))
	for _, b := range all {
		b.Sweep(t.Context())
	}
	if n := published(t, all[0])["sallyport.approvals.pending."+r.Approval]; n != 1 {
		t.Errorf("approvers were told %d times", n)
	}
}

// A client that leaves while its request is published leaves it pending, and told of: its
// retry joins it.
func TestClientLeavesWhileAnnounced(t *testing.T) {
	b := brokers(t, 1, time.Now)[0]
	ctx, leave := context.WithCancel(t.Context())
	b.o.Append = func(context.Context, ...event.Event) error { leave(); return nil }
	r := liveRequest(1, Needed{Groups: []string{"sre"}, Count: 1})
	if rec, err := b.Ask(ctx, r); err != nil || rec.State != StatePending {
		t.Fatalf("%+v, %v", rec.State, err)
	}
	rec, _, err := b.store.get(t.Context(), r.Digest)
	if err != nil || rec.State != StatePending {
		t.Errorf("the state is %s: %v", rec.State, err)
	}
	again, err := b.Ask(t.Context(), r)
	if err != nil || again.Request.Approval != r.Approval {
		t.Errorf("the retry did not join: %+v, %v", again.Request.Approval, err)
	}
}

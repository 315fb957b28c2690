package approvals

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// counted counts what is asked of a bucket; each waits for an answer.
type counted struct {
	jetstream.KeyValue
	gets, puts *atomic.Int64
}

func (c counted) Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	c.gets.Add(1)
	return c.KeyValue.Get(ctx, key)
}

func (c counted) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	c.puts.Add(1)
	return c.KeyValue.Update(ctx, key, value, revision)
}

// A decision waits for NATS twice, for the vote and for the claim, whichever gateways
// they are on.
func TestRoundTripsOfADecision(t *testing.T) {
	all := brokers(t, 2, time.Now)
	r := liveRequest(1, Needed{Groups: []string{"sre"}, Count: 1})
	r.Parameters = map[string]any{"a": "b"}
	if _, err := all[0].Ask(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(10 * time.Second)
	for _, b := range all {
		for known := false; !known; _, _, known = b.seen(r.Digest, r.Approval) {
			if runtime.Gosched(); time.Now().After(end) {
				t.Fatal("a gateway does not hear that people were told")
			}
		}
	}
	var gets, puts atomic.Int64
	for _, b := range all {
		b.store = bucket{counted{b.store.kv, &gets, &puts}}
	}
	vote := Vote{Issuer: "https://people", Subject: "ann", Groups: []string{"sre"}, Decision: Allow}
	if _, err := all[1].change(t.Context(), r.Approval, r.Digest, func(r *Record) error { return r.Vote(vote, nil, time.Now()) }); err != nil {
		t.Fatal(err)
	}
	if gets.Load() != 0 || puts.Load() != 1 {
		t.Errorf("a vote reads %d times and writes %d times", gets.Load(), puts.Load())
	}
	for known := false; !known; { // all[0]'s watch
		rec, _, _ := all[0].seen(r.Digest, r.Approval)
		if known = rec.State == StateApproved; time.Now().After(end) {
			t.Fatal("the other gateway does not hear of the vote")
		}
	}
	if _, err := all[0].Claim(t.Context(), r.Approval, r.Digest, "x"); err != nil {
		t.Fatal(err)
	}
	if gets.Load() != 0 || puts.Load() != 2 {
		t.Errorf("a decision reads %d times and writes %d times", gets.Load(), puts.Load())
	}
}

package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/refusal"
)

// What is not needed after all is free at once, the rest at the request's end, and
// nothing twice.
func TestLease(t *testing.T) {
	p := newPool(10, 10)
	x := &exchange{session: &identity.Session{}}
	l, err := p.take(t.Context(), x, 10)
	if err != nil {
		t.Fatal(err)
	}
	l.shrink(4)
	l.shrink(7) // it does not grow
	if p.all.TryAcquire(7) {
		t.Error("what is held was given twice")
	}
	if !p.all.TryAcquire(6) {
		t.Error("what was given back is not free")
	}
	p.all.Release(6)
	for _, f := range x.release {
		f()
		f()
	}
	if l, err = p.take(t.Context(), x, 10); err != nil || l.n != 10 {
		t.Errorf("after the request's end: %+v, %v", l, err)
	}
}

// What streams has a place among few, of all and of its identity, and is refused before
// anything of it is sent where there is none.
func TestRoomToStream(t *testing.T) {
	h := &handler{Gateway: &Gateway{streams: newPool(2, 1)}}
	begin := func(subject string, c awsapi.Call) (*exchange, refusal.Reason) {
		x := &exchange{session: &identity.Session{Subject: subject}, call: &c}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		return x, refusal.Of(h.carryOut(ctx, x)).Reason // which ends at a missing decision
	}
	first, why := begin("a", awsapi.Call{StreamingOutput: true})
	if why != refusal.Denied {
		t.Fatal(why)
	}
	for _, c := range []awsapi.Call{{StreamingOutput: true}, {EventStreamOutput: true}} {
		if _, why := begin("a", c); why != refusal.Unavailable {
			t.Errorf("%+v beside another of its identity: %s", c, why)
		}
	}
	if _, why := begin("a", awsapi.Call{}); why != refusal.Denied {
		t.Errorf("one that streams nothing: %s", why)
	}
	if _, why := begin("b", awsapi.Call{StreamingOutput: true}); why != refusal.Denied {
		t.Errorf("of another identity: %s", why)
	}
	if _, why := begin("c", awsapi.Call{StreamingOutput: true}); why != refusal.Unavailable {
		t.Errorf("beside all: %s", why)
	}
	for _, f := range first.release {
		f()
	}
	if _, why := begin("c", awsapi.Call{StreamingOutput: true}); why != refusal.Denied {
		t.Errorf("after the first: %s", why)
	}
}

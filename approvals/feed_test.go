package approvals

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// inbox is where a feed delivers to.
type inbox struct {
	t       *testing.T
	got     chan string
	results chan string
	answer  func(m Message) error
}

func newInbox(t *testing.T) *inbox {
	return &inbox{t: t, got: make(chan string, 64), results: make(chan string, 64), answer: func(Message) error { return nil }}
}

func (i *inbox) feed(name string) Feed {
	return Feed{Name: name, OutcomeFor: time.Hour, Count: func(r string) { i.results <- r },
		Deliver: func(_ context.Context, m Message) error {
			what := "asked "
			if m.Outcome != nil {
				what = m.Outcome.Outcome + " "
			}
			i.got <- what + m.Approval()
			return i.answer(m)
		}}
}

func (i *inbox) take(from chan string) string {
	i.t.Helper()
	select {
	case s := <-from:
		return s
	case <-time.After(20 * time.Second):
		i.t.Fatal("nothing came")
		return ""
	}
}

// notify runs feeds, on gateways, until the test's end or the call of stop.
func notify(t *testing.T, f Feed, all ...*Broker) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for _, b := range all {
		wait.Go(func() { b.Notify(ctx, f) })
	}
	stop = func() { cancel(); wait.Wait() }
	t.Cleanup(stop)
	return stop
}

func deny(t *testing.T, b *Broker, r Request) {
	t.Helper()
	v := Vote{Issuer: "https://people", Subject: "ann", Groups: []string{"sre"}, Decision: Deny}
	if _, err := b.change(t.Context(), r.Approval, r.Digest, func(rec *Record) error { return rec.Vote(v, nil, time.Now()) }); err != nil {
		t.Fatal(err)
	}
}

// Of two gateways one delivers, in order, and what came while none ran is delivered
// later.
func TestFeedDeliversOnce(t *testing.T) {
	all := brokers(t, 2, time.Now)
	in := newInbox(t)
	stop := notify(t, in.feed("slack"), all...)
	var want []string
	ask := func(i int) {
		t.Helper()
		r := liveRequest(i, Needed{Groups: []string{"sre"}, Count: 1})
		if _, err := all[i%2].Ask(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		deny(t, all[i%2], r)
		want = append(want, "asked "+r.Approval, "denied "+r.Approval)
	}
	check := func() {
		t.Helper()
		var got []string
		for range want {
			got = append(got, in.take(in.got))
			if r := in.take(in.results); r != Delivered {
				t.Error(r)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("delivered %q, want %q", got, want)
		}
		if len(in.got) > 0 {
			t.Errorf("and again: %s", <-in.got)
		}
		want = nil
	}
	for i := range 5 {
		ask(i)
	}
	check()
	stop()
	ask(5)
	notify(t, in.feed("slack"), all[1])
	check()
}

// What fails is tried again, and what cannot be mended is left, with what is behind it
// delivered in both cases. Another feed does not notice.
func TestFeedRetries(t *testing.T) {
	b := brokers(t, 1, time.Now)[0]
	in, other := newInbox(t), newInbox(t)
	var tries atomic.Int32
	broken := errors.New("no connection")
	in.answer = func(m Message) error {
		if m.Request != nil && m.Request.Service == "poison" {
			return fmt.Errorf("%w: refused", ErrUndeliverable)
		}
		if tries.Add(1) == 1 {
			return broken
		}
		return nil
	}
	dead := make(chan struct{})
	other.answer = func(Message) error { <-dead; return nil }
	notify(t, other.feed("webhook-1"), b)
	notify(t, in.feed("webhook-0"), b)
	t.Cleanup(func() { close(dead) })
	first, poison, last := liveRequest(1, Needed{Groups: []string{"sre"}}), liveRequest(2, Needed{Groups: []string{"sre"}}), liveRequest(3, Needed{Groups: []string{"sre"}})
	poison.Service = "poison"
	for _, r := range []Request{first, poison, last} {
		if _, err := b.Ask(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"asked " + first.Approval, Retried, "asked " + first.Approval, Delivered, "asked " + poison.Approval, Dropped, "asked " + last.Approval, Delivered} {
		from := in.got
		if want == Retried || want == Delivered || want == Dropped {
			from = in.results
		}
		if got := in.take(from); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

// Nobody is asked for what has expired, and nothing is tried beyond that.
func TestFeedEndsWithTheApproval(t *testing.T) {
	var later atomic.Int64
	b := brokers(t, 1, func() time.Time { return time.Now().Add(time.Duration(later.Load())) })[0]
	in := newInbox(t)
	in.answer = func(Message) error {
		later.Store(int64(time.Hour))
		return errors.New("no connection")
	}
	for i := range 2 {
		if _, err := b.Ask(t.Context(), liveRequest(i, Needed{Groups: []string{"sre"}})); err != nil {
			t.Fatal(err)
		}
	}
	notify(t, in.feed("slack"), b)
	for range 2 {
		if r := in.take(in.results); r != Dropped {
			t.Errorf("it was %s", r)
		}
	}
	if n := len(in.got); n != 1 {
		t.Errorf("%d tries of what has expired", n)
	}
}

func TestBackoff(t *testing.T) {
	for n, most := range map[uint64]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 1 << 40: time.Minute} {
		for range 100 {
			if d := backoff(n); d < most/2 || d >= most {
				t.Fatalf("%d: %s", n, d)
			}
		}
	}
}

package gateway_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// stored is every event that the stream holds on subjects below filter, oldest
// first, without waiting for more.
func (r *rig) stored(t *testing.T, filter string) []event.Event {
	t.Helper()
	return r.follow(t, filter, nil)
}

// exchange is the events of one request, up to the one that ends it, which may
// come a moment after the answer.
func (r *rig) exchange(t *testing.T, id string) []event.Event {
	t.Helper()
	return r.follow(t, "sallyport.events.*."+id+".>", isEnd)
}

// isEnd reports what ends an exchange.
func isEnd(e event.Event) bool {
	switch d := e.Data.(type) {
	case *event.Response, *event.Aborted, *event.Refused:
		return true
	case *event.Decision:
		return d.Effect != "allow"
	}
	return false
}

// session waits for an event of a session itself.
func (r *rig) session(t *testing.T, id string, kind event.Kind) event.Event {
	t.Helper()
	list := r.follow(t, "sallyport.events."+id+".*."+string(kind), func(event.Event) bool { return true })
	return list[len(list)-1]
}

// follow reads until last says so and nothing more is stored; nil last reads what
// is there.
func (r *rig) follow(t *testing.T, filter string, last func(event.Event) bool) []event.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	must(t, r.srv.Flush(ctx))
	js, err := jetstream.New(r.nats)
	must(t, err)
	consumer, err := js.OrderedConsumer(ctx, recorder.Stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}})
	must(t, err)
	info, err := consumer.Info(ctx)
	must(t, err)
	var out []event.Event
	pending, ended := info.NumPending, last == nil
	if pending == 0 && ended {
		return nil
	}
	iter, err := consumer.Messages() // one by one each would be of a consumer of its own
	must(t, err)
	defer iter.Stop()
	defer context.AfterFunc(ctx, iter.Stop)()
	for pending > 0 || !ended {
		m, err := iter.Next()
		if errors.Is(err, jetstream.ErrNoHeartbeat) {
			continue
		}
		if err != nil {
			t.Fatalf("waiting for events on %s, with %v: %v", filter, kinds(out), err)
		}
		e, _, err := event.DecodeMessage(m.Headers(), m.Data())
		must(t, err)
		if e.Kind() != event.KindCheckpoint { // comes when it comes
			out = append(out, e)
			ended = ended || last(e)
		}
		meta, err := m.Metadata()
		must(t, err)
		pending = meta.NumPending
	}
	return out
}

func withoutBodies(list []event.Event) []event.Event {
	return slices.DeleteFunc(list, func(e event.Event) bool { return e.Kind() == event.KindBody })
}

func kinds(list []event.Event) []event.Kind {
	out := []event.Kind{}
	for _, e := range list {
		out = append(out, e.Kind())
	}
	return out
}

// wantKinds fails unless the request's events, bodies aside, are exactly these, in this
// order. What people said is on record beside the request's own way, at any place.
func (r *rig) wantKinds(t *testing.T, id string, want ...event.Kind) []event.Event {
	t.Helper()
	said := func(e event.Event) bool { return strings.HasPrefix(string(e.Kind()), "approval.") }
	end, heard := false, !slices.Contains(want, event.KindApprovalOutcome)
	list := withoutBodies(r.follow(t, "sallyport.events.*."+id+".>", func(e event.Event) bool {
		end, heard = end || isEnd(e), heard || e.Kind() == event.KindApprovalOutcome
		return end && heard
	}))
	slices.SortStableFunc(list, func(a, b event.Event) int { // what was said, before the decision
		switch {
		case said(a) && !said(b) && b.Kind() != event.KindRequest:
			return -1
		case said(b) && !said(a) && a.Kind() != event.KindRequest:
			return 1
		}
		return 0
	})
	if got := kinds(list); !slices.Equal(got, want) {
		t.Fatalf("request %s has the events %v, want %v", id, got, want)
	}
	return list
}

// data is the data of the one event of kind D.
func data[D event.Data](t *testing.T, list []event.Event) D {
	t.Helper()
	var found D
	n := 0
	for _, e := range list {
		if d, ok := e.Data.(D); ok {
			found = d
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d events of %T in %v", n, found, kinds(list))
	}
	return found
}

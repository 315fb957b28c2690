package recorder_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/recorder"
)

// Tail shows what is recorded from now on, with the operator's key and with the
// recorder's, over TCP.
func TestTail(t *testing.T) {
	for _, role := range []bus.Role{bus.Operator, bus.Recorder} {
		t.Run(string(role), func(t *testing.T) {
			s := start(t, t.TempDir(), "")
			p := publisher(t, s)
			session := ids.New()
			if _, err := p.Begin(t.Context(), exchange(ids.New())...); err != nil { // before: not shown
				t.Fatal(err)
			}
			nc, err := bus.Connect(t.Context(), bus.Options{Role: role, URL: s.URL(), CredsFile: s.CredsFile(role)})
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			got := make(chan event.Event, 64)
			over := make(chan error, 1)
			go func() {
				over <- recorder.Tail(ctx, nc, "", recorder.Filter{Session: session}, func(e event.Event) error {
					got <- e
					return nil
				}, nil)
			}()
			// Until the consumer is there, what is published is before "now": go on
			// until the first event comes through.
			var first event.Event
			for first.Data == nil {
				for _, x := range [][]event.Event{exchange(ids.New()), exchange(session)} {
					if err := p.Append(t.Context(), x...); err != nil {
						t.Fatal(err)
					}
				}
				select {
				case first = <-got:
				case err := <-over:
					t.Fatalf("Tail ended: %v", err)
				default:
				}
			}
			if first.Session() != session {
				t.Errorf("an event of session %s, want %s", first.Session(), session)
			}
			cancel()
			if err := <-over; err != nil {
				t.Error(err)
			}
		})
	}
}

// A user that may not read events is told so, and at once.
func TestTailForbidden(t *testing.T) {
	s := start(t, t.TempDir(), "")
	publisher(t, s) // makes the stream
	nc, err := bus.Connect(t.Context(), bus.Options{Role: bus.Approver, URL: s.URL(), CredsFile: s.CredsFile(bus.Approver)})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := recorder.Tail(t.Context(), nc, "", recorder.Filter{}, func(event.Event) error { return nil }, nil); !errors.Is(err, recorder.ErrForbidden) {
		t.Errorf("%v", err)
	}
}

// A stream of another name that acknowledges our events is not ours: the request
// behind them must not be sent.
func TestRogueStream(t *testing.T) {
	ns, err := server.NewServer(&server.Options{JetStream: true, StoreDir: t.TempDir(), Port: server.RANDOM_PORT, Host: "127.0.0.1", NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	nc, err := nats.Connect("", nats.InProcessServer(ns))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ROGUE", Subjects: []string{"sallyport.events.>"}}); err != nil {
		t.Fatal(err)
	}
	p, err := recorder.NewPublisher(recorder.PublisherOptions{Conn: nc, StateDir: t.TempDir(), Await: true, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	r, err := p.Begin(t.Context(), exchange(ids.New())...)
	if r != nil || err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stream") {
		t.Errorf("another stream's acknowledgement was taken, or refused for another reason: %v", err)
	}
}

// A context that has ended, and no events at all, are errors and not receipts.
func TestBeginEnds(t *testing.T) {
	s := start(t, t.TempDir(), "")
	p := publisher(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := p.Begin(ctx, exchange(ids.New())...); err == nil || r != nil {
		t.Error("a receipt from an ended context")
	}
	if r, err := p.Begin(t.Context()); err == nil || r != nil {
		t.Error("a receipt for nothing")
	}
	if (&recorder.Receipt{}).Use() {
		t.Error("the zero receipt is good for something")
	}
	var none *recorder.Receipt
	if none.Use() {
		t.Error("no receipt is good for something")
	}
}

// A recorder that is told to end before it has begun writes what there is.
func TestRunDrainsAtOnce(t *testing.T) {
	s := start(t, t.TempDir(), "")
	session := ids.New()
	if _, err := publisher(t, s).Begin(t.Context(), exchange(session)...); err != nil {
		t.Fatal(err)
	}
	nc, err := bus.Connect(t.Context(), bus.Options{Role: bus.Recorder, InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	dir := t.TempDir()
	store, err := recorder.OpenStore(recorder.StoreOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&recorder.Recorder{Conn: nc, Store: store}).Run(ctx); err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if got, err := (recorder.Records{Dir: dir}).Read(session); err != nil || len(got.Events) != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

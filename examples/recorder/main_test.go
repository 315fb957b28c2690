package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/recorder"
)

// The example records from a real bus what the gateway's own publisher writes,
// also what was while it was away, and all of it again under another name. What a
// full disk kept it from writing it does not acknowledge.
func TestRecord(t *testing.T) {
	dir := t.TempDir()
	server, err := bus.Start(t.Context(), bus.ServerOptions{Dir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	conn, err := bus.Connect(t.Context(), bus.Options{Role: bus.Gateway, InProcess: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	publisher, err := recorder.NewPublisher(recorder.PublisherOptions{Conn: conn, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = publisher.Close(context.Background()) })
	ids := event.NewIDs(nil)
	var published []string
	publish := func() {
		t.Helper()
		e := event.Event{ID: ids.New(), Source: "sallyport/test", Time: time.Now(), Data: &event.Request{
			Common:    event.Common{RequestID: ids.New(), SessionID: ids.New(), EventTime: time.Now()},
			Operation: event.Operation{Service: "s3", EventName: "GetObject"},
		}}
		if err := publisher.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		published = append(published, e.ID)
		piece := event.Event{ID: ids.New(), Source: e.Source, Time: e.Time, Data: event.NewBody(*e.Data.Head(), event.PartRequest, 0, 0, []byte("a\nbody"))}
		if err := publisher.Append(t.Context(), piece); err != nil {
			t.Fatal(err)
		}
		published = append(published, piece.ID)
	}
	begin := func(file, name string) (cancel func(), ended <-chan error) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- record(ctx, filepath.Join(dir, "nats", "url"), server.CredsFile(bus.Recorder), file, name)
		}()
		return cancel, done
	}
	until := func(file string) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for !slices.Equal(recorded(t, file), published) {
			select {
			case <-deadline:
				t.Fatalf("%s has %v, published were %v", file, recorded(t, file), published)
			case <-tick.C:
			}
		}
	}
	acknowledged := func(name string) uint64 {
		t.Helper()
		nc, err := bus.Connect(t.Context(), bus.Options{Role: bus.Recorder, InProcess: server})
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		// What it acknowledged has arrived when it no longer waits for more: NATS has
		// then seen its connection end.
		deadline := time.After(20 * time.Second)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			consumer, err := js.Consumer(t.Context(), bus.EventsStream, name)
			if err != nil {
				t.Fatal(err)
			}
			if info := consumer.CachedInfo(); info.NumWaiting == 0 {
				return info.AckFloor.Stream
			}
			select {
			case <-deadline:
				t.Fatalf("%s still waits", name)
			case <-tick.C:
			}
		}
	}
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")

	publish()
	cancel, ended := begin("/dev/full", "full")
	if err := <-ended; !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a full disk: %v", err)
	}
	cancel()
	if n := acknowledged("full"); n != 0 {
		t.Fatalf("%d events were acknowledged, and are nowhere", n)
	}

	// Half a line, as a crash leaves it.
	if err := os.WriteFile(first, []byte(`{"id":"torn`), 0o600); err != nil {
		t.Fatal(err)
	}
	cancel, ended = begin(first, "first")
	until(first)
	publish()
	until(first)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("ended with %v", err)
	}
	// The server may give what comes now to the one that has just left, and to nobody
	// else for the half minute in which it would be acknowledged.
	if n := acknowledged("first"); n != 4 {
		t.Fatalf("%d of 4 were acknowledged", n)
	}

	publish()
	for file, name := range map[string]string{first: "first", second: "second"} {
		cancel, ended = begin(file, name)
		until(file)
		cancel()
		<-ended
		if n := acknowledged(name); n != 6 {
			t.Errorf("%s acknowledged %d of 6", name, n)
		}
	}
}

// recorded are the ids in a file, in order; a torn line is left out.
func recorded(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var ids []string
	for line := range bytes.Lines(text) {
		var e struct {
			ID      string
			Headers map[string][]string
			Bytes   []byte `json:"data_base64"`
		}
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		if e.Headers != nil {
			if string(e.Bytes) != "a\nbody" {
				t.Errorf("a piece of a body is %q", e.Bytes)
			}
			e.ID = e.Headers["ce-id"][0]
		}
		ids = append(ids, e.ID)
	}
	return ids
}

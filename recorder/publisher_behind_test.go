package recorder_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/recorder"
)

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// teller says what a recorder would say.
type teller struct {
	t  testing.TB
	nc *nats.Conn
}

func newTeller(t testing.TB, s *bus.Server) teller {
	t.Helper()
	nc, err := bus.Connect(context.Background(), bus.Options{Role: bus.Recorder, InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return teller{t, nc}
}

func (r teller) say(subject, name string, stream uint64) {
	r.t.Helper()
	b, err := json.Marshal(map[string]any{"recorder": name, "stream": stream, "time": time.Now()})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := errors.Join(r.nc.Publish("sallyport.recorders."+subject, b), r.nc.Flush()); err != nil {
		r.t.Fatal(err)
	}
}

func segments(t testing.TB, dir string) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// Without recorders the file is kept until it is full, and then it says so. Room is
// left for the ends of what has begun. What the slowest recorder has confirmed goes.
func TestFileWaitsForRecorders(t *testing.T) {
	s := start(t, t.TempDir(), "")
	c := &clock{at: time.Now()}
	dir := t.TempDir()
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: dir, SegmentSize: 16 << 10, WALLimit: 256 << 10, Now: c.now})
	var err error
	n := 0
	for ; n < 2000 && err == nil; n++ {
		_, err = p.Begin(t.Context(), exchange(ids.New())...)
	}
	if !errors.Is(err, recorder.ErrBehind) || !strings.Contains(err.Error(), "record.wal_limit") || n < 50 {
		t.Fatalf("after %d requests: %v", n, err)
	}
	if err := p.Append(t.Context(), exchange(ids.New())[2]); err != nil {
		t.Fatalf("the end of an exchange was refused: %v", err)
	}
	credential := exchange(ids.New())[0]
	credential.Data = &event.Credential{Common: *credential.Data.Head()}
	if err := p.Append(t.Context(), credential); !errors.Is(err, recorder.ErrBehind) {
		t.Fatalf("a credential was recorded, after which the request goes out: %v", err)
	}
	for err = nil; err == nil; {
		err = p.Append(t.Context(), exchange(ids.New())[2])
	}
	if !errors.Is(err, recorder.ErrBehind) {
		t.Fatal(err)
	}
	if err := p.Queue(t.Context(), exchange(ids.New())[2]); !errors.Is(err, recorder.ErrBehind) {
		t.Fatalf("a full file takes more: %v", err)
	}
	flush(t, p)
	last := stream(t, s)
	end := last[len(last)-1].sequence
	before := segments(t, dir)
	r := newTeller(t, s)
	// Who is not who it says, and text that is none, count for nothing.
	r.say("fast", "other", end)
	if err := r.nc.Publish("sallyport.recorders.x", []byte(`{"recorder":"x","stream":-1}`)); err != nil {
		t.Fatal(err)
	}
	r.say("slow", "slow", 3)
	r.say("fast", "fast", end)
	time.Sleep(1200 * time.Millisecond) // two turns
	if now := segments(t, dir); now < before {
		t.Fatalf("of %d segments %d are left, though a recorder has confirmed 3 events", before, now)
	}
	r.say("slow", "slow", end/2)
	waitFor(t, func() bool { now := segments(t, dir); return now < before && now > before/3 })
	r.say("slow", "slow", 1<<40)
	r.say("fast", "fast", 1<<40)
	waitFor(t, func() bool { return segments(t, dir) <= 2 })
	if _, err := p.Begin(t.Context(), exchange(ids.New())...); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	// One that is silent for long is waited for no more.
	for range 300 {
		if _, err := p.Begin(t.Context(), exchange(ids.New())...); err != nil {
			break
		}
	}
	flush(t, p)
	c.advance(11 * time.Minute)
	r.say("fast", "fast", 1<<40)
	waitFor(t, func() bool { return segments(t, dir) <= 2 })
}

// What recorders have is kept for as long as the stream may still lose it.
func TestFileWaitsForTheStream(t *testing.T) {
	s := start(t, t.TempDir(), "")
	c := &clock{at: time.Now()}
	dir := t.TempDir()
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: dir, SegmentSize: 16 << 10, Now: c.now, Settle: 30 * time.Second})
	for range 60 {
		if _, err := p.Begin(t.Context(), exchange(ids.New())...); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, p)
	before := segments(t, dir)
	r := newTeller(t, s)
	r.say("a", "a", 1<<40)
	time.Sleep(1200 * time.Millisecond)
	if now := segments(t, dir); now < before {
		t.Fatalf("of %d segments %d are left, and the stream has not synced", before, now)
	}
	c.advance(31 * time.Second)
	waitFor(t, func() bool { return segments(t, dir) <= 2 })
}

// k recorders that are there and keep up, or nothing goes through.
func TestRequireRecorders(t *testing.T) {
	s := start(t, t.TempDir(), "")
	c := &clock{at: time.Now()}
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), RequireRecorders: 2, Now: c.now})
	r := newTeller(t, s)
	allowed := func(want bool, why string) {
		t.Helper()
		waitFor(t, func() bool { return (p.Accepting() == nil) == want })
		_, err := p.Begin(t.Context(), exchange(ids.New())...)
		if (err == nil) != want || err != nil && (!errors.Is(err, recorder.ErrBehind) || !strings.Contains(err.Error(), "require_recorders")) {
			t.Fatalf("%s: %v", why, err)
		}
	}
	allowed(false, "none was heard")
	r.say("a", "a", 1<<40)
	r.say("a", "a", 1<<40)
	allowed(false, "one of two was heard")
	r.say("b", "b", 0)
	allowed(true, "both are there, and nothing is older than ten seconds")
	flush(t, p)
	c.advance(4 * time.Second)
	allowed(true, "both were heard just now")
	c.advance(2 * time.Second)
	allowed(false, "both are silent")
	r.say("a", "a", 1<<40)
	r.say("b", "b", 0)
	allowed(true, "both are back, and b is six seconds behind")
	c.advance(5 * time.Second)
	r.say("a", "a", 1<<40)
	r.say("b", "b", 0)
	allowed(false, "b is eleven seconds behind")
	r.say("b", "b", 1<<40)
	allowed(true, "b has caught up")
}

// NATS in the process is away: what is recorded goes on, up to a bound.
func TestLagIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "")
	for _, o := range []recorder.PublisherOptions{{LagEvents: 40}, {LagBytes: 40 << 10}} {
		o.Conn = connect(t, s, true)
		p := newPublisher(t, o)
		o.Conn.Close()
		var err error
		n := 0
		for ; n < 200 && err == nil; n++ {
			_, err = p.Begin(t.Context(), exchange(ids.New())...)
		}
		if !errors.Is(err, recorder.ErrBehind) || !strings.Contains(err.Error(), "not connected") || n < 10 {
			t.Fatalf("after %d requests without NATS: %v", n, err)
		}
		if err := p.Append(t.Context(), exchange(ids.New())[2]); err != nil {
			t.Fatalf("the end of an exchange was refused: %v", err)
		}
	}
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), Await: true})
	s.Shutdown()
	waitFor(t, func() bool { return p.Accepting() != nil })
	if _, err := p.Begin(t.Context(), exchange(ids.New())...); !errors.Is(err, recorder.ErrBehind) {
		t.Fatalf("NATS elsewhere is away: %v", err)
	}
	if err := p.Append(t.Context(), exchange(ids.New())[2]); !errors.Is(err, recorder.ErrUnconfirmed) {
		t.Fatalf("acknowledged without NATS, or not said to be in the file: %v", err)
	}
}

// An event that cannot be recorded whole is refused, and nothing of its call is.
func TestTooLarge(t *testing.T) {
	s, err := bus.Start(t.Context(), bus.ServerOptions{Dir: t.TempDir(), MaxPayload: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true)})
	ev := exchange(ids.New())
	c := *ev[2].Data.Head()
	large := &event.Response{Common: c}
	for range 200 {
		large.Findings = append(large.Findings, event.Finding{Path: strings.Repeat("p", 40), Source: "sensitive"})
	}
	ev[2].Data = large
	if err := p.Append(t.Context(), ev[0], ev[2]); !errors.Is(err, event.ErrTooLarge) {
		t.Fatalf("%v", err)
	}
	flush(t, p)
	if list := stream(t, s); len(list) != 0 {
		t.Fatalf("%d events of a call that failed", len(list))
	}
}

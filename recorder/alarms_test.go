package recorder_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/recorder"
)

// alarmsOf are the codes of the alarms on record.
func alarmsOf(t testing.TB, dir string) (codes []string) {
	t.Helper()
	for _, e := range entries(t, dir, 0) {
		if d, ok := e.Event.Data.(*event.Alarm); ok && e.Err == nil {
			codes = append(codes, d.Code)
		}
	}
	return codes
}

// What is wrong with the events of a gateway is on record as soon as it can be known.
func TestAlarms(t *testing.T) {
	clock := time.Now()
	other := newGateway(t)
	for name, c := range map[string]struct {
		change func(g *gateway, e []event.Event) []event.Event
		want   []string
	}{
		"nothing":      {func(_ *gateway, e []event.Event) []event.Event { return e }, nil},
		"out of order": {func(_ *gateway, e []event.Event) []event.Event { slices.Reverse(e); return e }, nil},
		"twice":        {func(_ *gateway, e []event.Event) []event.Event { return append(e, e...) }, nil},
		"began later":  {func(_ *gateway, e []event.Event) []event.Event { return e[5:] }, nil},
		"gap":          {func(_ *gateway, e []event.Event) []event.Event { return slices.Delete(e, 5, 7) }, []string{recorder.CodeGap}},
		"two gaps": {func(_ *gateway, e []event.Event) []event.Event { return slices.Delete(slices.Delete(e, 9, 10), 5, 7) },
			[]string{recorder.CodeGap, recorder.CodeGap}},
		"changed": {func(_ *gateway, e []event.Event) []event.Event { e[5].Subject = "x"; return e }, []string{recorder.CodeChain}},
		"fork": {func(_ *gateway, e []event.Event) []event.Event {
			f := e[5]
			f.ID, f.Subject = ids.New(), "x"
			return append(e, f)
		}, []string{recorder.CodeFork}},
		"one id twice": {func(_ *gateway, e []event.Event) []event.Event {
			x := exchange(ids.New())
			x[1].ID = x[0].ID
			return append(e, x[:2]...)
		}, []string{recorder.CodeFork}},
		"another's signature": {func(g *gateway, e []event.Event) []event.Event {
			g.key = other.key
			return append(e, g.checkpoint())
		}, []string{recorder.CodeSignature}},
		"signed something else": {func(g *gateway, e []event.Event) []event.Event {
			prev := g.prev
			g.prev = strings.Repeat("ab", 32)
			d := g.checkpoint()
			g.seq, g.prev = g.seq-1, prev
			return append(e, g.link(d)...)
		}, []string{recorder.CodeCheckpoint}},
		"no place": {func(g *gateway, e []event.Event) []event.Event {
			x := exchange(ids.New())[:1]
			x[0].Source = g.source
			return append(e, x...)
		}, []string{recorder.CodeUnchained}},
	} {
		dir := t.TempDir()
		now := clock
		s := open(t, recorder.StoreOptions{Dir: dir, Now: func() time.Time { return now }})
		g := newGateway(t)
		in := messages(t, c.change(g, g.day(ids.New(), 3))...)
		for batch := range slices.Chunk(in, 4) {
			if err := s.Append(batch); err != nil {
				t.Fatal(err)
			}
		}
		now = clock.Add(59 * time.Second)
		if err := s.Tick(); err != nil {
			t.Fatal(err)
		}
		early := alarmsOf(t, dir)
		for range 3 { // a gap each
			now = now.Add(61 * time.Second)
			if err := s.Tick(); err != nil {
				t.Fatal(err)
			}
		}
		if got := alarmsOf(t, dir); !slices.Equal(got, c.want) {
			t.Errorf("%s: alarms %v, want %v", name, got, c.want)
		}
		if len(early) > 0 && c.want[0] == recorder.CodeGap {
			t.Errorf("%s: given up too early", name)
		}
		// A recorder that starts again goes on where it was.
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if name == "nothing" {
			write(t, recorder.StoreOptions{Dir: dir}, messages(t, g.day(ids.New(), 1)...))
			write(t, recorder.StoreOptions{Dir: dir}, messages(t, g.day(ids.New(), 1)[1:]...))
			s := open(t, recorder.StoreOptions{Dir: dir, Now: func() time.Time { return now }})
			if err := s.Append(messages(t, g.day(ids.New(), 1)[1:]...)); err != nil {
				t.Fatal(err)
			}
			now = now.Add(61 * time.Second)
			if err := s.Tick(); err != nil {
				t.Fatal(err)
			}
			if got := alarmsOf(t, dir); len(got) == 0 || got[0] != recorder.CodeGap {
				t.Errorf("a gap over a restart: %v", got)
			}
		}
	}
}

// A recorder that is killed before it has written the first messages it was given gets
// them long after those behind them, and after other starts.
func TestFirstEventsComeLast(t *testing.T) {
	dir := t.TempDir()
	g := newGateway(t)
	day := g.day(ids.New(), 3)
	for _, part := range [][]event.Event{day[5:8], day[8:], day[3:5], day[:3], g.day(ids.New(), 1)} {
		write(t, recorder.StoreOptions{Dir: dir}, messages(t, part...))
	}
	if got := alarmsOf(t, dir); len(got) > 0 {
		t.Errorf("alarms %v", got)
	}
	whole(t, dir, recorder.VerifyOptions{})
}

// A flood of one kind is counted, not written.
func TestAlarmsAreBounded(t *testing.T) {
	dir := t.TempDir()
	var junk []recorder.Record
	for range 1000 {
		junk = append(junk, recorder.Record{Session: event.NoSession, MsgID: ids.New(), Payload: []byte("junk")})
	}
	write(t, recorder.StoreOptions{Dir: dir}, junk[:500], junk[500:])
	if n := len(alarmsOf(t, dir)); n == 0 || n > 20 {
		t.Errorf("%d alarms", n)
	}
	if n := len(entries(t, dir, 0)); n < 1000 {
		t.Errorf("%d entries", n)
	}
}

// A recorder says how far it has come, and what it found, to gateways and operators.
func TestHeartbeatsAndAlarms(t *testing.T) {
	dir := t.TempDir()
	server := start(t, filepath.Join(dir, "nats"), "")
	listen, err := bus.Connect(t.Context(), bus.Options{Role: bus.Operator, URL: server.URL(), CredsFile: server.CredsFile(bus.Operator)})
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close()
	beats, alarms := make(chan *nats.Msg, 1000), make(chan *nats.Msg, 1000)
	if _, err := listen.ChanSubscribe(recorder.HeartbeatSubject("sallyport", "*"), beats); err != nil {
		t.Fatal(err)
	}
	if _, err := listen.ChanSubscribe(recorder.AlarmSubject("sallyport", "*"), alarms); err != nil {
		t.Fatal(err)
	}
	if err := listen.Flush(); err != nil {
		t.Fatal(err)
	}
	store := open(t, recorder.StoreOptions{Dir: filepath.Join(dir, "records"), Name: "second"})
	conn, err := bus.Connect(t.Context(), bus.Options{Role: bus.Recorder, URL: server.URL(), CredsFile: server.CredsFile(bus.Recorder)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- (&recorder.Recorder{Conn: conn, Store: store}).Run(ctx) }()
	p := rawPublisher(t, server)
	g := newGateway(t)
	day := g.day(ids.New(), 5)
	day[2].Subject = "changed"
	for _, e := range day {
		if err := p.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.After(20 * time.Second)
	for reached := false; !reached; {
		select {
		case m := <-beats:
			var b recorder.Heartbeat
			if err := json.Unmarshal(m.Data, &b); err != nil || b.Recorder != "second" || b.Time.IsZero() || m.Subject != "sallyport.recorders.second" {
				t.Fatalf("%s: %s, %v", m.Subject, m.Data, err)
			}
			reached = b.Stream == uint64(len(day))
		case err := <-done:
			t.Fatal(err)
		case <-deadline:
			t.Fatal("the heartbeat does not come to the end")
		}
	}
	select {
	case m := <-alarms:
		e, err := event.Decode(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := e.Data.(*event.Alarm); !ok || d.Code != recorder.CodeChain || d.Source != g.source || e.Source != "sallyport-recorder/second" {
			t.Errorf("%s", m.Data)
		}
	case <-deadline:
		t.Fatal("no alarm came")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

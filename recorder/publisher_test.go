package recorder_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/recorder"
)

// connect is a gateway's connection, within the process or over TCP.
func connect(t testing.TB, s *bus.Server, inProcess bool) *nats.Conn {
	t.Helper()
	o := bus.Options{Role: bus.Gateway, InProcess: s}
	if !inProcess {
		o = bus.Options{Role: bus.Gateway, URL: s.URL(), CredsFile: s.CredsFile(bus.Gateway)}
	}
	nc, err := bus.Connect(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func newPublisher(t testing.TB, o recorder.PublisherOptions) *recorder.Publisher {
	t.Helper()
	if o.StateDir == "" {
		o.StateDir = t.TempDir()
	}
	p, err := recorder.NewPublisher(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

// line is an event of the stream.
type line struct {
	event.Event
	text     string
	sequence uint64 // in the stream
}

// stream reads all that the stream of events holds now.
func stream(t testing.TB, s *bus.Server) []line {
	t.Helper()
	nc, err := bus.Connect(context.Background(), bus.Options{Role: bus.Recorder, InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	consumer, err := js.OrderedConsumer(ctx, recorder.Stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	var out []line
	for n := info.NumPending; n > 0; n-- {
		m, err := messages.Next()
		if err != nil {
			t.Fatal(err)
		}
		e, msg, err := event.DecodeMessage(m.Headers(), m.Data())
		if err != nil {
			t.Fatalf("%s: %v", m.Subject(), err)
		}
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		if m.Headers().Get(jetstream.MsgIDHeader) != e.ID {
			t.Fatalf("event %s has the message id %s", e.ID, m.Headers().Get(jetstream.MsgIDHeader))
		}
		out = append(out, line{e, string(msg.Line), meta.Sequence.Stream})
	}
	return out
}

// checkChains fails unless the events of each source are one chain from its beginning,
// in order, each once, and what checkpoints say of it is right. It returns how many
// events of each source there are, and how many the last checkpoint does not cover.
func checkChains(t testing.TB, list []line) (count, unsigned map[string]uint64) {
	t.Helper()
	count, unsigned = map[string]uint64{}, map[string]uint64{}
	digests := map[string][]string{}
	ids := map[string]bool{}
	for _, l := range list {
		sequence, prev, ok := event.Chained(l.Event)
		if !ok {
			t.Fatalf("event %s is in no chain", l.ID)
		}
		if ids[l.ID] {
			t.Fatalf("event %s comes twice", l.ID)
		}
		ids[l.ID] = true
		of := digests[l.Source]
		want := event.NoDigest
		if len(of) > 0 {
			want = of[len(of)-1]
		}
		if sequence != uint64(len(of))+1 || prev != want {
			t.Fatalf("event %s (%s) is number %d behind %.8s, want %d behind %.8s", l.ID, l.Kind(), sequence, prev, len(of)+1, want)
		}
		digests[l.Source] = append(of, event.LineDigest([]byte(l.text)))
		count[l.Source]++
		unsigned[l.Source]++
		if c, ok := l.Data.(*event.Checkpoint); ok {
			if err := c.Verify(l.Source); err != nil {
				t.Fatal(err)
			}
			if c.UpTo >= sequence || c.Digest != digests[l.Source][c.UpTo-1] {
				t.Fatalf("checkpoint %d signs another chain", sequence)
			}
			unsigned[l.Source] = sequence - 1 - c.UpTo
		}
	}
	return count, unsigned
}

func flush(t testing.TB, p *recorder.Publisher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func bodyOf(e event.Event, index int, b []byte) event.Event {
	return event.Event{ID: ids.New(), Source: "any", Time: time.Now(), Data: event.NewBody(*e.Data.Head(), event.PartResponse, index, int64(index)*8, b)}
}

// Many at once, with bodies: one chain, and every event in it once. Begun again it is
// the same gateway, and nothing is published twice.
func TestChainOverRestarts(t *testing.T) {
	s := start(t, t.TempDir(), "")
	dir := t.TempDir()
	source := ""
	var before []line
	for round := range 3 {
		nc := connect(t, s, true)
		p := newPublisher(t, recorder.PublisherOptions{Conn: nc, StateDir: dir, SegmentSize: 64 << 10})
		if source == "" {
			source = p.Source()
		}
		if p.Source() != source {
			t.Fatalf("after a restart the gateway is called %s, before %s", p.Source(), source)
		}
		if round > 0 {
			flush(t, p)
			if now := stream(t, s); len(now) != len(before) {
				t.Fatalf("after a clean stop %d events are published again", len(now)-len(before))
			}
		}
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				for range 20 {
					ev := exchange(ids.New())
					if _, err := p.Begin(t.Context(), ev[0], ev[1]); err != nil {
						t.Error(err)
					}
					for i := range 3 {
						if err := p.Queue(t.Context(), bodyOf(ev[0], i, []byte("12345678"))); err != nil {
							t.Error(err)
						}
					}
					if err := p.Append(t.Context(), ev[2]); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		before = stream(t, s)
		count, unsigned := checkChains(t, before)
		if n := count[source]; len(count) != 1 || n < uint64(round+1)*8*20*6 || n > uint64(round+1)*8*20*6+100 {
			t.Fatalf("%v", count)
		}
		if unsigned[source] != 0 {
			t.Fatalf("after a clean stop %d events are not signed", unsigned[source])
		}
	}
	if info, err := os.Stat(recorder.GatewayKeyFile(dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	if err := os.Chmod(recorder.GatewayKeyFile(dir), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := recorder.NewPublisher(recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: dir}); err == nil || recorder.CheckGatewayKey(dir) == nil {
		t.Fatal("a key that others can read was taken")
	}
}

// A checkpoint comes within a second of an event, and after many events.
func TestCheckpointsCome(t *testing.T) {
	s := start(t, t.TempDir(), "")
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true)})
	if _, err := p.Begin(t.Context(), exchange(ids.New())...); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		flush(t, p)
		_, unsigned := checkChains(t, stream(t, s))
		return unsigned[p.Source()] == 0
	})
	n := len(stream(t, s))
	for range 400 {
		if err := p.Queue(t.Context(), exchange(ids.New())[0]); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Append(t.Context(), exchange(ids.New())[0]); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		flush(t, p)
		_, unsigned := checkChains(t, stream(t, s))
		return unsigned[p.Source()] == 0
	})
	waitFor(t, func() bool { return len(stream(t, s)) > n+400 })
	// With nothing to sign none comes.
	before := len(stream(t, s))
	time.Sleep(1200 * time.Millisecond)
	if after := len(stream(t, s)); after != before {
		t.Errorf("%d checkpoints of nothing", after-before)
	}
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not come to pass in 20 s")
		}
	}
}

// The file of events is lost, or an older one is put in its place: a new name, and a
// new chain. Nothing of the old one is ever numbered again.
func TestLostFileIsANewGateway(t *testing.T) {
	s := start(t, t.TempDir(), "")
	dir := t.TempDir()
	run := func() string {
		p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: dir})
		if _, err := p.Begin(t.Context(), exchange(ids.New())...); err != nil {
			t.Fatal(err)
		}
		flush(t, p)
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return p.Source()
	}
	first := run()
	wal := filepath.Join(dir, "wal")
	old := t.TempDir()
	if err := os.CopyFS(filepath.Join(old, "wal"), os.DirFS(wal)); err != nil {
		t.Fatal(err)
	}
	if run() != first {
		t.Fatal("a restart is another gateway")
	}
	mark, err := os.ReadFile(filepath.Join(wal, "published"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(wal); err != nil {
		t.Fatal(err)
	}
	second := run()
	if second == first {
		t.Fatal("the file was lost, and the gateway has the same name")
	}
	checkChains(t, stream(t, s))
	// An older file, beside the mark of a newer one.
	if err := errors.Join(os.RemoveAll(wal), os.CopyFS(wal, os.DirFS(filepath.Join(old, "wal"))),
		os.Remove(filepath.Join(wal, "published")), os.WriteFile(filepath.Join(wal, "published"), mark, 0o600)); err != nil {
		t.Fatal(err)
	}
	if third := run(); third == first || third == second {
		t.Fatal("an older file goes on under a name that has been used")
	}
	checkChains(t, stream(t, s))
}

// Clocks that step back change neither order nor chain.
func TestClockBackwards(t *testing.T) {
	s := start(t, t.TempDir(), "")
	now := time.Now()
	var mu sync.Mutex
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(-time.Minute)
		return now
	}})
	for range 30 {
		if _, err := p.Begin(t.Context(), exchange(ids.New())...); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	count, unsigned := checkChains(t, stream(t, s))
	if count[p.Source()] < 90 || unsigned[p.Source()] != 0 {
		t.Fatal(count, unsigned)
	}
}

// Another one used an event's id first: the stream drops the event, and no request
// goes through any more.
func TestDroppedEventStopsEverything(t *testing.T) {
	s := start(t, t.TempDir(), "")
	nc := connect(t, s, true)
	for _, await := range []bool{false, true} {
		p := newPublisher(t, recorder.PublisherOptions{Conn: nc, Await: await})
		ev := exchange(ids.New())
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		subject, err := event.SubjectOf("sallyport", ev[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: []byte("x")}, jetstream.WithMsgID(ev[0].ID)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Begin(t.Context(), ev...); (err != nil) != await {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return p.Accepting() != nil })
		if _, err := p.Begin(t.Context(), exchange(ids.New())...); err == nil || !strings.Contains(err.Error(), "duplicate") {
			t.Fatalf("after an event was dropped: %v", err)
		}
	}
}

// tinyDisk is a folder with room for 400 KB.
func tinyDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("publisher-test", dir, "tmpfs", 0, "size=400k"); err != nil {
		t.Skip("a full disk is met on a small one that this test mounts, which only root may:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// isOpen reports a file that this process has open: its room is not free before.
func isOpen(path string) bool {
	fds, _ := filepath.Glob("/proc/self/fd/*")
	return slices.ContainsFunc(fds, func(fd string) bool {
		to, err := os.Readlink(fd)
		return err == nil && to == path
	})
}

// The disk is full: the call fails and nothing else. With room again the chain goes on
// behind the last event that is durable, and an exchange whose bodies were lost fails.
func TestFullDisk(t *testing.T) {
	dir := tinyDisk(t)
	s := start(t, t.TempDir(), "")
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: dir, SegmentSize: 32 << 10})
	if _, err := p.Begin(t.Context(), exchange(ids.New())...); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { // the spare segment is made
		spares, err := filepath.Glob(filepath.Join(dir, "wal", "spare-*"))
		return err == nil && len(spares) > 0
	})
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	for range 500 {
		if _, err = p.Begin(t.Context(), exchange(ids.New())...); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is full, and %v", err)
	}
	lost := exchange(ids.New())
	if err := p.Queue(t.Context(), bodyOf(lost[0], 0, make([]byte, 30<<10))); err != nil {
		t.Fatal(err)
	}
	if err := p.Append(t.Context(), exchange(ids.New())[2]); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is full, and %v", err)
	}
	if err := filler.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if err := p.Append(t.Context(), exchange(ids.New())[2]); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if err := p.Append(t.Context(), lost[2]); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a body was lost, and the end of its exchange is acknowledged: %v", err)
	}
	for range 20 {
		if _, err := p.Begin(t.Context(), exchange(ids.New())...); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, unsigned := checkChains(t, stream(t, s))
	if unsigned[p.Source()] != 0 {
		t.Fatal(unsigned)
	}
}

// A request of which the disk had room for a part is on record, so that it needs an end;
// one of which nothing is there needs none.
func TestFullDiskInTheMiddle(t *testing.T) {
	dir := tinyDisk(t)
	s := start(t, t.TempDir(), "")
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: dir, SegmentSize: 32 << 10})
	if _, err := p.Begin(t.Context(), exchange(ids.New())...); err != nil {
		t.Fatal(err)
	}
	var spares []string
	waitFor(t, func() (there bool) {
		spares, _ = filepath.Glob(filepath.Join(dir, "wal", "spare-*"))
		return len(spares) > 0 && !isOpen(spares[0])
	})
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for err = os.Remove(spares[0]); err == nil; {
		_, err = filler.Write(make([]byte, 4096))
	}
	part := exchange(ids.New())
	if _, err := p.Begin(t.Context(), part[0], bodyOf(part[0], 0, make([]byte, 30<<10))); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, recorder.ErrUnconfirmed) {
		t.Errorf("of a request that is there in part: %v", err)
	}
	none := exchange(ids.New())
	many := map[string]any{}
	for i := range 300 {
		many[strconv.Itoa(i)] = strings.Repeat("x", 90)
	}
	none[0].Data.(*event.Request).RequestParameters = many
	if _, err := p.Begin(t.Context(), none[:2]...); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, recorder.ErrUnconfirmed) {
		t.Errorf("of a request that is not there: %v", err)
	}
	if err := filler.Truncate(0); err != nil {
		t.Fatal(err)
	}
	flush(t, p)
	ends := endsOf(stream(t, s))
	if _, there := ends[part[0].Exchange()]; !there {
		t.Error("the part is not on record")
	}
	if _, there := ends[none[0].Exchange()]; there {
		t.Error("what failed whole is on record")
	}
}

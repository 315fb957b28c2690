package recorder_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/recorder"
)

// TestGatewayChild is no test: it is the process that the tests below kill. It records
// with several goroutines, says which events were acknowledged, and kills itself after
// a number of them.
func TestGatewayChild(t *testing.T) {
	dir := os.Getenv("SALLYPORT_TEST_GATEWAY")
	if dir == "" {
		t.Skip("runs in a process of its own")
	}
	after, err := strconv.Atoi(os.Getenv("SALLYPORT_TEST_KILL"))
	if err != nil {
		t.Fatal(err)
	}
	o := bus.Options{Role: bus.Gateway, URL: os.Getenv("SALLYPORT_TEST_NATS"), CredsFile: os.Getenv("SALLYPORT_TEST_CREDS")}
	settle := time.Duration(0)
	if o.URL == "" {
		s, err := bus.Start(context.Background(), bus.ServerOptions{Dir: filepath.Join(dir, "nats")})
		if err != nil {
			t.Fatal(err)
		}
		o, settle = bus.Options{Role: bus.Gateway, InProcess: s}, 3*bus.SyncInterval
	}
	nc, err := bus.Connect(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	p, err := recorder.NewPublisher(recorder.PublisherOptions{Conn: nc, StateDir: dir, Await: o.URL != "", Settle: settle, SegmentSize: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	var count atomic.Int64
	say := func(events ...event.Event) {
		for _, e := range events {
			fmt.Fprintln(os.Stdout, "acknowledged", e.ID)
			if count.Add(1) == int64(after) {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		}
	}
	failed := make(chan error)
	for range 4 {
		go func() {
			for {
				ev := exchange(ids.New())
				if _, err := p.Begin(context.Background(), ev[0], ev[1]); err != nil {
					failed <- err
				}
				say(ev[:2]...)
				body := bodyOf(ev[0], 0, []byte(strings.Repeat("body", rand.IntN(200)+1)))
				if err := p.Queue(context.Background(), body); err != nil {
					failed <- err
				}
				if err := p.Append(context.Background(), ev[2]); err != nil {
					failed <- err
				}
				say(body, ev[2])
			}
		}()
	}
	t.Fatal(<-failed)
}

// killed runs a child until it has killed itself, and returns what it acknowledged.
func killed(t *testing.T, after int, env ...string) (ids []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestGatewayChild$")
	cmd.Env = append(os.Environ(), append(env, "SALLYPORT_TEST_KILL="+strconv.Itoa(after))...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var other strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "acknowledged "); ok {
			ids = append(ids, id)
		} else {
			other.WriteString(lines.Text() + "\n")
		}
	}
	err = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		t.Fatalf("the child was not killed: %v\n%s", err, other.String())
	}
	return ids
}

// kills are after how many acknowledged events a gateway dies: each of the first ones,
// then at a stride.
func kills() []int { return []int{1, 2, 3, 4, 5, 6, 7, 9, 11, 14, 18, 23, 30, 60, 120} }

// The gateway dies at every k-th event, and NATS within it. All that was acknowledged is
// in the stream in the end, each event once, in one unbroken chain.
func TestKilledGateway(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for _, k := range kills() {
		for _, id := range killed(t, k, "SALLYPORT_TEST_GATEWAY="+dir) {
			acknowledged[id] = true
		}
	}
	s := start(t, filepath.Join(dir, "nats"), "")
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: dir, Settle: 3 * bus.SyncInterval, SegmentSize: 16 << 10})
	afterKills(t, s, p, acknowledged)
}

// The same with NATS in another process, whose acknowledgement is awaited.
func TestKilledGatewayElsewhere(t *testing.T) {
	dir := t.TempDir()
	s := start(t, t.TempDir(), "")
	acknowledged := map[string]bool{}
	for _, k := range kills()[:10] {
		for _, id := range killed(t, k, "SALLYPORT_TEST_GATEWAY="+dir, "SALLYPORT_TEST_NATS="+s.URL(), "SALLYPORT_TEST_CREDS="+s.CredsFile(bus.Gateway)) {
			acknowledged[id] = true
		}
	}
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, false), StateDir: dir, Await: true, SegmentSize: 16 << 10})
	afterKills(t, s, p, acknowledged)
}

func afterKills(t *testing.T, s *bus.Server, p *recorder.Publisher, acknowledged map[string]bool) {
	t.Helper()
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := stream(t, s)
	count, unsigned := checkChains(t, list)
	if len(count) != 1 || unsigned[p.Source()] != 0 {
		t.Fatal(count, unsigned)
	}
	for _, l := range list {
		delete(acknowledged, l.ID)
	}
	if len(acknowledged) > 0 {
		t.Fatalf("%d acknowledged events are not in the stream", len(acknowledged))
	}
	for id, ends := range endsOf(list) {
		if len(ends) != 1 {
			t.Errorf("request %s has %d ends", id, len(ends))
		}
	}
	t.Logf("%d events in the stream", len(list))
}

// The stream loses its end, as it may with the machine that had it: what is missing is
// published again from the file, though it was acknowledged.
func TestStreamLosesEvents(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	s := start(t, at("nats"), "")
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: at("state"), Settle: time.Hour})
	begin := func(n int) {
		for range n {
			if _, err := p.Begin(t.Context(), exchange(ids.New())...); err != nil {
				t.Fatal(err)
			}
		}
	}
	begin(5)
	flush(t, p)
	s.Shutdown()
	if err := os.CopyFS(at("older"), os.DirFS(at("nats"))); err != nil {
		t.Fatal(err)
	}
	// Goes on without NATS.
	begin(5)
	if err := p.Accepting(); err != nil {
		t.Fatal(err)
	}
	closeSoon(t, p)
	s = start(t, at("nats"), "")
	p = newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: at("state"), Settle: time.Hour})
	flush(t, p)
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole := len(stream(t, s))
	s.Shutdown()
	if err := chmodAll(at("older")); err != nil {
		t.Fatal(err)
	}
	s = start(t, at("older"), "") // an older state of the stream
	p = newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: at("state"), Settle: time.Hour})
	flush(t, p)
	list := stream(t, s)
	checkChains(t, list)
	if len(list) < whole {
		t.Fatalf("%d events of %d are in the stream that had lost some", len(list), whole)
	}
}

func closeSoon(t *testing.T, p *recorder.Publisher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// chmodAll undoes what os.CopyFS does to the modes of private files.
func chmodAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	})
}

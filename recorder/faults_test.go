package recorder_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/recorder"
)

// child runs one of the tests named child... in a process of its own, which can be
// killed. Its arguments come by SALLYPORT_CHILD.
func child(t *testing.T, test string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), "SALLYPORT_CHILD="+strings.Join(args, "\n"))
	cmd.Stderr = os.Stderr
	return cmd
}

func childArgs(t *testing.T) []string {
	t.Helper()
	text := os.Getenv("SALLYPORT_CHILD")
	if text == "" {
		t.Skip("another test starts this one in a process of its own, to kill it")
	}
	return strings.Split(text, "\n")
}

// TestChildRecorder records until it is killed.
func TestChildRecorder(t *testing.T) {
	args := childArgs(t)
	conn, err := bus.Connect(t.Context(), bus.Options{Role: bus.Recorder, URL: args[0], CredsFile: args[1]})
	if err != nil {
		t.Fatal(err)
	}
	store, err := recorder.OpenStore(recorder.StoreOptions{Dir: args[2], SegmentSize: 100_000, PackSize: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("recording")
	if err := (&recorder.Recorder{Conn: conn, Store: store, Batch: 16}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A recorder that is killed at any point has everything that it acknowledged, once, and
// a log that verifies.
func TestKilledRecorder(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a process and kills it ten times, which -short leaves out")
	}
	const kills = 10
	dir := t.TempDir()
	records := filepath.Join(dir, "records")
	server := start(t, filepath.Join(dir, "nats"), "")
	p := rawPublisher(t, server)
	g := newGateway(t)
	var published []string
	var mu sync.Mutex
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			day := g.day(ids.New(), 2)
			for _, e := range day {
				if err := p.Append(context.Background(), e); err != nil {
					t.Error(err)
					return
				}
			}
			mu.Lock()
			for _, e := range day {
				published = append(published, e.ID)
			}
			mu.Unlock()
		}
	})
	operator, err := bus.Connect(t.Context(), bus.Options{Role: bus.Recorder, InProcess: server})
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	js, err := jetstream.New(operator)
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := func() uint64 {
		cons, err := js.Consumer(t.Context(), bus.EventsStream, "recorder")
		if err != nil {
			return 0 // none yet
		}
		return cons.CachedInfo().AckFloor.Stream
	}
	total := 0
	for range kills {
		cmd := child(t, "TestChildRecorder", server.URL(), server.CredsFile(bus.Recorder), records)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "recording"; {
		}
		wait := time.NewTimer(time.Duration(rand.IntN(300)) * time.Millisecond)
		<-wait.C
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
		floor := acknowledged()
		var there []recorder.Entry
		for _, e := range entries(t, records, 0) {
			if e.Err == nil {
				there = append(there, e)
			} else if !errors.Is(e.Err, recorder.ErrTorn) {
				t.Fatalf("entry %d: %v", e.Index, e.Err)
			}
		}
		if uint64(len(there)) < floor {
			t.Fatalf("%d acknowledged, %d there", floor, len(there))
		}
		r, err := recorder.Records{Dir: records}.Verify(t.Context(), recorder.VerifyOptions{})
		if err != nil || !r.OK {
			t.Fatalf("after a kill: %v, %+v", err, r.Problems)
		}
		total = len(there)
	}
	close(stop)
	publishing.Wait()
	// What was under way to those that were killed comes again.
	last := child(t, "TestChildRecorder", server.URL(), server.CredsFile(bus.Recorder), records)
	if err := last.Start(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(60 * time.Second); acknowledged() < uint64(len(published)); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%d of %d are acknowledged", acknowledged(), len(published))
		}
	}
	if err := last.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = last.Wait() // killed
	t.Logf("%d kills, %d events there after the last, %d published", kills, total, len(published))
	seen := map[string]int{}
	for _, e := range entries(t, records, 0) {
		if e.Err == nil {
			if _, ok := e.Event.Data.(*event.Alarm); ok {
				t.Errorf("an alarm: %s", e.Line)
			}
			seen[e.Event.ID]++
		}
	}
	for _, id := range published {
		if n := seen[id]; n != 1 {
			t.Errorf("event %s is there %d times", id, n)
		}
	}
	whole(t, records, recorder.VerifyOptions{})
}

// TestChildDiskFull appends until no more goes into a file.
func TestChildDiskFull(t *testing.T) {
	args := childArgs(t)
	signal.Ignore(unix.SIGXFSZ)
	store, err := recorder.OpenStore(recorder.StoreOptions{Dir: args[0]})
	if err != nil {
		t.Fatal(err)
	}
	var limit uint64
	if _, err := fmt.Sscan(args[1], &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
	g := newGateway(t)
	for {
		day := g.day(ids.New(), 2)
		if err := store.Append(messages(t, day...)); err != nil {
			if store.Append(messages(t, day...)) == nil {
				t.Error("it went on after a failed write")
			}
			break
		}
		for _, e := range day {
			fmt.Println("written", e.ID)
		}
	}
	_ = store.Close() // the log may not be complete
}

// A full disk stops the recorder; what it had acknowledged is there when there is room
// again, and it goes on.
func TestDiskFull(t *testing.T) {
	for _, limit := range []string{"9000", "20000", "50001"} {
		dir := t.TempDir()
		out, err := child(t, "TestChildDiskFull", dir, limit).Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		write(t, recorder.StoreOptions{Dir: dir}, messages(t, exchange(ids.New())...))
		there := map[string]bool{}
		for _, e := range entries(t, dir, 0) {
			if e.Err != nil {
				t.Errorf("%v", e.Err)
			}
			there[e.Event.ID] = true
		}
		n := 0
		for text := range strings.Lines(string(out)) {
			if id, ok := strings.CutPrefix(strings.TrimSpace(text), "written "); ok {
				if n++; !there[id] {
					t.Errorf("limit %s: event %s was acknowledged and is not there", limit, id)
				}
			}
		}
		if n == 0 {
			t.Error("nothing was acknowledged")
		}
		whole(t, dir, recorder.VerifyOptions{})
		t.Logf("limit %s bytes: %d acknowledged, %d there", limit, n, len(there))
	}
}

package approvals

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/internal/bus"
)

// callers' gateways, on one bus.
func callsOf(t testing.TB, n int, now func() time.Time) []*Calls {
	t.Helper()
	return callsOn(t, n, now, bus.ServerOptions{})
}

func callsOn(t testing.TB, n int, now func() time.Time, o bus.ServerOptions) []*Calls {
	t.Helper()
	o.Dir = t.TempDir()
	srv, err := bus.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	out := make([]*Calls, n)
	for i := range out {
		nc, err := bus.Connect(t.Context(), bus.Options{Role: bus.Gateway, InProcess: srv})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		if out[i], err = NewCalls(t.Context(), Options{Conn: nc, Now: now}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(out[i].Close)
	}
	return out
}

func execution(i int) Execution {
	return Execution{Exchange: ids.New(), Approval: ids.New(), Session: "s", Invocation: fmt.Sprint("inv ", i), Keep: time.Now().Add(time.Hour)}
}

func begun(t *testing.T, c *Calls, digest string, e Execution) *Running {
	t.Helper()
	run, f, err := c.Begin(t.Context(), digest, e)
	if err != nil || run == nil {
		t.Fatalf("%+v %v", f, err)
	}
	return run
}

var found200 = Result{Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte("done")}

// Any number of gateways begin the same call at once, and one does. The others wait for
// its outcome, which no client got, and one of them gets it.
func TestOneBegins(t *testing.T) {
	all := callsOf(t, 3, time.Now)
	for round := range 20 {
		digest := fmt.Sprintf("%064x", round)
		var begins, waits sync.WaitGroup
		runs := make(chan *Running, 9)
		turns := make(chan Found, 9)
		for i := range 9 {
			e := execution(i)
			begins.Go(func() {
				run, f, err := all[i%3].Begin(t.Context(), digest, e)
				switch {
				case err != nil:
					t.Error(err)
				case run != nil:
					runs <- run
				case f.Turn != Await:
					t.Errorf("%+v", f)
				default:
					waits.Go(func() {
						f, err := all[i%3].Await(t.Context(), digest, Caller{e.Session, e.Invocation})
						if err != nil {
							t.Error(err)
						}
						turns <- f
					})
				}
			})
		}
		begins.Wait()
		if len(runs) != 1 {
			t.Fatalf("%d began", len(runs))
		}
		if err := (<-runs).End(t.Context(), found200, "", false); err != nil {
			t.Fatal(err)
		}
		waits.Wait()
		close(turns)
		gives := 0
		for f := range turns {
			if f.Turn != Give {
				continue
			}
			if gives++; f.Result == nil || !bytes.Equal(f.Result.Body, found200.Body) || f.Result.Header.Get("Content-Type") != "text/plain" {
				t.Errorf("%+v", f.Result)
			}
		}
		if gives != 1 {
			t.Fatalf("%d got the outcome", gives)
		}
	}
}

// What stands in the bucket under another digest than the state names is no answer:
// whoever can have messages copied there could choose what agents are told.
func TestAnswerThatWasChanged(t *testing.T) {
	c := callsOf(t, 1, time.Now)[0]
	run := begun(t, c, "d", execution(1))
	if err := run.End(t.Context(), found200, "", false); err != nil {
		t.Fatal(err)
	}
	key := resultKey + run.Exchange()
	entry, err := c.kv.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	good := entry.Value()
	for name, value := range map[string][]byte{
		"other body": bytes.Replace(good, []byte(`"body":"ZG9uZQ=="`), []byte(`"body":"ZG9uZg=="`), 1),
		"nothing":    {},
		"longer":     append(bytes.Clone(good), ' '),
	} {
		if bytes.Equal(value, good) {
			t.Fatal(name)
		}
		if _, err := c.kv.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
		if f, err := c.Meet(t.Context(), "d", Caller{"s", "inv 1"}); err != nil || f.Turn != Give || f.Result != nil {
			t.Errorf("%s: %+v %v", name, f, err)
		}
	}
	if _, err := c.kv.Put(t.Context(), key, good); err != nil {
		t.Fatal(err)
	}
	if f, err := c.Meet(t.Context(), "d", Caller{"s", "inv 1"}); err != nil || f.Result == nil {
		t.Errorf("%+v %v", f, err)
	}
}

// What cannot be kept leaves its status.
func TestAnswerThatIsNotKept(t *testing.T) {
	c := callsOf(t, 1, time.Now)[0]
	for name, test := range map[string]struct {
		res     Result
		missing string
		want    string
	}{
		"a reason":      {found200, "it is secret", "it is secret"},
		"a large body":  {Result{Status: 200, Body: make([]byte, MaxResult+1)}, "", "it could not be kept"},
		"large headers": {Result{Status: 200, Header: http.Header{"X": {strings.Repeat("x", maxRecord)}}}, "", "it could not be kept"},
	} {
		run := begun(t, c, name2digest(name), execution(1))
		if err := run.End(t.Context(), test.res, test.missing, false); err != nil {
			t.Fatal(err)
		}
		f, err := c.Meet(t.Context(), name2digest(name), Caller{"s", "inv 1"})
		if err != nil || f.Turn != Give || f.Result != nil || f.Execution.Status != 200 || f.Execution.Missing != test.want {
			t.Errorf("%s: %+v %v", name, f, err)
		}
		if _, err := c.kv.Get(t.Context(), resultKey+run.Exchange()); !errors.Is(err, jetstream.ErrKeyNotFound) {
			t.Errorf("%s: something is kept: %v", name, err)
		}
	}
	run := begun(t, c, name2digest("most"), execution(1))
	if err := run.End(t.Context(), Result{Status: 200, Body: bytes.Repeat([]byte{255}, MaxResult)}, "", false); err != nil {
		t.Fatal(err)
	}
	if f, err := c.Meet(t.Context(), name2digest("most"), Caller{"s", "inv 1"}); err != nil || f.Result == nil || len(f.Result.Body) != MaxResult {
		t.Errorf("the largest: %+v %v", f, err)
	}
}

// A NATS that takes less than an answer has.
func TestSmallPayload(t *testing.T) {
	c := callsOn(t, 1, time.Now, bus.ServerOptions{MaxPayload: 64 << 10})[0]
	for size, kept := range map[int]bool{40 << 10: true, 60 << 10: false} {
		digest := fmt.Sprint("size-", size)
		run := begun(t, c, digest, execution(1))
		if err := run.End(t.Context(), Result{Status: 200, Body: make([]byte, size)}, "", false); err != nil {
			t.Fatal(err)
		}
		if f, err := c.Meet(t.Context(), digest, Caller{"s", "inv 1"}); err != nil || f.Turn != Give || (f.Result != nil) != kept || f.Execution.Status != 200 {
			t.Errorf("%d bytes: %+v %v", size, f, err)
		}
	}
}

func name2digest(name string) string { return strings.ReplaceAll(name, " ", "-") }

// An outcome goes when its time is over, and the call can be let through again.
func TestSweepOfOutcomes(t *testing.T) {
	var ahead atomic.Int64
	c := callsOf(t, 1, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })[0]
	known, broken := begun(t, c, "d", execution(1)), begun(t, c, "e", execution(1))
	if err := errors.Join(known.End(t.Context(), found200, "", false), broken.End(t.Context(), Result{}, "", false)); err != nil {
		t.Fatal(err)
	}
	waitDue(t, c, "d")
	c.Sweep(t.Context())
	if f, err := c.Meet(t.Context(), "d", Caller{"s", "inv 1"}); err != nil || f.Result == nil {
		t.Fatalf("%+v %v", f, err)
	}
	ahead.Store(int64(2 * time.Hour))
	c.Sweep(t.Context())
	for _, key := range []string{callKey + "d", resultKey + known.Exchange()} {
		if _, err := c.kv.Get(t.Context(), key); !errors.Is(err, jetstream.ErrKeyNotFound) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if f, err := c.Meet(t.Context(), "e", Caller{"s", "inv 1"}); err != nil || f.Turn != Proceed || f.Execution.Exchange != broken.Exchange() {
		t.Errorf("%+v %v", f, err)
	}
	again := begun(t, c, "d", execution(1))
	if err := again.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f, err := c.Meet(t.Context(), "d", Caller{"s", "inv 1"}); err != nil || f.Turn != Proceed || f.Execution.Exchange != "" {
		t.Errorf("%+v %v", f, err)
	}
}

// waitDue waits until the watch has told what of a call may be dropped.
func waitDue(t *testing.T, c *Calls, digest string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		c.mu.Lock()
		_, ok := c.due[digest]
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the watch says nothing")
		}
	}
}

// What runs is not taken for dead while its gateway lives, and is when it does not.
func TestLease(t *testing.T) {
	var ahead atomic.Int64
	c := callsOf(t, 1, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })[0]
	run := begun(t, c, "d", execution(1))
	for range 3 {
		ahead.Add(int64(lease) * 9 / 10)
		if f, err := c.Meet(t.Context(), "d", Caller{"s", "inv 1"}); err != nil || f.Turn != Await {
			t.Fatalf("%+v %v", f, err)
		}
		if err := run.renewOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ahead.Add(int64(lease))
	if f, err := c.Await(t.Context(), "d", Caller{"s", "inv 1"}); err != nil || f.Turn != Proceed || f.Execution.Exchange != run.Exchange() {
		t.Fatalf("%+v %v", f, err)
	}
	if err := run.End(t.Context(), found200, "", false); err != nil { // it lived after all
		t.Fatal(err)
	}
	if f, err := c.Meet(t.Context(), "d", Caller{"s", "inv 1"}); err != nil || f.Turn != Give {
		t.Fatalf("%+v %v", f, err)
	}
}

// What was given to a client that left is there for the next.
func TestLostIsGivenAgain(t *testing.T) {
	c := callsOf(t, 1, time.Now)[0]
	run := begun(t, c, "d", execution(1))
	if err := run.End(t.Context(), found200, "", false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []Turn{Give, Proceed} {
		if f, err := c.Meet(t.Context(), "d", Caller{"s", ""}); err != nil || f.Turn != want {
			t.Fatalf("%+v %v", f, err)
		}
	}
	if err := c.Lost(t.Context(), "d", run.Exchange()); err != nil {
		t.Fatal(err)
	}
	if f, err := c.Meet(t.Context(), "d", Caller{"s", ""}); err != nil || f.Turn != Give || f.Result == nil {
		t.Fatalf("%+v %v", f, err)
	}
}

// Release ends waits, and ctx does.
func TestAwaitEnds(t *testing.T) {
	c := callsOf(t, 1, time.Now)[0]
	begun(t, c, "d", execution(1))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { _, err := c.Await(ctx, "d", Caller{"s", "inv 1"}); done <- err }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go func() { _, err := c.Await(t.Context(), "d", Caller{"s", "inv 1"}); done <- err }()
	c.Release()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// Only what a gateway wrote is read, and anything is read without a fault.
func FuzzDecodeCall(f *testing.F) {
	f.Add([]byte(`{"digest":"d","executions":[{"exchange":"x","session":"s","ended":"2026-11-24T09:00:00Z","status":200,"keep":"2126-11-24T09:00:00Z"}]}`))
	f.Add([]byte(`{"digest":"e","executions":[]}`))
	f.Add([]byte(`{"digest":"d","executions":[],"more":1}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, b []byte) {
		call, ok := decodeCall("d", b)
		if call.Digest != "d" || !ok && call.Executions != nil {
			t.Fatalf("%q gives %+v", b, call)
		}
		for _, from := range callers {
			switch g := call.find(from, epoch); g.Turn {
			case Proceed, Await:
			case Give:
				if g.Execution.Session != from.Session || g.Execution.Status == 0 {
					t.Fatalf("%q gives %+v to %+v", b, g, from)
				}
			default:
				t.Fatalf("%+v", g)
			}
		}
		if r, ok := decodeResult(b, Execution{}); ok {
			t.Fatalf("%+v without a digest", r)
		}
	})
}

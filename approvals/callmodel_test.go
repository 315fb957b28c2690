package approvals

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
)

// The callers of the model: two calls of one session's SDK, a client without ids, and
// another session that uses the same id.
var callers = []Caller{{"s1", "a"}, {"s1", "b"}, {"s1", ""}, {"s2", "a"}}

// Within the first lease, beyond it, and beyond what is kept.
var callInstants = []time.Time{epoch, epoch.Add(45 * time.Second), epoch.Add(16 * time.Minute)}

// callWorld is the state of a call and what an observer remembers of it.
type callWorld struct {
	Call Call
	Now  int
	Path []string `json:"-"`
}

func (w *callWorld) now() time.Time { return callInstants[w.Now] }

// All orders of requests by four callers, of ends with and without a known outcome, of
// answers that arrive or do not, of what is forgotten, and of the clock, with up to two
// executions; and random ones with up to five. Every step is checked against what must
// hold, told without find.
func TestCallModel(t *testing.T) {
	seen := map[string]bool{}
	queue := []callWorld{{Call: Call{Digest: "d"}}}
	steps := callSteps(t, 2)
	for len(queue) > 0 {
		w := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		raw, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(raw)] {
			continue
		}
		if seen[string(raw)] = true; len(seen) > 100_000 {
			t.Fatalf("%v: there is no end to it", w.Path)
		}
		var read callWorld // every step is after a restart
		if err := json.Unmarshal(raw, &read); err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			next := callWorld{Call: read.Call, Now: w.Now, Path: append(slices.Clone(w.Path), step.name)}
			if step.do(&next) {
				queue = append(queue, next)
			}
		}
	}
	t.Logf("%d states", len(seen))

	steps = callSteps(t, 5)
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := callWorld{Call: Call{Digest: "d"}}
		for range 200 {
			step := steps[rnd.IntN(len(steps))]
			if step.name == "tick" && rnd.IntN(4) > 0 {
				continue
			}
			w.Path = append(w.Path, step.name)
			step.do(&w)
		}
	}
}

type callStep struct {
	name string
	do   func(*callWorld) bool // false: it cannot be done here
}

func callSteps(t *testing.T, most int) []callStep {
	out := []callStep{{"tick", func(w *callWorld) bool {
		if w.Now+1 == len(callInstants) {
			return false
		}
		w.Now++
		return true
	}}}
	for _, from := range callers {
		out = append(out, callStep{fmt.Sprint("request ", from), func(w *callWorld) bool { return w.request(t, from, most) }})
	}
	for i := range most {
		exchange := fmt.Sprint("x", i)
		change := func(name string, step func(*Execution, time.Time)) {
			out = append(out, callStep{name + " " + exchange, func(w *callWorld) bool {
				return w.Call.change(exchange, func(e *Execution) { step(e, w.now()) }) == nil
			}})
		}
		change("end", func(e *Execution, now time.Time) { e.end(200, &event.Digest{}, "", now) })
		change("break", func(e *Execution, now time.Time) { e.end(0, nil, "", now) })
		change("deliver", func(e *Execution, _ time.Time) { e.Delivered = !e.Ended.IsZero() || e.Delivered })
		out = append(out, callStep{"forget " + exchange, func(w *callWorld) bool {
			if !slices.ContainsFunc(w.Call.Executions, func(e Execution) bool { return e.Exchange == exchange && e.Ended.IsZero() }) {
				return false
			}
			w.Call.forget(exchange)
			return true
		}})
	}
	return append(out, callStep{"prune", func(w *callWorld) bool {
		for _, e := range w.Call.prune(w.now()) {
			if e.Status == 0 || w.now().Before(e.Keep) {
				t.Fatalf("%v: dropped %+v", w.Path, e)
			}
		}
		return true
	}})
}

// request is what a gateway does for one: it sends, waits, or gives.
func (w *callWorld) request(t *testing.T, from Caller, most int) bool {
	t.Helper()
	before := slices.Clone(w.Call.Executions)
	exchange := ""
	for i := range most {
		name := fmt.Sprint("x", i)
		if !slices.ContainsFunc(before, func(e Execution) bool { return e.Exchange == name }) {
			exchange = name
			break
		}
	}
	if exchange == "" {
		return false
	}
	keep := epoch.Add(15 * time.Minute)
	if from.Invocation == "b" {
		keep = epoch.Add(time.Minute) // its approval is about to expire
	}
	f := w.Call.begin(Execution{Exchange: exchange, Session: from.Session, Invocation: from.Invocation, Keep: keep}, w.now())
	w.judge(t, from, before, f)
	switch f.Turn {
	case Proceed:
		return true
	case Give:
		return w.Call.change(f.Execution.Exchange, func(e *Execution) { e.Given = true }) == nil
	}
	return false
}

// judge holds what was found against the promise.
func (w *callWorld) judge(t *testing.T, from Caller, before []Execution, f Found) {
	t.Helper()
	fail := func(why string) { t.Fatalf("%v: %s: %+v of %+v", w.Path, why, f, before) }
	now := w.now()
	var out, known, mine, unknown []Execution
	for _, e := range before {
		dead := e.Ended.IsZero() && !now.Before(e.Lease)
		switch {
		case dead, !e.Ended.IsZero() && e.Status == 0:
			unknown = append(unknown, e)
		case e.Session != from.Session:
		case e.Ended.IsZero():
			out = append(out, e)
		case now.Before(e.Keep) && e.Invocation == from.Invocation && e.Invocation != "":
			mine = append(mine, e)
		case now.Before(e.Keep) && !e.Delivered && !e.Given:
			known = append(known, e)
		}
	}
	switch f.Turn {
	case Proceed:
		if len(out)+len(known)+len(mine) > 0 {
			fail("sent again")
		}
		if (len(unknown) > 0) != (f.Execution.Exchange != "") || len(unknown) > 0 && f.Execution.Exchange != unknown[len(unknown)-1].Exchange {
			fail("people would not be told of what nobody knows")
		}
	case Await:
		if len(mine) > 0 || !slices.ContainsFunc(out, func(e Execution) bool { return e.Exchange == f.Execution.Exchange }) {
			fail("waits for what does not run, or could be given")
		}
	case Give:
		if !slices.ContainsFunc(append(mine, known...), func(e Execution) bool { return e.Exchange == f.Execution.Exchange }) {
			fail("gave what was not for it")
		}
	default:
		fail("no turn")
	}
	if f.Turn != Proceed && len(w.Call.Executions) != len(before) || f.Turn == Proceed && len(w.Call.Executions) != len(before)+1 {
		fail("it began, or did not")
	}
}

func TestZeroCallerIsNobodysRetry(t *testing.T) {
	c := Call{Executions: []Execution{{Exchange: "x", Ended: epoch, Status: 200, Keep: epoch.Add(time.Hour)}}}
	if f := c.find(Caller{}, epoch); f.Turn != Proceed {
		t.Errorf("%+v", f)
	}
	if f := (&Call{}).find(Caller{Session: "s"}, epoch); f.Turn != Proceed || f.Execution.Exchange != "" {
		t.Errorf("%+v", f)
	}
}

func TestKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range []string{SessionKey("a", "b", "c"), SessionKey("ab", "", "c"), SessionKey("a", "bc", ""), InvocationKey([]string{"a"}), InvocationKey([]string{"b"})} {
		if len(k) != 64 || seen[k] {
			t.Errorf("%q", k)
		}
		seen[k] = true
	}
	for _, none := range [][]string{nil, {""}, {" "}, {"a", "a"}} {
		if k := InvocationKey(none); k != "" {
			t.Errorf("%q is %s", none, k)
		}
	}
}

// The first end is what happened.
func TestFirstEndCounts(t *testing.T) {
	var e Execution
	e.end(200, &event.Digest{SHA256: "a"}, "", epoch)
	e.end(0, nil, "broken", epoch.Add(time.Second))
	if e.Status != 200 || e.Stored == nil || e.Missing != "" || !e.Ended.Equal(epoch) {
		t.Errorf("%+v", e)
	}
}

// An exchange that ends when its approval has expired: its client's retries still come.
func TestOutcomeOutlastsTheRetries(t *testing.T) {
	var c Call
	from := Caller{"s", "a"}
	c.begin(Execution{Exchange: "x", Session: from.Session, Invocation: from.Invocation, Keep: epoch.Add(time.Second)}, epoch)
	if err := c.change("x", func(e *Execution) { e.end(200, nil, "", epoch.Add(20*time.Second)) }); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]Turn{330 * time.Second: Give, 390 * time.Second: Proceed} {
		if f := c.find(from, epoch.Add(after)); f.Turn != want {
			t.Errorf("after %s: %+v", after, f)
		}
	}
}

// However often a call is let through, its state stays small.
func TestManyExecutions(t *testing.T) {
	var c Call
	for i := range 3 * maxExecutions {
		e := Execution{Exchange: fmt.Sprintf("%026d", i), Session: strings.Repeat("s", 64), Invocation: strings.Repeat("i", 60) + fmt.Sprintf("%04d", i), Keep: epoch.Add(time.Hour)}
		if f := c.begin(e, epoch); f.Turn != Proceed {
			t.Fatalf("%+v", f)
		}
		if err := c.change(e.Exchange, func(e *Execution) {
			e.end(200, &event.Digest{SHA256: strings.Repeat("a", 64)}, "", epoch)
			e.Delivered = true
		}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(c)
	if err != nil || len(c.Executions) != maxExecutions || len(text) > 96<<10 {
		t.Errorf("%d executions, %d bytes, %v", len(c.Executions), len(text), err)
	}
}

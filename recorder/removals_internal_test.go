package recorder

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
)

// What a removal explains is the same as if each were asked: a store that lets bodies go by
// size has a removal for each pack there ever was.
func TestRemovalsExplain(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	rnd := rand.New(rand.NewPCG(1, 2))
	type one struct {
		index uint64
		*event.Removed
	}
	for range 300 {
		var all []one
		var r removals
		for i := range rnd.IntN(6) {
			d := &event.Removed{Why: event.RemovedAge, Before: at(rnd.IntN(10))}
			if rnd.IntN(2) == 0 {
				d = &event.Removed{Why: event.RemovedSession, Of: string(rune('a' + rnd.IntN(3)))}
			}
			index := uint64(3*i + rnd.IntN(3))
			all = append(all, one{index, d})
			r.add(index, d)
		}
		r.finish()
		for range 30 {
			m := missingBody{index: uint64(rnd.IntN(20)), session: string(rune('a' + rnd.IntN(3))), time: at(rnd.IntN(10))}
			want := slices.ContainsFunc(all, func(o one) bool {
				return o.index > m.index && (o.Why == event.RemovedSession && o.Of == m.session || o.Why != event.RemovedSession && m.time.Before(o.Before))
			})
			if got := r.explain(m); got != want {
				t.Fatalf("%+v of %+v: %v", m, all, got)
			}
		}
	}
}

// BenchmarkRemovals explains a million bodies by 50,000 removals.
func BenchmarkRemovals(b *testing.B) {
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	for b.Loop() {
		var r removals
		for i := range 50_000 {
			r.add(uint64(20*i), &event.Removed{Why: event.RemovedSize, Before: at(i)})
		}
		r.finish()
		for i := range 1_000_000 {
			if !r.explain(missingBody{index: uint64(i % 900_000), time: at(i % 40_000)}) {
				b.Fatal(i)
			}
		}
	}
}

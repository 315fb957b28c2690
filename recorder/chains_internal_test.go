package recorder

import (
	"fmt"
	"testing"
	"time"
)

// thinned follows a chain of which every second event is missing, and counts the gaps.
func thinned(n int) (c *chain, gaps int) {
	c = newChain("sallyport/x")
	for i := range uint64(n) {
		c.add(2*i+1, link{index: i, digest: fmt.Sprint(i)}, time.Time{}, func(f finding) {
			if f.code == CodeGap {
				gaps++
			}
		})
	}
	for len(c.waiting) > 0 {
		c.giveUp(func(finding) { gaps++ })
	}
	return c, gaps
}

// Every gap of a record that somebody thinned out is told, and what is behind is forgotten.
func TestChainsOfGaps(t *testing.T) {
	const n = 3 * chainWindow
	c, gaps := thinned(n)
	if gaps != n-1 || c.gaps != n-1 || c.next != 2*n {
		t.Errorf("%d gaps of %d events, next %d", gaps, c.gaps, c.next)
	}
	if len(c.known) > knownWindow {
		t.Errorf("%d digests are known", len(c.known))
	}
}

// BenchmarkChainsOfGaps takes as long as there are events: with a look at all that wait for
// each gap it took minutes.
func BenchmarkChainsOfGaps(b *testing.B) {
	for b.Loop() {
		thinned(3 * chainWindow)
	}
}

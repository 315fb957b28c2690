package recorder

import (
	"fmt"
	"testing"
	"time"
)

// A chain of which every second event is missing is looked through in time, and what is
// behind it is forgotten: a record that somebody thinned out is to be verified, too.
func TestChainsOfGaps(t *testing.T) {
	found := 0
	c := newChain("sallyport/x")
	begun := time.Now()
	const n = 3 * chainWindow
	for i := range uint64(n) {
		c.add(2*i+1, link{index: i, digest: fmt.Sprint(i)}, time.Time{}, func(f finding) {
			if f.code == CodeGap {
				found++
			}
		})
	}
	for len(c.waiting) > 0 {
		c.giveUp(func(finding) { found++ })
	}
	if took := time.Since(begun); took > 20*time.Second || found != n-1 || c.gaps != n-1 || c.next != 2*n {
		t.Errorf("%v, %d gaps of %d events, next %d", took, found, c.gaps, c.next)
	}
	if len(c.known) > knownWindow {
		t.Errorf("%d digests are known", len(c.known))
	}
}

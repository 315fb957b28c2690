package recorder

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/event"
)

// The codes of what is found in chains and records: those of alarm events.
const (
	CodeGap        = "gap"        // events of a source are missing
	CodeOrder      = "order"      // one came after it had been given up
	CodeFork       = "fork"       // two different events in one place
	CodeChain      = "chain"      // prevdigest is not that of the event before
	CodeCheckpoint = "checkpoint" // a gateway signed something else than what is here
	CodeSignature  = "signature"  // a signature that does not fit
	CodeUnchained  = "unchained"  // an event without a place, of a source that has a chain
	CodeSource     = "source"     // a source that was not expected, or is not who it says
	CodeDamaged    = "damaged"    // a file or line that cannot be read
	CodeChanged    = "changed"    // the record is not what its log says
	CodeBody       = "body"       // a body is missing, or is another
	CodeOpaque     = "opaque"     // a message that is no event
	CodeArchive    = "archive"    // the archive has something else than the recorder
)

const (
	// chainWindow is how many events may come before those before them, and chainWait for
	// how long: more than come at 5,000 a second until what a killed recorder had under
	// way is delivered again.
	chainWindow = 1 << 16
	chainWait   = 60 * time.Second
	knownWindow = 1 << 14 // events whose digests are known, behind the last in order
)

// recorderSource begins the source of a recorder's own events.
const recorderSource = "sallyport-recorder/"

// finding is something that is not as it should be.
type finding struct {
	code, source string
	sequence     uint64
	index        uint64
	detail       string
	elsewhere    bool // it is not about a line of this record: index says nothing
}

// link is an event's place in its chain.
type link struct {
	index      uint64
	prev       string
	digest     string            // LineDigest
	at         time.Time         // of the event
	came       time.Time         // when, by the caller's clock
	seen       uint64            // events of the source that had come by then
	checkpoint *event.Checkpoint // of a checkpoint event
}

// chain follows one source. Events may come out of order, as redelivery brings them,
// within a window; then what is missing is given up.
type chain struct {
	source     string
	first      uint64 // sequence of the first; 0: none yet
	next       uint64 // sequence that is expected
	head       string // digest of the one before; "" unknown
	waiting    map[uint64]link
	order      sequences         // of those that wait, and of some that do not any more
	front      uint64            // the least sequence that waits; 0: none
	known      map[uint64]string // digests of the last knownWindow events
	taken      []uint64          // their sequences, in order
	seen       uint64
	duplicates uint64
	gaps       uint64
	open       uint64 // events that are missing, and may be under way
	signed     uint64 // the last sequence that a good checkpoint covers
	signer     uint64 // and the sequence of that checkpoint
	signatures uint64
}

func newChain(source string) *chain {
	return &chain{source: source, next: 1, head: event.NoDigest, waiting: map[uint64]link{}, known: map[uint64]string{}}
}

// add takes an event; found is told what is wrong.
func (c *chain) add(sequence uint64, l link, now time.Time, found func(finding)) {
	c.seen++
	switch d, known := c.known[sequence]; {
	case known && d == l.digest:
		c.duplicates++
		return
	case known:
		found(finding{code: CodeFork, source: c.source, sequence: sequence, index: l.index, detail: "two different events have this sequence"})
		return
	case c.first != 0 && sequence < c.next:
		found(finding{code: CodeOrder, source: c.source, sequence: sequence, index: l.index, detail: fmt.Sprintf("it comes after event %d", c.next-1)})
		return
	}
	if w, twice := c.waiting[sequence]; twice {
		if w.digest == l.digest {
			c.duplicates++
		} else {
			found(finding{code: CodeFork, source: c.source, sequence: sequence, index: l.index, detail: "two different events have this sequence"})
		}
		return
	}
	l.came, l.seen = now, c.seen
	c.waiting[sequence] = l
	if sequence != c.next { // which is taken at once
		heap.Push(&c.order, sequence)
	}
	c.drain(found)
	c.expire(now, found)
}

// drain takes what is in order.
func (c *chain) drain(found func(finding)) {
	for {
		l, ok := c.waiting[c.next]
		if !ok {
			break
		}
		delete(c.waiting, c.next)
		c.take(c.next, l, found)
	}
	for c.front = 0; len(c.order) > 0; heap.Pop(&c.order) {
		if _, ok := c.waiting[c.order[0]]; ok {
			c.front = c.order[0]
			break
		}
	}
}

// sequences is a heap, the least first.
type sequences []uint64

func (s sequences) Len() int           { return len(s) }
func (s sequences) Less(i, j int) bool { return s[i] < s[j] }
func (s sequences) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *sequences) Push(x any)        { *s = append(*s, x.(uint64)) }
func (s *sequences) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

func (c *chain) take(sequence uint64, l link, found func(finding)) {
	if c.first == 0 {
		c.first = sequence
	}
	if c.head != "" && l.prev != c.head {
		found(finding{code: CodeChain, source: c.source, sequence: sequence, index: l.index, detail: "its prevdigest is not that of the event before: one of the two was changed"})
	}
	if l.checkpoint != nil {
		c.check(sequence, l, found)
	}
	c.known[sequence] = l.digest
	if c.taken = append(c.taken, sequence); len(c.taken) > knownWindow {
		delete(c.known, c.taken[0])
		c.taken = c.taken[1:]
	}
	c.next, c.head = sequence+1, l.digest
}

func (c *chain) check(sequence uint64, l link, found func(finding)) {
	p := l.checkpoint
	if err := p.Verify(c.source); err != nil {
		found(finding{code: CodeSignature, source: c.source, sequence: sequence, index: l.index, detail: err.Error()})
		return
	}
	d, known := c.known[p.UpTo]
	switch {
	case p.UpTo >= sequence:
		found(finding{code: CodeCheckpoint, source: c.source, sequence: sequence, index: l.index, detail: "a checkpoint covers what comes after it"})
	case known && d != p.Digest:
		found(finding{code: CodeCheckpoint, source: c.source, sequence: sequence, index: l.index, detail: fmt.Sprintf("event %d is not the one that the gateway signed", p.UpTo)})
	case known && p.UpTo >= c.signed:
		c.signed, c.signer, c.signatures = p.UpTo, sequence, c.signatures+1
	}
}

// expire gives up what has been missing for too long.
func (c *chain) expire(now time.Time, found func(finding)) {
	for c.front != 0 {
		if l := c.waiting[c.front]; c.seen-l.seen < chainWindow && now.Sub(l.came) < chainWait {
			return
		}
		c.giveUp(found)
	}
}

// giveUp goes on behind the first gap.
func (c *chain) giveUp(found func(finding)) {
	least := c.front
	if least == 0 {
		return
	}
	if c.first != 0 { // before the first, this recorder was not there
		c.gaps += least - c.next
		found(finding{code: CodeGap, source: c.source, sequence: c.next, index: c.waiting[least].index, detail: fmt.Sprintf("events %d to %d are missing", c.next, least-1)})
	}
	c.next, c.head = least, ""
	c.drain(found)
}

// chains follows every source.
type chains struct {
	by        map[string]*chain
	unchained map[string]uint64 // events without a place, by source
	recorder  string            // the recorder's own source
	most      int               // sources that are followed; 0 is all
	found     func(finding)
}

func newChains(recorder string, found func(finding)) *chains {
	return &chains{by: map[string]*chain{}, unchained: map[string]uint64{}, recorder: recorder, found: found}
}

// add takes an event and the digest of its line.
func (c *chains) add(index uint64, e event.Event, lineDigest string, now time.Time) {
	if own := strings.HasPrefix(e.Source, recorderSource); own || e.Kind().OfRecorder() {
		if e.Source != c.recorder {
			c.found(finding{code: CodeSource, source: e.Source, index: index, detail: fmt.Sprintf("an event of a recorder, which is not %s", c.recorder)})
		}
		return
	}
	sequence, prev, ok := event.Chained(e)
	if !ok {
		if _, there := c.unchained[e.Source]; there || c.most == 0 || len(c.unchained) < c.most {
			c.unchained[e.Source]++
		}
		if c.by[e.Source] != nil || event.HasPlace(e) {
			c.found(finding{code: CodeUnchained, source: e.Source, index: index, detail: "an event of a source with a chain has no place in it"})
		}
		return
	}
	ch := c.by[e.Source]
	if ch == nil {
		c.makeRoom()
		ch = newChain(e.Source)
		c.by[e.Source] = ch
		if c.unchained[e.Source] > 0 {
			c.found(finding{code: CodeUnchained, source: e.Source, sequence: sequence, index: index, detail: "a chain begins behind events of its source that have no place in it"})
		}
	}
	l := link{index: index, prev: prev, digest: lineDigest, at: e.Time}
	l.checkpoint, _ = e.Data.(*event.Checkpoint)
	ch.add(sequence, l, now, c.found)
}

// makeRoom forgets the source of which least came: nobody has a thousand gateways.
func (c *chains) makeRoom() {
	if c.most == 0 || len(c.by) < c.most {
		return
	}
	var least *chain
	for _, ch := range c.by {
		if least == nil || ch.seen < least.seen {
			least = ch
		}
	}
	delete(c.by, least.source)
	c.found(finding{code: CodeSource, source: least.source, sequence: least.next, detail: "there are more sources than can be followed: this one no more"})
}

// expire gives up what has been missing for too long.
func (c *chains) expire(now time.Time) {
	for _, ch := range c.by {
		ch.expire(now, c.found)
	}
}

// finish gives up all that is missing, but for what may be under way: a recorder that
// was killed gets the messages that it had not acknowledged a little later than those
// behind them.
func (c *chains) finish(now time.Time) {
	for _, source := range c.sources() {
		for ch := c.by[source]; ch != nil && len(ch.waiting) > 0; {
			least := ch.front
			if since := now.Sub(ch.waiting[least].at); ch.first != 0 && since >= 0 && since < chainWait {
				ch.open = least - ch.next
				break
			}
			ch.giveUp(c.found)
		}
	}
}

// sources in order.
func (c *chains) sources() []string {
	var out []string
	for s := range c.by {
		out = append(out, s)
	}
	for s := range c.unchained {
		if c.by[s] == nil {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

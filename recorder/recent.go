package recorder

// recentLines is how many of the last lines are remembered to find repeats: more
// than can be under way unacknowledged (16 batches), and than a gateway publishes
// again after a crash.
const recentLines = 1 << 16

// recent remembers the last lines by their digests. It is of the whole line and not
// of the id alone: two different messages under one id are both kept, since one of
// them is forged. Use newRecent.
type recent struct {
	ring []lineKey
	next int
	seen map[lineKey]struct{}
}

type lineKey = [16]byte // the first half of a SHA-256

func newRecent(n int) *recent {
	return &recent{ring: make([]lineKey, 0, n), seen: map[lineKey]struct{}{}}
}

// add reports whether d was not there.
func (r *recent) add(d lineKey) bool {
	if _, there := r.seen[d]; there {
		return false
	}
	r.seen[d] = struct{}{}
	if len(r.ring) < cap(r.ring) {
		r.ring = append(r.ring, d)
		return true
	}
	delete(r.seen, r.ring[r.next])
	r.ring[r.next] = d
	r.next = (r.next + 1) % len(r.ring)
	return true
}

package recorder

// recentLines is how many of the last lines are remembered to find repeats: more
// than can be under way unacknowledged (16 batches), and than a gateway publishes
// again after a crash.
const recentLines = 1 << 16

// recent remembers the last keys, with a value each. Use newRecent.
type recent[V any] struct {
	ring []lineKey
	next int
	seen map[lineKey]V
}

type lineKey = [16]byte // the first half of a SHA-256

func newRecent[V any](n int) *recent[V] {
	return &recent[V]{ring: make([]lineKey, 0, n), seen: map[lineKey]V{}}
}

// get gives the value of a key that is there.
func (r *recent[V]) get(k lineKey) (V, bool) {
	v, there := r.seen[k]
	return v, there
}

// put sets the value of a key, in place of the oldest.
func (r *recent[V]) put(k lineKey, v V) {
	_, there := r.seen[k]
	r.seen[k] = v
	switch {
	case there:
	case len(r.ring) < cap(r.ring):
		r.ring = append(r.ring, k)
	default:
		delete(r.seen, r.ring[r.next])
		r.ring[r.next] = k
		r.next = (r.next + 1) % len(r.ring)
	}
}

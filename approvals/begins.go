package approvals

// Begins reports that Ask would begin an approval for r, as far as is known here:
// nothing of its digest is open, and there is room for one more. It says what is worth
// doing before asking; Ask alone decides.
func (b *Broker) Begins(r Request) bool {
	now := b.o.Now()
	b.mu.Lock()
	old := b.known[r.Digest].record
	b.mu.Unlock()
	switch old.State {
	case StatePending, StateDenied:
		if now.Before(old.Request.Expires) {
			return false
		}
	case StateApproved:
		if now.Before(old.Deadline()) {
			return false
		}
	}
	return b.room(r) == nil
}

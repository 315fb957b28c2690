package approvals

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Revoke ends an approval that is pending, or approved and not yet used up, a grant
// included, and reports whether it did. It is the one way back from approved.
func (r *Record) Revoke(now time.Time) bool {
	if r.State != StatePending && r.State != StateApproved {
		return false
	}
	r.end(StateCancelled, now)
	return true
}

// Revoke ends all approvals whose request match picks, and gives their ids, sorted.
// Gateways that do it at the same time share the work. An error says that some may be
// left; the ids are those that were ended all the same.
func (b *Broker) Revoke(ctx context.Context, match func(Request) bool) ([]string, error) {
	var open []Request
	b.mu.Lock()
	for _, k := range b.known {
		if s := k.record.State; (s == StatePending || s == StateApproved) && match(k.record.Request) {
			open = append(open, k.record.Request)
		}
	}
	b.mu.Unlock()
	var ids []string
	var errs []error
	for _, r := range open {
		_, err := b.change(ctx, r.Approval, r.Digest, func(rec *Record) error {
			if !rec.Revoke(b.o.Now()) {
				return ErrEnded
			}
			return nil
		})
		switch {
		case err == nil:
			ids = append(ids, r.Approval)
		case !errors.Is(err, ErrEnded):
			errs = append(errs, err)
		}
	}
	slices.Sort(ids)
	return ids, errors.Join(errs...)
}

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
	ended, err := b.endGrants(ctx, match)
	ids = append(ids, ended...)
	if len(ids) == 0 {
		return nil, errors.Join(append(errs, err)...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), errors.Join(append(errs, err)...)
}

// endGrants ends all grants whose request match picks, and gives their approvals' ids.
func (b *Broker) endGrants(ctx context.Context, match func(Request) bool) ([]string, error) {
	open := map[string]string{} // approval by key
	b.grants.mu.Lock()
	for key, k := range b.grants.known {
		if k.record.Leave.Left > 0 && match(k.record.Request) {
			open[key] = k.record.Request.Approval
		}
	}
	b.grants.mu.Unlock()
	var ids []string
	var errs []error
	for key, id := range open {
		_, err := b.changeGrant(ctx, key, nil, func(g *GrantRecord) error {
			if g.Leave.Left == 0 {
				return ErrEnded
			}
			g.Leave.Left = 0
			return nil
		})
		switch {
		case err == nil:
			ids = append(ids, id)
		case !errors.Is(err, ErrEnded) && !errors.Is(err, errNone):
			errs = append(errs, err)
		}
	}
	return ids, errors.Join(errs...)
}

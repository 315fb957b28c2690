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
	var begins []GrantRecord // of calls that were let through, perhaps this very moment
	b.mu.Lock()
	for _, k := range b.known {
		if !match(k.record.Request) {
			continue
		}
		switch k.record.State {
		case StatePending, StateApproved:
			open = append(open, k.record.Request)
		case StateUsed:
			if k.record.Grant == nil {
				continue
			}
			if g := newGrantRecord(k.record); g.Live(b.o.Now()) {
				begins = append(begins, g)
			}
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
	ended, err := b.endGrants(ctx, match, begins)
	ids = append(ids, ended...)
	if len(ids) == 0 {
		return nil, errors.Join(append(errs, err)...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), errors.Join(append(errs, err)...)
}

// endGrants ends all grants whose request match picks, and gives their approvals' ids.
// Those of begins are ended also where nothing is known of them yet: a key that is there
// keeps a grant from beginning.
func (b *Broker) endGrants(ctx context.Context, match func(Request) bool, begins []GrantRecord) ([]string, error) {
	open := map[string]string{} // approval by key
	fallback := map[string]*GrantRecord{}
	b.grants.mu.Lock()
	for i := range begins {
		key := begins[i].key()
		if _, known := b.grants.known[key]; !known {
			open[key], fallback[key] = begins[i].Request.Approval, &begins[i]
		}
	}
	for key, k := range b.grants.known {
		if k.record.Leave.Left > 0 && match(k.record.Request) {
			open[key] = k.record.Request.Approval
		}
	}
	b.grants.mu.Unlock()
	var ids []string
	var errs []error
	for key, id := range open {
		_, err := b.changeGrant(ctx, key, fallback[key], func(g *GrantRecord) error {
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

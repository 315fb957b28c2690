package approvals

import (
	"context"
	"errors"
	"time"
)

// Wait returns once an approval is no longer pending, with its record; or with
// ctx's error, or ErrClosed; or at once with ErrHeld where MaxHeld wait already. Nothing
// is asked of NATS meanwhile.
func (b *Broker) Wait(ctx context.Context, approval, digest string) (Record, error) {
	changed := make(chan struct{}, 1)
	b.mu.Lock()
	if len(b.waiters[digest]) >= MaxHeld { // counted where they are added, or all of a burst would pass
		b.mu.Unlock()
		return Record{}, ErrHeld
	}
	if b.waiters[digest] == nil {
		b.waiters[digest] = map[chan struct{}]struct{}{}
	}
	b.waiters[digest][changed] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if delete(b.waiters[digest], changed); len(b.waiters[digest]) == 0 {
			delete(b.waiters, digest)
		}
	}()
	if r, revision, err := b.store.get(ctx, digest); err == nil {
		b.learn(r, revision)
	}
	for {
		b.mu.Lock()
		r := b.known[digest].record
		b.mu.Unlock()
		switch {
		case r.Request.Approval != approval && r.State != "": // replaced by a later one
			return Record{}, ErrEnded
		case r.State != "" && r.State != StatePending:
			return r, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return r, ctx.Err()
		case <-b.closed:
			return r, ErrClosed
		}
	}
}

func (b *Broker) sweepEvery(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.Sweep(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// Sweep ends what has expired, forgets what ended long ago, and makes known what its
// gateway did not come to. It runs every second. Nothing depends on it: a claim and an answer look at the clock themselves.
func (b *Broker) Sweep(ctx context.Context) {
	b.sweepGrants()
	now := b.o.Now()
	var due, unknown []Request
	b.mu.Lock()
	for digest, k := range b.known {
		switch r := k.record; {
		case r.State == StatePending && !now.Before(r.Request.Expires):
			due = append(due, r.Request)
		case r.unannounced(now):
			unknown = append(unknown, r.Request)
		case r.State != StatePending && now.After(r.Deadline().Add(time.Hour)) && len(b.waiters[digest]) == 0:
			delete(b.known, digest)
		}
	}
	b.mu.Unlock()
	for _, r := range unknown {
		b.announceAgain(ctx, r)
	}
	for _, r := range due {
		_, err := b.change(ctx, r.Approval, r.Digest, func(rec *Record) error {
			if !rec.Expire(b.o.Now()) {
				return ErrEnded
			}
			return nil
		})
		switch {
		case errors.Is(err, ErrEnded):
			b.forget(r)
		case err != nil && ctx.Err() == nil:
			b.o.Log.WarnContext(ctx, "an approval that expired could not be ended; it lets nothing through", "approval", r.Approval, "cause", err.Error())
		}
	}
}

// forget drops what is pending here alone: the bucket has lost it, or another gateway has
// ended it, which its watch tells. It would else be looked up every second for ever.
func (b *Broker) forget(r Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k := b.known[r.Digest].record; k.State == StatePending && k.Request.Approval == r.Approval && len(b.waiters[r.Digest]) == 0 {
		delete(b.known, r.Digest)
	}
}

package approvals

import (
	"context"
	"errors"
	"time"
)

// announceGrace is how long whoever began an approval, or tries to make it known, has
// for that, before another gateway does it in its place.
const announceGrace = 10 * time.Second

var errAnnounced = errors.New("it is known, or somebody else is about to make it known")

// unannounced reports a pending approval that nobody may have been told of: its gateway
// ended between writing the record and publishing it.
func (r *Record) unannounced(now time.Time) bool {
	began := r.Request.Created
	if r.Announcing.After(began) {
		began = r.Announcing
	}
	return r.State == StatePending && !r.Announced && now.After(began.Add(announceGrace)) && now.Before(r.Request.Expires)
}

// announced keeps that people were told. It is beside the request that asked, which
// does not wait for it: should it fail, people are told twice, under the same id.
func (b *Broker) announced(ctx context.Context, q Request) {
	b.mu.Lock() // against Close, which waits for what has begun
	defer b.mu.Unlock()
	select {
	case <-b.closed:
		return
	default:
	}
	ctx = context.WithoutCancel(ctx)
	b.wait.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, publishTime)
		defer cancel()
		_, err := b.change(ctx, q.Approval, q.Digest, func(r *Record) error {
			if r.State != StatePending || r.Announced {
				return errAnnounced
			}
			r.Announced = true
			return nil
		})
		if err != nil && !errors.Is(err, errAnnounced) && !errors.Is(err, ErrEnded) {
			b.o.Log.WarnContext(ctx, "that an approval was published could not be kept; it will be published again", "approval", q.Approval, "cause", err.Error())
		}
	})
}

// announceAgain makes known what its gateway did not come to. Of several that see it
// one takes it upon itself, by compare-and-set.
func (b *Broker) announceAgain(ctx context.Context, q Request) {
	rec, err := b.change(ctx, q.Approval, q.Digest, func(r *Record) error {
		if !r.unannounced(b.o.Now()) {
			return errAnnounced
		}
		r.Announcing = b.o.Now()
		return nil
	})
	if errors.Is(err, errAnnounced) || errors.Is(err, ErrEnded) {
		return
	}
	if err == nil {
		b.o.Log.WarnContext(ctx, "an approval was not published by the gateway that began it, and is now", "approval", q.Approval)
		err = b.announce(ctx, rec)
	}
	if err != nil {
		if ctx.Err() == nil {
			b.o.Log.WarnContext(ctx, "an approval could not be published", "approval", q.Approval, "cause", err.Error())
		}
		return
	}
	b.announced(ctx, q)
}

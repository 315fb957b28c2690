package gateway

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// pool is room (memory, disk) that requests take before they use it. Nobody waits
// long for it, and no identity gets more than its share: otherwise one agent that
// declares large bodies and sends them slowly would stop all others.
type pool struct {
	all    *semaphore.Weighted
	share  int64    // bytes that one identity may hold
	shares sync.Map // [issuer, subject] -> *semaphore.Weighted of share
}

func newPool(all, share int64) *pool {
	return &pool{all: semaphore.NewWeighted(all), share: share}
}

// lease is what one request has of a pool, in bytes, until the request's end.
type lease struct {
	all, share *semaphore.Weighted
	n          int64
}

// take gets n bytes for x, and fails if they are not free within reserveTimeout.
func (p *pool) take(ctx context.Context, x *exchange, n int64) (*lease, error) {
	ctx, cancel := context.WithTimeout(ctx, reserveTimeout)
	defer cancel()
	share := p.shareOf(x)
	if err := share.Acquire(ctx, n); err != nil {
		return nil, err
	}
	if err := p.all.Acquire(ctx, n); err != nil {
		share.Release(n)
		return nil, err
	}
	l := &lease{all: p.all, share: share, n: n}
	x.release = append(x.release, func() { l.shrink(0) })
	return l, nil
}

// takeNow is take where nobody waits: false where n bytes are not free.
func (p *pool) takeNow(x *exchange, n int64) bool {
	share := p.shareOf(x)
	if !share.TryAcquire(n) {
		return false
	}
	if !p.all.TryAcquire(n) {
		share.Release(n)
		return false
	}
	l := &lease{all: p.all, share: share, n: n}
	x.release = append(x.release, func() { l.shrink(0) })
	return true
}

// shareOf is the share of x's identity.
func (p *pool) shareOf(x *exchange) *semaphore.Weighted {
	v, _ := p.shares.LoadOrStore([2]string{x.session.Issuer, x.session.Subject}, semaphore.NewWeighted(p.share))
	share, _ := v.(*semaphore.Weighted)
	return share
}

// shrink gives back what is held beyond n bytes.
func (l *lease) shrink(n int64) {
	if back := l.n - n; back > 0 {
		l.share.Release(back)
		l.all.Release(back)
		l.n = n
	}
}

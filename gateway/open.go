package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport/sallyport/refusal"
)

// open counts the exchanges that are being served. The zero value counts none.
type open struct {
	mu       sync.Mutex
	n        int           // guarded by mu
	stopping bool          // guarded by mu
	idle     chan struct{} // closed when none is left; nil unless somebody waits; guarded by mu
}

func (o *open) add(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n += n; o.n == 0 && o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

// Stopping tells that exchanges which break off from now on may do so because the
// gateway stops.
func (g *Gateway) Stopping() {
	g.open.mu.Lock()
	defer g.open.mu.Unlock()
	g.open.stopping = true
}

// Settle waits until every exchange has ended and is on record as it did, after their
// connections were closed. It waits no longer than recording takes at the most.
func (g *Gateway) Settle(context.Context) error {
	g.open.mu.Lock()
	if g.open.n == 0 {
		g.open.mu.Unlock()
		return nil
	}
	if g.open.idle == nil {
		g.open.idle = make(chan struct{})
	}
	idle := g.open.idle
	g.open.mu.Unlock()
	limit := time.NewTimer(3 * recordTimeout)
	defer limit.Stop()
	select {
	case <-idle:
		return nil
	case <-limit.C:
		return errors.New("gateway: exchanges that were broken off have not ended")
	}
}

// clientLeft is why an exchange ended whose client's connection did.
func (g *Gateway) clientLeft() *refusal.Error {
	g.open.mu.Lock()
	defer g.open.mu.Unlock()
	if g.open.stopping {
		return errStopped
	}
	return errClientLeft
}

var (
	errClientLeft = refusal.New(refusal.Unavailable, "the client went away")
	errStopped    = refusal.New(refusal.Unavailable, "the gateway was stopped, or the client went away, before the answer had ended")
)

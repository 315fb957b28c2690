package approvals

import (
	"context"
	"errors"
	"time"
)

// Running is an execution of this process: it must be ended by End or by Forget.
type Running struct {
	c                *Calls
	digest, exchange string
	stop             context.CancelFunc
}

// Exchange is the ULID of the exchange that runs.
func (r *Running) Exchange() string { return r.exchange }

// Begin notes that e goes to AWS, before it does. The Running is nil where the same call
// was faster: then Found says what to do.
func (c *Calls) Begin(ctx context.Context, digest string, e Execution) (*Running, Found, error) {
	f, err := c.decide(ctx, digest, func(call *Call, now time.Time) Found { return call.begin(e, now) })
	if err != nil || f.Turn != Proceed {
		return nil, f, err
	}
	run, stop := context.WithCancel(c.run)
	r := &Running{c: c, digest: digest, exchange: e.Exchange, stop: stop}
	c.wait.Go(func() { r.renew(run) })
	return r, f, nil
}

// renew tells the others that it still runs.
func (r *Running) renew(ctx context.Context) {
	tick := time.NewTicker(lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := r.renewOnce(ctx); err != nil && ctx.Err() == nil {
				r.c.log.WarnContext(ctx, "that a call still runs could not be noted", "requestID", r.exchange, "cause", err.Error())
			}
		case <-ctx.Done():
			return
		}
	}
}

func (r *Running) renewOnce(ctx context.Context) error {
	return r.change(ctx, func(e *Execution) { e.Lease = r.c.now().Add(lease) })
}

// End keeps the outcome: the status, and the answer unless missing says why it is not
// kept. status 0 says that nobody knows whether AWS acted. delivered is for an answer that
// now goes to a client who is there: noted afterwards, it would be too late for a new call
// of a fast client's, which is none of those that get this outcome; see Undelivered. Only
// the first End counts.
func (r *Running) End(ctx context.Context, res Result, missing string, delivered bool) error {
	r.stop()
	ctx, cancel := context.WithTimeout(ctx, callWrite)
	defer cancel()
	now := r.c.now()
	res.Exchange, res.Digest, res.At = r.exchange, r.digest, now
	if missing != "" || res.Status == 0 {
		return r.change(ctx, func(e *Execution) { e.end(res.Status, nil, missing, now); e.Delivered = delivered })
	}
	value, stored, err := res.encode()
	if err == nil {
		_, err = r.c.kv.Put(ctx, resultKey+r.exchange, value)
	}
	if err != nil { // the status alone is worth keeping
		r.c.log.WarnContext(ctx, "an answer could not be kept for a retry", "requestID", r.exchange, "cause", err.Error())
		stored, missing = nil, "it could not be kept"
	}
	return r.change(ctx, func(e *Execution) { e.end(res.Status, stored, missing, now); e.Delivered = delivered })
}

// Undelivered notes that the client left before it had the answer to its end.
func (r *Running) Undelivered(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callWrite)
	defer cancel()
	return r.change(ctx, func(e *Execution) { e.Delivered = false })
}

// Forget is for what was not sent after all.
func (r *Running) Forget(ctx context.Context) error {
	r.stop()
	ctx, cancel := context.WithTimeout(ctx, callWrite)
	defer cancel()
	_, err := r.c.decide(ctx, r.digest, func(call *Call, _ time.Time) Found {
		call.forget(r.exchange)
		return Found{}
	})
	return err
}

// Lost notes that the client to whom an outcome was given left before it had it, so that
// the next retry gets it.
func (c *Calls) Lost(ctx context.Context, digest, exchange string) error {
	ctx, cancel := context.WithTimeout(ctx, callWrite)
	defer cancel()
	return (&Running{c: c, digest: digest, exchange: exchange}).change(ctx, func(e *Execution) { e.Given = false })
}

func (r *Running) change(ctx context.Context, step func(*Execution)) error {
	var missed error
	_, err := r.c.decide(ctx, r.digest, func(call *Call, _ time.Time) Found {
		missed = call.change(r.exchange, step)
		return Found{}
	})
	return errors.Join(err, missed)
}

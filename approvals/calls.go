package approvals

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The keys beside the records, which have the digest alone for a key.
const (
	callKey   = "call."
	resultKey = "result."
)

// callWrite bounds one change of a call's state.
const callWrite = 5 * time.Second

// Calls keeps what became of the calls that people let through, so that a retry gets the
// outcome in place of a second execution. Any number of gateways may share one bucket.
// Use NewCalls.
type Calls struct {
	kv    jetstream.KeyValue
	watch jetstream.KeyWatcher
	now   func() time.Time
	log   *slog.Logger
	*ending
	run  context.Context // ends with Close
	stop context.CancelFunc
	wait sync.WaitGroup

	mu      sync.Mutex
	due     map[string]time.Time // by digest: when something of it may be dropped
	waiters map[string]map[chan struct{}]struct{}
}

// NewCalls opens the bucket and follows it until Close. Of the options it needs Conn and
// Now, and uses Log.
func NewCalls(ctx context.Context, o Options) (*Calls, error) {
	if o.Conn == nil || o.Now == nil {
		return nil, errors.New("approvals: an option is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	js, err := jetstream.New(o.Conn)
	if err != nil {
		return nil, fmt.Errorf("approvals: JetStream: %w", err)
	}
	kv, err := js.KeyValue(ctx, Bucket)
	if err != nil {
		return nil, fmt.Errorf("open the bucket %s: %w", Bucket, err)
	}
	c := &Calls{kv: kv, now: o.Now, log: o.Log, ending: newEnding(), due: map[string]time.Time{}, waiters: map[string]map[chan struct{}]struct{}{}}
	c.run, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	if c.watch, err = kv.Watch(c.run, callKey+"*"); err != nil {
		c.stop()
		return nil, fmt.Errorf("watch the bucket %s: %w", Bucket, err)
	}
	c.wait.Go(c.follow)
	c.wait.Go(c.sweepEvery)
	return c, nil
}

// Close is Release, and the end of everything else.
func (c *Calls) Close() {
	c.Release()
	c.stop()
	_ = c.watch.Stop() // an error is a connection that has gone already
	c.wait.Wait()
}

func (c *Calls) follow() {
	for entry := range c.watch.Updates() {
		if entry == nil {
			continue
		}
		digest := entry.Key()[len(callKey):]
		call, _ := decodeCall(digest, entry.Value())
		c.mu.Lock()
		delete(c.due, digest)
		for _, e := range call.Executions {
			if at := c.due[digest]; !e.Ended.IsZero() && e.Status != 0 && (at.IsZero() || e.Keep.Before(at)) {
				c.due[digest] = e.Keep
			}
		}
		for w := range c.waiters[digest] {
			select {
			case w <- struct{}{}:
			default: // it has not looked yet
			}
		}
		c.mu.Unlock()
	}
}

// Meet says what a request for a call must do. Where that is Give, the outcome is given
// with it: the next one that is no retry of the same SDK call does not get it.
func (c *Calls) Meet(ctx context.Context, digest string, from Caller) (Found, error) {
	return c.decide(ctx, digest, func(call *Call, now time.Time) Found { return call.find(from, now) })
}

// Await is Meet once no such call is on its way any more; or ctx's error, or ErrClosed;
// or at once with ErrHeld where MaxHeld wait already.
func (c *Calls) Await(ctx context.Context, digest string, from Caller) (Found, error) {
	changed := make(chan struct{}, 1)
	c.mu.Lock()
	if len(c.waiters[digest]) >= MaxHeld {
		c.mu.Unlock()
		return Found{}, ErrHeld
	}
	if c.waiters[digest] == nil {
		c.waiters[digest] = map[chan struct{}]struct{}{}
	}
	c.waiters[digest][changed] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if delete(c.waiters[digest], changed); len(c.waiters[digest]) == 0 {
			delete(c.waiters, digest)
		}
	}()
	tick := time.NewTicker(time.Second) // for the end of a lease, which nobody announces
	defer tick.Stop()
	for {
		f, err := c.Meet(ctx, digest, from)
		if err != nil || f.Turn != Await {
			return f, err
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return f, ctx.Err()
		case <-c.closed:
			return f, ErrClosed
		}
	}
}

// decide makes one step of a call's state, by compare-and-set. What is given is marked
// as given before anybody gets it.
func (c *Calls) decide(ctx context.Context, digest string, step func(*Call, time.Time) Found) (Found, error) {
	for range attempts {
		call, value, revision, err := c.get(ctx, digest)
		if err != nil {
			return Found{}, err
		}
		f := step(&call, c.now())
		if f.Turn == Give {
			if err := call.change(f.Execution.Exchange, func(e *Execution) { e.Given = true }); err != nil {
				return Found{}, err
			}
			f.Result = c.result(ctx, f.Execution)
		}
		after, err := json.Marshal(call)
		if err != nil {
			return Found{}, fmt.Errorf("write the state of a call: %w", err)
		}
		if len(call.Executions) == 0 && revision == 0 || bytes.Equal(after, value) {
			return f, nil
		}
		if revision == 0 { // never there, or deleted: an update from 0 does not take the latter
			_, err = c.kv.Create(ctx, callKey+digest, after)
		} else {
			_, err = c.kv.Update(ctx, callKey+digest, after, revision)
		}
		if isConflict(err) {
			continue
		} else if err != nil {
			return Found{}, fmt.Errorf("write the state of a call: %w", err)
		}
		return f, nil
	}
	return Found{}, errConflict
}

// get gives the state of a call; revision 0 is for one that was never let through.
func (c *Calls) get(ctx context.Context, digest string) (Call, []byte, uint64, error) {
	entry, err := c.kv.Get(ctx, callKey+digest)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Call{Digest: digest}, nil, 0, nil
	}
	if err != nil {
		return Call{}, nil, 0, fmt.Errorf("read the state of a call: %w", err)
	}
	call, ok := decodeCall(digest, entry.Value())
	if !ok { // what is none says nothing, and may be replaced
		c.log.ErrorContext(ctx, "the state of a call is damaged", "key", entry.Key())
	}
	return call, entry.Value(), entry.Revision(), nil
}

// result is what was kept of an answer; nil where there is none.
func (c *Calls) result(ctx context.Context, e Execution) *Result {
	if e.Stored == nil {
		return nil
	}
	entry, err := c.kv.Get(ctx, resultKey+e.Exchange)
	if err == nil {
		if r, ok := decodeResult(entry.Value(), e); ok {
			return r
		}
		err = errors.New("it is damaged")
	}
	c.log.ErrorContext(ctx, "a kept answer cannot be read", "requestID", e.Exchange, "cause", err.Error())
	return nil
}

func decodeCall(digest string, b []byte) (Call, bool) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var call Call
	if err := dec.Decode(&call); err != nil || call.Digest != digest {
		return Call{Digest: digest}, false
	}
	return call, true
}

func (c *Calls) sweepEvery() {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.Sweep(c.run)
		case <-c.run.Done():
			return
		}
	}
}

// Sweep drops the outcomes that are of no use any more. It runs every minute. Nothing
// depends on it but the disk.
func (c *Calls) Sweep(ctx context.Context) {
	now := c.now()
	var due []string
	c.mu.Lock()
	for digest, at := range c.due {
		if !now.Before(at) {
			due = append(due, digest)
		}
	}
	c.mu.Unlock()
	for _, digest := range due {
		if err := c.prune(ctx, digest); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "an old outcome could not be dropped; nobody gets it", "cause", err.Error())
		}
	}
}

func (c *Calls) prune(ctx context.Context, digest string) error {
	ctx, cancel := context.WithTimeout(ctx, callWrite)
	defer cancel()
	call, _, revision, err := c.get(ctx, digest)
	if err != nil || revision == 0 {
		return err
	}
	for _, e := range call.prune(c.now()) {
		if e.Stored == nil {
			continue
		}
		if err := c.kv.Delete(ctx, resultKey+e.Exchange); err != nil {
			return err
		}
	}
	if len(call.Executions) == 0 {
		err = c.kv.Delete(ctx, callKey+digest, jetstream.LastRevision(revision))
	} else {
		var after []byte
		if after, err = json.Marshal(call); err == nil {
			_, err = c.kv.Update(ctx, callKey+digest, after, revision)
		}
	}
	if isConflict(err) { // somebody is at it: later
		return nil
	}
	return err
}

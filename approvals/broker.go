package approvals

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
)

// MaxPendingAll is how many approvals may wait at once, of all identities.
const MaxPendingAll = 1000

// MaxHeld is how many requests one gateway holds open for one approval. Clients repeat
// a call that they gave up; more than a few at once is somebody filling memory.
const MaxHeld = 8

// attempts bounds how often a change is tried anew when another gateway was faster.
const attempts = 16

// Errors of Ask and Wait.
var (
	ErrTooMany    = errors.New("too many of this identity's requests wait for an approval")
	ErrTooManyAll = errors.New("too many requests wait for an approval")
	ErrHeld       = errors.New("enough requests are held for this approval")
	ErrClosed     = errors.New("the gateway is stopping")
)

// Options configure a Broker. All but AllowServiceAccounts, Stopped, Text and Log are required.
type Options struct {
	Conn                 *nats.Conn // as bus.Gateway
	Prefix               string     // subject prefix
	Verifier             *identity.Verifier
	AllowServiceAccounts bool // programs may answer too
	MaxPending           int  // approvals of one identity that wait at once
	// Stopped says why nobody may answer as this subject now, nil where they may; a nil
	// func stops nobody. A token that was stolen is no approver's, either.
	Stopped func(ctx context.Context, issuer, subject string) error
	// Text masks what an approver writes before it is kept and published; a nil func
	// takes it as it is.
	Text func(string) string
	// Append makes events durable.
	Append func(ctx context.Context, events ...event.Event) error
	IDs    *event.IDs
	Source string // CloudEvents source of this gateway
	Now    func() time.Time
	Log    *slog.Logger // nil discards
}

// Broker asks people and keeps what they say. Any number of gateways may share one
// bucket: each sees what the others began. Use NewBroker.
type Broker struct {
	o       Options
	store   bucket
	js      jetstream.JetStream
	watch   jetstream.KeyWatcher
	sub     *nats.Subscription
	answers chan struct{} // bounds answers that are verified at once
	refused *rate.Limiter // events of refused answers
	*ending
	stop context.CancelFunc
	wait sync.WaitGroup

	creating sync.Mutex // from counting what waits until the new one counts
	mu       sync.Mutex
	known    map[string]known                      // by digest
	waiters  map[string]map[chan struct{}]struct{} // by digest
	grants   grants
}

// known is what the bucket's watch said last.
type known struct {
	record   Record // without its parameters and what was read of its resources
	revision uint64
}

func (b *Broker) text(s string) string {
	if b.o.Text == nil {
		return s
	}
	return b.o.Text(s)
}

// NewBroker opens the bucket, follows it and listens for answers until Close.
func NewBroker(ctx context.Context, o Options) (*Broker, error) {
	if o.Conn == nil || o.Prefix == "" || o.Verifier == nil || o.MaxPending < 1 || o.Append == nil || o.IDs == nil || o.Source == "" || o.Now == nil {
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
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	b := &Broker{
		o: o, store: bucket{kv}, js: js, answers: make(chan struct{}, 32), refused: rate.NewLimiter(10, 100),
		ending: newEnding(), stop: stop,
		known: map[string]known{}, waiters: map[string]map[chan struct{}]struct{}{},
	}
	if b.watch, err = kv.WatchFiltered(run, []string{"*", grantPrefix + ">"}); err != nil {
		stop()
		return nil, fmt.Errorf("watch the bucket %s: %w", Bucket, err)
	}
	current := make(chan struct{})
	b.wait.Go(func() { b.follow(current) })
	select {
	case <-current: // what waited before we came counts
	case <-ctx.Done():
		b.Close()
		return nil, ctx.Err()
	}
	b.sub, err = o.Conn.QueueSubscribe(o.Prefix+".approvals.answer.*", "gateway", func(m *nats.Msg) { b.receive(run, m) })
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("listen for answers: %w", err)
	}
	b.wait.Go(func() { b.sweepEvery(run, time.Second) })
	return b, nil
}

// Close is Release, and the end of everything else.
func (b *Broker) Close() {
	b.Release()
	if b.sub != nil {
		_ = b.sub.Unsubscribe() // an error is a connection that has gone already
	}
	b.stop()
	_ = b.watch.Stop()
	b.wait.Wait()
}

// follow takes over what the bucket's watch says. current is closed once all that
// was there has been seen.
func (b *Broker) follow(current chan struct{}) {
	for entry := range b.watch.Updates() {
		if entry == nil {
			close(current)
			continue
		}
		if entry.Operation() != jetstream.KeyValuePut {
			continue
		}
		if g, ok := decodeGrant(entry.Key(), entry.Value()); ok {
			b.learnGrant(g, entry.Revision())
			continue
		}
		r, ok := decodeRecord(entry.Key(), entry.Value())
		if !ok {
			b.o.Log.Error("a record in the bucket of approvals is damaged", "key", entry.Key())
			continue
		}
		b.learn(r, entry.Revision())
	}
}

func (b *Broker) learn(r Record, revision uint64) {
	r.Request.Parameters, r.Request.Enrichment = nil, nil
	b.mu.Lock()
	defer b.mu.Unlock()
	digest := r.Request.Digest
	if revision <= b.known[digest].revision {
		return
	}
	b.known[digest] = known{r, revision}
	for w := range b.waiters[digest] {
		select {
		case w <- struct{}{}:
		default: // it has not looked yet
		}
	}
}

// Ask gives the record of a call: one that waits, is approved or was denied a short
// while ago, or a new one, which people are told of. Its state says what to do:
// Wait while it is pending, Claim when it is approved.
func (b *Broker) Ask(ctx context.Context, r Request) (Record, error) {
	b.creating.Lock()
	defer b.creating.Unlock()
	for range attempts {
		old, revision, err := b.store.get(ctx, r.Digest)
		if err != nil && !errors.Is(err, errNone) {
			return Record{}, err
		}
		now := b.o.Now()
		if err == nil {
			switch same := reflect.DeepEqual(old.Request.Approvers, r.Approvers); {
			case old.Expire(now), !same && old.Cancel(now):
				if revision, err = b.store.put(ctx, old, revision); errors.Is(err, errConflict) {
					continue
				} else if err != nil {
					return Record{}, err
				}
				b.ended(ctx, old, revision)
			case same && old.State == StatePending,
				same && old.State == StateApproved && now.Before(old.Deadline()),
				old.State == StateDenied && now.Before(old.Request.Expires): // asking again does not help
				return old, nil
			}
		}
		if err := b.room(r); err != nil {
			return Record{}, err
		}
		rec := NewRecord(r)
		if revision, err = b.store.put(ctx, rec, revision); errors.Is(err, errConflict) {
			continue
		} else if err != nil {
			return Record{}, err
		}
		b.learn(rec, revision)
		// Once there is a record, a client that leaves does not end its being told of: people
		// have perhaps seen it, and the retry joins it.
		ctx := context.WithoutCancel(ctx)
		if err := b.announce(ctx, rec); err != nil {
			// Nobody may know of it: better none than one that waits in vain.
			if _, err := b.change(ctx, r.Approval, r.Digest, func(rec *Record) error { rec.Cancel(b.o.Now()); return nil }); err != nil {
				b.o.Log.ErrorContext(ctx, "an approval that could not be published could not be cancelled", "approval", r.Approval, "cause", err.Error())
			}
			return Record{}, err
		}
		b.announced(ctx, r)
		return rec, nil
	}
	return Record{}, errConflict
}

// room checks that one more may wait. Gateways count what the others began too, but
// two that begin at the same moment may each go one beyond.
func (b *Broker) room(r Request) error {
	now := b.o.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	all, own := 0, 0
	for _, k := range b.known {
		if w := k.record.Request.Who; k.record.State == StatePending && now.Before(k.record.Request.Expires) {
			all++
			if w.Issuer == r.Who.Issuer && w.Subject == r.Who.Subject {
				own++
			}
		}
	}
	switch {
	case own >= b.o.MaxPending:
		return ErrTooMany
	case all >= MaxPendingAll:
		return ErrTooManyAll
	}
	return nil
}

// Claim takes the leave to send one request, for an exchange. Of any number that
// claim, on any gateway, one gets it. With it begins what a grant leaves beyond.
func (b *Broker) Claim(ctx context.Context, approval, digest, exchange string) (Record, error) {
	r, err := b.change(ctx, approval, digest, func(r *Record) error { return r.Claim(exchange, b.o.Now()) })
	if err == nil {
		b.begin(ctx, r)
	}
	return r, err
}

// Return gives back the leave that an exchange has taken and did not use. A revocation made
// meanwhile found it taken and had nothing to end: revoked is asked once the leave is back,
// and ends it then.
func (b *Broker) Return(ctx context.Context, approval, digest, exchange string, revoked func() bool) error {
	_, err := b.change(ctx, approval, digest, func(r *Record) error { return r.Return(exchange) })
	if err != nil || !revoked() {
		return err
	}
	_, err = b.change(ctx, approval, digest, func(r *Record) error {
		if !r.Revoke(b.o.Now()) {
			return ErrEnded
		}
		return nil
	})
	return err
}

// seen is the record as the bucket's watch told last, which saves reading it: a change
// names the revision it was made from, and an old one is refused. It is without the
// parameters, which nobody needs any more once people were told.
func (b *Broker) seen(digest, approval string) (Record, uint64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.known[digest]
	return k.record, k.revision, k.revision > 0 && k.record.Request.Approval == approval && (k.record.Announced || k.record.State != StatePending)
}

// unknown says why there is no record of an approval with a digest.
func (b *Broker) unknown(approval, digest string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for d, k := range b.known {
		if k.record.Request.Approval == approval && k.record.State == StatePending && d != digest {
			return ErrDigest
		}
	}
	return fmt.Errorf("%w, or there was none with this id and digest", ErrEnded)
}

// change makes one step of a record's, publishes its end if that is one, and gives
// the record after it.
func (b *Broker) change(ctx context.Context, approval, digest string, step func(*Record) error) (Record, error) {
	for i := range attempts {
		r, revision, seen := b.seen(digest, approval)
		seen = seen && i == 0
		var err error
		if !seen {
			r, revision, err = b.store.get(ctx, digest)
		}
		if errors.Is(err, errNone) || err == nil && r.Request.Approval != approval {
			return Record{}, b.unknown(approval, digest)
		}
		if err != nil {
			return Record{}, err
		}
		before, votes := r.State, len(r.Votes)
		if err := step(&r); err != nil {
			if seen { // what was seen may be old
				continue
			}
			return r, err
		}
		if revision, err = b.store.put(ctx, r, revision); errors.Is(err, errConflict) {
			continue
		} else if err != nil {
			return Record{}, err
		}
		var vote []event.Data
		if len(r.Votes) > votes {
			vote = []event.Data{voteOf(&r)}
		}
		if before == StatePending && r.State != StatePending {
			b.ended(ctx, r, revision, vote...)
		} else {
			b.learn(r, revision)
			b.voted(ctx, r, vote)
		}
		return r, nil
	}
	return Record{}, errConflict
}

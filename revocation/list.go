package revocation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/refusal"
)

// Bucket is the key-value bucket in which revocations are kept.
const Bucket = "SALLYPORT_REVOKED"

const (
	writeTime = 5 * time.Second
	// enforceTime is how long carrying an order out may take.
	enforceTime = 15 * time.Second
)

// Options make a List. All but Log are required.
type Options struct {
	Conn    *nats.Conn // as bus.Gateway
	Prefix  string     // of subjects
	Source  string     // names this gateway in replies
	Targets []string   // that there are
	// Session is whom an open session of this gateway is of.
	Session func(id string) (Caller, bool)
	// Enforce ends everything that a revocation covers, and returns once nothing of it
	// reaches AWS any more. New requests are refused by Refusal already.
	Enforce func(ctx context.Context, r Revocation) Ended
	// Record makes an event of what was done durable.
	Record func(ctx context.Context, r Revocation, e Ended) error
	Now    func() time.Time
	Log    *slog.Logger // nil discards
}

// keyValue is what a List needs of a bucket.
type keyValue interface {
	WatchAll(ctx context.Context, opts ...jetstream.WatchOpt) (jetstream.KeyWatcher, error)
	Put(ctx context.Context, key string, value []byte) (uint64, error)
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

// List knows what is revoked and takes orders. Use NewList. Until Start it vouches for
// nobody.
type List struct {
	o     Options
	kv    keyValue
	watch jetstream.KeyWatcher
	sub   *nats.Subscription
	stop  context.CancelFunc

	beginning sync.Mutex // against Close, which waits for what has begun
	closed    bool       // guarded by beginning
	wait      sync.WaitGroup

	// As of which reconnection the bucket has been read: what was revoked while this
	// gateway was away must be known before anything goes through again.
	read    atomic.Uint64
	started atomic.Bool
	reading sync.Mutex

	mu     sync.RWMutex
	known  map[string]*entry            // by the bucket's key
	covers map[Caller]map[string]*entry // by the members that a caller must have
	lost   map[string]uint64            // keys of which nobody here knows what they said, and the revision that hides it
}

type entry struct {
	r        Revocation // guarded by List.mu
	revision uint64     // guarded by List.mu; 0: not in the bucket yet

	enforcing sync.Mutex
	untold    Ended // guarded by enforcing; ended by what the bucket said, before the order came
}

// NewList opens the bucket.
func NewList(ctx context.Context, o Options) (*List, error) {
	if o.Conn == nil || o.Prefix == "" || o.Source == "" || o.Session == nil || o.Enforce == nil || o.Record == nil || o.Now == nil {
		return nil, errors.New("revocation: an option is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	js, err := jetstream.New(o.Conn)
	if err != nil {
		return nil, fmt.Errorf("revocation: JetStream: %w", err)
	}
	kv, err := js.KeyValue(ctx, Bucket)
	if err != nil {
		return nil, fmt.Errorf("open the bucket %s: %w", Bucket, err)
	}
	return &List{o: o, kv: kv, stop: func() {}, known: map[string]*entry{}, covers: map[Caller]map[string]*entry{}, lost: map[string]uint64{}}, nil
}

// Start reads the bucket, follows it and takes orders until Close.
func (l *List) Start(ctx context.Context) error {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	l.read.Store(l.o.Conn.Stats().Reconnects)
	var err error
	if l.watch, err = l.kv.WatchAll(run); err != nil {
		return fmt.Errorf("watch the bucket %s: %w", Bucket, err)
	}
	current := make(chan struct{})
	l.wait.Go(func() { l.follow(run, current) })
	select {
	case <-current:
	case <-ctx.Done():
		return ctx.Err()
	}
	// Without a queue: every gateway takes every order.
	l.sub, err = l.o.Conn.Subscribe(l.o.Prefix+".control.revoke", func(m *nats.Msg) { l.receive(run, m) })
	if err == nil {
		err = l.o.Conn.FlushTimeout(writeTime) // ready means ready for orders
	}
	if err != nil {
		return fmt.Errorf("listen for revocations: %w", err)
	}
	l.started.Store(true)
	return nil
}

// Close ends taking orders, once those under way are carried out.
func (l *List) Close() {
	if l.sub != nil {
		_ = l.sub.Unsubscribe() // an error is a connection that has gone already
	}
	l.beginning.Lock()
	l.closed = true
	l.beginning.Unlock()
	l.stop()
	if l.watch != nil {
		_ = l.watch.Stop()
	}
	l.wait.Wait()
}

// begin does something beside, unless the list is closed.
func (l *List) begin(f func()) bool {
	l.beginning.Lock()
	defer l.beginning.Unlock()
	if l.closed {
		return false
	}
	l.wait.Go(f)
	return true
}

// follow takes over what the bucket's watch says. current is closed once all that was
// there has been seen.
func (l *List) follow(ctx context.Context, current chan struct{}) {
	reading := true
	for e := range l.watch.Updates() {
		if e == nil {
			reading = false
			close(current)
			continue
		}
		l.take(ctx, e, reading)
	}
}

// take learns one value of the bucket, and carries it out where it is news. reading says
// that it may have been written while this gateway was away.
func (l *List) take(ctx context.Context, v jetstream.KeyValueEntry, reading bool) {
	if v.Operation() != jetstream.KeyValuePut {
		// Gateways do not delete: what is lifted says so. Whoever administers the bucket
		// may, to let go of a value that nobody can read.
		l.found(v.Key(), v.Revision())
		return
	}
	r, ok := decodeRevocation(v.Key(), v.Value())
	if !ok {
		l.mend(ctx, v, reading)
		return
	}
	e, news := l.learn(v.Key(), r, v.Revision())
	if !news {
		return
	}
	l.o.Log.WarnContext(ctx, "revoked", "what", r.What(), "reason", r.Reason, "until", r.Until)
	l.begin(func() {
		e.enforcing.Lock()
		defer e.enforcing.Unlock()
		ended := l.enforce(ctx, r)
		e.untold = e.untold.plus(ended)
		if !ended.nothing() {
			l.record(ctx, r, ended)
		}
	})
}

// learn takes r over if it is later than what is known; revision 0 is from an order
// that is not yet in the bucket. news says that it is in force and was not before.
func (l *List) learn(key string, r Revocation, revision uint64) (e *entry, news bool) {
	now := l.o.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	e = l.known[key]
	if e == nil {
		e = &entry{}
		l.known[key] = e
	}
	if revision != 0 && revision <= e.revision {
		return e, false
	}
	before := e.r.InForce(now) && e.r != (Revocation{})
	if old := l.covers[e.r.mark()]; old != nil {
		delete(old, key)
	}
	e.r, e.revision = r, max(revision, e.revision)
	if revision > l.lost[key] {
		delete(l.lost, key)
	}
	if l.covers[r.mark()] == nil {
		l.covers[r.mark()] = map[string]*entry{}
	}
	l.covers[r.mark()][key] = e
	return e, r.InForce(now) && !before
}

// mark is what of a caller decides whether r covers it.
func (r Revocation) mark() Caller {
	if r.Target != "" {
		return Caller{Target: r.Target}
	}
	if r.Session != "" {
		return Caller{Issuer: r.Issuer, Subject: r.Subject, Label: r.Label, Session: "s"}
	}
	return Caller{Issuer: r.Issuer, Subject: r.Subject}
}

// Refusal is why nothing of c may go to AWS: it is revoked, or whether it is cannot be
// known. nil lets it go on.
func (l *List) Refusal(ctx context.Context, c Caller) *refusal.Error {
	if err := l.upToDate(ctx); err != nil {
		return refusal.Wrap(refusal.Unavailable, err, "NATS is away: nothing can be recorded, and whether this caller has been revoked is not known; nothing was sent to AWS, try again later")
	}
	if r := l.find(c); r != nil {
		return Refuse(*r)
	}
	if key := l.unreadable(); key != "" {
		return refusal.New(refusal.Unavailable, "a revocation was overwritten by something that is none (key %s of the bucket %s), and whom it stopped is not known; an operator must give it again. Nothing was sent to AWS", key, Bucket)
	}
	return nil
}

// find is what covers c now, nil for nothing.
func (l *List) find(c Caller) *Revocation {
	now := l.o.Now()
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, m := range [...]Caller{
		{Subject: c.Subject}, {Issuer: c.Issuer, Subject: c.Subject}, {Issuer: c.Issuer, Subject: c.Subject, Label: c.Label, Session: "s"}, {Target: c.Target},
	} {
		for _, e := range l.covers[m] {
			if e.r.InForce(now) && e.r.Covers(c) {
				r := e.r
				return &r
			}
		}
	}
	return nil
}

// Refuse is the refusal of what r covers.
func Refuse(r Revocation) *refusal.Error {
	reason := refusal.Identity
	if r.Target != "" {
		reason = refusal.Denied
	}
	return refusal.New(reason, "%s", r.Sentence())
}

// upToDate makes sure that all is known that was revoked before now. The watch catches
// up by itself after a lost connection, but says neither that it must nor when it has.
func (l *List) upToDate(ctx context.Context) error {
	if !l.started.Load() || !l.o.Conn.IsConnected() {
		return errors.New("NATS is not connected")
	}
	if l.o.Conn.Stats().Reconnects == l.read.Load() {
		return nil
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	n := l.o.Conn.Stats().Reconnects
	if n == l.read.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	w, err := l.kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("read the revocations: %w", err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case e := <-w.Updates():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if e == nil {
				l.read.Store(n)
				return nil
			}
			l.take(ctx, e, true)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *List) enforce(ctx context.Context, r Revocation) Ended {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), enforceTime)
	defer cancel()
	return l.o.Enforce(ctx, r)
}

func (l *List) record(ctx context.Context, r Revocation, e Ended) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	if err := l.o.Record(ctx, r, e); err != nil {
		l.o.Log.ErrorContext(ctx, "a revocation could not be recorded", "what", r.What(), "cause", err.Error())
		return false
	}
	return true
}

// keep writes r into the bucket, over whatever is there: of two orders about the same
// thing the later holds.
func (l *List) keep(ctx context.Context, r Revocation) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	revision, err := l.kv.Put(ctx, r.key(), text)
	if err != nil {
		return err
	}
	l.learn(r.key(), r, revision)
	return nil
}

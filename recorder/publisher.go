// Package recorder makes events durable and keeps them.
//
// Publisher is the gateway's side: it gives each event its place in the gateway's
// chain and writes it into a file of its own, and Begin returns a Receipt only when it
// is synced there (and, where NATS is not in this process, acknowledged by the stream
// too). Behind the file the events are published in order, again after a crash.
// Recorder is the other side: it consumes the stream into a Store (append-only segments of
// JSON lines, packs of bodies), and acknowledges after fsync. Records reads such a
// directory, whatever is in it, and names what is damaged by file and line.
package recorder

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/wal"
)

// Stream is the stream that must acknowledge each event.
const Stream = "SALLYPORT_EVENTS"

const (
	headerRoom        = 1 << 10 // bytes of headers that a message has beside its event
	checkpointEvery   = 256     // events
	tendEvery         = 500 * time.Millisecond
	lostTime          = time.Minute // to read the file when it is opened
	defaultLagEvents  = 64 << 10
	defaultLagBytes   = 256 << 20
	defaultWALLimit   = 4 << 30
	defaultMaxPayload = 1 << 20 // of NATS, while no server has said
)

// ErrBehind is why Begin refuses while what is durable cannot be handed on: NATS is
// away for too long, recorders are, or the file is at its limit. Try again later.
var ErrBehind = errors.New("the record cannot be handed on")

// ErrUnconfirmed is why Begin or Append fails for events that are on record, or will be:
// the disk or NATS did not confirm them in time. They are not to be recorded again, in
// other words or the same.
var ErrUnconfirmed = errors.New("what was recorded was not confirmed")

// PublisherOptions configure a Publisher. Conn and StateDir are required.
type PublisherOptions struct {
	Conn     *nats.Conn // as bus.Gateway, without a reconnect buffer
	StateDir string     // holds wal/ and keys/gateway.key, made where they are missing
	Prefix   string     // subject prefix; "" is sallyport
	// Await has Begin and Append wait for the stream's acknowledgement too: for a
	// NATS server that keeps the events when this machine is lost.
	Await bool
	// Settle is how long after its acknowledgement an event is taken to be on the
	// stream's disk: longer than the server's sync interval. 0: at once.
	Settle time.Duration
	// RequireRecorders is how many recorders must have been heard within 5 s and be
	// no more than 10 s behind; else Begin refuses. 0: none.
	RequireRecorders int
	// WALLimit is how many bytes may wait for recorders in the file; 0 is 4 GiB.
	WALLimit int64
	// LagEvents and LagBytes are how far the stream may be behind the file, beyond which
	// Begin refuses; 0 is 65,536 events and 256 MiB.
	LagEvents uint64
	LagBytes  int64

	Timeout     time.Duration // for all that one call waits for; 0 is 5 s
	MaxInFlight int           // calls that wait at once, beyond which one fails; 0 is 1024
	SegmentSize int64         // of the file's segments; 0 is 16 MiB
	Metrics     *PublisherMetrics
	Now         func() time.Time // nil is time.Now
	Log         *slog.Logger     // nil discards
}

// Publisher publishes events; safe for concurrent use. Use NewPublisher, and Close it
// before its connection.
type Publisher struct {
	o      PublisherOptions
	js     jetstream.JetStream
	key    ed25519.PrivateKey
	source string
	ids    *event.IDs
	log    *wal.Log
	chain  *linker
	slots  chan struct{}

	pump    *pump
	heard   *heard
	queued  queued
	carried begun // what is open where the file begins; of the start, and then of tend

	lastEvent atomic.Uint64 // sequence of the last event that is no checkpoint
	covered   atomic.Uint64 // what the last checkpoint covers
	full      chan struct{} // tells that many are not covered

	stopTending, stopPump func()
	closing               atomic.Bool
	close                 sync.Once
	closed                error // of Close
}

// NewPublisher opens the file, ends on record what an earlier run left open, and begins
// to publish what the file holds, on a connection that stays its caller's.
func NewPublisher(o PublisherOptions) (_ *Publisher, err error) {
	if o.Conn == nil {
		return nil, errors.New("recorder: no NATS connection given")
	}
	if o.StateDir == "" {
		return nil, errors.New("recorder: no directory given")
	}
	if o.Prefix == "" {
		o.Prefix = "sallyport"
	}
	if err := event.ValidPrefix(o.Prefix); err != nil {
		return nil, err
	}
	o.defaults()
	p := &Publisher{o: o, ids: event.NewIDs(o.Now), slots: make(chan struct{}, o.MaxInFlight), full: make(chan struct{}, 1)}
	if p.js, err = jetstream.New(o.Conn, jetstream.WithPublishAsyncTimeout(o.Timeout), jetstream.WithPublishAsyncMaxPending(2*window)); err != nil {
		return nil, fmt.Errorf("recorder: JetStream: %w", err)
	}
	if err := p.open(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lostTime)
	defer cancel()
	if err := p.endLost(ctx); err != nil {
		return nil, errors.Join(err, p.log.Close())
	}
	sub, err := p.heard.listen(o.Conn, o.Prefix)
	if err != nil {
		return nil, errors.Join(err, p.log.Close())
	}
	p.stopPump = background(p.pump.run)
	p.stopTending = background(func(ctx context.Context) {
		p.tend(ctx)
		_ = sub.Unsubscribe() // the connection may be gone
	})
	return p, nil
}

// background runs fn until what it returns is called, which waits for its end.
func background(fn func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func (o *PublisherOptions) defaults() {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 1024
	}
	if o.WALLimit <= 0 {
		o.WALLimit = defaultWALLimit
	}
	if o.LagEvents == 0 {
		o.LagEvents = defaultLagEvents
	}
	if o.LagBytes <= 0 {
		o.LagBytes = defaultLagBytes
	}
	if o.Metrics == nil {
		o.Metrics = NewPublisherMetrics(nil)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// open opens the file, and the key that belongs to it.
func (p *Publisher) open() (err error) {
	dir := filepath.Join(p.o.StateDir, "wal")
	if p.log, err = wal.Open(wal.Options{Dir: dir, SegmentSize: p.o.SegmentSize, Now: p.o.Now, Synced: p.o.Metrics.synced}); err != nil {
		return fmt.Errorf("the file of events (if it is lost, move %s away: this gateway then begins a new chain under a new name): %w", dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.log.Close())
		}
	}()
	mark, err := readMark(dir)
	if err != nil {
		return err
	}
	// A file that is gone, or that is an older one than was published from, took the
	// end of the chain with it. Going on under the same name would give numbers a
	// second time, which nobody could tell from a forgery: it is a new gateway.
	lost := p.log.Last() == 0 || mark.Position > p.log.Last()
	path := GatewayKeyFile(p.o.StateDir)
	if old, err := ReadGatewayKey(path); err == nil && lost && (mark.Position > 0 || p.log.Fresh()) {
		p.o.Log.Warn("the gateway's file of events is gone or older than its key: it begins a new chain, under a new name", "before", event.SourceOf(publicKey(old)))
	}
	if p.key, err = gatewayKey(path, lost); err != nil {
		return err
	}
	p.source = event.SourceOf(publicKey(p.key))
	last, head := p.log.Last(), place{}
	if last > 0 {
		s, err := p.storedAt(last)
		if err != nil {
			return fmt.Errorf("the last event of the file: %w", err)
		}
		if s.source == p.source {
			head = s.place
		}
	}
	p.chain = newLinker(last, head)
	p.lastEvent.Store(head.sequence) // who knows what was signed: it is signed again
	p.heard = newHeard(p.o.Now)
	p.pump = newPump(p, mark)
	return nil
}

func publicKey(k ed25519.PrivateKey) ed25519.PublicKey {
	public, _ := k.Public().(ed25519.PublicKey) // is one, by crypto/ed25519
	return public
}

func (p *Publisher) storedAt(position uint64) (stored, error) {
	r := p.log.Read(position)
	defer r.Close()
	_, b, err := r.Next(context.Background())
	if err != nil {
		return stored{}, err
	}
	return readStored(b)
}

// Source names this gateway in its events, whatever source they were made with.
func (p *Publisher) Source() string { return p.source }

// Receipt proves that a request's events are durable. It is good for sending
// that request once. Only Begin makes one; the zero value and nil are used up.
type Receipt struct {
	exchange string
	fresh    atomic.Bool
}

// Exchange is the request's id.
func (r *Receipt) Exchange() string {
	if r == nil {
		return ""
	}
	return r.exchange
}

// Use reports true the first time it is called, and never again.
func (r *Receipt) Use() bool { return r != nil && r.fresh.CompareAndSwap(true, false) }

// Begin records a request event and what belongs to it (the decision), and
// returns when all of them are durable. An error means that nothing may be sent;
// some of them may be on record all the same. Every event must be of the same session
// and exchange.
func (p *Publisher) Begin(ctx context.Context, events ...event.Event) (*Receipt, error) {
	if len(events) == 0 || events[0].Kind() != event.KindRequest {
		return nil, errors.New("record request: the first event must be the request")
	}
	for _, e := range events[1:] {
		if e.Session() != events[0].Session() || e.Exchange() != events[0].Exchange() {
			return nil, fmt.Errorf("record request %s: event %s belongs to another request", events[0].Exchange(), e.ID)
		}
	}
	if err := p.publish(ctx, events, p.Accepting); err != nil {
		return nil, fmt.Errorf("record request %s: %w", events[0].Exchange(), err)
	}
	r := &Receipt{exchange: events[0].Exchange()}
	r.fresh.Store(true)
	return r, nil
}

// Append records events; nil means they are durable, and with them all that was queued
// of the same exchange. A credential event is held to what Begin is held to, since the
// request goes to AWS after it: what comes later is recorded for as long as there is
// room.
func (p *Publisher) Append(ctx context.Context, events ...event.Event) error {
	if len(events) == 0 {
		return nil
	}
	check := p.room
	for _, e := range events {
		if e.Kind() == event.KindCredential {
			check = p.Accepting
		}
	}
	if err := p.publish(ctx, events, check); err != nil {
		return fmt.Errorf("record %s of %s: %w", events[0].Kind(), events[0].Exchange(), err)
	}
	return nil
}

// Queue hands events over without need of their being durable yet: those that an
// Append or Begin of the same exchange follows, which is when they must be. It waits
// while too much is under way; an error means that the exchange cannot be recorded.
func (p *Publisher) Queue(ctx context.Context, events ...event.Event) error {
	if len(events) == 0 {
		return nil
	}
	err := p.room()
	if err == nil {
		var b *wal.Batch
		if b, _, err = p.add(ctx, events); err == nil {
			p.queued.put(events[0].Exchange(), b)
			return nil
		}
	}
	return fmt.Errorf("record %s of %s: %w", events[0].Kind(), events[0].Exchange(), err)
}

func (p *Publisher) publish(ctx context.Context, events []event.Event, check func() error) (err error) {
	defer func() { p.o.Metrics.calls(err) }()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		return fmt.Errorf("%d calls already wait to be recorded", p.o.MaxInFlight)
	}
	if err := check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	b, last, err := p.add(ctx, events)
	if err != nil {
		return err
	}
	if err := b.Wait(ctx); err != nil {
		select {
		case <-b.Done(): // it has failed
			if last-uint64(len(events)) < b.Last() { // over the end of a segment it may be there in part
				return fmt.Errorf("%w: the file of events: %w", ErrUnconfirmed, err)
			}
			return fmt.Errorf("the file of events: %w", err)
		default:
			return fmt.Errorf("%w: the file of events: %w", ErrUnconfirmed, err)
		}
	}
	// What was queued before is of this batch or an earlier one.
	if err := p.queued.take(ctx, events[0].Exchange()); err != nil {
		return fmt.Errorf("%w: the file of events: %w", ErrUnconfirmed, err)
	}
	if p.o.Await {
		if err := p.pump.published(ctx, last); err != nil {
			return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
		}
	}
	return nil
}

// add puts events into the file, one behind the other, and says at which position the
// last one is.
func (p *Publisher) add(ctx context.Context, events []event.Event) (*wal.Batch, uint64, error) {
	if p.closing.Load() {
		return nil, 0, errors.New("the gateway stops")
	}
	limit := min(event.DefaultLimit, p.maxPayload()-headerRoom)
	drafts, sizes := make([]*draft, len(events)), make([]int, len(events))
	for i, e := range events { // all are encoded before one is added
		d, err := newDraft(e, p.o.Prefix, p.source, limit)
		if err != nil {
			return nil, 0, err
		}
		drafts[i], sizes[i] = d, d.size()
	}
	last := uint64(0)
	b, err := p.log.Fill(ctx, sizes, func(i int, position uint64, into []byte) error {
		before, err := p.chain.after(position)
		if err != nil {
			return err
		}
		l := drafts[i].put(before, into)
		p.chain.put(position, l)
		if drafts[i].kind != event.KindCheckpoint {
			p.lastEvent.Store(l.sequence)
		}
		last = position
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("the file of events: %w", err)
	}
	if p.unsigned() >= checkpointEvery {
		select {
		case p.full <- struct{}{}:
		default:
		}
	}
	return b, last, nil
}

func (p *Publisher) maxPayload() int {
	if n := p.o.Conn.MaxPayload(); n > 0 {
		return int(n)
	}
	return defaultMaxPayload
}

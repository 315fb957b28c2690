package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/internal/wal"
)

const (
	window     = 512 // messages under way to the stream
	retryFirst = 50 * time.Millisecond
	retryMost  = 2 * time.Second
)

// pump publishes the file's events in order, and goes on where it was after a failure.
type pump struct {
	p     *Publisher
	start uint64 // last position when the file was opened

	mu      sync.Mutex // guards what follows
	looked  bool       // at the stream, whether it has what was acknowledged before the start
	acked   uint64     // all up to here are in the stream
	bytes   int64      // of what was published behind start
	sent    uint64     // highest position that may have reached the stream
	waiting []waiter
	failed  error  // the last failure; nil while it goes
	stop    error  // an event was dropped: Begin refuses until the gateway is started anew
	again   func() // ends what is under way, to look at the stream anew
}

type waiter struct {
	position uint64
	done     chan error // of capacity 1
}

func newPump(p *Publisher, m mark) *pump {
	// What may be in the stream already comes again under its id: that it is a
	// duplicate is right then.
	q := &pump{p: p, start: p.log.Last(), sent: p.log.Last(), again: func() {}}
	q.acked = p.log.First() - 1
	if m.Position > q.acked && m.Position <= p.log.Last() {
		q.acked = m.Position
		p.heard.published(m.Position, m.Sequence)
	}
	return q
}

func (q *pump) run(ctx context.Context) {
	wait := retryFirst
	for ctx.Err() == nil {
		before := q.position()
		err := q.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if q.position() > before {
			wait = retryFirst
		}
		if !errors.Is(err, errAnew) {
			q.fail(err)
			q.p.o.Log.Warn("events wait in the gateway's file: the stream does not take them", "cause", err.Error())
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, retryMost)
	}
}

// fail tells those who wait: they are refused now, and their events come into the
// stream later all the same.
func (q *pump) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = err
	for _, w := range q.waiting {
		w.done <- fmt.Errorf("no acknowledgement from NATS: %w", err)
	}
	q.waiting = nil
}

func (q *pump) position() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acked
}

var errAnew = errors.New("connected anew")

// flight is a message under way.
type flight struct {
	position uint64
	size     int64
	id       string
	anew     bool // may be in the stream already
	ack      jetstream.PubAckFuture
}

// session publishes until something fails. Then all that is under way has ended, so
// that nothing overtakes what is published again.
func (q *pump) session(ctx context.Context) error {
	if err := q.compare(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	q.mu.Lock()
	q.again = func() { cancel(errAnew) }
	from := q.acked + 1
	q.mu.Unlock()
	r := q.p.log.Read(from)
	defer r.Close()
	flights := make(chan flight, window)
	var wait sync.WaitGroup
	wait.Go(func() {
		good := true
		for f := range flights {
			if err := q.land(f, good); err != nil {
				good = false
				cancel(err)
			}
		}
	})
	err := q.send(ctx, r, flights)
	close(flights)
	wait.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause // what the acknowledgements said came first
	}
	return err
}

func (q *pump) send(ctx context.Context, r *wal.Reader, flights chan<- flight) error {
	for {
		position, b, err := r.Next(ctx)
		if err != nil {
			return err
		}
		s, err := readStored(b)
		if err != nil {
			return fmt.Errorf("event at position %d of the file: %w", position, err)
		}
		if c := q.p.o.Conn.Status(); c != nats.CONNECTED {
			return fmt.Errorf("NATS is not connected (%s)", c)
		}
		f := flight{position: position, size: wal.SizeOf(len(b)), id: s.id}
		q.mu.Lock()
		f.anew = position <= q.sent
		q.sent = max(q.sent, position)
		q.mu.Unlock()
		m := &nats.Msg{Subject: s.subject, Header: s.header, Data: s.payload}
		f.ack, err = q.p.js.PublishMsgAsync(m, jetstream.WithMsgID(s.id), jetstream.WithExpectStream(Stream),
			jetstream.WithRetryAttempts(0), jetstream.WithStallWait(q.p.o.Timeout))
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		select {
		case flights <- f:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// land waits for an acknowledgement. It counts only if all before it came.
func (q *pump) land(f flight, good bool) error {
	select {
	case ack := <-f.ack.Ok():
		if !good {
			return nil
		}
		if err := checkAck(ack, f.id); err != nil {
			return err
		}
		if ack.Duplicate && !f.anew {
			// The server kept an older message of this id and dropped this one, which
			// nothing can bring into the stream any more.
			q.mu.Lock()
			q.stop = fmt.Errorf("event %s was dropped by the stream as a duplicate", f.id)
			q.mu.Unlock()
			q.p.o.Log.Error("an event's id was in the stream already, and the event was dropped: no request is let through until the gateway is started anew", "event", f.id)
		}
		q.p.heard.published(f.position, ack.Sequence)
		q.advance(f)
		return nil
	case err := <-f.ack.Err():
		return fmt.Errorf("publish: %w", err)
	}
}

func (q *pump) advance(f flight) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.acked, q.failed = f.position, nil
	if f.position > q.start {
		q.bytes += f.size
	}
	q.answer()
}

// checkAck refuses an acknowledgement by a stream that only overlaps ours.
func checkAck(ack *jetstream.PubAck, id string) error {
	if ack == nil || ack.Stream != Stream || ack.Sequence == 0 {
		return fmt.Errorf("event %s was acknowledged by something other than stream %s", id, Stream)
	}
	return nil
}

// published returns when all up to a position is in the stream.
func (q *pump) published(ctx context.Context, position uint64) error {
	q.mu.Lock()
	if q.looked && q.acked >= position {
		q.mu.Unlock()
		return q.stopped()
	}
	w := waiter{position, make(chan error, 1)}
	q.waiting = append(q.waiting, w)
	q.mu.Unlock()
	select {
	case err := <-w.done:
		return errors.Join(err, q.stopped())
	case <-ctx.Done():
		q.mu.Lock()
		defer q.mu.Unlock()
		q.waiting = slices.DeleteFunc(q.waiting, func(o waiter) bool { return o.done == w.done })
		return fmt.Errorf("no acknowledgement from NATS: %w", context.Cause(ctx))
	}
}

func (q *pump) stopped() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stop
}

// lag is how far the stream is behind what became durable since the start.
func (q *pump) lag() (events uint64, bytes int64, failed error) {
	last, written := q.p.log.Last(), q.p.log.Written()
	q.mu.Lock()
	defer q.mu.Unlock()
	from := max(q.acked, q.start)
	return last - min(last, from), max(written-q.bytes, 0), q.failed
}

// compare goes back to the beginning of the file when the stream has less than it
// acknowledged: it was lost, or its end was, with the machine that had it.
func (q *pump) compare(ctx context.Context) error {
	sequence := q.p.heard.highest()
	if sequence == 0 {
		q.settle()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, q.p.o.Timeout)
	defer cancel()
	stream, err := q.p.js.Stream(ctx, Stream)
	if err != nil {
		return fmt.Errorf("look at stream %s: %w", Stream, err)
	}
	if last := stream.CachedInfo().State.LastSeq; last < sequence {
		q.p.o.Log.Warn("the stream has lost events: they are published again from the file", "last", last, "acknowledged", sequence)
		q.mu.Lock()
		q.acked = q.p.log.First() - 1
		q.start, q.bytes = q.p.log.Last(), q.p.log.Written() // what comes again is no lag
		q.mu.Unlock()
		q.p.heard.forgetPublished()
	}
	q.settle()
	return nil
}

// settle is for the first look at the stream: until then nobody knows what is in it.
func (q *pump) settle() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.looked = true
	q.answer()
}

// answer ends the waits for what is in the stream.
func (q *pump) answer() {
	n := 0
	for _, w := range q.waiting {
		if w.position <= q.acked {
			w.done <- nil
		} else {
			q.waiting[n] = w
			n++
		}
	}
	clear(q.waiting[n:])
	q.waiting = q.waiting[:n]
}

// reconnected has the stream looked at again.
func (q *pump) reconnected() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.again()
}

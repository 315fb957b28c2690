package approvals

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What became of a message of a Feed.
const (
	Delivered = "delivered"
	Retried   = "retried" // not delivered yet; it is tried again
	Dropped   = "dropped" // it could not be delivered, or only when it was of no use any more
)

// ErrUndeliverable is wrapped by an error of Deliver that trying again does not mend.
var ErrUndeliverable = errors.New("it cannot be delivered")

// RetryError is an error of Deliver that says when to try again.
type RetryError struct {
	After time.Duration
	Err   error
}

func (e *RetryError) Error() string { return e.Err.Error() }
func (e *RetryError) Unwrap() error { return e.Err }

// Message is what a Feed delivers.
type Message struct {
	Update
	ID    string // of the CloudEvent, the same each time
	Event []byte // the CloudEvent in structured JSON
}

// Feed tells somebody outside of NATS what waits and how it ended. It is a durable
// consumer of the stream of approvals that all gateways share: each message is
// delivered by one of them, one at a time and in order, also after a restart. Where
// a gateway dies in between, a message is delivered twice.
type Feed struct {
	// Name of the consumer: letters, digits, - and _.
	Name string
	// OutcomeFor is how long an outcome is worth delivering. What waits is until it
	// expires.
	OutcomeFor time.Duration
	// Deliver delivers one message, in at most 20 s. An error that is no
	// ErrUndeliverable has it tried again, later and later; messages behind it wait.
	Deliver func(ctx context.Context, m Message) error
	// Count is told what became of each try; nil counts nothing.
	Count func(result string)
}

// The times of a feed.
const (
	deliverTime = 20 * time.Second
	ackWait     = 45 * time.Second // after which another gateway tries: longer than any delivery
	stopTime    = 3 * time.Second  // of a delivery that has begun when the gateway stops
	maxBackoff  = time.Minute
	// pullTime is how long one request for the next message stands. A server that misses
	// that a message was settled, and the next may go out, sees it with the next request.
	pullTime = 5 * time.Second
	feedAway = 48 * time.Hour // without any gateway, after which the server forgets where it was
)

// Notify delivers until ctx ends. It holds up nobody: what it is late with waits in
// the stream.
func (b *Broker) Notify(ctx context.Context, f Feed) {
	for n := uint64(1); ctx.Err() == nil; n++ {
		err := b.notifyOnce(ctx, f, func() { n = 1 })
		if ctx.Err() != nil {
			return
		}
		b.o.Log.WarnContext(ctx, "notifications wait for NATS", "feed", f.Name, "cause", err.Error())
		pause(ctx, backoff(n))
	}
}

// notifyOnce delivers until something fails. came is called with every message.
func (b *Broker) notifyOnce(ctx context.Context, f Feed, came func()) error {
	cons, err := b.consumer(ctx, f.Name)
	if err != nil {
		return err
	}
	iter, err := cons.Messages(jetstream.PullMaxMessages(1), jetstream.PullExpiry(pullTime))
	if err != nil {
		return fmt.Errorf("read what is pending: %w", err)
	}
	stop := context.AfterFunc(ctx, iter.Stop)
	defer stop()
	defer iter.Stop()
	for {
		m, err := iter.Next()
		if errors.Is(err, jetstream.ErrNoHeartbeat) { // NATS is away, and will be back
			continue
		}
		if err != nil {
			return fmt.Errorf("read what is pending: %w", err)
		}
		came()
		if err := b.deliver(ctx, f, m); err != nil {
			return err
		}
	}
}

// consumer finds the feed's consumer, or makes it. Its beginning is a time, so of two
// gateways that make it at once one finds that it exists already, with other settings.
func (b *Broker) consumer(ctx context.Context, name string) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	cons, err := b.js.Consumer(ctx, Stream, name)
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return cons, err
	}
	from := b.o.Now().Add(-lookBack)
	cons, err = b.js.CreateConsumer(ctx, Stream, jetstream.ConsumerConfig{
		Durable: name, Description: "Sallyport: who is told of approvals outside of NATS",
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &from,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: 1, MaxDeliver: -1, InactiveThreshold: feedAway,
	})
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return b.js.Consumer(ctx, Stream, name)
	}
	return cons, err
}

// deliver tries one message, and says to NATS what became of it.
func (b *Broker) deliver(ctx context.Context, f Feed, m jetstream.Msg) error {
	count := func(result string) {
		if f.Count != nil {
			f.Count(result)
		}
	}
	log := b.o.Log.With("feed", f.Name)
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("read what is pending: %w", err)
	}
	msg, err := decodeEvent(b.o.Prefix, m.Subject(), m.Data())
	if err != nil {
		log.ErrorContext(ctx, "a message of the stream of approvals is damaged", "cause", err.Error())
		count(Dropped)
		return settle(ctx, m)
	}
	until := meta.Timestamp.Add(f.OutcomeFor)
	if msg.Request != nil {
		until = msg.Request.Expires
	}
	if !b.o.Now().Before(until) {
		count(Dropped)
		return settle(ctx, m)
	}
	err = try(ctx, f, msg)
	if err == nil {
		count(Delivered)
		return settle(ctx, m)
	}
	if ctx.Err() != nil { // we are stopping: it was not tried to the end
		return m.Nak()
	}
	wait := backoff(meta.NumDelivered)
	var retry *RetryError
	if errors.As(err, &retry) {
		wait = max(wait, retry.After)
	}
	if errors.Is(err, ErrUndeliverable) || !b.o.Now().Add(wait).Before(until) {
		log.ErrorContext(ctx, "nobody was told of an approval", "approval", msg.Approval(), "tries", meta.NumDelivered, "cause", err.Error())
		count(Dropped)
		return settle(ctx, m)
	}
	log.WarnContext(ctx, "telling of an approval failed, and is tried again", "approval", msg.Approval(), "after", wait, "cause", err.Error())
	count(Retried)
	return m.NakWithDelay(wait)
}

// try delivers. What has begun when the gateway stops may end, or it would be done
// again by the next.
func try(ctx context.Context, f Feed, m Message) error {
	trying, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopTime, cancel) })()
	return f.Deliver(trying, m)
}

// settle ends a message for good. It waits for NATS: a lost acknowledgement would
// deliver the message again.
func settle(ctx context.Context, m jetstream.Msg) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTime)
	defer cancel()
	return m.DoubleAck(ctx)
}

// backoff is how long to wait after the n-th try: 1 s and twice as much each time, up
// to a minute, of which a random half is left out, so that many do not come at once.
func backoff(n uint64) time.Duration {
	d := maxBackoff
	if n <= 6 {
		d = time.Second << (max(n, 1) - 1)
	}
	return d/2 + rand.N(d/2) // #nosec G404 -- no secret
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Package recorder makes events durable and keeps them.
//
// Publisher is the gateway's side: Begin returns a Receipt only when the stream
// has acknowledged every event, and any doubt (no answer, another stream, a
// repeated id) is an error. Recorder is the other side: it consumes the stream
// into a Store (append-only segments of JSON lines, packs of bodies), and
// acknowledges after fsync. Records reads such a directory, whatever is in it,
// and names what is damaged by file and line.
package recorder

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
)

// Stream is the stream that must acknowledge each event.
const Stream = "SALLYPORT_EVENTS"

const headerRoom = 1 << 10 // bytes of headers that a message has beside its event

// PublisherOptions configure a Publisher.
type PublisherOptions struct {
	Conn        *nats.Conn    // as bus.Gateway, without a reconnect buffer
	Prefix      string        // subject prefix; "" is sallyport
	Timeout     time.Duration // for all acknowledgements of one call; 0 is 5 s
	MaxInFlight int           // calls that wait at once, beyond which one fails; 0 is 1024
	// Observe, if set, is told of each call: how many events, how long, and the
	// error. It must not block.
	Observe func(events int, took time.Duration, err error)
	Now     func() time.Time // for Observe; nil is time.Now
}

// Publisher publishes events; safe for concurrent use. Use NewPublisher.
type Publisher struct {
	o     PublisherOptions
	js    jetstream.JetStream
	slots chan struct{}
}

// NewPublisher makes a Publisher on a connection that stays its caller's.
func NewPublisher(o PublisherOptions) (*Publisher, error) {
	if o.Conn == nil {
		return nil, errors.New("recorder: no NATS connection given")
	}
	if o.Prefix == "" {
		o.Prefix = "sallyport"
	}
	if err := event.ValidPrefix(o.Prefix); err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 1024
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	js, err := jetstream.New(o.Conn, jetstream.WithPublishAsyncTimeout(o.Timeout))
	if err != nil {
		return nil, fmt.Errorf("recorder: JetStream: %w", err)
	}
	return &Publisher{o: o, js: js, slots: make(chan struct{}, o.MaxInFlight)}, nil
}

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

// Begin publishes a request event and what belongs to it (the decision), and
// returns when the stream has acknowledged all of them. An error means that
// nothing may be sent. Every event must be of the same session and exchange.
func (p *Publisher) Begin(ctx context.Context, events ...event.Event) (*Receipt, error) {
	if len(events) == 0 || events[0].Kind() != event.KindRequest {
		return nil, errors.New("record request: the first event must be the request")
	}
	for _, e := range events[1:] {
		if e.Session() != events[0].Session() || e.Exchange() != events[0].Exchange() {
			return nil, fmt.Errorf("record request %s: event %s belongs to another request", events[0].Exchange(), e.ID)
		}
	}
	if err := p.publish(ctx, events); err != nil {
		return nil, fmt.Errorf("record request %s: %w", events[0].Exchange(), err)
	}
	r := &Receipt{exchange: events[0].Exchange()}
	r.fresh.Store(true)
	return r, nil
}

// Append publishes events under the same rules; nil means they are durable.
func (p *Publisher) Append(ctx context.Context, events ...event.Event) error {
	if len(events) == 0 {
		return nil
	}
	if err := p.publish(ctx, events); err != nil {
		return fmt.Errorf("record %s of %s: %w", events[0].Kind(), events[0].Exchange(), err)
	}
	return nil
}

// Queue hands events over without need of their being durable yet: those that an
// Append or Begin of the same exchange follows, which is when they must be. It waits
// while too much is under way; an error means that the exchange cannot be recorded.
func (p *Publisher) Queue(ctx context.Context, events ...event.Event) error {
	return p.Append(ctx, events...)
}

func (p *Publisher) publish(ctx context.Context, events []event.Event) (err error) {
	if p.o.Observe != nil {
		start := p.o.Now()
		defer func() { p.o.Observe(len(events), p.o.Now().Sub(start), err) }()
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		return fmt.Errorf("%d calls already wait for NATS", p.o.MaxInFlight)
	}
	if s := p.o.Conn.Status(); s != nats.CONNECTED {
		return fmt.Errorf("NATS is not connected (%s)", s)
	}
	limit := min(event.DefaultLimit, int(p.o.Conn.MaxPayload())-headerRoom)
	msgs := make([]*nats.Msg, len(events))
	for i, e := range events { // all are encoded before one is sent
		encoded, err := event.EncodeMessage(e, limit)
		if err != nil {
			return err
		}
		m := &nats.Msg{Header: encoded.Header, Data: encoded.Payload}
		if m.Subject, err = event.SubjectOf(p.o.Prefix, e); err != nil {
			return err
		}
		msgs[i] = m
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	acks := make([]jetstream.PubAckFuture, len(msgs))
	for i, m := range msgs {
		acks[i], err = p.js.PublishMsgAsync(m, jetstream.WithMsgID(events[i].ID),
			jetstream.WithExpectStream(Stream), jetstream.WithRetryAttempts(0))
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	for i, a := range acks {
		select {
		case ack := <-a.Ok():
			if err := checkAck(ack, events[i].ID); err != nil {
				return err
			}
		case err := <-a.Err():
			return fmt.Errorf("publish: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("no acknowledgement from NATS: %w", context.Cause(ctx))
		}
	}
	return nil
}

// checkAck refuses an acknowledgement by a stream that only overlaps ours, and
// one that says duplicate: the server then kept an older message and dropped
// this one.
func checkAck(ack *jetstream.PubAck, id string) error {
	switch {
	case ack == nil || ack.Stream != Stream || ack.Sequence == 0:
		return fmt.Errorf("event %s was acknowledged by something other than stream %s", id, Stream)
	case ack.Duplicate:
		return fmt.Errorf("event %s was dropped as a duplicate", id)
	}
	return nil
}

package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
)

const (
	apiTime    = 10 * time.Second
	settleTick = 5 * time.Millisecond
	again      = 2 * time.Second // between tries to get at the consumer
	// ackWait is when a message comes again that was given to a recorder and not
	// acknowledged: what a killed one had under way. One that is slow gets it twice, and
	// leaves it out.
	ackWait = 10 * time.Second
	// apart is the least time between two syncs, but for full batches: under load one of
	// them costs a journal entry of the file system, which the gateway's own syncs wait for.
	apart = 20 * time.Millisecond
)

// Recorder consumes the stream into a Store. Fields are set before Run.
type Recorder struct {
	Conn      *nats.Conn   // as bus.Recorder; stays its caller's
	Store     *Store       // stays its caller's; its name is that of the durable consumer
	Prefix    string       // subject prefix; "" is sallyport
	Batch     int          // most messages for one sync; 0 is 256
	Retention Retention    // the zero value keeps all bodies
	Log       *slog.Logger // nil discards

	progress progress
	wrote    chan struct{}
}

// Run records until ctx ends, then writes what the stream still holds for it (at
// most 10 s), and returns nil. It keeps trying while NATS is away. An error of
// the store ends it: what was not synced is not acknowledged and comes again. It is
// called once.
func (r *Recorder) Run(ctx context.Context) error {
	if r.Prefix == "" {
		r.Prefix = "sallyport"
	}
	if r.Batch <= 0 {
		r.Batch = 256
	}
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	js, err := jetstream.New(r.Conn)
	if err != nil {
		return fmt.Errorf("recorder: JetStream: %w", err)
	}
	r.progress.above, r.wrote = map[uint64]struct{}{}, make(chan struct{}, 1)
	r.Store.OnAlarm(r.publishAlarm)
	defer r.Store.OnAlarm(nil)
	beats, stop := context.WithCancel(context.WithoutCancel(ctx)) // to the end of Run
	var running sync.WaitGroup
	running.Go(func() { r.beat(beats) })
	running.Go(func() { r.keep(beats) })
	defer func() {
		stop()
		running.Wait()
	}()
	for {
		cons, err := r.consumer(ctx, js)
		if err == nil {
			err = r.consume(ctx, js, cons)
		}
		var broken storeError
		switch {
		case errors.As(err, &broken):
			return broken.error
		case ctx.Err() != nil: // it was told to end
			return nil // whatever the stream said then, draining is done
		}
		r.Log.Warn("recorder: lost the stream, trying again", "error", err)
		wait := time.NewTimer(again)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
	}
}

// storeError marks the errors that end Run.
type storeError struct{ error }

func (r *Recorder) consumer(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
	// Also when ctx has ended already: one that is told to end before it has begun
	// still writes what the stream holds for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiTime)
	defer cancel()
	cons, err := js.CreateOrUpdateConsumer(ctx, Stream, jetstream.ConsumerConfig{
		Durable: r.Store.name, Description: "Sallyport recorder",
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1, // until it is on disk
		MaxAckPending: 16 * r.Batch,
		FilterSubject: r.Prefix + ".events.>",
	})
	if err != nil {
		return nil, fmt.Errorf("consumer %s of stream %s: %w", r.Store.name, Stream, err)
	}
	return cons, nil
}

// consume writes batches: one message as soon as it comes, or a moment after the last
// sync, and with it all that came meanwhile, under one sync.
func (r *Recorder) consume(ctx context.Context, js jetstream.JetStream, cons jetstream.Consumer) error {
	iter, err := cons.Messages(jetstream.PullMaxMessages(4 * r.Batch))
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	ch := make(chan jetstream.Msg, r.Batch)
	failed := make(chan error, 1)
	go func() { // ends when iter does; the loop below empties ch until then
		defer close(ch)
		for {
			m, err := iter.Next()
			if err == nil {
				ch <- m
			} else if !errors.Is(err, jetstream.ErrNoHeartbeat) {
				failed <- err
				return
			}
		}
	}()
	var following sync.WaitGroup
	floor, enough := context.WithCancel(ctx)
	following.Go(func() { r.follow(floor, cons) })
	defer func() {
		enough()
		following.Wait()
	}()
	settled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(settled)
		r.settle(js, cons)
		iter.Drain()
	})
	defer func() {
		if !stop() {
			<-settled
		}
	}()
	defer func() {
		iter.Stop()
		for range ch { // so that the goroutine ends
		}
	}()
	batch := make([]jetstream.Msg, 0, r.Batch)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for m := range ch {
		batch = r.gather(append(batch[:0], m), ch, pause.C)
		if err := r.write(batch); err != nil {
			return err
		}
		pause.Reset(apart)
	}
	if ctx.Err() == nil {
		return <-failed
	}
	return r.Conn.FlushTimeout(apiTime) // acknowledgements
}

// gather adds what comes until the batch is full, or enough is over and no more is there.
func (r *Recorder) gather(batch []jetstream.Msg, ch <-chan jetstream.Msg, enough <-chan time.Time) []jetstream.Msg {
	over := false
	for len(batch) < r.Batch {
		if over {
			select {
			case m, ok := <-ch:
				if !ok {
					return batch
				}
				batch = append(batch, m)
				continue
			default:
				return batch
			}
		}
		select {
		case m, ok := <-ch:
			if !ok {
				return batch
			}
			batch = append(batch, m)
		case <-enough:
			over = true
		}
	}
	return batch
}

// settle returns once all that was in the stream when the recorder was told to end
// is written and acknowledged, or after apiTime. Messages go on coming meanwhile: an
// iterator that is stopped sooner leaves those under way to it neither written nor
// to be fetched by anybody, until they come again after AckWait.
func (r *Recorder) settle(js jetstream.JetStream, cons jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.Background(), apiTime)
	defer cancel()
	stream, err := js.Stream(ctx, Stream)
	if err != nil {
		return // NATS is away: what is left comes again
	}
	last := stream.CachedInfo().State.LastSeq
	tick := time.NewTicker(settleTick)
	defer tick.Stop()
	for {
		info, err := cons.Info(ctx)
		if err != nil || info.AckFloor.Stream >= last || info.NumPending == 0 && info.NumAckPending == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *Recorder) write(batch []jetstream.Msg) error {
	records := make([]Record, 0, len(batch))
	for _, m := range batch {
		session, _, _, err := event.ParseSubject(r.Prefix, m.Subject())
		if err != nil { // the gateway makes none such; kept among those without a session
			session = event.NoSession
			r.Log.Warn("recorder: odd subject", "error", err)
		}
		records = append(records, Record{Session: session, Subject: m.Subject(), MsgID: m.Headers().Get(jetstream.MsgIDHeader), Header: m.Headers(), Payload: m.Data()})
	}
	if err := r.Store.Append(records); err != nil {
		return storeError{err}
	}
	synced := make([]uint64, 0, len(batch))
	for _, m := range batch {
		if meta, err := m.Metadata(); err == nil {
			synced = append(synced, meta.Sequence.Stream)
		}
		if err := m.Ack(); err != nil { // it comes again, and is left out then
			r.Log.Warn("recorder: acknowledge", "error", err)
		}
	}
	r.progress.done(synced)
	select {
	case r.wrote <- struct{}{}:
	default:
	}
	return nil
}

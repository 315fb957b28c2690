package recorder

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sallyport/sallyport/event"
)

const markEvery = 10 * time.Second

// Accepting says why no request may be sent now; nil while they may. The errors are
// ErrBehind, but for those of a file that is broken.
func (p *Publisher) Accepting() error {
	if err := p.log.Err(); err != nil {
		return err
	}
	if err := p.pump.stopped(); err != nil {
		return err
	}
	if p.o.Await {
		if s := p.o.Conn.Status(); s != nats.CONNECTED {
			return fmt.Errorf("%w: NATS is not connected (%s)", ErrBehind, s)
		}
	}
	if events, bytes, failed := p.pump.lag(); events > p.o.LagEvents || bytes > p.o.LagBytes {
		why := "it is slow"
		if s := p.o.Conn.Status(); s != nats.CONNECTED { // which the last failure may be too old to know
			why = fmt.Sprintf("it is not connected (%s)", s)
		} else if failed != nil {
			why = failed.Error()
		}
		return fmt.Errorf("%w: NATS is %d events and %d bytes behind: %s", ErrBehind, events, bytes, why)
	}
	// Room is left for the ends of what has begun.
	if size := p.log.Size(); size >= p.o.WALLimit-p.o.WALLimit/8 {
		return fmt.Errorf("%w: the gateway's file has %d bytes of events that no recorder has confirmed, of %d (record.wal_limit): start a recorder, or see why it is behind", ErrBehind, size, p.o.WALLimit)
	}
	if k := p.o.RequireRecorders; k > 0 {
		if there, keepUp := p.heard.present(); keepUp < k {
			return fmt.Errorf("%w: record.require_recorders is %d, and of %d recorders heard within %s, %d keep up", ErrBehind, k, there, heardFor, keepUp)
		}
	}
	return nil
}

// room is what holds for events that end what has begun.
func (p *Publisher) room() error {
	if size := p.log.Size(); size >= p.o.WALLimit {
		return fmt.Errorf("%w: the gateway's file is full: it has %d bytes of events that no recorder has confirmed (record.wal_limit)", ErrBehind, size)
	}
	return p.pump.stopped()
}

// tend does what has to be done now and then, until ctx ends.
func (p *Publisher) tend(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	connections := p.o.Conn.Stats().Reconnects
	var marked mark
	var markedAt time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.full:
		case <-tick.C:
		}
		if p.unsigned() > 0 {
			if err := p.sign(ctx); err != nil {
				p.o.Log.Warn("the chain of events could not be signed", "cause", err.Error())
			}
		}
		if n := p.o.Conn.Stats().Reconnects; n != connections {
			connections = n
			p.pump.reconnected()
		}
		m := p.cut(ctx)
		if now := p.o.Now(); m.Position > marked.Position && (marked == mark{} || now.Sub(markedAt) >= markEvery || now.Before(markedAt)) {
			marked, markedAt = m, now
			p.mark(m)
		}
		p.queued.sweep()
		p.measure()
	}
}

// cut lets go of what recorders have and the stream too. The second matters although
// recorders have it: numbers of the stream that it lost would otherwise be given to
// other events, which a recorder seems to have confirmed.
func (p *Publisher) cut(ctx context.Context) mark {
	position, sequence := p.heard.settled(p.o.Settle)
	upTo := min(position, p.heard.confirmed(position))
	if first := p.log.CutTo(upTo); first > p.log.First() {
		err := p.carry(ctx, first)
		if err == nil {
			err = p.log.Cut(first - 1)
		}
		if err != nil {
			p.o.Log.Warn("the gateway's file of events could not be cut", "cause", err.Error())
		}
	}
	p.chain.forget(p.log.Last())
	return mark{position, sequence}
}

func (p *Publisher) mark(m mark) {
	if err := m.write(filepath.Join(p.o.StateDir, "wal")); err != nil {
		p.o.Log.Warn("how far events were published could not be noted; they may come again", "cause", err.Error())
	}
}

func (p *Publisher) measure() {
	m := p.o.Metrics
	events, bytes, _ := p.pump.lag()
	there, keepUp := p.heard.present()
	m.size.Set(float64(p.log.Size()))
	m.lagEvents.Set(float64(events))
	m.lagBytes.Set(float64(bytes))
	m.recorders.Set(float64(there))
	m.keepUp.Set(float64(keepUp))
}

// unsigned is how many events the last checkpoint does not cover, checkpoints not
// counted that come after the last other event.
func (p *Publisher) unsigned() uint64 {
	last, covered := p.lastEvent.Load(), p.covered.Load()
	return last - min(last, covered)
}

// sign makes a checkpoint, and does not leave one half made when the publisher is closed:
// the one that Close makes would not cover it.
func (p *Publisher) sign(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.o.Timeout)
	defer cancel()
	return p.checkpoint(ctx)
}

// checkpoint signs the chain up to the last event that is durable. What is only
// written might not come to be, and another event would have its number.
func (p *Publisher) checkpoint(ctx context.Context) error {
	head, err := p.chain.after(p.log.Last() + 1)
	if err != nil || head.sequence == 0 {
		return err
	}
	d := &event.Checkpoint{UpTo: head.sequence, Digest: hex.EncodeToString(head.digest[:]), PublicKey: publicKey(p.key)}
	d.Signature = ed25519.Sign(p.key, d.Signed(p.source))
	now := p.o.Now()
	d.RequestID, d.EventTime = p.ids.New(), now
	b, _, err := p.add(ctx, []event.Event{{ID: p.ids.New(), Source: p.source, Time: now, Data: d}})
	if err != nil {
		return err
	}
	if err := b.Wait(ctx); err != nil {
		return err
	}
	p.covered.Store(head.sequence)
	return nil
}

// Flush returns when all that is durable by now is in the stream.
func (p *Publisher) Flush(ctx context.Context) error { return p.pump.published(ctx, p.log.Last()) }

// Close signs the chain's end, waits until all is in the stream or ctx ends (what is
// left is published at the next start), and closes the file. No other call may be
// under way, and none does anything after it.
func (p *Publisher) Close(ctx context.Context) error {
	p.close.Do(func() { p.closed = p.end(ctx) })
	return p.closed
}

func (p *Publisher) end(ctx context.Context) error {
	p.stopTending()
	var errs []error
	if p.unsigned() > 0 && p.log.Err() == nil {
		if err := p.checkpoint(ctx); err != nil {
			errs = append(errs, fmt.Errorf("sign the end of the chain: %w", err))
		}
	}
	p.closing.Store(true)
	if err := p.Flush(ctx); err != nil {
		p.o.Log.WarnContext(ctx, "not all events are in the stream yet: they will be published at the next start", "cause", err.Error())
	}
	p.stopPump()
	if position, sequence := p.heard.settled(-1); position == p.log.Last() && position > 0 {
		// A server that is stopped in order has all on disk; what it says at the next
		// start is compared.
		p.mark(mark{position, sequence})
	}
	return errors.Join(append(errs, p.log.Close())...)
}

package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// Batch is records that become durable together.
type Batch struct {
	log    *Log
	buf    []byte // headers and contents, each padded
	starts []int  // of the records in buf; set by reserve
	count  int
	wanted bool // somebody waits; guarded by the Log's mu

	taken chan struct{} // closed when the committer has it: another one takes records
	done  chan struct{} // closed when err is set
	err   error
	last  uint64 // of its records that are durable
}

// newBatch uses the memory of one that is finished. It is called under the Log's mu.
func newBatch(l *Log) *Batch {
	b := &Batch{log: l, buf: l.buf[:0], starts: l.starts[:0], taken: make(chan struct{}), done: make(chan struct{})}
	l.buf, l.starts = nil, nil
	return b
}

// reserve adds a record of n bytes, whose content is returned to be written.
func (b *Batch) reserve(n int, position uint64) []byte {
	start := len(b.buf)
	need := start + padded(n)
	if cap(b.buf) < need {
		grown := make([]byte, start, max(need, 2*cap(b.buf), 64<<10))
		copy(grown, b.buf)
		b.buf = grown
	}
	b.buf = b.buf[:need]
	binary.LittleEndian.PutUint32(b.buf[start:], uint32(n))
	binary.LittleEndian.PutUint64(b.buf[start+8:], position)
	clear(b.buf[start+recordHeader+n:])
	b.starts = append(b.starts[:b.count], start)
	b.count++
	return b.buf[start+recordHeader : start+recordHeader+n]
}

// Wait returns when the batch is durable, or why it is not. If ctx ends sooner it may
// still become so.
func (b *Batch) Wait(ctx context.Context) error {
	select {
	case <-b.done:
		return b.err
	default:
	}
	b.log.mu.Lock()
	if !b.wanted {
		b.wanted = true
		b.log.mu.Unlock()
		b.log.signal()
	} else {
		b.log.mu.Unlock()
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Last is the position of the last record of the batch that is durable, 0 for none: one
// that failed over the end of a segment is there in part. It is known once Done is closed.
func (b *Batch) Last() uint64 { return b.last }

// Done is closed when the batch is durable or has failed; then Wait returns at once.
func (b *Batch) Done() <-chan struct{} { return b.done }

func (l *Log) commitLoop() {
	defer close(l.ended)
	for range l.wake {
		for {
			l.mu.Lock()
			b, closing := l.pending, l.closing
			if b.count == 0 || !b.wanted {
				l.mu.Unlock()
				if closing {
					return
				}
				break
			}
			l.pending = newBatch(l)
			if closing {
				l.pending.wanted = true
			}
			first := binary.LittleEndian.Uint64(b.buf[8:])
			l.mu.Unlock()
			close(b.taken)
			l.finish(b, l.write(b, first))
			l.recycle(b)
		}
	}
}

// finish tells those who wait. When b has failed, so has all that was added since:
// its positions come after b's, and records may tell what was before them.
func (l *Log) finish(b *Batch, err error) {
	l.mu.Lock()
	var also *Batch
	if err != nil {
		also, l.pending = l.pending, newBatch(l)
		l.next = l.durable + 1
		close(also.taken)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	b.err = err
	close(b.done)
	if also != nil {
		also.err = err
		close(also.done)
	}
}

// recycle keeps the memory of a finished batch for the next one. Nobody has it any more:
// records are filled in under mu, and only while their batch is pending.
func (l *Log) recycle(b *Batch) {
	if cap(b.buf) <= maxUnsynced {
		l.mu.Lock()
		l.buf, l.starts = b.buf, b.starts
		l.mu.Unlock()
	}
	b.buf, b.starts = nil, nil
}

// write writes and syncs a batch, over as many segments as it takes.
func (l *Log) write(b *Batch, first uint64) error {
	if err := l.Err(); err != nil {
		return err
	}
	seed := seedOf(l.id)
	for from := 0; from < b.count; {
		// As many whole records as the segment still has room for.
		room := l.limit - l.offset
		base := int64(b.starts[from])
		to := from
		for to < b.count && b.end(to)-base <= room {
			to++
		}
		if to == from {
			if err := l.rotate(first + uint64(from)); err != nil {
				return fmt.Errorf("wal: new segment: %w", err)
			}
			l.spares.prepare()
			continue
		}
		piece := b.buf[base:b.end(to-1)]
		l.seal(b, from, to, seed)
		if err := l.put(piece); err != nil {
			return err
		}
		l.offset += int64(len(piece))
		b.last = first + uint64(to) - 1
		l.mu.Lock()
		l.durable = b.last
		l.segments[len(l.segments)-1].used += int64(len(piece))
		l.written += int64(len(piece))
		l.mu.Unlock()
		from = to
	}
	return nil
}

func (b *Batch) end(i int) int64 {
	if i == b.count-1 {
		return int64(len(b.buf))
	}
	return int64(b.starts[i+1])
}

// seal writes floors and checksums, outside the lock under which records are added.
func (l *Log) seal(b *Batch, from, to int, seed uint32) {
	floor := l.Last()
	for i := from; i < to; i++ {
		rec := b.buf[b.starts[i]:b.end(i)]
		binary.LittleEndian.PutUint64(rec[16:], floor)
		n := binary.LittleEndian.Uint32(rec)
		binary.LittleEndian.PutUint32(rec[4:], crcOf(seed, rec[:recordHeader+n]))
	}
}

// put writes at the end of the current segment and syncs.
func (l *Log) put(piece []byte) error {
	if _, err := l.o.write(l.current, piece, l.offset); err != nil {
		// What was written of it must not be found behind a shorter record that comes
		// in its place.
		if zero := writeZeros(l.current, l.offset, l.offset+int64(len(piece))); zero != nil {
			return l.fail(l.current.Name(), errors.Join(err, zero))
		}
		return fmt.Errorf("wal: write: %w", err)
	}
	start := l.o.Now()
	if err := l.o.sync(l.current); err != nil {
		return l.fail(l.current.Name(), err)
	}
	if l.o.Synced != nil {
		l.o.Synced(l.o.Now().Sub(start), len(piece))
	}
	return nil
}

// fail ends the writing for good.
func (l *Log) fail(path string, err error) error {
	err = fmt.Errorf("wal: %s cannot be trusted any more, and nothing is written until it was opened again: %w", path, err)
	l.mu.Lock()
	l.broken = err
	l.mu.Unlock()
	return err
}

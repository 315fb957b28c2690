package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

const readSize = 256 << 10 // bytes of one read

// Reader reads records in order. It is not safe for concurrent use; close it.
type Reader struct {
	l    *Log
	next uint64

	f     *os.File
	first uint64 // of the segment that f is
	at    int64  // in f, of the record next
	buf   []byte // of f, from at on
	store []byte // what buf is of
	until uint64 // records up to here were durable when buf was read
}

// Read gives a reader that begins with the record at a position, 1 or more. Those who
// read must not fall behind Cut: then the answer is ErrCut.
func (l *Log) Read(from uint64) *Reader { return &Reader{l: l, next: max(from, 1)} }

// Next waits until the next record is durable, and gives its position and content,
// which is good until the next call.
func (r *Reader) Next(ctx context.Context) (uint64, []byte, error) {
	for {
		r.l.mu.Lock()
		durable, changed, closed := r.l.durable, r.l.changed, r.l.closing
		r.l.mu.Unlock()
		if r.next <= durable {
			b, err := r.read(durable)
			if err != nil {
				return 0, nil, err
			}
			r.next++
			return r.next - 1, b, nil
		}
		if closed {
			return 0, nil, ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, nil, context.Cause(ctx)
		}
	}
}

// Close gives the reader's file free.
func (r *Reader) Close() { r.f.Close() }

// find opens the segment that holds the next record and goes to the record.
func (r *Reader) find() error {
	r.l.mu.Lock()
	var s segment
	for _, one := range r.l.segments {
		if one.first <= r.next {
			s = one
		}
	}
	r.l.mu.Unlock()
	if s.first == 0 {
		return fmt.Errorf("%w: %d", ErrCut, r.next)
	}
	if r.f != nil && s.first == r.first {
		return nil
	}
	f, err := openSegment(s.path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: %d", ErrCut, r.next)
		}
		return err
	}
	r.f.Close() // nil at first
	r.f, r.first, r.at, r.buf = f, s.first, headerSize, nil
	for position := s.first; position < r.next; position++ {
		if _, err := r.record(position, r.next-1); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) read(durable uint64) ([]byte, error) {
	if err := r.find(); err != nil {
		return nil, err
	}
	return r.record(r.next, durable)
}

// record reads the record at a position, which is the one at r.at.
func (r *Reader) record(position, durable uint64) ([]byte, error) {
	if position > r.until {
		r.buf = nil // read before the record was there
	}
	seed := seedOf(r.l.id)
	need := recordHeader
	for {
		rec, more, ok := parse(r.buf, seed)
		if ok && rec.position == position {
			n := padded(len(rec.content))
			r.at += int64(n)
			r.buf = r.buf[min(n, len(r.buf)):]
			return rec.content, nil
		}
		if ok || more == 0 && r.buf != nil || more > 0 && len(r.buf) >= more {
			return nil, r.damaged(position)
		}
		need = max(need, more, readSize)
		if cap(r.store) < need {
			r.store = make([]byte, need)
		}
		n, err := r.f.ReadAt(r.store[:need], r.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("wal: %w", err)
		}
		if n <= len(r.buf) { // the end of the file, and still too short
			return nil, r.damaged(position)
		}
		r.buf, r.until = r.store[:n], durable
	}
}

func (r *Reader) damaged(position uint64) error {
	r.l.mu.Lock()
	cut := r.l.segments[0].first > position
	r.l.mu.Unlock()
	if cut { // the file is another segment by now
		return fmt.Errorf("%w: %d", ErrCut, position)
	}
	return &DamageError{r.f.Name(), r.at, fmt.Sprintf("record %d was acknowledged and is not there", position)}
}

// Package wal is a write-ahead file: records in order, durable when Append or
// Batch.Wait returns, readable by their position until they are cut.
//
// It accepts records of 1 byte to a segment's size. It writes preallocated segments
// in large pieces, one fdatasync for all that wait, and uses segments again. When it
// is opened it finds the end of what was written: bytes that never were acknowledged
// are dropped, and anything wrong before them is a *DamageError, never left out. After
// a failed sync it refuses everything (what the kernel then still holds of the file is
// unknown: https://wiki.postgresql.org/wiki/Fsync_Errors); a full disk fails what
// waits for it, and nothing else.
package wal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// DefaultSegmentSize is the size of a segment's file in bytes.
	DefaultSegmentSize = 16 << 20
	minSegmentSize     = 4 << 10
	maxPending         = 16 << 20 // bytes that wait for their write, beyond which Queue waits
	maxUnsynced        = 1 << 20  // bytes that are written without anybody waiting for them
	maxSpares          = 2
)

// The errors of a Log, beside those of the file system and *DamageError.
var (
	ErrClosed   = errors.New("wal: closed")
	ErrTooLarge = errors.New("wal: record is larger than a segment")
	ErrEmpty    = errors.New("wal: record is empty")
	// ErrCut is for a position whose record was let go.
	ErrCut = errors.New("wal: record was cut")
)

// DamageError says that a record which was acknowledged cannot be read.
type DamageError struct {
	File   string
	Offset int64 // of the record that should be there
	Why    string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("wal: %s is damaged at byte %d: %s", e.File, e.Offset, e.Why)
}

// Options of Open. Dir is required.
type Options struct {
	Dir         string // made with mode 0700
	SegmentSize int64  // bytes of each new segment; 0 is DefaultSegmentSize, 4 KiB at least
	// Synced, if set, is told how long each sync took and how many bytes it was for.
	// It must not block.
	Synced func(took time.Duration, bytes int)
	Now    func() time.Time // for Synced; nil is time.Now

	// fdatasync and pwrite; in tests something that fails.
	sync  func(*os.File) error
	write func(f *os.File, b []byte, at int64) (int, error)
}

// Log is an open write-ahead file. Use Open; safe for concurrent use.
type Log struct {
	o     Options
	lock  *os.File
	fresh bool
	id    [16]byte // of the log, random; a segment of another one is not read

	mu       sync.Mutex // guards what follows
	pending  *Batch     // what the committer takes next
	next     uint64     // position of the next record
	durable  uint64     // last position that is synced
	written  int64      // bytes of records that were synced since Open
	segments []segment  // in order of first; the last one is written to
	changed  chan struct{}
	broken   error // nothing more is accepted
	closing  bool
	buf      []byte // memory for the next batch, and for its starts; nil where there is none
	starts   []int

	wake    chan struct{} // of capacity 1
	ended   chan struct{} // closed when the committer has ended
	spares  spares
	current *os.File // the committer's alone: the last segment
	offset  int64    // the committer's alone: end of what was written to it
	limit   int64    // the committer's alone: its size
}

// Open opens the directory, or makes it. One process at a time may have it.
func Open(o Options) (_ *Log, err error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = DefaultSegmentSize
	}
	if o.SegmentSize < minSegmentSize {
		return nil, fmt.Errorf("wal: segments of %d bytes, want %d at least", o.SegmentSize, minSegmentSize)
	}
	if o.sync == nil {
		o.sync = syncData
	}
	if o.write == nil {
		o.write = (*os.File).WriteAt
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dir == "" {
		return nil, errors.New("wal: no directory given")
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("wal: %w", err)
	}
	l := &Log{o: o, changed: make(chan struct{}), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	if l.lock, err = takeLock(filepath.Join(o.Dir, "lock")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.current.Close()
			l.lock.Close()
		}
	}()
	if err := l.recover(); err != nil {
		return nil, err
	}
	l.pending = newBatch(l)
	l.spares.init(l)
	go l.commitLoop()
	return l, nil
}

// Fresh reports that Open found no segment, and made the first.
func (l *Log) Fresh() bool { return l.fresh }

// Last is the position of the last record that is durable, 0 where there was none.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// First is the position of the oldest record that is kept, Last+1 where there is none.
func (l *Log) First() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segments[0].first
}

// Size is the bytes of all records that are kept, with their headers.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int64
	for _, s := range l.segments {
		n += s.used
	}
	return n
}

// Written is the bytes of all records that became durable since Open, as SizeOf counts
// them.
func (l *Log) Written() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

// SizeOf is the room that a record of n bytes takes.
func SizeOf(n int) int64 { return int64(padded(n)) }

// Err is why nothing is accepted any more; nil while records are.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Append adds records in order, and returns the position of the first one when all
// are durable. An error means that they need not be; some may be all the same.
func (l *Log) Append(ctx context.Context, records ...[]byte) (uint64, error) {
	b, first, err := l.Queue(ctx, records...)
	if err != nil {
		return 0, err
	}
	return first, b.Wait(ctx)
}

// Queue is Append that does not wait: what it adds is synced with what is appended
// after it, or by Batch.Wait.
func (l *Log) Queue(ctx context.Context, records ...[]byte) (*Batch, uint64, error) {
	sizes := make([]int, len(records))
	for i, r := range records {
		sizes[i] = len(r)
	}
	var first uint64
	b, err := l.Fill(ctx, sizes, func(i int, position uint64, into []byte) error {
		if i == 0 {
			first = position
		}
		copy(into, records[i])
		return nil
	})
	return b, first, err
}

// Fill is Queue for records that depend on their position: fill writes each one, of
// the size that was named and whole (into has what was there before), while nothing
// else is added. Positions that were given to
// records whose batch failed are given again. An error of fill adds nothing.
func (l *Log) Fill(ctx context.Context, sizes []int, fill func(i int, position uint64, into []byte) error) (*Batch, error) {
	if len(sizes) == 0 {
		return nil, ErrEmpty
	}
	total := 0
	for _, n := range sizes {
		if n <= 0 {
			return nil, ErrEmpty
		}
		if int64(n) > l.o.SegmentSize-headerSize-recordHeader {
			return nil, fmt.Errorf("%w: %d bytes in segments of %d", ErrTooLarge, n, l.o.SegmentSize)
		}
		total += padded(n)
	}
	l.mu.Lock()
	for {
		if l.closing {
			l.mu.Unlock()
			return nil, ErrClosed
		}
		if l.broken != nil {
			err := l.broken
			l.mu.Unlock()
			return nil, err
		}
		b := l.pending
		if len(b.buf) == 0 || len(b.buf)+total <= maxPending {
			break
		}
		b.wanted = true
		l.mu.Unlock()
		l.signal()
		select {
		case <-b.taken:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	b := l.pending
	start, from := len(b.buf), l.next
	for i, n := range sizes {
		into := b.reserve(n, l.next)
		if err := fill(i, l.next, into); err != nil {
			b.buf, l.next = b.buf[:start], from
			b.count -= i + 1
			return nil, err
		}
		l.next++
	}
	if len(b.buf) >= maxUnsynced {
		b.wanted = true
		l.signal()
	}
	return b, nil
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// CutTo is the position of the first record that Cut would leave now.
func (l *Log) CutTo(upTo uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segments[l.cuts(upTo)].first
}

// cuts is how many segments hold no record behind a position. The last record always
// stays. It is called under mu.
func (l *Log) cuts(upTo uint64) int {
	n := 0
	for n < len(l.segments)-1 && l.segments[n+1].first-1 <= min(upTo, l.durable) {
		n++
	}
	if n > 0 && l.segments[n].first > l.durable { // the last record is in the one before
		n--
	}
	return n
}

// Cut lets go of records up to a position. It works by whole segments, and the last
// record always stays.
func (l *Log) Cut(upTo uint64) error {
	l.mu.Lock()
	n := l.cuts(upTo)
	free := append([]segment(nil), l.segments[:n]...)
	l.segments = append([]segment(nil), l.segments[n:]...)
	l.mu.Unlock()
	var err error
	for _, s := range free {
		err = errors.Join(err, l.spares.add(s.path))
	}
	return err
}

// Close writes and syncs what is pending, and gives the directory free.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		<-l.ended
		return nil
	}
	l.closing = true
	l.pending.wanted = true
	l.mu.Unlock()
	l.signal()
	<-l.ended
	l.spares.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.broken
	close(l.changed) // readers see that it is closed
	return errors.Join(err, l.current.Close(), l.lock.Close())
}

// takeLock takes the directory for this process; the lock ends with it.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("wal: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("wal: %s is in use by another process: stop it, or choose another state_dir", filepath.Dir(path))
	}
	return f, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

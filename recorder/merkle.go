package recorder

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/storage/posix"
	"k8s.io/klog/v2"
)

const (
	logDir = "log"

	leafBatch    = 4096                   // most leaves that are integrated at once
	leafAge      = 20 * time.Millisecond  // tessera waits so long for more of them
	leafPace     = 100 * time.Millisecond // between batches that are not full
	signInterval = 100 * time.Millisecond // between checkpoints, at the least
	leafRetry    = 2 * time.Second
	maxPending   = 1 << 18 // leaves that wait in memory; more are read from the segments
	logDrain     = 10 * time.Second
)

// merkleLog is the log over the record's lines: leaf i is the SHA-256 of line i, in a
// tiled log (C2SP tlog-tiles) whose checkpoints the recorder signs. It follows behind
// the segments' sync: a line that is in no segment is never in the log, and what is
// missing in the log is taken from the segments. Use openMerkle.
type merkleLog struct {
	dir string // of the store
	log *slog.Logger

	add      tessera.AddFn
	reader   tessera.LogReader
	shutdown func(context.Context) error
	cancel   context.CancelFunc
	size     atomic.Uint64 // leaves that are integrated

	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex // guards what is below
	lines   uint64     // that are synced
	pending [][sha256.Size]byte
	behind  bool  // some are in the segments alone
	failed  error // nothing more is added
}

var quietTessera = sync.OnceFunc(func() {
	// Its log lines go to standard error by themselves. What they tell (that a
	// checkpoint is late) shows in the size of the one that is there.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
})

// openMerkle opens or makes the log of a store that has so many lines.
func openMerkle(dir string, signer *logSigner, lines uint64, log *slog.Logger) (_ *merkleLog, err error) {
	quietTessera()
	ctx, cancel := context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			cancel()
		}
	}()
	driver, err := posix.New(ctx, posix.Config{Path: filepath.Join(dir, logDir)})
	if err != nil {
		return nil, err
	}
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).WithBatching(leafBatch, leafAge).
		WithCheckpointInterval(signInterval).WithCheckpointRepublishInterval(0))
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	m := &merkleLog{dir: dir, log: log, lines: lines, add: appender.Add, reader: reader, shutdown: shutdown, cancel: cancel,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}), behind: true}
	size, err := reader.IntegratedSize(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	if size > lines {
		return nil, fmt.Errorf("the log has %d entries and the segments %d lines: lines were lost that had been signed for; `sallyport sessions verify` says more", size, lines)
	}
	m.size.Store(size)
	return m, nil
}

// last returns the last leaf of the log, the digest of its line; ok is false for an
// empty one.
func (m *merkleLog) last() (index uint64, leaf []byte, ok bool, err error) {
	size := m.size.Load()
	if size == 0 {
		return 0, nil, false, nil
	}
	index = size - 1
	raw, err := m.reader.ReadEntryBundle(unended, index/layout.EntryBundleWidth, layout.PartialTileSize(0, index/layout.EntryBundleWidth, size))
	if err != nil {
		return 0, nil, false, fmt.Errorf("read the log: %w", err)
	}
	var b api.EntryBundle
	if err := b.UnmarshalText(raw); err != nil || int(index%layout.EntryBundleWidth) >= len(b.Entries) {
		return 0, nil, false, errors.New("read the log: its last entries are damaged")
	}
	return index, b.Entries[index%layout.EntryBundleWidth], true, nil
}

// start begins to follow the segments.
func (m *merkleLog) start() {
	go func() {
		defer close(m.done)
		m.follow()
	}()
	m.notify()
}

func (m *merkleLog) notify() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// feed hands over lines that are durable, in order.
func (m *merkleLog) feed(leaves [][sha256.Size]byte) {
	m.mu.Lock()
	m.lines += uint64(len(leaves))
	if !m.behind && m.failed == nil {
		if len(m.pending)+len(leaves) > maxPending {
			m.pending, m.behind = nil, true
		} else {
			m.pending = append(m.pending, leaves...)
		}
	}
	m.mu.Unlock()
	m.notify()
}

// follow adds what is fed until stop, and then what is left.
func (m *merkleLog) follow() {
	pace := time.NewTimer(0)
	defer pace.Stop()
	stopping := false
	for {
		more, err := m.step(stopping)
		var wait time.Duration
		switch {
		case err != nil && stopping:
			m.log.Error("recorder: the log stays behind the record until the next start", "error", err)
			return
		case m.failure() != nil:
			m.log.Error("recorder: the log has stopped; the record goes on without it", "error", err)
			<-m.stop
			return
		case err != nil:
			m.log.Warn("recorder: the log is behind, trying again", "error", err)
			wait = leafRetry
		case more:
			continue
		case stopping:
			return
		default:
			wait = leafPace
		}
		pace.Reset(wait)
		select {
		case <-m.stop:
			stopping = true
			continue
		case <-pace.C:
		}
		select {
		case <-m.stop:
			stopping = true
		case <-m.wake:
		}
	}
}

// step integrates one batch; more is true if there could be another one that is full, or
// with all set any.
func (m *merkleLog) step(all bool) (more bool, err error) {
	m.mu.Lock()
	behind := m.behind
	var batch [][sha256.Size]byte
	if !behind {
		batch = m.pending[:min(len(m.pending), leafBatch)]
	}
	m.mu.Unlock()
	if behind {
		return m.catchUp()
	}
	if len(batch) == 0 {
		return false, nil
	}
	if err := m.integrate(batch); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.behind {
		m.pending = m.pending[len(batch):]
	}
	return len(m.pending) >= leafBatch || all && len(m.pending) > 0, nil
}

// errEnough ends a catching up for this time.
var errEnough = errors.New("enough")

// catchUp takes a batch from the segments, and follows from memory once nothing is left
// there.
func (m *merkleLog) catchUp() (more bool, err error) {
	batch := make([][sha256.Size]byte, 0, leafBatch)
	m.mu.Lock()
	from, to := m.size.Load(), m.lines
	m.mu.Unlock()
	if from < to {
		err = Records{Dir: m.dir}.lines(unended, from, func(l rawLine) error {
			if l.index != from+uint64(len(batch)) || l.err != nil && l.digest == [sha256.Size]byte{} {
				return fmt.Errorf("line %d cannot be read: %w", l.index, l.err)
			}
			if batch = append(batch, l.digest); len(batch) == cap(batch) || l.index+1 == to {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			return false, errors.Join(err, fmt.Errorf("the segments end at line %d of %d", from+uint64(len(batch)), to))
		}
		if err := m.integrate(batch); err != nil {
			return false, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.behind = m.size.Load() < m.lines
	return true, nil
}

// integrate adds leaves behind the last one, all or none.
func (m *merkleLog) integrate(leaves [][sha256.Size]byte) error {
	base := m.size.Load()
	begun := time.Now()
	futures := make([]tessera.IndexFuture, len(leaves))
	for i := range leaves {
		futures[i] = m.add(unended, tessera.NewEntry(leaves[i][:]))
	}
	// Tessera integrates what came within leafAge as one, so a batch that was handed
	// over faster is whole or not at all there; of a slower one a later part could be
	// there without an earlier.
	split := time.Since(begun) >= leafAge
	var failed error
	for i, f := range futures {
		index, err := f()
		if err == nil && index.Index != base+uint64(i) {
			return m.fail(fmt.Errorf("line %d became entry %d of the log", base+uint64(i), index.Index))
		}
		failed = errors.Join(failed, err)
		if failed != nil && err == nil && split {
			return m.fail(fmt.Errorf("entries of the log are missing: %w", failed))
		}
	}
	if failed == nil {
		m.size.Store(base + uint64(len(leaves)))
		return nil
	}
	size, err := m.reader.IntegratedSize(unended)
	if err != nil {
		return errors.Join(failed, err)
	}
	if size < base || size > base+uint64(len(leaves)) {
		return m.fail(fmt.Errorf("the log has %d entries, want %d: %w", size, base, failed))
	}
	if size > base { // integrated, and the error came after
		m.mu.Lock()
		m.pending, m.behind = nil, true
		m.mu.Unlock()
		m.size.Store(size)
	}
	return fmt.Errorf("add to the log: %w", failed)
}

// fail stops the log for good: it is not what the segments say.
func (m *merkleLog) fail(err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = err
	m.pending = nil
	return err
}

func (m *merkleLog) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// close adds and signs what is left, for logDrain at most.
func (m *merkleLog) close() error {
	defer m.cancel()
	close(m.stop)
	select {
	case <-m.done:
	case <-time.After(logDrain):
		return errors.New("the log could not be completed in time; it is at the next start")
	}
	if m.failure() != nil {
		return nil // told already
	}
	ctx, cancel := context.WithTimeout(unended, logDrain)
	defer cancel()
	if err := errors.Join(m.shutdown(ctx), m.signed(ctx)); err != nil {
		return fmt.Errorf("close the log: %w", err)
	}
	return nil
}

// signed returns once the checkpoint covers all that is integrated.
func (m *merkleLog) signed(ctx context.Context) error {
	tick := time.NewTicker(signInterval / 10)
	defer tick.Stop()
	for {
		if c, err := readCheckpoint(m.dir); err == nil && c.Size >= m.size.Load() {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the last checkpoint is missing")
		case <-tick.C:
		}
	}
}

// readCheckpoint reads the log's checkpoint without a look at its signature.
func readCheckpoint(dir string) (*checkpoint.Checkpoint, error) {
	text, err := os.ReadFile(filepath.Join(dir, logDir, layout.CheckpointPath))
	if err != nil {
		return nil, err
	}
	var c checkpoint.Checkpoint
	_, err = c.Unmarshal(text)
	return &c, err
}

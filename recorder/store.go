package recorder

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/privatefile"
)

// format is the content of the store's file of that name: what a later version looks
// at before it reads or writes anything.
const format = "sallyport-records 1\n"

const keptLines = 1 << 20 // bytes of memory that are kept for the next batch of lines

// StoreOptions configure a Store.
type StoreOptions struct {
	Dir string // required
	// Name is the recorder's, by which it signs; "" is DefaultName. A store stays with
	// its name and key.
	Name string
	// KeyFile has the recorder's Ed25519 key (PEM, PKCS #8, mode 0600), and is made where
	// it is missing. "" is recorder.key in Dir, where whoever copies the store has it too.
	KeyFile string
	Now     func() time.Time      // nil is time.Now
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil keeps the metrics unregistered
	// SegmentSize and PackSize are when the next file begins, in bytes; 0 is 64 MiB.
	SegmentSize, PackSize int64
	// SegmentAge is when a segment is closed though it is small, so that an archive gets
	// it; 0 is never.
	SegmentAge time.Duration
}

// ErrBusy says that another process has the store.
var ErrBusy = errors.New("they are being written by another process: only one recorder may have them")

// Store writes records. One process at a time has it; use OpenStore. It is safe for
// concurrent use.
type Store struct {
	dir  string
	name string
	now  func() time.Time
	log  *slog.Logger
	lock *os.File

	keeping   sync.Mutex       // guards what is below; taken before mu
	newest    map[uint64]int64 // time of the newest payload of closed packs, Unix milliseconds
	emptied   map[uint64]bool  // closed packs in which only what is held is left
	lastHolds []Hold

	mu       sync.Mutex // guards what is below
	segments segmentWriter
	packs    *packWriter
	merkle   *merkleLog
	compress *compressor
	seen     *recent[struct{}] // the last lines
	watch    *watch
	onAlarm  func(event.Event, []byte) // may be nil
	metrics  *Metrics
	bodiesOf uint64        // bodies of the lines before this index are in closed packs
	atClose  LogCheckpoint // of when the last segment was closed
	broken   error         // after a failed write the files' ends are unknown: nothing more is written
	lines    []byte        // memory for the next batch
	age      time.Duration // at which a segment is closed; 0: never
}

// OpenStore opens or makes the directory for writing, mends what a crash has torn and
// takes over files of one session each, as earlier versions wrote them. It fails while
// another process has it.
func OpenStore(o StoreOptions) (_ *Store, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SegmentSize <= 0 {
		o.SegmentSize = segmentSize
	}
	if o.PackSize <= 0 {
		o.PackSize = packSize
	}
	if o.Name == "" {
		o.Name = DefaultName
	}
	if err := ValidName(o.Name); err != nil {
		return nil, err
	}
	if o.KeyFile == "" {
		o.KeyFile = filepath.Join(o.Dir, "recorder.key")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, "torn"), 0o700); err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(o.Dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("records in %s: %w", o.Dir, ErrBusy)
	}
	s := &Store{dir: o.Dir, name: o.Name, now: o.Now, log: o.Log, lock: f, seen: newRecent[struct{}](recentLines),
		newest: map[uint64]int64{}, emptied: map[uint64]bool{}, watch: newWatch(o.Name, o.Now), metrics: NewMetrics(o.Metrics), age: o.SegmentAge}
	s.segments = segmentWriter{dir: o.Dir, limit: o.SegmentSize, torn: s.tornPath}
	if err := s.open(o); err != nil {
		return nil, errors.Join(fmt.Errorf("records in %s: %w", o.Dir, err), s.Close())
	}
	s.gauges(o.Metrics)
	return s, nil
}

func (s *Store) open(o StoreOptions) error {
	if err := s.checkFormat(); err != nil {
		return err
	}
	if err := s.segments.open(); err != nil {
		return err
	}
	packs, err := openPacks(s.dir, o.PackSize, s.tornPath)
	if err != nil {
		return err
	}
	s.packs = packs
	if err := errors.Join(syncDir(filepath.Join(s.dir, "torn")), syncDir(s.dir)); err != nil {
		return err
	}
	signer, err := openSigner(o.KeyFile, o.Name)
	if err != nil {
		return err
	}
	if err := holdVerifier(s.dir, signer); err != nil {
		return err
	}
	m, err := openMerkle(s.dir, signer, s.segments.count, s.log)
	if err != nil {
		return err
	}
	if err := s.remember(m); err != nil {
		m.cancel()
		return err
	}
	s.merkle = m
	m.start()
	s.compress = startCompressor(s.dir, func(err error) { s.log.Warn("recorder: a closed segment stays as it is", "error", err) })
	return s.importSessions()
}

// remember reads the last lines: those that may come again, and the one that the log
// ends with, which must be the same.
func (s *Store) remember(m *merkleLog) error {
	index, leaf, signed, err := m.last()
	if err != nil {
		return err
	}
	var from uint64
	if s.segments.count > recentLines {
		from = s.segments.count - recentLines
	}
	if signed {
		from = min(from, index)
	}
	defer func() { s.watch.learned(from == 0) }()
	return Records{Dir: s.dir}.lines(unended, from, func(l rawLine) error {
		if signed && l.index == index && !bytes.Equal(l.digest[:], leaf) {
			return fmt.Errorf("entry %d is not the one that the log has: the record was changed; `sallyport sessions verify` says more", index)
		}
		if l.err == nil {
			s.seen.put(lineKey(l.digest[:16]), struct{}{})
			s.watch.learn(l)
		}
		return nil
	})
}

// checkFormat refuses a store of a later version, and one whose file was lost: it
// could be of any.
func (s *Store) checkFormat() error {
	path := filepath.Join(s.dir, "format")
	is, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(s.dir, segmentsDir)); err == nil {
			return fmt.Errorf("there is no file named format: put it back, with the line %q", strings.TrimSpace(format))
		}
		return errors.Join(privatefile.Replace(path, []byte(format), 0o600), syncDir(s.dir))
	}
	if err == nil && string(is) != format {
		err = fmt.Errorf("its format is %.40q, and this version knows %q: use the version that wrote it", is, format)
	}
	return err
}

// tornPath is where the torn end of a file is kept.
func (s *Store) tornPath(name string) string {
	return filepath.Join(s.dir, "torn", name+"-"+strconv.FormatInt(s.now().UnixNano(), 10))
}

// Close closes the files and gives the directory free.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.merkle != nil {
		err = s.merkle.close()
		s.merkle = nil
	}
	if s.compress != nil {
		s.compress.close()
		s.compress = nil
	}
	err = errors.Join(err, s.segments.close())
	if s.packs != nil {
		err = errors.Join(err, s.packs.close())
	}
	if s.broken == nil {
		s.broken = errors.New("records are closed")
	}
	return errors.Join(err, s.lock.Close())
}

// Append writes records and syncs them; when it returns nil they are on disk.
// A message that is there already, among the last 65,536, is left out, so redelivery
// does no harm. After an error nothing more is written until the store is opened
// again, which repairs the ends of the files.
func (s *Store) Append(records []Record) error {
	kept := make([]kept, 0, len(records))
	for _, r := range records {
		k, err := lineOf(r)
		if err != nil {
			return fmt.Errorf("records: %w", err)
		}
		kept = append(kept, k)
	}
	return s.write(kept)
}

func (s *Store) write(in []kept) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return fmt.Errorf("records: stopped after an earlier error: %w", s.broken)
	}
	if err := s.writeLocked(in); err != nil {
		s.broken = err
		return fmt.Errorf("records: %w", err)
	}
	return nil
}

// writeLocked makes payloads durable before the lines that name them: a line whose
// body is not there says that retention let it go. What it finds wrong follows behind.
func (s *Store) writeLocked(in []kept) error {
	b := batch{lines: s.lines[:0], leaves: make([][sha256.Size]byte, 0, len(in))}
	defer func() {
		if s.lines = b.lines; cap(b.lines) > keptLines {
			s.lines = nil
		}
	}()
	for _, k := range in {
		sum := sumOf(k.line)
		if _, twice := s.seen.get(lineKey(sum[:16])); twice {
			continue
		}
		if d, ok := k.event.Data.(*event.Body); ok && k.body != nil {
			written, err := s.packs.put(d.Sum(), d.SessionID, k.event.Time, k.body)
			if err != nil {
				return err
			}
			if written {
				s.metrics.bodies.Inc()
			}
		}
		s.watch.add(s.segments.count+uint64(len(b.leaves)), k, sum)
		s.add(&b, k, sum)
	}
	s.watch.chains.expire(s.now())
	for _, f := range s.watch.pending {
		s.metrics.alarms.WithLabelValues(f.code).Inc()
	}
	alarms, err := s.watch.alarms()
	if err != nil {
		return err
	}
	for _, k := range alarms {
		s.add(&b, k, sumOf(k.line))
	}
	before := s.segments.first
	defer func() {
		if s.segments.first != before {
			s.segmentClosed()
		}
	}()
	if s.age > 0 && s.segments.olderThan(s.age, s.now()) {
		if err := s.segments.turn(); err != nil {
			return err
		}
	}
	if len(b.leaves) == 0 {
		return nil
	}
	if err := s.packs.sync(); err != nil {
		return err
	}
	if err := s.segments.write(b.lines, len(b.leaves), s.now()); err != nil {
		return err
	}
	s.merkle.feed(b.leaves)
	s.metrics.lines.Add(float64(len(b.leaves)))
	s.metrics.bytes.Add(float64(len(b.lines)))
	for _, k := range alarms {
		d, _ := k.event.Data.(*event.Alarm)
		s.log.Error("recorder: alarm", "code", d.Code, "of", d.Source, "at", d.Sequence, "detail", d.Detail)
		if s.onAlarm != nil {
			s.onAlarm(k.event, k.line)
		}
	}
	return nil
}

// batch is lines that are written and synced together.
type batch struct {
	lines  []byte
	leaves [][sha256.Size]byte
}

func (s *Store) add(b *batch, k kept, sum [sha256.Size]byte) {
	s.seen.put(lineKey(sum[:16]), struct{}{})
	b.lines = append(append(b.lines, k.line...), '\n')
	b.leaves = append(b.leaves, sum)
}

// OnAlarm has fn called for each alarm that is on record from now on. It must not
// block, and not call the store.
func (s *Store) OnAlarm(fn func(e event.Event, line []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onAlarm = fn
}

// Alarm puts on record what was found outside of the stream, with a code of its own: more
// than ten of a code are written once a minute, with a count.
func (s *Store) Alarm(code, detail string) error {
	s.mu.Lock()
	s.watch.pending = append(s.watch.pending, finding{code: code, source: s.watch.source, detail: detail, elsewhere: true})
	s.mu.Unlock()
	return s.write(nil)
}

// Tick gives up on events that have been missing for too long, and closes a segment of
// SegmentAge. A recorder calls it once a second.
func (s *Store) Tick() error { return s.write(nil) }

package recorder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/privatefile"
)

// format is the content of the store's file of that name: what a later version looks
// at before it reads or writes anything.
const format = "sallyport-records 1\n"

// StoreOptions configure a Store.
type StoreOptions struct {
	Dir string           // required
	Now func() time.Time // nil is time.Now
	// SegmentSize and PackSize are when the next file begins, in bytes; 0 is 64 MiB.
	SegmentSize, PackSize int64
}

// Store writes records. One process at a time has it; use OpenStore. It is safe for
// concurrent use.
type Store struct {
	dir  string
	now  func() time.Time
	lock *os.File

	mu       sync.Mutex // guards what is below
	segments segmentWriter
	packs    *packWriter
	seen     *recent // of the last lines
	broken   error   // after a failed write the files' ends are unknown: nothing more is written
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
	if err := os.MkdirAll(filepath.Join(o.Dir, "torn"), 0o700); err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(o.Dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("records in %s are being written by another process: only one recorder may have them", o.Dir)
	}
	s := &Store{dir: o.Dir, now: o.Now, lock: f, seen: newRecent(recentLines)}
	s.segments = segmentWriter{dir: o.Dir, limit: o.SegmentSize, torn: s.tornPath}
	if err := s.open(o.PackSize); err != nil {
		return nil, errors.Join(fmt.Errorf("records in %s: %w", o.Dir, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(packSize int64) error {
	if err := s.checkFormat(); err != nil {
		return err
	}
	if err := s.segments.open(); err != nil {
		return err
	}
	packs, err := openPacks(s.dir, packSize, s.tornPath)
	if err != nil {
		return err
	}
	s.packs = packs
	if err := errors.Join(syncDir(filepath.Join(s.dir, "torn")), syncDir(s.dir)); err != nil {
		return err
	}
	var from uint64
	if s.segments.count > recentLines {
		from = s.segments.count - recentLines
	}
	err = Records{Dir: s.dir}.lines(unended, from, func(l rawLine) error {
		if l.err == nil {
			s.seen.add(lineKey(l.digest[:16]))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.importSessions()
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
	err := s.segments.close()
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
// body is not there says that retention let it go.
func (s *Store) writeLocked(in []kept) error {
	var lines []byte
	n := 0
	for _, k := range in {
		sum := sumOf(k.line)
		if !s.seen.add(lineKey(sum[:16])) {
			continue
		}
		if d, ok := k.event.Data.(*event.Body); ok && k.body != nil {
			if err := s.packs.put(sumOf(k.body), d.SessionID, k.event.Time, k.body); err != nil {
				return err
			}
		}
		lines = append(append(lines, k.line...), '\n')
		n++
	}
	if n == 0 {
		return nil
	}
	if err := s.packs.sync(); err != nil {
		return err
	}
	return s.segments.write(lines, n)
}

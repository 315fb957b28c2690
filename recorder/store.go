package recorder

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/event"
)

const maxOpen = 128 // session files kept open, with the ids that they hold

// Store writes records. One process at a time has it; use OpenStore. It is not
// safe for concurrent use: the Recorder's loop owns it.
type Store struct {
	dir    string
	now    func() time.Time
	lock   *os.File
	open   map[string]*sessionFile
	turn   uint64 // of the last Append, to close the longest unused
	broken error  // after a failed write the file's end is unknown: nothing more is written
}

type sessionFile struct {
	f    *os.File
	seen map[[16]byte]struct{} // digests of the lines it holds
	used uint64
}

// Record is one message of the stream.
type Record struct {
	Session string // "none" or a ULID, from the subject
	Subject string
	MsgID   string
	Payload []byte
}

// OpenStore opens or makes the directory for writing; now nil is time.Now. It
// fails while another process has it.
func OpenStore(dir string, now func() time.Time) (*Store, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(filepath.Join(dir, "torn"), 0o700); err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("records in %s are being written by another process: only one recorder may have them", dir)
	}
	return &Store{dir: dir, now: now, lock: f, open: map[string]*sessionFile{}}, nil
}

// Close closes the files and gives the directory free.
func (s *Store) Close() error {
	var err error
	for _, sf := range s.open {
		err = errors.Join(err, sf.f.Close())
	}
	s.open = nil
	if s.broken == nil {
		s.broken = errors.New("records are closed")
	}
	return errors.Join(err, s.lock.Close())
}

// Append writes records and syncs them; when it returns nil they are on disk.
// A message that the file has already is left out, so redelivery does no harm.
// After an error nothing more is written until the store is opened again, which
// repairs the end of each file.
func (s *Store) Append(records []Record) error {
	if s.broken != nil {
		return fmt.Errorf("records: stopped after an earlier error: %w", s.broken)
	}
	if err := s.append(records); err != nil {
		s.broken = err
		return fmt.Errorf("records: %w", err)
	}
	return s.evict()
}

func (s *Store) append(records []Record) error {
	s.turn++
	pending := map[*sessionFile][]byte{}
	for _, r := range records {
		sf, err := s.file(r.Session)
		if err != nil {
			return err
		}
		line, err := lineOf(r)
		if err != nil {
			return err
		}
		key := keyOf(line)
		if _, twice := sf.seen[key]; twice {
			continue
		}
		sf.seen[key] = struct{}{}
		pending[sf] = append(append(pending[sf], line...), '\n')
	}
	for sf, b := range pending {
		if _, err := sf.f.Write(b); err != nil {
			return err
		}
	}
	for sf := range pending {
		if err := sf.f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// lineOf is the event as it was published, byte for byte, if it is one of that
// session; otherwise an opaque line.
func lineOf(r Record) ([]byte, error) {
	e, err := event.Decode(r.Payload)
	session := e.Session()
	if session == "" {
		session = event.NoSession
	}
	switch {
	case err != nil:
	case e.ID != r.MsgID:
		err = errors.New("message id and event id differ")
	case session != r.Session:
		err = errors.New("the event's session is not the subject's")
	default:
		for _, c := range r.Payload {
			if c == '\n' || c == '\r' {
				err = errors.New("the event has line breaks")
				break
			}
		}
	}
	if err == nil {
		return r.Payload, nil
	}
	var o opaque
	o.Opaque.MsgID, o.Opaque.Subject, o.Opaque.Why, o.Opaque.Payload = r.MsgID, r.Subject, err.Error(), r.Payload
	return json.Marshal(o)
}

// keyOf names a line for finding repeats. It is of the whole line and not of the
// id alone: two different messages under one id are both kept, since one of them
// is forged.
func keyOf(line []byte) [16]byte {
	sum := sha256.Sum256(line)
	return [16]byte(sum[:16])
}

// file opens a session's file, reads what it holds and mends its end.
func (s *Store) file(session string) (*sessionFile, error) {
	if sf := s.open[session]; sf != nil {
		sf.used = s.turn
		return sf, nil
	}
	f, err := openFile(s.dir, session, os.O_CREATE|os.O_RDWR|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	sf := &sessionFile{f: f, seen: map[[16]byte]struct{}{}, used: s.turn}
	whole, torn, err := scan(f, func(_ int, b []byte) {
		if len(b) > 0 {
			sf.seen[keyOf(b[:len(b)-1])] = struct{}{}
		}
	})
	if err == nil && torn {
		err = s.repair(session, f, whole)
	}
	if err == nil {
		err = syncDir(s.dir) // the name itself must survive a power cut
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("session %s: %w", session, err)
	}
	s.open[session] = sf
	return sf, nil
}

// repair moves a torn last line to torn/. Its message was never acknowledged and
// comes again.
func (s *Store) repair(session string, f *os.File, whole int64) error {
	path := filepath.Join(s.dir, "torn", session+"-"+strconv.FormatInt(s.now().UnixNano(), 10))
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("keep torn line: %w", err)
	}
	_, err = io.Copy(out, io.NewSectionReader(f, whole, 1<<62))
	if err = errors.Join(err, out.Sync(), out.Close(), syncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("keep torn line: %w", err)
	}
	return errors.Join(f.Truncate(whole), f.Sync())
}

func (s *Store) evict() error {
	for len(s.open) > maxOpen {
		oldest := ""
		for id, sf := range s.open {
			if oldest == "" || sf.used < s.open[oldest].used {
				oldest = id
			}
		}
		err := s.open[oldest].f.Close()
		delete(s.open, oldest)
		if err != nil {
			s.broken = err
			return fmt.Errorf("records: close session %s: %w", oldest, err)
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

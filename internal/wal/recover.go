package wal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// recover finds the segments and the end of the last one. It reads that one alone
// (and the one before, where it holds no record yet): what the others hold is checked
// when it is read.
func (l *Log) recover() error {
	entries, err := os.ReadDir(l.o.Dir) // sorted, and so by position
	if err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		first, ok := firstOf(name)
		switch {
		case ok:
			l.segments = append(l.segments, segment{path: filepath.Join(l.o.Dir, name), first: first})
		case strings.HasPrefix(name, sparePrefix):
			// Left by a crash, perhaps half made.
			if err := os.Remove(filepath.Join(l.o.Dir, name)); err != nil {
				return fmt.Errorf("wal: %w", err)
			}
		}
	}
	if len(l.segments) == 0 {
		return l.begin()
	}
	for i := range l.segments {
		if err := l.checkSegment(i); err != nil {
			return err
		}
	}
	return l.openLast()
}

// begin makes the first segment of a new log.
func (l *Log) begin() error {
	l.fresh, l.next = true, 1
	if _, err := rand.Read(l.id[:]); err != nil {
		return err
	}
	l.spares.l = l
	if err := l.rotate(1); err != nil {
		return fmt.Errorf("wal: new segment: %w", err)
	}
	return nil
}

// checkSegment checks a segment's header, and that it is of the same log as the
// first.
func (l *Log) checkSegment(i int) error {
	s := &l.segments[i]
	f, err := openSegment(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, headerSize)
	if _, err := io.ReadFull(f, b); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("wal: %w", err)
	}
	id, why := readHeader(b, s.first)
	switch {
	case why != "":
		return &DamageError{s.path, 0, why}
	case i == 0:
		l.id = id
	case id != l.id:
		return &DamageError{s.path, 0, "it is of another log than the segments before"}
	}
	if i < len(l.segments)-1 { // all of it but the rest behind the last record, which is small
		info, err := f.Stat()
		if err != nil {
			return fmt.Errorf("wal: %w", err)
		}
		s.used = info.Size() - headerSize
	}
	return nil
}

func openSegment(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("wal: %w", err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("wal: %s is not a plain file", path)
	}
	return f, nil
}

// openLast finds the end of the last segment and makes it ready to be written on.
func (l *Log) openLast() error {
	s := &l.segments[len(l.segments)-1]
	f, err := openSegment(s.path)
	if err != nil {
		return err
	}
	l.current = f
	b, err := os.ReadFile(s.path)
	if err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	end, next, torn, err := findEnd(b, s.first, seedOf(l.id))
	if err != nil {
		return withFile(err, s.path)
	}
	s.used = int64(end - headerSize)
	l.offset, l.limit, l.next, l.durable = int64(end), int64(len(b)), next, next-1
	// A segment that was cut short by somebody, or by a smaller setting, gets its size.
	// What was torn is overwritten: records of it must not be found behind the next ones.
	from := l.limit
	if torn {
		from = min(from, l.offset)
	}
	l.limit = max(l.limit, l.o.SegmentSize)
	if from < l.limit {
		if err := writeZeros(f, from, l.limit); err != nil {
			return fmt.Errorf("wal: %w", err)
		}
	}
	// What was found may have been written and never synced: it is acknowledged from
	// now on.
	if err := l.o.sync(f); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	return nil
}

func withFile(err error, path string) error {
	var d *DamageError
	if errors.As(err, &d) {
		d.File = path
	}
	return err
}

// findEnd reads a segment's bytes: end is behind its last record (and so up to 7 bytes
// behind b), next the position that comes then. torn reports whole records behind the end that were never
// acknowledged. Total on any input; the error is a *DamageError without its file.
func findEnd(b []byte, first uint64, seed uint32) (end int, next uint64, torn bool, err error) {
	end, next = headerSize, first
	if len(b) < headerSize {
		return 0, 0, false, &DamageError{Why: "it has no header"}
	}
	for {
		r, _, ok := parse(b[min(end, len(b)):], seed)
		if !ok || r.position != next {
			break
		}
		end += padded(len(r.content))
		next++
	}
	// Is there anything behind it that was written later?
	for at := end; at+recordHeader <= len(b); at += 8 {
		// The positions of what the segment held earlier are lower.
		if position := binary.LittleEndian.Uint64(b[at+8:]); position < next || position-next > uint64(len(b)) {
			continue
		}
		r, _, ok := parse(b[at:], seed)
		if !ok {
			continue
		}
		if r.floor >= next {
			return 0, 0, false, &DamageError{Offset: int64(end), Why: fmt.Sprintf("record %d was acknowledged and is not there, while record %d is", next, r.position)}
		}
		torn = true
	}
	return end, next, torn, nil
}

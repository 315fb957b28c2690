package recorder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/event"
)

// The record's lines are in segments/<index of the first line, 20 digits>.jsonl, in
// the order in which they came. Only the last one is written; closed ones never
// change, and may be compressed to .jsonl.zst.

const (
	segmentsDir = "segments"
	zstdSuffix  = ".zst"
	segmentSize = 64 << 20 // bytes, beyond which the next one begins
)

// segment is one file of lines.
type segment struct {
	first uint64 // index of its first line
	path  string
	zstd  bool
}

// listSegments gives a store's segments by their first index; the plain one where the
// compressed one is there, too, because a crash came between. odd are other names in
// the folder.
func listSegments(dir string) (out []segment, odd []string, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, segmentsDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read records: %w", err)
	}
	for _, e := range entries {
		s := segment{path: filepath.Join(dir, segmentsDir, e.Name())}
		name, compressed := strings.CutSuffix(e.Name(), zstdSuffix)
		name, ok := strings.CutSuffix(name, suffix)
		s.zstd = compressed
		if s.first, err = strconv.ParseUint(name, 10, 64); !ok || err != nil || len(name) != 20 {
			odd = append(odd, s.path)
			continue
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b segment) int { return strings.Compare(filepath.Base(a.path), filepath.Base(b.path)) })
	out = slices.CompactFunc(out, func(a, b segment) bool { return a.first == b.first })
	return out, odd, nil
}

// segmentWriter appends to the last segment. Its zero value with dir and limit is
// ready for open.
type segmentWriter struct {
	dir   string // of the store
	limit int64  // bytes of one segment
	torn  func(name string) string

	f     *os.File
	size  int64
	first uint64
	count uint64    // lines of all segments
	begun time.Time // when its first line came, by that line; zero: nobody knows
}

// open finds the end of the record and mends it: a torn last line was never
// acknowledged, is kept in torn/ and comes again.
func (w *segmentWriter) open() error {
	if err := os.MkdirAll(filepath.Join(w.dir, segmentsDir), 0o700); err != nil {
		return err
	}
	list, _, err := listSegments(w.dir)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return w.create()
	}
	last := list[len(list)-1]
	lines := uint64(0)
	count := func(l scanned) error {
		if lines++; lines == 1 {
			if e, err := event.Decode(l.b); err == nil {
				w.begun = e.Time
			}
		}
		return nil
	}
	if last.zstd {
		if err := last.read(count); err != nil {
			return fmt.Errorf("the last segment cannot be read: %w", err)
		}
		w.count = last.first + lines
		return w.create()
	}
	f, err := openPlain(last.path, os.O_RDWR|os.O_APPEND)
	if err != nil {
		return err
	}
	whole, torn, err := scan(f, count)
	if err == nil && torn {
		err = setAside(f, whole, w.torn(filepath.Base(last.path)))
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("%s: %w", last.path, err)
	}
	w.f, w.size, w.first, w.count = f, whole, last.first, last.first+lines
	return nil
}

// create begins the segment of the next line. The name itself must survive a power
// cut.
func (w *segmentWriter) create() error {
	path := filepath.Join(w.dir, segmentsDir, fmt.Sprintf("%020d%s", w.count, suffix))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		f.Close()
		return err
	}
	w.f, w.size, w.first, w.begun = f, 0, w.count, time.Time{}
	return nil
}

// turn closes the segment, which is not empty, and begins the next one.
func (w *segmentWriter) turn() error {
	if err := w.f.Close(); err != nil {
		return err
	}
	return w.create()
}

// olderThan reports whether the segment has lines, and its first came so long ago.
func (w *segmentWriter) olderThan(age time.Duration, now time.Time) bool {
	return w.size > 0 && now.Sub(w.begun) >= age
}

// write appends n lines, the first of which came now, and syncs them.
func (w *segmentWriter) write(lines []byte, n int, now time.Time) error {
	if w.size > 0 && w.size+int64(len(lines)) > w.limit {
		if err := w.turn(); err != nil {
			return err
		}
	}
	if w.size == 0 {
		w.begun = now
	}
	if _, err := w.f.Write(lines); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	w.size += int64(len(lines))
	w.count += uint64(n)
	return nil
}

func (w *segmentWriter) close() error {
	if w.f == nil {
		return nil
	}
	return w.f.Close()
}

package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/event"
)

// ErrTorn is the Err of the entry after the last whole line: it is being written, or
// a crash tore it. It was not acknowledged.
var ErrTorn = errors.New("the last line is incomplete: it is being written, or a crash tore it")

// Entry is one line of the record.
type Entry struct {
	Index uint64      // place in the record, from 0; the leaf of the Merkle log
	Line  []byte      // as it was published; valid until fn returns; nil where it is missing
	Event event.Event // zero with Err
	// Err says what is wrong here, as a Problem with file and line: an opaque message
	// (OpaqueError), a damaged line, lines that are missing, ErrTorn.
	Err error
}

// Entries calls fn for every line of the record in order, from an index on. Damage is
// an entry with Err, and reading goes on behind it; where lines are missing, the
// entry has the first missing index. An error ends it: of ctx, of fn as it is, or of
// a store that cannot be opened at all, or may not be read.
func (r Records) Entries(ctx context.Context, from uint64, fn func(Entry) error) error {
	return r.lines(ctx, from, func(l rawLine) error {
		e := Entry{Index: l.index, Line: l.b, Err: l.err}
		if l.err == nil {
			var err error
			if e.Event, err = parseLine(l.b); err != nil {
				e.Err = Problem{File: l.file, Line: l.n, Err: err}
			}
		}
		return fn(e)
	})
}

// rawLine is a line that nobody has looked at.
type rawLine struct {
	index uint64
	scanned
	file string
	err  error // a Problem: damage instead of a line
}

// lines is Entries without a look at what is in the lines.
func (r Records) lines(ctx context.Context, from uint64, fn func(rawLine) error) error {
	list, odd, err := listSegments(r.Dir)
	if err != nil {
		return err
	}
	next := from
	bad := func(file string, line int, err error) error {
		return fn(rawLine{index: next, scanned: scanned{n: line}, file: file, err: Problem{File: file, Line: line, Err: err}})
	}
	for _, path := range odd {
		if strings.HasSuffix(path, tmpSuffix) {
			continue // a compression that a crash ended
		}
		if err := bad(path, 0, errors.New("a file that is no segment")); err != nil {
			return err
		}
	}
	for i, s := range list {
		end := uint64(math.MaxUint64) // index of what follows
		if i+1 < len(list) {
			end = list[i+1].first
		}
		if end <= from {
			continue
		}
		if i == 0 && s.first > next {
			if err := bad(s.path, 0, fmt.Errorf("entries %d to %d are missing: the first segment is not there", next, s.first-1)); err != nil {
				return err
			}
			next = s.first
		}
		count := uint64(0) // lines of this segment
		err := s.read(func(l scanned) error {
			if l.n%1024 == 1 && ctx.Err() != nil {
				return stop{ctx.Err()}
			}
			index := s.first + count
			count++
			if index < next {
				return nil
			}
			if index >= end {
				return errOverlap
			}
			next = index + 1
			raw := rawLine{index: index, scanned: l, file: s.path}
			if l.b == nil {
				raw.err = Problem{File: s.path, Line: l.n, Err: fmt.Errorf("line longer than %d bytes", maxLine)}
			}
			if err := fn(raw); err != nil {
				return stop{err}
			}
			return nil
		})
		var over stop
		switch {
		case errors.As(err, &over):
			return over.error
		case errors.Is(err, fs.ErrPermission): // which says nothing about the lines
			return err
		case errors.Is(err, ErrTorn) && i+1 == len(list):
			err = bad(s.path, int(count)+1, ErrTorn)
		case err != nil:
			err = bad(s.path, int(count)+1, err)
		}
		if err != nil {
			return err
		}
		if end != math.MaxUint64 && next < end {
			if err := bad(s.path, int(count)+1, fmt.Errorf("entries %d to %d are missing: the next segment begins at %d", next, end-1, end)); err != nil {
				return err
			}
			next = end
		}
	}
	return ctx.Err()
}

var errOverlap = errors.New("it has lines that the next segment has, too: one of them was put there")

// stop carries an error of the caller's through a reader.
type stop struct{ error }

// read calls line for each whole line. ErrTorn says that the end is no whole line.
func (s segment) read(line func(scanned) error) error {
	f, err := openPlain(s.path, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) && !s.zstd { // compressed since it was listed
		s.zstd, s.path = true, s.path+zstdSuffix
		f, err = openPlain(s.path, os.O_RDONLY)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var in io.Reader = f
	if s.zstd {
		dec, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return err
		}
		defer dec.Close()
		in = dec
	}
	_, torn, err := scan(in, line)
	if err == nil && torn {
		err = ErrTorn
	}
	return err
}

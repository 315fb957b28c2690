// Package spool keeps a body that must be read whole before it goes on: in memory
// as long as it is short, beyond that in a file without a name. The file is 0600 and
// unlinked before the first byte is written to it, so nothing is left behind however
// the process ends.
package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// InMemory is how many bytes of a body are kept in memory at most.
const InMemory = 1 << 20

// ErrTooLong is what Read gives for a body beyond its limit.
var ErrTooLong = errors.New("spool: the body is longer than its limit")

// DiskError is a file that could not be made or written. Its text names no path.
type DiskError struct{ Err error }

func (e *DiskError) Error() string { return fmt.Sprintf("spool: %v", e.Err) }

// Unwrap gives the cause.
func (e *DiskError) Unwrap() error { return e.Err }

// Spool is a body that was read to its end. The zero value is an empty one.
type Spool struct {
	head []byte // the whole body, or its first bytes
	file *os.File
	size int64
	sum  string
}

// Read reads r to its end, at most limit bytes. dir is where the file goes, "" for the
// system's folder for temporary files. Errors are ErrTooLong, a *DiskError, or r's own.
func Read(r io.Reader, limit int64, dir string) (*Spool, error) {
	s := &Spool{}
	h := sha256.New()
	from := io.TeeReader(io.LimitReader(r, limit+1), h)
	var head bytes.Buffer
	n, err := io.Copy(&head, io.LimitReader(from, InMemory))
	if err != nil {
		return nil, err
	}
	s.head, s.size = head.Bytes(), n
	if n == InMemory {
		if err := s.toFile(from, dir); err != nil {
			s.Close()
			return nil, err
		}
	}
	if s.size > limit {
		s.Close()
		return nil, ErrTooLong
	}
	s.sum = hex.EncodeToString(h.Sum(nil))
	return s, nil
}

func (s *Spool) toFile(from io.Reader, dir string) error {
	f, err := os.CreateTemp(dir, "body-") // 0600
	if err != nil {
		return &DiskError{err}
	}
	s.file = f
	if err := os.Remove(f.Name()); err != nil {
		return &DiskError{err}
	}
	n, err := io.Copy(disk{f}, from)
	s.size += n
	return err
}

// disk tells the file's errors from the reader's.
type disk struct{ f *os.File }

func (d disk) Write(p []byte) (int, error) {
	n, err := d.f.Write(p)
	if err != nil {
		err = &DiskError{err}
	}
	return n, err
}

// Size is the body's length in bytes.
func (s *Spool) Size() int64 { return s.size }

// SHA256 is the body's digest in hex.
func (s *Spool) SHA256() string { return s.sum }

// Reader reads the body from its beginning. Readers are independent; none may be used
// after Close.
func (s *Spool) Reader() io.Reader {
	head := io.Reader(bytes.NewReader(s.head))
	if s.file == nil {
		return head
	}
	return io.MultiReader(head, io.NewSectionReader(s.file, 0, s.size-int64(len(s.head))))
}

// Close gives the file's space back.
func (s *Spool) Close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

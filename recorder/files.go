package recorder

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/event"
)

const (
	suffix  = ".jsonl"
	maxLine = 16 << 20 // bytes; a longer line is not read and is named as damaged
)

// ValidSession accepts what names a session: a ULID or "none".
func ValidSession(session string) error {
	if session != event.NoSession && !event.ValidID(session) {
		return fmt.Errorf("session %.40q is not a ULID", session)
	}
	return nil
}

// openPlain opens a file of the record. A symbolic link, a second hard link or
// anything but a file is refused: it would let whoever can write here redirect
// the record.
func openPlain(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open record: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 {
		f.Close()
		return nil, fmt.Errorf("record %s is not a plain file with one name: somebody put a link there", path)
	}
	return f, nil
}

// maxSmall is the most bytes of a small file of the store: a key, a checkpoint, a tile.
const maxSmall = 1 << 20

// readSmall reads a small file of a store that may be anybody's: a pipe would never
// end, nor would a link to a device, and a large file would fill the memory. The log's
// files may have a second name while they are written.
func readSmall(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if len(b) > maxSmall {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxSmall)
	}
	return b, err
}

// Problem is one place of the record that cannot be read or is not as it was
// written.
type Problem struct {
	File string // path
	Line int    // from 1; 0 where it is not about a line
	Err  error
}

// Error gives file:line: what.
func (p Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %v", p.File, p.Err)
	}
	return fmt.Sprintf("%s:%d: %v", p.File, p.Line, p.Err)
}

// Unwrap gives what is wrong.
func (p Problem) Unwrap() error { return p.Err }

// scanned is one whole line, without its line feed.
type scanned struct {
	n      int    // from 1
	b      []byte // valid until the next line; nil where it is longer than maxLine
	size   int64  // bytes
	digest [sha256.Size]byte
}

// scan calls line for every whole line of r until it fails. It returns how many
// bytes the whole lines have; what follows them was torn by a crash.
func scan(r io.Reader, line func(scanned) error) (whole int64, torn bool, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	var buf []byte
	var size int64
	digest := sha256.New()
	for n := 1; ; {
		part, err := br.ReadSlice('\n')
		size += int64(len(part))
		if err == nil {
			part = part[:len(part)-1]
		}
		if size <= maxLine {
			buf = append(buf, part...)
		} else {
			if len(buf) > 0 {
				_, _ = digest.Write(buf) // never fails
				buf = buf[:0]
			}
			_, _ = digest.Write(part)
		}
		switch {
		case err == nil:
			l := scanned{n: n, size: size - 1}
			if size > maxLine {
				l.digest = [sha256.Size]byte(digest.Sum(nil))
			} else {
				l.b, l.digest = buf, sha256.Sum256(buf)
				if l.b == nil {
					l.b = []byte{}
				}
			}
			if err := line(l); err != nil {
				return whole, false, err
			}
			whole, n = whole+size, n+1
			buf, size = buf[:0], 0
			digest.Reset()
		case errors.Is(err, io.EOF):
			return whole, size > 0, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return whole, false, err
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// setAside copies the end of f, from an offset on, to a new file and cuts it off f.
func setAside(f *os.File, from int64, path string) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("keep torn end: %w", err)
	}
	_, err = io.Copy(out, io.NewSectionReader(f, from, 1<<62))
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("keep torn end: %w", err)
	}
	return errors.Join(f.Truncate(from), f.Sync())
}

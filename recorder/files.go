package recorder

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/event"
)

const (
	suffix  = ".jsonl"
	maxLine = 16 << 20 // bytes; a longer line is not read and is named as damaged
)

// opaque is the line of a message that is not an event of this version. It is
// kept all the same: what was acknowledged is never thrown away.
type opaque struct {
	Opaque struct {
		MsgID   string `json:"msgID"`
		Subject string `json:"subject"`
		Why     string `json:"why"`
		Payload []byte `json:"payload"` // base64
	} `json:"opaque"`
}

// fileName is the file of a session. Only a ULID or "none" names one, so that no
// id leads out of the directory.
func fileName(session string) (string, error) {
	if session != event.NoSession && !event.ValidID(session) {
		return "", fmt.Errorf("session %.40q is not a ULID", session)
	}
	return session + suffix, nil
}

// openFile opens a session's file below root. A symbolic link, a second hard link
// or anything but a file is refused: it would let whoever can write here redirect
// the record.
func openFile(dir, session string, flag int) (*os.File, error) {
	name, err := fileName(session)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
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

// Problem is one place of the record that cannot be read.
type Problem struct {
	File string // path
	Line int    // from 1
	Err  error
}

// Error gives file:line: what.
func (p Problem) Error() string { return fmt.Sprintf("%s:%d: %v", p.File, p.Line, p.Err) }

// scan calls line for every whole line of r. It returns how many bytes the whole
// lines have; what follows them was torn by a crash. A line beyond maxLine is
// given as nil.
func scan(r io.Reader, line func(n int, b []byte)) (whole int64, torn bool, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	var buf []byte
	var size int64
	for n := 1; ; {
		part, err := br.ReadSlice('\n')
		size += int64(len(part))
		if size <= maxLine {
			buf = append(buf, part...)
		}
		switch {
		case err == nil:
			if size > maxLine {
				buf = nil
			}
			line(n, buf)
			whole, n = whole+size, n+1
			buf, size = buf[:0], 0
		case errors.Is(err, io.EOF):
			return whole, size > 0, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return whole, false, err
		}
	}
}

// parseLine reads one line of a record.
func parseLine(b []byte) (event.Event, error) {
	if b == nil {
		return event.Event{}, fmt.Errorf("line longer than %d bytes", maxLine)
	}
	e, err := event.Decode([]byte(strings.TrimSuffix(string(b), "\n")))
	if err == nil {
		return e, nil
	}
	var o opaque
	if json.Unmarshal(b, &o) == nil && o.Opaque.Why != "" {
		return event.Event{}, fmt.Errorf("kept message %.40q is not an event: %.200s", o.Opaque.MsgID, o.Opaque.Why)
	}
	return event.Event{}, err
}

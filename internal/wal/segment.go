package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A segment is a file <position of its first record, 20 digits>.wal:
//
//	0   magic "SLYPWAL1"
//	8   id of the log, 16 bytes
//	24  position of the first record, 8 bytes
//	32  CRC-32C of the bytes before, 4 bytes
//	64  records
//
// and a record, at a multiple of 8:
//
//	0   bytes of the content, 4 bytes; 0 is the end
//	4   CRC-32C of the log's id, of bytes 0-3 and 8-23, and of the content
//	8   position, 8 bytes
//	16  floor: the last position that was synced when this was written, 8 bytes
//	24  content
//
// Numbers are little endian. What a segment held before it was used again has lower
// positions than those that are read, so that it is never taken for a record. The
// floor tells damage from what was never finished: a bad record is torn unless a
// record behind it was written after its sync.
const (
	magic        = "SLYPWAL1"
	headerSize   = 64
	recordHeader = 24
	suffix       = ".wal"
	sparePrefix  = "spare-"
	zeroPiece    = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type segment struct {
	path  string
	first uint64
	used  int64 // bytes of records
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, suffix))
}

// firstOf reads the position out of a segment's name.
func firstOf(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && first > 0
}

func header(id [16]byte, first uint64) []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	copy(b[8:], id[:])
	binary.LittleEndian.PutUint64(b[24:], first)
	binary.LittleEndian.PutUint32(b[32:], crc32.Checksum(b[:32], castagnoli))
	return b
}

// readHeader checks a segment's header against the segment's name.
func readHeader(b []byte, first uint64) (id [16]byte, why string) {
	switch {
	case len(b) < headerSize || string(b[:8]) != magic:
		return id, "it does not begin like a segment"
	case binary.LittleEndian.Uint32(b[32:]) != crc32.Checksum(b[:32], castagnoli):
		return id, "its header does not fit its checksum"
	case binary.LittleEndian.Uint64(b[24:]) != first:
		return id, fmt.Sprintf("it begins with record %d, not with that of its name", binary.LittleEndian.Uint64(b[24:]))
	}
	return [16]byte(b[8:24]), ""
}

// padded is the room that a record of n bytes takes.
func padded(n int) int { return (recordHeader + n + 7) &^ 7 }

func crcOf(seed uint32, record []byte) uint32 {
	c := crc32.Update(seed, castagnoli, record[:4])
	return crc32.Update(c, castagnoli, record[8:])
}

func seedOf(id [16]byte) uint32 { return crc32.Checksum(id[:], castagnoli) }

// record is what parse found.
type record struct {
	position, floor uint64
	content         []byte // of the buffer that was parsed
}

// parse reads the record at the beginning of b. ok is false for anything else; need
// is then how many bytes a record of that length would want, if b is too short.
func parse(b []byte, seed uint32) (r record, need int, ok bool) {
	if len(b) < recordHeader {
		return r, recordHeader, false
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || n > 1<<31 {
		return r, 0, false
	}
	if len(b) < recordHeader+int(n) {
		return r, padded(int(n)), false
	}
	whole := b[:recordHeader+int(n)]
	if binary.LittleEndian.Uint32(b[4:]) != crcOf(seed, whole) {
		return r, 0, false
	}
	return record{binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]), whole[recordHeader:]}, 0, true
}

// makeFile makes a file of zeros. It is written, not only sized: blocks that are
// allocated on first use would cost each sync a journal entry, and could be missing.
func (l *Log) makeFile(path string) (_ *os.File, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
			err = errors.Join(err, os.Remove(path))
		}
	}()
	// In pieces: one sync of all of it would hold up those of records for as long.
	for at := int64(0); at < l.o.SegmentSize; at += zeroPiece {
		if err := errors.Join(writeZeros(f, at, min(at+zeroPiece, l.o.SegmentSize)), l.o.sync(f)); err != nil {
			return nil, err
		}
	}
	return f, f.Sync() // its size, too
}

func writeZeros(f *os.File, from, to int64) error {
	zeros := make([]byte, min(1<<20, max(to-from, 0)))
	for from < to {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), to-from)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

// rotate begins a segment whose first record is next. Only a segment whose header is
// on disk gets a segment's name.
func (l *Log) rotate(next uint64) error {
	f, spare, err := l.spares.take()
	if err != nil {
		return err
	}
	path := segmentPath(l.o.Dir, next)
	_, err = f.WriteAt(header(l.id, next), 0)
	if err == nil {
		err = l.o.sync(f)
	}
	if err == nil {
		err = os.Rename(spare, path)
	}
	if err != nil {
		f.Close()
		return errors.Join(err, os.Remove(spare))
	}
	if err := syncDir(l.o.Dir); err != nil {
		f.Close() // it may be there after a crash, while the segment before was written on
		return l.fail(path, err)
	}
	l.current.Close() // synced; nil at first
	l.current, l.offset, l.limit = f, headerSize, l.o.SegmentSize
	l.mu.Lock()
	l.segments = append(l.segments, segment{path: path, first: next})
	l.mu.Unlock()
	return nil
}

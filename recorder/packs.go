package recorder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/event"
)

// Bodies are in bodies/<number>.pack: each payload once, compressed, behind a header
// of packHeader bytes. Packs are appended to and then closed; whole ones go by age or
// size, and those of a session by writing a pack anew without them.

const (
	bodiesDir  = "bodies"
	packSuffix = ".pack"
	tmpSuffix  = ".new"
	packSize   = 64 << 20 // bytes, beyond which the next one begins
	packMagic  = "SPB\x01"

	packHeader = 4 + 32 + 4 + 4 + 8 + 26 + 4
	maxStored  = 2 * event.MaxChunk // bytes of a compressed payload; zstd adds little
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// packed is the header of one payload. In the file, numbers are big-endian: magic,
// SHA-256 of the payload, size of the payload and of what is stored, time in Unix
// milliseconds, session (26 bytes, "none" with spaces behind), CRC-32C of all before
// it and of what is stored, then the payload in zstd.
type packed struct {
	sum     [32]byte
	size    uint32
	stored  uint32
	time    int64
	session string
	offset  int64 // of the header
}

func (p packed) end() int64 { return p.offset + packHeader + int64(p.stored) }

func (p packed) encode(stored []byte) []byte {
	b := make([]byte, 0, packHeader+len(stored))
	b = append(append(b, packMagic...), p.sum[:]...)
	b = binary.BigEndian.AppendUint32(b, p.size)
	b = binary.BigEndian.AppendUint32(b, uint32(len(stored)))
	b = binary.BigEndian.AppendUint64(b, uint64(p.time))
	b = append(b, fmt.Sprintf("%-26s", p.session)...)
	crc := crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, stored)
	b = binary.BigEndian.AppendUint32(b, crc)
	return append(b, stored...)
}

// errPacked says that no payload begins here.
var errPacked = errors.New("no payload begins here")

// readPacked reads the header at an offset and checks its form, and with whole the
// CRC; the payload then is returned as it is stored. io.EOF is the end,
// io.ErrUnexpectedEOF a payload without its end.
func readPacked(f io.ReaderAt, offset int64, whole bool) (packed, []byte, error) {
	head := make([]byte, packHeader)
	n, err := f.ReadAt(head, offset)
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return packed{}, nil, io.EOF
	case n < packHeader && errors.Is(err, io.EOF):
		return packed{}, nil, io.ErrUnexpectedEOF
	case n < packHeader:
		return packed{}, nil, err
	}
	p := packed{sum: [32]byte(head[4:36]), size: binary.BigEndian.Uint32(head[36:]), stored: binary.BigEndian.Uint32(head[40:]),
		time: int64(binary.BigEndian.Uint64(head[44:])), session: strings.TrimRight(string(head[52:78]), " "), offset: offset}
	if string(head[:4]) != packMagic || p.stored > maxStored || p.size > event.MaxChunk || validSession(p.session) != nil {
		return packed{}, nil, errPacked
	}
	if !whole {
		return p, nil, nil
	}
	stored := make([]byte, p.stored)
	if n, err := f.ReadAt(stored, offset+packHeader); n < len(stored) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return p, nil, err
	}
	if crc32.Update(crc32.Checksum(head[:78], castagnoli), castagnoli, stored) != binary.BigEndian.Uint32(head[78:]) {
		return p, nil, errPacked
	}
	return p, stored, nil
}

// pack is one file of payloads.
type pack struct {
	number uint64
	path   string
}

func packPath(dir string, number uint64) string {
	return filepath.Join(dir, bodiesDir, fmt.Sprintf("%08d%s", number, packSuffix))
}

// listPacks gives a store's packs by their number; odd are other names there.
func listPacks(dir string) (out []pack, odd []string, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, bodiesDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read bodies: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, bodiesDir, e.Name())
		name, ok := strings.CutSuffix(e.Name(), packSuffix)
		number, err := strconv.ParseUint(name, 10, 64)
		if !ok || err != nil || path != packPath(dir, number) {
			odd = append(odd, path)
			continue
		}
		out = append(out, pack{number, path})
	}
	slices.SortFunc(out, func(a, b pack) int { return strings.Compare(filepath.Base(a.path), filepath.Base(b.path)) })
	return out, odd, nil
}

// each calls fn for each payload of the pack, from an offset on; stored is nil without
// whole. A damaged place is told to bad, and reading goes on at the next payload that
// is whole.
func (p pack) each(whole bool, fn func(head packed, stored []byte) error, bad func(offset int64, err error) error) error {
	f, err := openPlain(p.path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	return eachPacked(f, whole, fn, bad)
}

func eachPacked(f *os.File, whole bool, fn func(packed, []byte) error, bad func(int64, error) error) error {
	for at := int64(0); ; {
		head, stored, err := readPacked(f, at, whole)
		switch {
		case err == nil:
			if err := fn(head, stored); err != nil {
				return err
			}
			at = head.end()
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errPacked) || errors.Is(err, io.ErrUnexpectedEOF):
			next, found, searchErr := nextPacked(f, at+1)
			if searchErr != nil {
				return searchErr
			}
			err = errPacked
			if !found {
				err = errTornPack
			}
			if err := bad(at, err); err != nil {
				return err
			}
			if !found {
				return nil
			}
			at = next
		default:
			return err
		}
	}
}

// errTornPack is garbage up to the end, as a power cut leaves it.
var errTornPack = errors.New("no whole payload is here or behind")

// nextPacked finds the next whole payload at or behind an offset.
func nextPacked(f io.ReaderAt, from int64) (int64, bool, error) {
	buf := make([]byte, 1<<20)
	for {
		n, err := f.ReadAt(buf, from)
		for at := 0; ; {
			i := bytes.Index(buf[at:n], []byte(packMagic))
			if i < 0 {
				break
			}
			at += i
			if _, _, err := readPacked(f, from+int64(at), true); err == nil {
				return from + int64(at), true, nil
			}
			at++
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return 0, false, nil
			}
			return 0, false, err
		}
		from += int64(n - len(packMagic) + 1)
	}
}

// packWriter appends to the last pack. Use openPacks.
type packWriter struct {
	dir    string
	limit  int64
	f      *os.File
	size   int64
	last   uint64
	newest int64          // time of an event in the last pack, Unix milliseconds; MinInt64: none
	seen   *recent[int64] // payloads that are there, and their time
	enc    *zstd.Encoder
	dirty  bool
}

// openPacks mends the end of the last pack, as segments are.
func openPacks(dir string, limit int64, torn func(string) string) (*packWriter, error) {
	if err := os.MkdirAll(filepath.Join(dir, bodiesDir), 0o700); err != nil {
		return nil, err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	w := &packWriter{dir: dir, limit: limit, newest: math.MinInt64, seen: newRecent[int64](recentLines), enc: enc}
	list, _, err := listPacks(dir)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return w, w.create(1)
	}
	for _, p := range list[max(0, len(list)-4) : len(list)-1] { // to know what is there, so far as it costs little
		if err := p.each(false, func(h packed, _ []byte) error { w.seen.put(lineKey(h.sum[:16]), h.time); return nil }, func(int64, error) error { return nil }); err != nil {
			return nil, err
		}
	}
	last := list[len(list)-1]
	w.last = last.number
	if w.f, err = openPlain(last.path, os.O_RDWR|os.O_APPEND); err != nil {
		return nil, err
	}
	cut, damaged := int64(-1), false
	err = eachPacked(w.f, true, func(h packed, _ []byte) error {
		w.seen.put(lineKey(h.sum[:16]), h.time)
		w.size, w.newest = h.end(), max(w.newest, h.time)
		return nil
	}, func(at int64, err error) error {
		if errors.Is(err, errPacked) {
			damaged = true
		} else {
			cut = at
		}
		return nil
	})
	switch {
	case err != nil:
	case damaged: // inside: left as it is for whoever looks into it
		err = errors.Join(w.f.Close(), w.create(w.last+1))
	case cut >= 0:
		err = setAside(w.f, cut, torn(filepath.Base(last.path)))
	}
	if err != nil {
		w.f.Close()
		return nil, fmt.Errorf("%s: %w", last.path, err)
	}
	return w, nil
}

func (w *packWriter) create(number uint64) error {
	path := packPath(w.dir, number)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		f.Close()
		return err
	}
	w.f, w.size, w.last, w.newest = f, 0, number, math.MinInt64
	return nil
}

// samePayload is how much later than it was stored a payload may be named without being
// stored again: by so much retention by age keeps payloads longer than it says.
const samePayload = 24 * time.Hour

// put writes a payload that is not there yet; sync makes it durable.
func (w *packWriter) put(sum [32]byte, session string, at time.Time, payload []byte) (written bool, err error) {
	if t, there := w.seen.get(lineKey(sum[:16])); there {
		if away := at.Sub(time.UnixMilli(t)); away < samePayload && away > -samePayload {
			return false, nil
		}
	}
	if w.size > w.limit {
		if err := w.next(); err != nil {
			return false, err
		}
	}
	stored := w.enc.EncodeAll(payload, nil)
	if len(payload) > math.MaxUint32 || len(stored) > maxStored {
		return false, fmt.Errorf("a payload of %d bytes is larger than an event's", len(payload))
	}
	b := packed{sum: sum, size: uint32(len(payload)), time: at.UnixMilli(), session: session}.encode(stored)
	if _, err := w.f.Write(b); err != nil {
		return false, err
	}
	w.seen.put(lineKey(sum[:16]), at.UnixMilli())
	w.size, w.dirty, w.newest = w.size+int64(len(b)), true, max(w.newest, at.UnixMilli())
	return true, nil
}

func (w *packWriter) next() error {
	if err := errors.Join(w.sync(), w.f.Close()); err != nil {
		return err
	}
	return w.create(w.last + 1)
}

// turn begins a new pack and forgets what is in the old ones.
func (w *packWriter) turn() error {
	w.seen = newRecent[int64](recentLines)
	if w.size == 0 {
		return nil
	}
	return w.next()
}

func (w *packWriter) sync() error {
	if !w.dirty {
		return nil
	}
	w.dirty = false
	return w.f.Sync()
}

func (w *packWriter) close() error { return errors.Join(w.enc.Close(), w.f.Close()) }

package recorder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
	if string(head[:4]) != packMagic || p.stored > maxStored || p.size > event.MaxChunk || ValidSession(p.session) != nil {
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

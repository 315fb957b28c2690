package recorder

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

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

package recorder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/event"
)

// drop puts the removal on record, and then writes the packs anew with what stays. A
// damaged pack stays as it is, for whoever looks into it; the others do not wait for that.
func (s *Store) drop(packs []closedPack, stays func(packed) bool, d *event.Removed) (damaged, err error) {
	type change struct {
		closedPack
		keep int
	}
	var changes []change
	left := 0
	for _, p := range packs {
		c := change{closedPack: p}
		goes, bytes := 0, int64(0)
		bad := func(at int64, err error) error {
			return Problem{File: p.path, Err: fmt.Errorf("offset %d: %w; bodies of a damaged pack are not removed", at, err)}
		}
		err := p.each(false, func(h packed, _ []byte) error {
			if stays(h) {
				c.keep++
			} else {
				goes++
				bytes += h.end() - h.offset
			}
			return nil
		}, bad)
		if err == nil && goes > 0 && c.keep > 0 { // what is written anew is read to its end first
			err = p.each(true, func(packed, []byte) error { return nil }, bad)
		}
		if isDamage := (Problem{}); errors.As(err, &isDamage) {
			damaged, left = errors.Join(damaged, err), left+1
			if d.Why != event.RemovedSession {
				s.emptied[p.number] = true // until the next start: it would fail each minute
			}
			continue
		}
		if err != nil {
			return damaged, err
		}
		d.Bytes += bytes
		if d.Why != event.RemovedSession {
			d.Held += c.keep
		}
		if d.Bodies += goes; goes > 0 {
			changes = append(changes, c)
		} else if d.Why != event.RemovedSession {
			s.emptied[p.number] = true
		}
	}
	if d.Bodies == 0 && d.Why != event.RemovedSession {
		return damaged, nil
	}
	if left > 0 && d.Why == event.RemovedSession {
		d.Detail += fmt.Sprintf("; %d damaged packs were left as they are", left)
	}
	if err := s.tell(d); err != nil {
		return damaged, err
	}
	s.log.Info("recorder: bodies are let go", "why", d.Why, "bodies", d.Bodies, "bytes", d.Bytes, "held", d.Held, "session", d.Of)
	for _, c := range changes {
		delete(s.newest, c.number)
		var err error
		if c.keep == 0 {
			err = os.Remove(c.path)
		} else {
			err = c.rewrite(stays)
			if d.Why != event.RemovedSession {
				s.emptied[c.number] = true
			}
		}
		if err != nil {
			return damaged, err
		}
	}
	return damaged, syncDir(filepath.Join(s.dir, bodiesDir))
}

// tell puts one of the recorder's own events on record.
func (s *Store) tell(d event.Data) error {
	k, err := s.watch.event(d)
	if err != nil {
		return err
	}
	k.own = true
	return s.write([]kept{k})
}

// rewrite replaces a pack with one that has what stays.
func (p pack) rewrite(stays func(packed) bool) error {
	path := p.path + tmpSuffix
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = p.each(true, func(h packed, stored []byte) error {
		if !stays(h) {
			return nil
		}
		_, err := out.Write(h.encode(stored))
		return err
	}, func(at int64, err error) error {
		return Problem{File: p.path, Err: fmt.Errorf("offset %d: %w", at, err)}
	})
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return os.Rename(path, p.path)
}

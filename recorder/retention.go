package recorder

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport/sallyport/event"
)

// Retention says when bodies go. Lines never do. The zero value keeps all.
type Retention struct {
	BodiesFor  time.Duration // how long, by the events' times; 0 is for good
	BodiesSize int64         // bytes that packs may take on disk, the oldest go first; 0 is any
}

// Keep puts on record what was done with holds, and lets go what retention and requests
// to forget say, at most once for each call.
// A removal is on record before the first body is gone. Bodies of held sessions stay,
// also where another session has the same. What fails is tried again with the next call, and
// holds up nothing else.
func (s *Store) Keep(p Retention) error {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	h, err := readHolds(s.dir)
	if err != nil {
		return err
	}
	if err := s.tellHolds(h); err != nil {
		return fmt.Errorf("put holds on record: %w", err)
	}
	if !slices.Equal(h.Holds, s.lastHolds) { // what was held may go now
		s.lastHolds = h.Holds
		clear(s.emptied)
	}
	var failed error
	for _, f := range h.Forget {
		if err := s.forget(f, h); err != nil {
			failed = errors.Join(failed, fmt.Errorf("forget session %s: %w", f.Session, err))
		}
	}
	if p.BodiesFor > 0 {
		if err := s.keepFor(p.BodiesFor, h); err != nil {
			failed = errors.Join(failed, fmt.Errorf("retention by age: %w", err))
		}
	}
	if p.BodiesSize > 0 {
		if err := s.keepSize(p.BodiesSize, h); err != nil {
			failed = errors.Join(failed, fmt.Errorf("retention by size: %w", err))
		}
	}
	return failed
}

// closedPack is a pack that is not written any more.
type closedPack struct {
	pack
	size   int64
	newest time.Time // of its payloads, by their events
}

// closedPacks are all but the one that is written.
func (s *Store) closedPacks() ([]closedPack, error) {
	s.mu.Lock()
	last := s.packs.last
	s.mu.Unlock()
	list, _, err := listPacks(s.dir)
	if err != nil {
		return nil, err
	}
	var out []closedPack
	for _, p := range list {
		if p.number == last {
			continue
		}
		info, err := os.Lstat(p.path)
		if err != nil {
			return nil, err
		}
		c := closedPack{pack: p, size: info.Size()}
		newest, known := s.newest[p.number]
		if !known {
			newest = math.MinInt64
			err := p.each(false, func(h packed, _ []byte) error { newest = max(newest, h.time); return nil }, func(int64, error) error { return nil })
			if err != nil {
				return nil, err
			}
			s.newest[p.number] = newest
		}
		if newest != math.MinInt64 {
			c.newest = time.UnixMilli(newest)
		}
		out = append(out, c)
	}
	return out, nil
}

// turn closes the pack that is written, unless it is empty. From here on no line names
// a payload in a closed pack without bringing it again: what is found out about them
// stays true.
func (s *Store) turn() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	if err := s.packs.turn(); err != nil {
		s.broken = err
		return err
	}
	return nil
}

func (s *Store) keepFor(d time.Duration, h holds) error {
	cutoff := s.now().Add(-d)
	expired := func(p closedPack) bool { return !p.newest.Add(samePayload).After(cutoff) }
	s.mu.Lock()
	old := s.packs.size > 0 && s.packs.newest != math.MinInt64 && !time.UnixMilli(s.packs.newest).Add(samePayload).After(cutoff)
	s.mu.Unlock()
	packs, err := s.closedPacks()
	if err != nil {
		return err
	}
	if !old && !slices.ContainsFunc(packs, func(p closedPack) bool { return p.size > 0 && expired(p) && !s.emptied[p.number] }) {
		return nil
	}
	if err := s.turn(); err != nil {
		return err
	}
	if packs, err = s.closedPacks(); err != nil {
		return err
	}
	packs = slices.DeleteFunc(packs, func(p closedPack) bool { return !expired(p) || s.emptied[p.number] })
	return s.remove(packs, h, &event.Removed{Why: event.RemovedAge, Before: cutoff})
}

func (s *Store) keepSize(limit int64, h holds) error {
	packs, err := s.closedPacks()
	if err != nil {
		return err
	}
	s.mu.Lock()
	total := s.packs.size
	s.mu.Unlock()
	for _, p := range packs {
		total += p.size
	}
	var out []closedPack
	var newest time.Time
	for _, p := range packs {
		if total <= limit {
			break
		}
		if s.emptied[p.number] { // what is left in it is held
			continue
		}
		total -= p.size
		out = append(out, p)
		if p.newest.After(newest) {
			newest = p.newest
		}
	}
	if len(out) == 0 {
		return nil
	}
	if err := s.turn(); err != nil {
		return err
	}
	return s.remove(out, h, &event.Removed{Why: event.RemovedSize, Before: newest.Add(samePayload)})
}

// remove lets go the payloads of packs, but for those that a held session has.
func (s *Store) remove(packs []closedPack, h holds, d *event.Removed) error {
	stay := map[[32]byte]struct{}{}
	if len(h.Holds) > 0 {
		err := s.eachBody(func(_ uint64, session string, sum [32]byte) {
			if h.held(session) {
				stay[sum] = struct{}{}
			}
		})
		if err != nil {
			return err
		}
	}
	damaged, err := s.drop(packs, func(p packed) bool { _, ok := stay[p.sum]; return ok }, d)
	return errors.Join(damaged, err)
}

// forget lets the bodies of one session go, but for those that others have, too, and are
// not forgotten themselves.
func (s *Store) forget(f Hold, h holds) error {
	done := func() error {
		return changeHolds(s.dir, func(all *holds) error {
			all.Forget = slices.DeleteFunc(all.Forget, func(o Hold) bool { return o.Session == f.Session && o.At.Equal(f.At) })
			return nil
		})
	}
	if h.held(f.Session) {
		s.log.Warn("recorder: a session is under a legal hold and is not forgotten", "session", f.Session)
		return done()
	}
	if err := s.turn(); err != nil {
		return err
	}
	packs, err := s.closedPacks()
	if err != nil {
		return err
	}
	forgotten, err := s.forgotten()
	if err != nil {
		return err
	}
	theirs, others := map[[32]byte]struct{}{}, map[[32]byte]struct{}{}
	err = s.eachBody(func(index uint64, session string, sum [32]byte) {
		at, gone := forgotten[session]
		switch {
		case session == f.Session:
			theirs[sum] = struct{}{}
		case !gone || at < index || h.held(session):
			others[sum] = struct{}{}
		}
	})
	if err != nil {
		return err
	}
	stays := func(p packed) bool {
		_, its := theirs[p.sum]
		_, shared := others[p.sum]
		return !its || shared
	}
	damaged, err := s.drop(packs, stays, &event.Removed{Why: event.RemovedSession, Of: f.Session, Detail: f.By + ": " + f.Reason})
	if err != nil {
		return errors.Join(damaged, err) // and it is to be forgotten still
	}
	return errors.Join(damaged, done()) // what is damaged would be so the next time, too
}

// forgotten is the sessions whose bodies were let go, and behind which line.
func (s *Store) forgotten() (map[string]uint64, error) {
	out, mark := map[string]uint64{}, []byte("."+event.KindRemoved+".")
	err := Records{Dir: s.dir}.lines(unended, 0, func(l rawLine) error {
		if l.err != nil || !bytes.Contains(l.b, mark) {
			return nil //nolint:nilerr // no removal
		}
		if e, err := parseLine(l.b); err == nil && e.Source == s.watch.source {
			if d, ok := e.Data.(*event.Removed); ok && d.Why == event.RemovedSession {
				out[d.Of] = l.index
			}
		}
		return nil
	})
	return out, err
}

// eachBody calls fn for every body that the record names.
func (s *Store) eachBody(fn func(index uint64, session string, sum [32]byte)) error {
	return Records{Dir: s.dir}.Entries(unended, 0, func(e Entry) error {
		if d, ok := e.Event.Data.(*event.Body); ok && e.Err == nil {
			if sum, err := hex.DecodeString(d.SHA256); err == nil && len(sum) == 32 {
				fn(e.Index, d.SessionID, [32]byte(sum))
			}
		}
		return nil
	})
}

const keepEvery = time.Minute

// keep lets bodies go in time, and soon after somebody asked, until ctx ends.
func (r *Recorder) keep(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last, asked time.Time
	for {
		if info, err := os.Stat(filepath.Join(r.Store.dir, holdsFile)); err == nil && !info.ModTime().Equal(asked) {
			asked, last = info.ModTime(), time.Time{}
		}
		if time.Since(last) >= keepEvery {
			last = time.Now()
			if err := r.Store.Keep(r.Retention); err != nil {
				r.Log.Error("recorder: retention", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

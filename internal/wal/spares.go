package wal

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// spares are files that wait to become segments: made ahead, so that nobody waits for
// zeros to be written, or left by Cut.
type spares struct {
	l     *Log
	mu    sync.Mutex // guards what follows
	paths []string
	count int
	wait  sync.WaitGroup // makers
	busy  bool
}

func (s *spares) init(l *Log) {
	s.l = l
	if len(s.paths) == 0 {
		s.prepare()
	}
}

func (s *spares) name() string {
	s.count++
	return filepath.Join(s.l.o.Dir, sparePrefix+strconv.Itoa(os.Getpid())+"-"+strconv.Itoa(s.count))
}

// take gives a file of a segment's size, made now if none waits.
func (s *spares) take() (*os.File, string, error) {
	s.wait.Wait() // one may be in the making: two would be no faster
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.paths) > 0 {
		path := s.paths[0]
		s.paths = s.paths[1:]
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue // somebody took it away: another will do
		}
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() != s.l.o.SegmentSize {
			f.Close()
			_ = os.Remove(path) // of another size: nothing is in it
			continue
		}
		return f, path, nil
	}
	path := s.name()
	f, err := s.l.makeFile(path)
	return f, path, err
}

// add keeps a segment that was cut, or removes it when there are enough. Its name is
// gone from disk before its header may change: a crash must not bring it back with
// another one.
func (s *spares) add(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.paths) >= maxSpares {
		if err := os.Remove(path); err != nil {
			return err
		}
		return syncDir(s.l.o.Dir)
	}
	spare := s.name()
	if err := os.Rename(path, spare); err != nil {
		return err
	}
	if err := syncDir(s.l.o.Dir); err != nil {
		return err
	}
	s.paths = append(s.paths, spare)
	return nil
}

// prepare makes a spare in the background if there is none. That it fails is no
// matter here: whoever needs the file tries again, and says so.
func (s *spares) prepare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.paths) > 0 || s.busy {
		return
	}
	s.busy = true
	path := s.name()
	s.wait.Go(func() {
		f, err := s.l.makeFile(path)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy = false
		if err == nil {
			f.Close()
			s.paths = append(s.paths, path)
		}
	})
}

func (s *spares) stop() { s.wait.Wait() }

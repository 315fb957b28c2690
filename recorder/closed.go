package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera/api/layout"
)

// Closed is what a store does not write to any more, for a copy of it elsewhere. Such a
// copy verifies by itself: the bodies that its segments name are in its packs, but for
// those that were let go.
type Closed struct {
	// Files are segments and packs, each kind in order.
	Files []ClosedFile
	// Compressing is how many closed segments are not in their last form yet and
	// therefore not among Files.
	Compressing int
	// Checkpoint is the last one of the log from before the last segment was closed in
	// this process, so all that it covers is closed. Its zero value is none.
	Checkpoint LogCheckpoint
}

// ClosedFile is a file of a store.
type ClosedFile struct {
	Name string // relative to the store, with slashes
	Size int64  // bytes
	// Pack is true for bodies, which retention rewrites with less, or removes; other
	// closed files never change.
	Pack bool
	path string
}

// Open opens the file for reading.
func (f ClosedFile) Open() (*os.File, error) { return openPlain(f.path, os.O_RDONLY) }

// Closed lists what is closed. It closes the pack that is written where a segment was
// closed since the last call, because it has bodies of that one.
func (s *Store) Closed() (Closed, error) {
	first, last, c, err := s.closeBodies()
	if err != nil {
		return c, err
	}
	segments, _, err := listSegments(s.dir)
	if err != nil {
		return c, err
	}
	for _, g := range segments {
		info, err := os.Lstat(g.path)
		switch {
		case g.first >= first:
		case errors.Is(err, os.ErrNotExist), err == nil && !g.zstd && info.Size() >= compressFrom:
			c.Compressing++
		case err != nil:
			return c, err
		default:
			c.Files = append(c.Files, ClosedFile{Name: path.Join(segmentsDir, filepath.Base(g.path)), Size: info.Size(), path: g.path})
		}
	}
	packs, _, err := listPacks(s.dir)
	if err != nil {
		return c, err
	}
	for _, p := range packs {
		info, err := os.Lstat(p.path)
		switch {
		case p.number >= last, errors.Is(err, os.ErrNotExist): // let go meanwhile
		case err != nil:
			return c, err
		default:
			c.Files = append(c.Files, ClosedFile{Name: path.Join(bodiesDir, filepath.Base(p.path)), Size: info.Size(), Pack: true, path: p.path})
		}
	}
	return c, nil
}

// closeBodies gives the open segment and the open pack behind which all is closed.
func (s *Store) closeBodies() (first, last uint64, c Closed, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return 0, 0, c, s.broken
	}
	if s.bodiesOf < s.segments.first && s.packs.size > 0 {
		if err := s.packs.next(); err != nil {
			s.broken = err
			return 0, 0, c, err
		}
	}
	s.bodiesOf = s.segments.first
	c.Checkpoint = s.atClose
	return s.segments.first, s.packs.last, c, nil
}

// segmentClosed keeps the checkpoint of the log, which is behind the segments: what it
// covers is in closed ones now. One that cannot be read leaves the one before.
func (s *Store) segmentClosed() {
	if c, err := s.Checkpoint(); err == nil && c.Size <= s.segments.first {
		s.atClose = c
	}
	if s.compress != nil {
		s.compress.notify()
	}
}

// LogCheckpoint is a checkpoint of a recorder's log (C2SP tlog-checkpoint).
type LogCheckpoint struct {
	Size uint64 // lines that it covers
	Root []byte // of the Merkle tree
	Text []byte // as it was signed, with its signatures
}

// ParseLogCheckpoint reads a checkpoint, without a look at its signatures.
func ParseLogCheckpoint(text []byte) (LogCheckpoint, error) {
	var c checkpoint.Checkpoint
	if _, err := c.Unmarshal(text); err != nil {
		return LogCheckpoint{}, err
	}
	return LogCheckpoint{Size: c.Size, Root: c.Hash, Text: text}, nil
}

// Checkpoint is the latest one of the store's log; of one that has none yet the zero
// value.
func (s *Store) Checkpoint() (LogCheckpoint, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, logDir, layout.CheckpointPath))
	if errors.Is(err, os.ErrNotExist) {
		return LogCheckpoint{}, nil
	}
	if err != nil {
		return LogCheckpoint{}, err
	}
	return ParseLogCheckpoint(text)
}

// The names of a log's files that change, relative to the store.
const (
	CheckpointFile = logDir + "/" + layout.CheckpointPath
	LogStateFile   = logDir + "/" + treeStateFile
)

// State is the content of LogStateFile in a copy whose log ends with the checkpoint.
func (c LogCheckpoint) State() ([]byte, error) { return json.Marshal(treeState{c.Size, c.Root}) }

// Identity calls fn for the files that say what a store is and whose.
func (s *Store) Identity(fn func(name string, content []byte) error) error {
	for _, name := range []string{"format", VerifierFile} {
		b, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			return err
		}
		if err := fn(name, b); err != nil {
			return err
		}
	}
	return nil
}

// LogFiles calls fn for the tiles and entry bundles of the log at a size that it did
// not have at an earlier one. Their content never changes. fn's errors end it.
func (s *Store) LogFiles(from, size uint64, fn func(name string, content []byte) error) error {
	for level := uint64(0); size > from; level, size, from = level+1, size/layout.TileWidth, from/layout.TileWidth {
		if err := s.logLevel(level, from, size, fn); err != nil {
			return err
		}
	}
	return nil
}

// LogEdge calls fn for the last tile of each level at a size. Together they determine
// the root: where they are the same, so are all lines before.
func (s *Store) LogEdge(size uint64, fn func(name string, content []byte) error) error {
	for level := uint64(0); size > 0; level, size = level+1, size/layout.TileWidth {
		if err := s.logLevel(level, size-1, size, fn); err != nil {
			return err
		}
	}
	return nil
}

// logLevel gives the files of one level that have its entries from to size.
func (s *Store) logLevel(level, from, size uint64, fn func(string, []byte) error) error {
	emit := func(at func(partial uint8) string, partial uint8, unit int) error {
		b, err := s.logFile(at, partial, unit)
		if err != nil {
			return err
		}
		return fn(path.Join(logDir, at(partial)), b)
	}
	for i := from / layout.TileWidth; i*layout.TileWidth < size; i++ {
		var partial uint8 // 0: full
		if rest := size - i*layout.TileWidth; rest < layout.TileWidth {
			partial = uint8(rest)
		}
		if err := emit(func(p uint8) string { return layout.TilePath(level, i, p) }, partial, tileHash); err != nil {
			return err
		}
		if level > 0 {
			continue
		}
		if err := emit(func(p uint8) string { return layout.EntriesPath(i, p) }, partial, bundleEntry); err != nil {
			return err
		}
	}
	return nil
}

// Bytes of one entry in a tile and in a bundle of digests (C2SP tlog-tiles).
const (
	tileHash    = 32
	bundleEntry = 2 + 32
)

// logFile reads a tile; the beginning of the full one where the partial one has gone.
func (s *Store) logFile(at func(uint8) string, partial uint8, unit int) ([]byte, error) {
	want := layout.TileWidth * unit
	if partial > 0 {
		want = int(partial) * unit
	}
	b, err := os.ReadFile(filepath.Join(s.dir, logDir, at(partial)))
	if errors.Is(err, os.ErrNotExist) && partial > 0 {
		if b, err = os.ReadFile(filepath.Join(s.dir, logDir, at(0))); err == nil {
			b = b[:min(len(b), want)]
		}
	}
	if err == nil && len(b) != want {
		err = fmt.Errorf("log: %s has %d bytes, want %d", at(partial), len(b), want)
	}
	return b, err
}

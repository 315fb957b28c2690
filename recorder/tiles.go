package recorder

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
)

var treeOf = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// tiles computes a tiled log anew from its leaves and compares every file with what
// it must be. Nothing is taken from the log itself.
type tiles struct {
	dir   string    // of the store
	size  uint64    // leaves that are signed for: so far, files must be there
	state treeState // of the log before any line was read: a recorder may go on meanwhile
	bad   func(path string, err error)

	entries [][]byte // of the last bundle
	levels  []tileLevel
	roots   map[uint64][]byte // roots that are asked for, by size
	tree    *compact.Range
}

// tileLevel is the last tile of a level, so far as it is full.
type tileLevel struct {
	index  uint64
	hashes [][]byte
}

// newTiles computes the roots of trees of the given sizes on its way.
func newTiles(dir string, size uint64, sizes []uint64, bad func(string, error)) *tiles {
	t := &tiles{dir: dir, size: size, bad: bad, roots: map[uint64][]byte{}, tree: treeOf.NewEmptyRange(0)}
	var err error
	if t.state, err = readTreeState(dir); err != nil {
		bad(filepath.Join(dir, logDir, treeStateFile), err)
	}
	for _, n := range append(sizes, t.state.Size) {
		t.roots[n] = nil
	}
	if _, asked := t.roots[0]; asked {
		t.roots[0] = rfc6962.DefaultHasher.EmptyRoot()
	}
	return t
}

// add takes the next leaf: the digest of a line.
func (t *tiles) add(leaf []byte) error {
	t.entries = append(t.entries, bytes.Clone(leaf))
	hash := rfc6962.DefaultHasher.HashLeaf(leaf)
	if err := t.tree.Append(hash, nil); err != nil {
		return err
	}
	if _, asked := t.roots[t.tree.End()]; asked {
		root, err := t.tree.GetRootHash(nil)
		if err != nil {
			return err
		}
		t.roots[t.tree.End()] = root
	}
	return t.push(0, hash)
}

func (t *tiles) push(level int, hash []byte) error {
	if level == len(t.levels) {
		t.levels = append(t.levels, tileLevel{})
	}
	l := &t.levels[level]
	l.hashes = append(l.hashes, hash)
	if len(l.hashes) < layout.TileWidth {
		return nil
	}
	t.check(level)
	r := treeOf.NewEmptyRange(0)
	for _, h := range l.hashes {
		if err := r.Append(h, nil); err != nil {
			return err
		}
	}
	root, err := r.GetRootHash(nil)
	if err != nil {
		return err
	}
	l.index, l.hashes = l.index+1, nil
	if level == 0 {
		t.entries = nil
	}
	return t.push(level+1, root)
}

// finish compares the tiles at the right edge.
func (t *tiles) finish() {
	for level := range t.levels {
		if len(t.levels[level].hashes) > 0 {
			t.check(level)
		}
	}
	t.checkState()
}

// check compares the files of the last tile of a level, and of its bundle of entries.
func (t *tiles) check(level int) {
	l := t.levels[level]
	var tile []byte
	for _, h := range l.hashes {
		tile = append(tile, h...)
	}
	at := func(partial uint8) string { return layout.TilePath(uint64(level), l.index, partial) }
	t.compare(level, l.index, at, tile, 32)
	if level > 0 {
		return
	}
	var bundle []byte
	for _, e := range t.entries {
		bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(e))), e...)
	}
	t.compare(0, l.index, func(partial uint8) string { return layout.EntriesPath(l.index, partial) }, bundle, 34)
}

// compare checks a tile's full file and its partial ones against what it must hold,
// in units of so many bytes.
func (t *tiles) compare(level int, index uint64, at func(uint8) string, want []byte, unit int) {
	full := filepath.Join(t.dir, logDir, at(0))
	need := int(layout.TileWidth) // units that must be there
	if n := t.size >> (8 * level); index == n/layout.TileWidth {
		need = int(n % layout.TileWidth)
	} else if index > n/layout.TileWidth {
		need = 0
	}
	have, other := 0, 0 // units of files that are as they must be, and of those that differ
	look := func(path string, units int) {
		got, err := readSmall(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			t.bad(path, err)
		case len(got) != units*unit:
			t.bad(path, fmt.Errorf("%d bytes, want %d", len(got), units*unit))
		case !bytes.Equal(got[:min(len(got), len(want))], want[:min(len(got), len(want))]):
			for i := 0; ; i++ {
				if !bytes.Equal(got[i*unit:(i+1)*unit], want[i*unit:(i+1)*unit]) {
					t.bad(path, differs{(index*layout.TileWidth + uint64(i)) << (8 * level), level})
					other = max(other, units)
					return
				}
			}
		case len(got) > len(want):
			have = max(have, len(want)/unit)
			if (index*layout.TileWidth+uint64(units))<<(8*level) <= t.state.Size { // else written since
				t.bad(path, errors.New("it has more than the record"))
			}
		default:
			have = max(have, units)
		}
	}
	look(full, layout.TileWidth)
	parts, err := os.ReadDir(full + ".p")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.bad(full+".p", err)
	}
	for _, p := range parts {
		if n, err := strconv.ParseUint(p.Name(), 10, 8); err == nil && n > 0 {
			look(filepath.Join(full+".p", p.Name()), int(n))
		}
	}
	if max(have, other) < need {
		t.bad(full, fmt.Errorf("it is missing, or has %d of %d entries", have, need))
	}
}

// differs says that a file of the log and the record disagree from an entry on.
type differs struct {
	entry uint64
	level int
}

func (d differs) Error() string {
	if d.level == 0 {
		return "it is not the one that the log has"
	}
	return fmt.Sprintf("from entry %d on the log has another hash than the record", d.entry)
}

// checkState compares what the log continues from at the next start.
func (t *tiles) checkState() {
	path := filepath.Join(t.dir, logDir, treeStateFile)
	switch root := t.roots[t.state.Size]; {
	case t.state.Root == nil:
	case root == nil && t.state.Size > t.tree.End():
		t.bad(path, fmt.Errorf("it has %d lines, and the record %d", t.state.Size, t.tree.End()))
	case !bytes.Equal(root, t.state.Root):
		t.bad(path, fmt.Errorf("its root is not that of the first %d lines", t.state.Size))
	}
}

const treeStateFile = ".state/treeState"

type treeState struct {
	Size uint64 `json:"size"`
	Root []byte `json:"root"`
}

func readTreeState(dir string) (s treeState, err error) {
	text, err := readSmall(filepath.Join(dir, logDir, treeStateFile))
	if err != nil {
		return s, err
	}
	_ = json.Unmarshal(text, &s)
	if again, err := json.Marshal(s); err != nil || !bytes.Equal(again, text) {
		return s, errors.New("it is not as the log writes it")
	}
	return s, nil
}

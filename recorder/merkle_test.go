package recorder_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport/sallyport/recorder"
)

// signed checks a store's checkpoint with nothing but its public key and its lines.
func signed(t testing.TB, dir string) *checkpoint.Checkpoint {
	t.Helper()
	vkey := strings.TrimSpace(string(read(t, dir, recorder.VerifierFile)))
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	c, _, _, err := checkpoint.ParseCheckpoint(read(t, dir, "log/checkpoint"), v.Name(), v)
	if err != nil {
		t.Fatal(err)
	}
	tree := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	for _, e := range entries(t, dir, 0) {
		if e.Index < c.Size {
			sum := sha256.Sum256(e.Line)
			if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(sum[:]), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	root, err := tree.GetRootHash(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Size == 0 {
		root = rfc6962.DefaultHasher.EmptyRoot()
	}
	if string(root) != string(c.Hash) {
		t.Fatalf("the checkpoint's root is not that of the first %d lines", c.Size)
	}
	return c
}

// The log has every line when the store is closed, and is completed from the segments
// where it is behind or gone.
func TestLogFollowsSegments(t *testing.T) {
	dir := t.TempDir()
	o := recorder.StoreOptions{Dir: dir, SegmentSize: 100_000}
	write(t, o)
	lines := 0
	for _, n := range []int{1, 100, 300, 0, 2000} {
		var batches [][]recorder.Record
		for i := range n {
			if i%50 == 0 {
				batches = append(batches, nil)
			}
			last := &batches[len(batches)-1]
			*last = append(*last, messages(t, exchange(ids.New())...)...)
			lines += 3
		}
		older := filepath.Join(t.TempDir(), "log")
		if err := os.CopyFS(older, os.DirFS(filepath.Join(dir, "log"))); err != nil {
			t.Fatal(err)
		}
		write(t, o, batches...)
		if c := signed(t, dir); int(c.Size) != lines {
			t.Errorf("the checkpoint covers %d lines of %d", c.Size, lines)
		}
		// As after a crash before the log followed.
		if err := os.RemoveAll(filepath.Join(dir, "log")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(older, filepath.Join(dir, "log")); err != nil {
			t.Fatal(err)
		}
		write(t, o)
		if c := signed(t, dir); int(c.Size) != lines {
			t.Errorf("completed, the checkpoint covers %d lines of %d", c.Size, lines)
		}
	}
}

// A recorder's name is checked before anything is made.
func TestValidName(t *testing.T) {
	for name, ok := range map[string]bool{"recorder": true, "a-b_1": true, "": false, "A": false, "a.b": false, "a b": false, "a+b": false, strings.Repeat("a", 33): false, "../x": false} {
		if err := recorder.ValidName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "r")
	if _, err := recorder.OpenStore(recorder.StoreOptions{Dir: dir, Name: "a b"}); err == nil {
		t.Error("opened under an impossible name")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a folder was made")
	}
}

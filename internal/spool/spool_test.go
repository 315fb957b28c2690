package spool_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/sallyport/sallyport/internal/spool"
)

func body(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// A body comes back as it was, twice, and leaves no file behind, not even while it
// is kept.
func TestRead(t *testing.T) {
	for _, n := range []int{0, 1, spool.InMemory - 1, spool.InMemory, spool.InMemory + 1, 3*spool.InMemory + 7} {
		dir := t.TempDir()
		want := body(n)
		s, err := spool.Read(iotest.HalfReader(bytes.NewReader(want)), 1<<30, dir)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(want)
		if s.Size() != int64(n) || s.SHA256() != hex.EncodeToString(sum[:]) {
			t.Errorf("%d bytes: size %d, digest %s", n, s.Size(), s.SHA256())
		}
		for range 2 {
			got, err := io.ReadAll(s.Reader())
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes: read %d, %v", n, len(got), err)
			}
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%d bytes: %v is left", n, left)
		}
		s.Close()
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := spool.Read(bytes.NewReader(body(11)), 10, dir); !errors.Is(err, spool.ErrTooLong) {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := spool.Read(bytes.NewReader(body(2*spool.InMemory)), spool.InMemory+1, dir); !errors.Is(err, spool.ErrTooLong) {
		t.Errorf("over the limit, in a file: %v", err)
	}
	if s, err := spool.Read(bytes.NewReader(body(10)), 10, dir); err != nil || s.Size() != 10 {
		t.Errorf("at the limit: %v", err)
	}
	cut := io.MultiReader(bytes.NewReader(body(2*spool.InMemory)), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := spool.Read(cut, 1<<30, dir); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %v", err)
	}
	var disk *spool.DiskError
	if _, err := spool.Read(bytes.NewReader(body(2*spool.InMemory)), 1<<30, filepath.Join(dir, "none")); !errors.As(err, &disk) {
		t.Errorf("no folder: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

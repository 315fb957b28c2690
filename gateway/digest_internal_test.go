package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// The digest is that of what was read, at any length and in any pieces, and asking
// for it while the body still goes out is no race and no deadlock.
func TestDigesting(t *testing.T) {
	for _, n := range []int{0, 1, inLine - 1, inLine, inLine + 1, inLine + ahead*atOnce + 1, 5 << 20} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		d := newDigesting(bytes.NewReader(b))
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{d}, make([]byte, 1+rand.IntN(100<<10))); err != nil {
			t.Fatal(err)
		}
		want := sha256.Sum256(b)
		for range 2 {
			if sum, size := d.sum(); sum != hex.EncodeToString(want[:]) || size != int64(n) {
				t.Errorf("%d bytes: %s, %d", n, sum, size)
			}
		}
	}
	d := newDigesting(io.LimitReader(zeros{}, 8<<20))
	var wait sync.WaitGroup
	wait.Go(func() { _, _ = io.Copy(io.Discard, struct{ io.Reader }{d}) })
	_, size := d.sum()
	wait.Wait()
	if _, again := d.sum(); again != size {
		t.Errorf("the digest changed after it was told: %d, %d", size, again)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

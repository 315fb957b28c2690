// Package logtest keeps what a program writes while it runs, for tests.
package logtest

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long Await waits, far longer than anything takes.
const patience = 20 * time.Second

// Buffer can be read while it is written. The zero value is empty.
type Buffer struct {
	mu    sync.Mutex
	b     bytes.Buffer
	wrote chan struct{} // closed by the next Write; nil: nobody waits
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wrote != nil {
		close(b.wrote)
		b.wrote = nil
	}
	return b.b.Write(p)
}

// String is what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Await returns once text has been written, and ends the test when it never is.
func (b *Buffer) Await(t testing.TB, text string) {
	t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		b.mu.Lock()
		if strings.Contains(b.b.String(), text) {
			b.mu.Unlock()
			return
		}
		if b.wrote == nil {
			b.wrote = make(chan struct{})
		}
		wrote := b.wrote
		b.mu.Unlock()
		select {
		case <-wrote:
		case <-end.C:
			t.Fatalf("never written: %s", text)
		}
	}
}

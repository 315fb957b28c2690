package event

import (
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// IDs makes ULIDs that only ever grow, even within a millisecond and when the
// clock steps back, so that ids sort as they were made. Use NewIDs; safe for
// concurrent use.
type IDs struct {
	now func() time.Time

	mu      sync.Mutex // guards last and entropy
	last    uint64
	entropy *ulid.MonotonicEntropy
}

// NewIDs makes a generator on a clock; nil is time.Now.
func NewIDs(now func() time.Time) *IDs {
	if now == nil {
		now = time.Now
	}
	return &IDs{now: now, entropy: ulid.Monotonic(rand.Reader, 0)}
}

// New returns the next id: 26 characters of Crockford's base 32.
func (g *IDs) New() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	ms := max(ulid.Timestamp(g.now()), g.last)
	for {
		id, err := ulid.New(ms, g.entropy)
		if err == nil {
			g.last = ms
			return id.String()
		}
		// The random part of this millisecond has run over: borrow the next
		// one. crypto/rand itself does not fail (it ends the program instead),
		// so this ends after one turn, or after the year 10889.
		if ms >= ulid.MaxTime() {
			panic(fmt.Sprintf("event: clock is beyond the last ULID: %v", err))
		}
		ms++
	}
}

// ValidID reports whether s is a ULID as IDs writes them: upper case, and one
// spelling for each value. Nothing else may become a token of a subject or the
// name of a file.
func ValidID(s string) bool {
	if len(s) != ulid.EncodedSize || s[0] > '7' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') || c == 'I' || c == 'L' || c == 'O' || c == 'U' {
			return false
		}
	}
	return true
}

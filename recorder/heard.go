package recorder

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	heardFor    = 5 * time.Second  // a recorder that is silent for longer does not count as one that is there
	behindMost  = 10 * time.Second // nor does one that has not confirmed what is older
	forgotAfter = 10 * time.Minute // nothing is kept for one that is silent for longer
	groupSpan   = 200 * time.Millisecond
	groupMost   = 64
	maxHeard    = 64
)

// heard is what recorders say, and to which positions of the file it refers.
type heard struct {
	now func() time.Time

	mu        sync.Mutex // guards what follows
	groups    []group
	recorders map[string]recorderState
}

// group is events that were published one behind the other.
type group struct {
	count    int
	position uint64 // of the last one
	sequence uint64 // highest in the stream
	at       time.Time
}

type recorderState struct {
	stream uint64
	at     time.Time
}

func newHeard(now func() time.Time) *heard {
	return &heard{now: now, recorders: map[string]recorderState{}}
}

// listen takes what recorders say, which anybody with a recorder's creds can.
func (h *heard) listen(conn *nats.Conn, prefix string) (*nats.Subscription, error) {
	sub, err := conn.Subscribe(HeartbeatSubject(prefix, "*"), func(m *nats.Msg) {
		var c Heartbeat
		if len(m.Data) > 1<<10 || json.Unmarshal(m.Data, &c) != nil || m.Subject != HeartbeatSubject(prefix, c.Recorder) || strings.ContainsAny(c.Recorder, ".*> ") {
			return // says nothing that could be relied on
		}
		h.confirm(c)
	})
	if err != nil {
		return nil, fmt.Errorf("recorder: listen to recorders: %w", err)
	}
	// From here on nothing that is said is missed. Where the server is away, it is heard
	// again when it is back.
	_ = conn.FlushTimeout(time.Second)
	return sub, nil
}

// confirm takes what a recorder says. The time of the message is not used: clocks of
// other machines differ.
func (h *heard) confirm(c Heartbeat) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.recorders[c.Recorder]; !known && len(h.recorders) >= maxHeard {
		return
	}
	h.recorders[c.Recorder] = recorderState{c.Stream, h.now()}
}

// published notes that the event at a position is in the stream under a sequence.
func (h *heard) published(position, sequence uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if n := len(h.groups); n > 0 {
		if g := &h.groups[n-1]; g.count < groupMost && now.Sub(g.at) < groupSpan && now.Sub(g.at) >= 0 {
			g.count, g.position, g.sequence = g.count+1, position, max(g.sequence, sequence)
			return
		}
	}
	h.groups = append(h.groups, group{1, position, sequence, now})
}

func (h *heard) highest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := uint64(0)
	for _, g := range h.groups {
		n = max(n, g.sequence)
	}
	return n
}

// forgetPublished is for a stream that has lost what it acknowledged.
func (h *heard) forgetPublished() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.groups = nil
}

// settled is the last event of those that were published long enough ago for the
// stream to have them on disk: its position and its sequence; 0 for none.
func (h *heard) settled(after time.Duration) (position, sequence uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	for _, g := range h.groups {
		if now.Sub(g.at) < after {
			break
		}
		position, sequence = g.position, g.sequence
	}
	return position, sequence
}

// confirmed is the last position that every recorder has confirmed which was heard of
// late; 0 while none was. Groups up to there are forgotten, but for the last, if cut
// says so.
func (h *heard) confirmed(cut uint64) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, least, known := h.now(), uint64(0), false
	for name, r := range h.recorders {
		if now.Sub(r.at) > forgotAfter {
			delete(h.recorders, name)
			continue
		}
		if !known || r.stream < least {
			least, known = r.stream, true
		}
	}
	position := uint64(0)
	if known {
		for _, g := range h.groups {
			if g.sequence > least {
				break
			}
			position = g.position
		}
	}
	n := 0
	for n < len(h.groups)-1 && h.groups[n].position <= min(cut, position) {
		n++
	}
	h.groups = h.groups[n:]
	return position
}

// present counts recorders that were heard just now, and those of them that keep up.
func (h *heard) present() (there, keepUp int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	for _, r := range h.recorders {
		if now.Sub(r.at) > heardFor {
			continue
		}
		there++
		behind := false
		for _, g := range h.groups {
			if g.sequence > r.stream {
				behind = now.Sub(g.at) > behindMost
				break
			}
		}
		if !behind {
			keepUp++
		}
	}
	return there, keepUp
}

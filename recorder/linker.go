package recorder

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"crypto/sha256"

	"github.com/sallyport/sallyport/event"
)

// place is an event's place in its chain: its sequence, and the digest of its line.
type place struct {
	sequence uint64
	digest   [sha256.Size]byte
}

// linker knows the places of the events that were added to the file last. It is asked
// under the file's own lock, so that events have the same order in both.
type linker struct {
	mu    sync.Mutex // guards what follows
	from  uint64     // position of links[0]
	links []place
}

// newLinker goes on behind the event at a position.
func newLinker(position uint64, l place) *linker {
	return &linker{from: position, links: []place{l}}
}

// after is the place of the event before a position.
func (c *linker) after(position uint64) (place, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if position <= c.from || position-c.from > uint64(len(c.links)) {
		return place{}, fmt.Errorf("the event before position %d is not known", position)
	}
	return c.links[position-1-c.from], nil
}

// put sets the place of the event at a position. Those of later positions go: their
// batch failed, and they never were.
func (c *linker) put(position uint64, l place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links = append(c.links[:position-c.from], l)
}

// forget lets go of what is before a position.
func (c *linker) forget(position uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := position - min(position, c.from); n > 0 && n < uint64(len(c.links)) {
		c.links = append([]place(nil), c.links[n:]...)
		c.from = position
	}
}

// stored is an event as it stands in the write-ahead file, ready to be published.
type stored struct {
	place
	prev    [sha256.Size]byte
	source  string
	id      string
	subject string
	header  map[string][]string // nil in structured mode
	payload []byte
}

const (
	storedVersion = 1
	storedFixed   = 2 + 8 + 2*sha256.Size // version, mode, sequence, digest, prev
	storedBinary  = 1                     // mode: has a header, and its line is not its payload
)

var errStored = errors.New("the record is not one that this version writes")

// draft is an encoded event without its place in the chain.
type draft struct {
	kind    event.Kind
	message event.Message
	texts   [4]string // source, id, subject, header (JSON; "" in structured mode)
	seq, at int       // where in the line the sequence and the prevdigest are
}

// newDraft encodes an event for the chain of a source.
func newDraft(e event.Event, prefix, source string, limit int) (*draft, error) {
	e.Source = source
	event.Link(&e, 0, event.NoDigest)
	m, err := event.EncodeMessage(e, limit)
	if err != nil {
		return nil, err
	}
	subject, err := event.SubjectOf(prefix, e)
	if err != nil {
		return nil, err
	}
	d := &draft{kind: e.Kind(), message: m}
	var ok bool
	if d.seq, d.at, ok = event.Places(m.Line); !ok {
		return nil, fmt.Errorf("event %s has no place for its link", e.ID)
	}
	var header []byte
	if m.Header != nil {
		if header, err = json.Marshal(m.Header); err != nil {
			return nil, fmt.Errorf("event %s: %w", e.ID, err)
		}
	}
	d.texts = [4]string{source, e.ID, subject, string(header)}
	return d, nil
}

// size is the bytes of the stored form.
func (d *draft) size() int {
	n := storedFixed + len(d.message.Payload)
	for _, text := range d.texts {
		n += 4 + len(text)
	}
	return n
}

// put gives the event its place behind another one, and writes the stored form.
func (d *draft) put(before place, into []byte) place {
	into[0], into[1] = storedVersion, 0
	at := storedFixed
	for _, text := range d.texts {
		binary.LittleEndian.PutUint32(into[at:], uint32(len(text)))
		at += 4 + copy(into[at+4:], text)
	}
	copy(into[at:], d.message.Payload)
	line := into[at:] // in structured mode it is the payload
	if d.message.Header != nil {
		line, into[1] = d.message.Line, storedBinary
	}
	l := place{sequence: before.sequence + 1}
	event.PutSequence(line[d.seq:], l.sequence)
	hex.Encode(line[d.at:], before.digest[:])
	l.digest = sha256.Sum256(line)
	binary.LittleEndian.PutUint64(into[2:], l.sequence)
	copy(into[10:], l.digest[:])
	copy(into[10+sha256.Size:], before.digest[:])
	return l
}

// readStored reads a stored form. Its texts and its payload are b's own.
func readStored(b []byte) (stored, error) {
	if len(b) < storedFixed || b[0] != storedVersion || b[1] > storedBinary {
		return stored{}, errStored
	}
	s := stored{prev: [sha256.Size]byte(b[10+sha256.Size:])}
	s.sequence, s.digest = binary.LittleEndian.Uint64(b[2:]), [sha256.Size]byte(b[10:])
	isBinary := b[1] == storedBinary
	b = b[storedFixed:]
	var texts [4][]byte
	for i := range texts {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.LittleEndian.Uint32(b)) {
			return stored{}, errStored
		}
		n := 4 + int(binary.LittleEndian.Uint32(b))
		texts[i], b = b[4:n], b[n:]
	}
	s.source, s.id, s.subject, s.payload = string(texts[0]), string(texts[1]), string(texts[2]), b
	if isBinary {
		if json.Unmarshal(texts[3], &s.header) != nil || s.header == nil {
			return stored{}, errStored
		}
		sequence := make([]byte, 20)
		event.PutSequence(sequence, s.sequence)
		s.header["ce-sequence"] = []string{string(sequence)}
		s.header["ce-prevdigest"] = []string{hex.EncodeToString(s.prev[:])}
	} else if len(texts[3]) > 0 {
		return stored{}, errStored
	}
	return s, nil
}

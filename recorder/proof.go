package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport/sallyport/event"
)

// Proof shows that one event is in a recorder's log, to who has that recorder's public
// key and nothing else.
type Proof struct {
	Line       string   `json:"line"`   // the event's JSON, byte for byte
	Index      uint64   `json:"index"`  // of the leaf, which is the SHA-256 of Line
	Size       uint64   `json:"size"`   // of the tree
	Hashes     [][]byte `json:"hashes"` // RFC 6962, 2.1.1: from the leaf's sibling up
	Checkpoint string   `json:"checkpoint"`
}

// Prove makes the proof for an event by its id. The event must be covered by the
// store's checkpoint, which is some 100 ms after it was recorded.
func (r Records) Prove(ctx context.Context, id string) (*Proof, error) {
	if !event.ValidID(id) {
		return nil, fmt.Errorf("event %.40q: not a ULID", id)
	}
	text, err := readSmall(filepath.Join(r.Dir, logDir, layout.CheckpointPath))
	if err != nil {
		return nil, fmt.Errorf("prove event %s: %w", id, err)
	}
	var c checkpoint.Checkpoint
	if _, err := c.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("prove event %s: %w", id, err)
	}
	p := &Proof{Size: c.Size, Checkpoint: string(text)}
	found := errors.New("found")
	err = r.lines(ctx, 0, func(l rawLine) error {
		if l.err != nil || !mayBeOf(l.b, id) {
			return nil //nolint:nilerr // another line
		}
		if e, err := parseLine(l.b); err != nil || e.ID != id {
			return nil //nolint:nilerr // another line
		}
		p.Line, p.Index = string(l.b), l.index
		return found
	})
	switch {
	case err == nil:
		return nil, fmt.Errorf("there is no event %s in the record", id)
	case !errors.Is(err, found):
		return nil, err
	case p.Index >= p.Size:
		return nil, fmt.Errorf("event %s is entry %d, and the checkpoint covers %d yet: try again", id, p.Index, p.Size)
	}
	var denied error // which the builder's errors do not wrap
	builder, err := client.NewProofBuilder(ctx, p.Size, func(ctx context.Context, level, index uint64, partial uint8) ([]byte, error) {
		b, err := r.tile(ctx, level, index, partial)
		if errors.Is(err, fs.ErrPermission) {
			denied = err
		}
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("prove event %s: %w", id, err)
	}
	if p.Hashes, err = builder.InclusionProof(ctx, p.Index); denied != nil {
		return nil, fmt.Errorf("prove event %s: %w", id, denied)
	} else if err != nil {
		return nil, fmt.Errorf("prove event %s: the log is damaged, see `sallyport sessions verify`: %w", id, err)
	}
	if !p.includes(c.Hash) {
		return nil, fmt.Errorf("prove event %s: the log and the record disagree, see `sallyport sessions verify`", id)
	}
	return p, nil
}

// tile reads one of the log, whole where the partial one is gone.
func (r Records) tile(_ context.Context, level, index uint64, partial uint8) ([]byte, error) {
	b, err := readSmall(filepath.Join(r.Dir, logDir, layout.TilePath(level, index, partial)))
	if errors.Is(err, os.ErrNotExist) && partial > 0 {
		return readSmall(filepath.Join(r.Dir, logDir, layout.TilePath(level, index, 0)))
	}
	return b, err
}

func (p *Proof) includes(root []byte) bool {
	sum := sumOf([]byte(p.Line))
	return proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, p.Size, rfc6962.DefaultHasher.HashLeaf(sum[:]), p.Hashes, root) == nil
}

// Check holds a proof against a recorder's public key (vkey) and returns the event. An
// error means that it proves nothing.
func (p *Proof) Check(vkey string) (event.Event, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return event.Event{}, fmt.Errorf("the key %.80q: %w", vkey, err)
	}
	c, _, _, err := checkpoint.ParseCheckpoint([]byte(p.Checkpoint), v.Name(), v)
	if err != nil {
		return event.Event{}, fmt.Errorf("the checkpoint is not signed by %s: %w", v.Name(), err)
	}
	if c.Size != p.Size {
		return event.Event{}, fmt.Errorf("the checkpoint is of %d lines, and the proof of %d", c.Size, p.Size)
	}
	if !p.includes(c.Hash) {
		return event.Event{}, errors.New("the line is not in the signed log: it, or the proof, was changed")
	}
	if bytes.ContainsAny([]byte(p.Line), "\r\n") {
		return event.Event{}, errors.New("the line has line breaks")
	}
	return parseLine([]byte(p.Line))
}

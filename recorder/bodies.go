package recorder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/event"
)

// ErrGone says that the record has no such body, or no more: retention let it go.
var ErrGone = errors.New("the body is not in the record: retention let it go, or it was never there")

// Body returns the payload of a body event by its lower-case hex SHA-256, of at most
// event.MaxChunk bytes, checked against the digest. It is ErrGone where it is not
// there; whatever else is wrong with the packs is another error.
func (r Records) Body(ctx context.Context, sha256 string) ([]byte, error) {
	get, err := r.Bodies(ctx, sha256)
	if err != nil {
		return nil, err
	}
	return get(sha256)
}

// Bodies looks for many payloads at once and returns what Body would for each of them.
func (r Records) Bodies(ctx context.Context, sha256s ...string) (func(sha256 string) ([]byte, error), error) {
	type place struct {
		pack
		packed
	}
	places := make(map[[sha256.Size]byte][]place, len(sha256s))
	for _, s := range sha256s {
		sum, err := parseSum(s)
		if err != nil {
			return nil, err
		}
		places[sum] = nil
	}
	list, _, err := listPacks(r.Dir)
	if err != nil {
		return nil, err
	}
	var damage []error
	for _, p := range list {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		err := p.each(false, func(h packed, _ []byte) error {
			if at, wanted := places[h.sum]; wanted {
				places[h.sum] = append(at, place{p, h})
			}
			return nil
		}, func(at int64, err error) error {
			damage = append(damage, Problem{File: p.path, Err: fmt.Errorf("offset %d: %w", at, err)})
			return nil
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) { // retention let it go meanwhile
			return nil, err
		}
	}
	return func(s string) ([]byte, error) {
		sum, err := parseSum(s)
		if err != nil {
			return nil, err
		}
		bad := slices.Clone(damage)
		for _, at := range slices.Backward(places[sum]) {
			b, err := at.pack.payload(at.packed)
			if err == nil {
				return b, nil
			}
			bad = append(bad, Problem{File: at.path, Err: fmt.Errorf("offset %d: %w", at.offset, err)})
		}
		if len(bad) > 0 {
			return nil, fmt.Errorf("body %s: %w", s, errors.Join(bad...))
		}
		return nil, fmt.Errorf("body %s: %w", s, ErrGone)
	}, nil
}

func parseSum(s string) ([sha256.Size]byte, error) {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != sha256.Size {
		return [sha256.Size]byte{}, fmt.Errorf("body %.70q: not a SHA-256 in hex", s)
	}
	return [sha256.Size]byte(raw), nil
}

func (p pack) payload(h packed) ([]byte, error) {
	f, err := openPlain(p.path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h, stored, err := readPacked(f, h.offset, true)
	if err != nil {
		return nil, err
	}
	return unpack(h, stored)
}

// decoder is for frames of at most a payload's size, whatever they claim.
var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(4<<20))
})

// unpack gives a payload back, if it is the one that its header names.
func unpack(h packed, stored []byte) ([]byte, error) {
	dec, err := decoder()
	if err != nil {
		return nil, err
	}
	if h.size > event.MaxChunk {
		return nil, errors.New("the payload is too large")
	}
	b, err := dec.DecodeAll(stored, make([]byte, 0, h.size))
	if err != nil {
		return nil, errors.New("the payload cannot be decompressed")
	}
	if len(b) != int(h.size) || sha256.Sum256(b) != h.sum {
		return nil, errors.New("the payload is not the one that its digest names")
	}
	return b, nil
}

package recorder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/event"
)

// ErrGone says that the record has no such body, or no more: retention let it go.
var ErrGone = errors.New("the body is not in the record: retention let it go, or it was never there")

// Body returns the payload of a body event by its lower-case hex SHA-256, of at most
// event.MaxChunk bytes, checked against the digest. It is ErrGone where it is not
// there; whatever else is wrong with the packs is another error.
func (r Records) Body(ctx context.Context, digest string) ([]byte, error) {
	raw, err := hex.DecodeString(digest)
	if err != nil || len(raw) != sha256.Size {
		return nil, fmt.Errorf("body %.70q: not a SHA-256 in hex", digest)
	}
	want := [sha256.Size]byte(raw)
	list, _, err := listPacks(r.Dir)
	if err != nil {
		return nil, err
	}
	var damage error
	for i := len(list) - 1; i >= 0; i-- { // what is asked for is mostly of late
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var found []packed
		err := list[i].each(false, func(h packed, _ []byte) error {
			if h.sum == want {
				found = append(found, h)
			}
			return nil
		}, func(at int64, err error) error {
			damage = errors.Join(damage, Problem{File: list[i].path, Err: fmt.Errorf("offset %d: %w", at, err)})
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, h := range found {
			b, err := list[i].payload(h)
			if err == nil {
				return b, nil
			}
			damage = errors.Join(damage, Problem{File: list[i].path, Err: fmt.Errorf("offset %d: %w", h.offset, err)})
		}
	}
	if damage != nil {
		return nil, fmt.Errorf("body %s: %w", digest, damage)
	}
	return nil, fmt.Errorf("body %s: %w", digest, ErrGone)
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

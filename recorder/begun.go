package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/privatefile"
)

// begun are requests that are on record and have no end up to some position of the file,
// by their exchange.
type begun map[string]beginning

type beginning struct {
	position uint64 // of its first event
	first    []byte // that event, where the file may not have it any more
	sent     bool   // a credential was minted: AWS may have been reached
}

// follow goes on with what the file has from a position to another one. An event that
// cannot be read leaves its exchange out, and is told.
func (p *Publisher) follow(ctx context.Context, open begun, from, to uint64) error {
	if from > to {
		return nil
	}
	r := p.log.Read(from)
	defer r.Close()
	for position := from; position <= to; position++ {
		_, b, err := r.Next(ctx)
		if err != nil {
			return err
		}
		s, err := readStored(b)
		if err != nil {
			return fmt.Errorf("event at position %d of the file: %w", position, err)
		}
		_, exchange, kind, err := event.ParseSubject(s.prefix(), s.subject)
		if err != nil {
			return fmt.Errorf("event at position %d of the file: %w", position, err)
		}
		switch kind {
		case event.KindRequest, event.KindCredential:
			of, known := open[exchange]
			if !known {
				of.position = position
			}
			of.sent = of.sent || kind == event.KindCredential
			open[exchange] = of
		case event.KindDecision:
			e, err := event.Decode(s.payload)
			if err != nil {
				p.unread(exchange, err)
			}
			if err != nil || event.Ends(e.Data) {
				delete(open, exchange)
			}
		case event.KindResponse, event.KindAborted:
			delete(open, exchange)
		}
	}
	return nil
}

// firstOf is an open request's first event.
func (p *Publisher) firstOf(b beginning) ([]byte, error) {
	if b.first != nil {
		return b.first, nil
	}
	s, err := p.storedAt(b.position)
	return bytes.Clone(s.payload), err
}

// carriedRequest is a request in the file beside the log.
type carriedRequest struct {
	Exchange string          `json:"requestID"`
	Sent     bool            `json:"sent,omitempty"`
	First    json.RawMessage `json:"first"` // event
}

func (p *Publisher) begunFile() string { return filepath.Join(p.o.StateDir, "wal", "begun") }

// carry writes down which requests are open at a position, before the log lets go of what
// is in front of it: the next start must find them, though one of them waits for people
// for hours while others fill the file. Where the log then keeps more, following it once
// more comes to the same.
func (p *Publisher) carry(ctx context.Context, first uint64) error {
	open := maps.Clone(p.carried)
	if err := p.follow(ctx, open, p.log.First(), first-1); err != nil {
		return err
	}
	var out []carriedRequest
	for _, exchange := range slices.Sorted(maps.Keys(open)) {
		of := open[exchange]
		var err error
		if of.first, err = p.firstOf(of); err != nil {
			return err
		}
		open[exchange] = of
		out = append(out, carriedRequest{exchange, of.sent, of.first})
	}
	if len(out)+len(p.carried) > 0 {
		b, err := json.Marshal(out)
		if err == nil {
			err = errors.Join(privatefile.Replace(p.begunFile(), b, 0o600), syncDir(filepath.Dir(p.begunFile())))
		}
		if err != nil {
			return err
		}
	}
	p.carried = open
	return nil
}

// readCarried reads what carry wrote. What cannot be read is told, and keeps nobody from
// starting.
func (p *Publisher) readCarried() begun {
	open := begun{}
	b, err := privatefile.Read(p.begunFile())
	if errors.Is(err, fs.ErrNotExist) {
		return open
	}
	var list []carriedRequest
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		p.o.Log.Warn("requests that were open for long cannot be read; those without an end get none", "file", p.begunFile(), "cause", err.Error())
		return open
	}
	for _, c := range list {
		open[c.Exchange] = beginning{first: c.First, sent: c.Sent}
	}
	return open
}

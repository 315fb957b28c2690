package recorder

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/event"
)

// StageLost is the stage of an aborted event that the gateway's next start wrote.
const StageLost = "lost"

// lost is an exchange that the file has the beginning of.
type lost struct {
	first []byte // its first event that the file still has
	sent  bool   // a credential was minted: AWS may have been reached
}

// endLost ends on record what a gateway left open that was killed or lost its power: an
// auditor would otherwise not know whether its end is missing or never came. It is called
// before anything is accepted, and looks at what the file still has, which goes back
// behind what recorders have confirmed.
func (p *Publisher) endLost(ctx context.Context) error {
	open, err := p.unended(ctx)
	if err != nil || len(open) == 0 {
		return err
	}
	now := p.o.Now()
	var events []event.Event
	for _, exchange := range slices.Sorted(maps.Keys(open)) {
		first, err := event.Decode(open[exchange].first)
		if err != nil {
			p.unread(exchange, err)
			continue
		}
		d := &event.Aborted{
			Common: *first.Data.Head(), Operation: operationOf(first.Data), Stage: StageLost, ErrorCode: "unavailable",
			ErrorMessage: "the gateway ended before this request did, and nothing had been sent to AWS",
		}
		if open[exchange].sent {
			d.ErrorMessage = "the gateway ended before this request did: AWS may have carried it out, and what it answered is not known"
		}
		d.EventTime = now
		events = append(events, event.Event{ID: p.ids.New(), Source: p.source, Time: now, Data: d})
	}
	if len(events) == 0 {
		return nil
	}
	p.o.Log.WarnContext(ctx, "the gateway did not end in order: requests that were under way are ended on record", "requests", len(events))
	b, _, err := p.add(ctx, events)
	if err == nil {
		err = b.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("end what an earlier run left open: %w", err)
	}
	return nil
}

// unended are the exchanges in the file without an end, by id.
func (p *Publisher) unended(ctx context.Context) (map[string]lost, error) {
	open := map[string]lost{}
	last := p.log.Last()
	r := p.log.Read(p.log.First())
	defer r.Close()
	for position := p.log.First(); position <= last; position++ {
		_, b, err := r.Next(ctx)
		if err != nil {
			return nil, err
		}
		s, err := readStored(b)
		if err != nil {
			return nil, fmt.Errorf("event at position %d of the file: %w", position, err)
		}
		_, exchange, kind, err := event.ParseSubject(s.prefix(), s.subject)
		if err != nil {
			return nil, fmt.Errorf("event at position %d of the file: %w", position, err)
		}
		switch kind {
		case event.KindRequest, event.KindCredential:
			of, known := open[exchange]
			if !known {
				of.first = bytes.Clone(s.payload)
			}
			of.sent = of.sent || kind == event.KindCredential
			open[exchange] = of
		case event.KindDecision:
			e, err := event.Decode(s.payload)
			if err != nil {
				p.unread(exchange, err)
				delete(open, exchange)
				continue
			}
			if d, ok := e.Data.(*event.Decision); ok && (d.Effect != "allow" || d.ErrorCode != "") {
				delete(open, exchange)
			}
		case event.KindResponse, event.KindAborted:
			delete(open, exchange)
		}
	}
	return open, nil
}

// unread tells of an exchange that is left as it is: another version wrote its events, and
// that must not keep this one from starting.
func (p *Publisher) unread(exchange string, err error) {
	p.o.Log.Warn("a request in the file cannot be read by this version; if it has no end it gets none", "requestID", exchange, "cause", err.Error())
}

// prefix is the subject's, which may be another one than is configured now.
func (s *stored) prefix() string {
	return s.subject[:max(strings.LastIndex(s.subject, ".events."), 0)]
}

func operationOf(d event.Data) event.Operation {
	if r, ok := d.(*event.Request); ok {
		return r.Operation
	}
	return event.Operation{}
}

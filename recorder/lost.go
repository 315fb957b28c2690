package recorder

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/event"
)

// StageLost is the stage of an aborted event that the gateway's next start wrote.
const StageLost = "lost"

// endLost ends on record what a gateway left open that was killed or lost its power: an
// auditor would otherwise not know whether its end is missing or never came. It is called
// before anything is accepted, and looks at what the file still has and at what was open
// where it begins.
func (p *Publisher) endLost(ctx context.Context) error {
	p.carried = p.readCarried()
	open := maps.Clone(p.carried)
	if err := p.follow(ctx, open, p.log.First(), p.log.Last()); err != nil {
		return err
	}
	now := p.o.Now()
	var events []event.Event
	for _, exchange := range slices.Sorted(maps.Keys(open)) {
		b, err := p.firstOf(open[exchange])
		if err != nil {
			return err
		}
		first, err := event.Decode(b)
		if err != nil {
			p.unread(exchange, err)
			delete(p.carried, exchange)
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

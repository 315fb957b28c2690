package approvals

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
)

// LiveGrant is a grant that can let calls through still.
type LiveGrant struct {
	Request Request   `json:"request"` // that it was given with
	Grant   Grant     `json:"grant"`   // as it was given
	Until   time.Time `json:"until"`
	Left    int       `json:"left"` // calls; -1 where no gateway says
}

// Grants lists the grants that are live now, the oldest first. bad, if set, is told of
// messages that are none. It asks a gateway what is left of each; where none is
// running, what the stream of approvals says must do.
func (c *Client) Grants(ctx context.Context, bad func(error)) ([]LiveGrant, error) {
	live, err := c.given(ctx, bad)
	if err != nil {
		return nil, err
	}
	out := make([]LiveGrant, 0, len(live))
	for _, g := range live {
		left, err := c.look(ctx, g.Request.Approval)
		var refused *RefusedError
		switch {
		case errors.As(err, &refused): // it was used up
			continue
		case errors.Is(err, ErrNoGateway):
			g.Left = -1
		case err != nil:
			return nil, err
		default:
			g.Left, g.Until = left.Left, left.Until
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b LiveGrant) int { return strings.Compare(a.Request.Approval, b.Request.Approval) })
	return out, nil
}

// given are the grants of the stream that were not revoked and whose time is not over.
func (c *Client) given(ctx context.Context, bad func(error)) (map[string]LiveGrant, error) {
	requests, live := map[string]Request{}, map[string]LiveGrant{}
	outcomes := map[string]Outcome{} // the first of each approval
	err := c.untilDone(ctx, func(ctx context.Context) error {
		return c.read(ctx, c.recent(), func(u Update, err error) error {
			id := u.Approval()
			switch {
			case err != nil:
				if bad != nil {
					bad(err)
				}
			case u.Request != nil:
				if _, known := requests[id]; !known {
					requests[id] = *u.Request
				}
			case u.Outcome.Outcome == Revoked:
				outcomes[id] = *u.Outcome
			default:
				if _, known := outcomes[id]; !known {
					outcomes[id] = *u.Outcome
				}
			}
			return nil
		}, func() error { return errDone })
	})
	if err != nil {
		return nil, err
	}
	for id, o := range outcomes {
		r, asked := requests[id]
		if !asked || o.Outcome != Approved || o.Grant == nil || o.Digest != r.Digest {
			continue
		}
		l, err := o.Grant.leave(o.At)
		if err == nil && c.now().Before(l.Until) {
			live[id] = LiveGrant{Request: r, Grant: *o.Grant, Until: l.Until}
		}
	}
	return live, nil
}

// GrantEnd is the outcome by which the grant of an approval was ended before its time,
// nil where it was not.
func (c *Client) GrantEnd(ctx context.Context, id string) (*Outcome, error) {
	if !event.ValidID(id) {
		return nil, ErrUnknown
	}
	var end *Outcome
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{c.prefix + ".approvals.outcome." + id}, DeliverPolicy: jetstream.DeliverAllPolicy}
	err := c.untilDone(ctx, func(ctx context.Context) error {
		return c.read(ctx, cfg, func(u Update, err error) error {
			if err == nil && u.Outcome.Outcome == Revoked {
				end = u.Outcome
			}
			return nil
		}, func() error { return errDone })
	})
	return end, err
}

// look asks a gateway what is left of a grant.
func (c *Client) look(ctx context.Context, approval string) (event.GrantLeft, error) {
	body, err := json.Marshal(Look{Approval: approval, Decision: lookDecision})
	if err != nil {
		return event.GrantLeft{}, err
	}
	reply, err := c.request(ctx, approval, body)
	if err != nil {
		return event.GrantLeft{}, err
	}
	if reply.Grant == nil {
		return event.GrantLeft{}, errors.New("the gateway's reply does not say what is left of the grant")
	}
	return *reply.Grant, nil
}

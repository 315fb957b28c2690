package revocation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sallyport/sallyport/event"
)

// Quiet is how long Send waits for further gateways after one has replied.
const Quiet = 2 * time.Second

// Errors of Send.
var (
	ErrNoGateway = errors.New("no gateway is running: nothing was revoked, and nothing is kept for one that starts later")
	ErrForbidden = errors.New("NATS does not permit this user to revoke: it takes the credentials of an operator, state_dir/nats/operator.creds")
)

// Send publishes an order as an operator, and gives the reply of every gateway that
// runs. How many there are NATS does not say: with want above 0 it returns as soon as
// so many have replied, else when none has for Quiet. The order is checked first.
func Send(ctx context.Context, conn *nats.Conn, prefix string, o Order, want int) ([]Confirmation, error) {
	if err := event.ValidPrefix(prefix); err != nil {
		return nil, err
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	subject := prefix + ".control.revoke"
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	before := conn.ErrorHandler()
	conn.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), subject) {
			cancel(ErrForbidden)
		} else if before != nil {
			before(nc, sub, err)
		}
	})
	defer conn.SetErrorHandler(before)
	inbox := conn.NewRespInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("revoke: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // an error is a connection that has gone
	if err := conn.PublishRequest(subject, inbox, body); err != nil {
		return nil, fmt.Errorf("revoke: %w", err)
	}
	var out []Confirmation
	for wait := enforceTime + writeTime; want == 0 || len(out) < want; wait = Quiet {
		m, err := next(ctx, sub, wait)
		switch {
		case errors.Is(context.Cause(ctx), ErrForbidden):
			return nil, ErrForbidden
		case errors.Is(err, nats.ErrNoResponders):
			return nil, ErrNoGateway
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			if len(out) == 0 {
				return nil, errors.New("no gateway has replied; whether it was revoked is not known: send it again")
			}
			return out, nil
		case err != nil:
			return out, fmt.Errorf("revoke: %w", err)
		}
		var r Confirmation
		if json.Unmarshal(m.Data, &r) != nil {
			return out, errors.New("a gateway's reply is malformed; whether it has revoked is not known")
		}
		out = append(out, r)
	}
	return out, nil
}

func next(ctx context.Context, sub *nats.Subscription, d time.Duration) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

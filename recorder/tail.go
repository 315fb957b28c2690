package recorder

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
)

// Filter chooses events; empty fields choose all.
type Filter struct {
	Session string // a whole ULID, or "none"
	Subject string // of the user, exactly
	Label   string
	Kind    event.Kind
}

func (f Filter) match(e event.Event) bool {
	u := e.Data.Head().UserIdentity
	return (f.Subject == "" || u.Subject == f.Subject) && (f.Label == "" || u.Label == f.Label) && (f.Kind == "" || e.Kind() == f.Kind)
}

// ErrForbidden is Tail's where NATS does not let its user read events.
var ErrForbidden = errors.New("NATS does not permit this user to follow events: it takes the credentials of an operator or a recorder, such as state_dir/nats/operator.creds")

// Tail calls fn for each event that is recorded from now on, until ctx ends (then
// nil) or fn fails. The connection is the recorder's or the operator's. bad, if
// set, is told of messages that are no events.
func Tail(ctx context.Context, nc *nats.Conn, prefix string, f Filter, fn func(event.Event) error, bad func(error)) error {
	if prefix == "" {
		prefix = "sallyport"
	}
	if err := event.ValidPrefix(prefix); err != nil {
		return err
	}
	subject := prefix + ".events.>"
	if f.Session != "" {
		if err := ValidSession(f.Session); err != nil {
			return err
		}
		subject = prefix + ".events." + f.Session + ".>"
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	making, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	before := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		// NATS tells of it here alone: who asked would wait for an answer in vain.
		if errors.Is(err, nats.ErrPermissionViolation) {
			cancel(ErrForbidden)
		} else if before != nil {
			before(nc, sub, err)
		}
	})
	defer nc.SetErrorHandler(before)
	cons, err := js.OrderedConsumer(making, Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverNewPolicy,
	})
	if errors.Is(context.Cause(making), ErrForbidden) {
		return ErrForbidden
	}
	if err != nil {
		return fmt.Errorf("follow events of stream %s: %w", Stream, err)
	}
	iter, err := cons.Messages()
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	stop := context.AfterFunc(ctx, iter.Stop)
	defer stop()
	defer iter.Stop()
	for {
		m, err := iter.Next()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, jetstream.ErrNoHeartbeat) {
			continue
		}
		if err != nil {
			return fmt.Errorf("follow events: %w", err)
		}
		e, _, err := event.DecodeMessage(m.Headers(), m.Data())
		if err != nil {
			if bad != nil {
				bad(err)
			}
			continue
		}
		if f.match(e) {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
}

package recorder_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
)

// raw publishes events as they are, with the source and the place in a chain that the
// test gave them: a Publisher has its own.
type raw struct{ js jetstream.JetStream }

func rawPublisher(t testing.TB, s *bus.Server) raw {
	t.Helper()
	js, err := jetstream.New(connect(t, s, true))
	if err != nil {
		t.Fatal(err)
	}
	return raw{js}
}

func (r raw) Append(ctx context.Context, e event.Event) error {
	m, err := event.EncodeMessage(e, event.DefaultLimit)
	if err != nil {
		return err
	}
	subject, err := event.SubjectOf("sallyport", e)
	if err != nil {
		return err
	}
	_, err = r.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: m.Header, Data: m.Payload}, jetstream.WithMsgID(e.ID))
	return err
}

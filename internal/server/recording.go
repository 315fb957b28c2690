package server

import (
	"context"

	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/recorder"
)

// startPublisher opens the gateway's file of events, whose key names the gateway. Of o
// it needs the connection.
func (s *Server) startPublisher(ctx context.Context, o recorder.PublisherOptions) (*recorder.Publisher, error) {
	c := s.opts.Config
	o.StateDir, o.Prefix = c.StateDir, c.NATS.SubjectPrefix
	o.RequireRecorders, o.WALLimit = c.Record.RequireRecorders, int64(c.Record.WALLimit)
	o.Metrics, o.Now, o.Log = recorder.NewPublisherMetrics(s.registry), s.opts.Now, s.opts.Log
	if s.embedded == nil {
		o.Await = true // another machine's disk is worth waiting for
	}
	early, err := bus.AcknowledgesEarly(ctx, o.Conn)
	if err != nil {
		return nil, err
	}
	if early {
		o.Settle = 3 * bus.SyncInterval
	}
	p, err := recorder.NewPublisher(o)
	if err != nil {
		return nil, err
	}
	s.events = p
	s.onStop("record of events", p.Close)
	s.ready.require(p.Accepting)
	return p, nil
}

// Flush returns when all events that the gateway has recorded by now are in the stream,
// to which they come a moment after they are durable.
func (s *Server) Flush(ctx context.Context) error {
	if s.events == nil {
		return nil
	}
	return s.events.Flush(ctx)
}

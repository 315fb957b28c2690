package server

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/recorder/archive"
)

// archivedWithin is after how long a segment is closed for the archive though it is small:
// what came since is on the recorder's disk alone.
const archivedWithin = 10 * time.Minute

// startArchive copies the store into record.archive's bucket; "" is off.
func (s *Server) startArchive(ctx context.Context, store *recorder.Store) error {
	c := s.opts.Config
	o := c.Record.Archive
	if o.Bucket == "" {
		return nil
	}
	a, err := archive.New(ctx, archive.Options{
		Bucket: o.Bucket, Prefix: o.Prefix, Endpoint: o.Endpoint.String(), Region: o.Region, PathStyle: o.PathStyle, Profile: c.AWS.BaseProfile,
		Store: store, Log: s.opts.Log, Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	run, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	s.background("archive", func() error {
		defer close(done)
		a.Run(run)
		return nil
	})
	s.onStop("archive", func(ctx context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return nil
}

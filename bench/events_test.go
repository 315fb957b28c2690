package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/recorder"
)

// BenchmarkRecord is durable events of 2 KB a second, and how long one waits, with
// different numbers of those who wait at once: in the gateway's own file with the
// stream behind it (file), and with the stream's acknowledgement awaited too (stream).
func BenchmarkRecord(b *testing.B) {
	for _, await := range []bool{false, true} {
		for _, waiters := range []int{1, 8, 64} {
			name := "file"
			if await {
				name = "stream"
			}
			b.Run(fmt.Sprintf("%s/waiters=%d", name, waiters), func(b *testing.B) { record(b, await, waiters) })
		}
	}
}

func record(b *testing.B, await bool, waiters int) {
	dir := b.TempDir()
	s, err := bus.Start(b.Context(), bus.ServerOptions{Dir: filepath.Join(dir, "nats")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Shutdown()
	conn, err := bus.Connect(b.Context(), bus.Options{Role: bus.Gateway, InProcess: s})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	p, err := recorder.NewPublisher(recorder.PublisherOptions{
		Conn: conn, StateDir: filepath.Join(dir, "state"), Await: await,
		LagEvents: 1 << 40, LagBytes: 1 << 40, WALLimit: 1 << 40, // what is measured is the file, not when it refuses
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = p.Close(ctx)
	}()
	defer confirm(b, s)()
	ids := event.NewIDs(nil)
	session := ids.New()
	parameters := map[string]any{"TableName": "customers", "Key": map[string]any{"id": map[string]any{"S": "c-1001"}}, "Note": strings.Repeat("n", 1200)}
	one := func() error {
		now := time.Now()
		return p.Append(b.Context(), event.Event{ID: ids.New(), Source: "bench", Time: now, Data: &event.Request{
			Common:            event.Common{RequestID: ids.New(), SessionID: session, EventTime: now, UserIdentity: event.UserIdentity{Issuer: "https://idp.example.com/", Subject: "agent", Groups: []string{"ai-agents"}, Label: "bench"}},
			Operation:         event.Operation{EventSource: "dynamodb.amazonaws.com", EventName: "GetItem", AWSRegion: "us-east-1", Service: "dynamodb", Actions: []string{"dynamodb:GetItem"}, AccessLevel: "Read", Target: "dev"},
			Resources:         []event.Resource{{ARN: "arn:aws:dynamodb:us-east-1:111122223333:table/customers"}},
			RequestParameters: parameters,
		}})
	}
	took := make([]time.Duration, b.N)
	var turn atomic.Int64
	var wait sync.WaitGroup
	b.ResetTimer()
	for range waiters {
		wait.Go(func() {
			for i := turn.Add(1) - 1; i < int64(b.N); i = turn.Add(1) - 1 {
				start := time.Now()
				if err := one(); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	wait.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
}

// confirm says what a recorder that keeps up says, so that segments are used again, as
// they are wherever one does.
func confirm(b *testing.B, s *bus.Server) (stop func()) {
	conn, err := bus.Connect(b.Context(), bus.Options{Role: bus.Recorder, InProcess: s})
	if err != nil {
		b.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			if err := conn.Publish("sallyport.recorders.bench", []byte(`{"recorder":"bench","stream":1099511627776,"time":"2026-01-01T00:00:00Z"}`)); err != nil {
				b.Error(err)
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		conn.Close()
	}
}

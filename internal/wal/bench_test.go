package wal

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkAppend is durable records of 2 KB a second, and how long one waits, with
// different numbers of those who wait at once.
func BenchmarkAppend(b *testing.B) {
	for _, waiters := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("waiters=%d", waiters), func(b *testing.B) {
			l, err := Open(Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			l.spares.wait.Wait()
			record := make([]byte, 2<<10)
			took := make([]time.Duration, b.N)
			var turn atomic.Int64
			var wait sync.WaitGroup
			b.ResetTimer()
			for range waiters {
				wait.Go(func() {
					for i := turn.Add(1) - 1; i < int64(b.N); i = turn.Add(1) - 1 {
						start := time.Now()
						if _, err := l.Append(b.Context(), record); err != nil {
							b.Error(err)
							return
						}
						took[i] = time.Since(start)
						if i%10000 == 0 {
							_ = l.Cut(l.Last() - 1)
						}
					}
				})
			}
			wait.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(median(took).Microseconds()), "p50-us")
		})
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

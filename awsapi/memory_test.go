package awsapi_test

import (
	"runtime"
	"testing"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// BenchmarkCatalogMemory is the heap that the catalog takes when every operation of
// every service has been touched, with what identification works out about each of
// the oracle's.
func BenchmarkCatalogMemory(b *testing.B) {
	for b.Loop() {
		before := heap()
		c, err := catalog.Load()
		if err != nil {
			b.Fatal(err)
		}
		for i := range c.Services {
			s, err := c.Service(i)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.Shapes(); err != nil {
				b.Fatal(err)
			}
			for op := range s.Operations {
				if _, err := s.Detail(op); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(heap()-before, "MiB/catalog")
		runtime.KeepAlive(c)
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkIdentifierMemory is the heap of an Identifier that has seen the oracle's
// requests: the catalog as far as they touch it, and what is worked out about each
// operation once.
func BenchmarkIdentifierMemory(b *testing.B) {
	all := samples(b)
	for b.Loop() {
		before := heap()
		id := identifier(b)
		for i := range all {
			req, body := all[i].request(b)
			_, _ = identify(id, req, body)
		}
		b.ReportMetric(heap()-before, "MiB/identifier")
		runtime.KeepAlive(id)
		runtime.KeepAlive(all)
	}
	b.ReportMetric(0, "ns/op")
}

// heap is what lives, in MiB.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

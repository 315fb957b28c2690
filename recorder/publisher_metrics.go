package recorder

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// PublisherMetrics are what a Publisher counts.
type PublisherMetrics struct {
	size, lagEvents, lagBytes, recorders, keepUp prometheus.Gauge
	syncs, syncedBytes                           prometheus.Observer
	failures                                     prometheus.Counter
}

// NewPublisherMetrics registers the metrics with r; a nil r keeps them unregistered.
func NewPublisherMetrics(r prometheus.Registerer) *PublisherMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	syncs := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sallyport_wal_sync_seconds",
		Help: "Time of one sync of the gateway's file of events.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)})
	bytes := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sallyport_wal_sync_bytes",
		Help: "Bytes that one sync of the gateway's file of events made durable.", Buckets: prometheus.ExponentialBuckets(512, 4, 10)})
	failures := prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_record_refusals_total",
		Help: "Calls to record that failed or were refused; nothing was sent for them."})
	m := &PublisherMetrics{
		size:      gauge("sallyport_wal_bytes", "Bytes of events in the gateway's file, up to record.wal_limit."),
		lagEvents: gauge("sallyport_wal_lag_events", "Events in the gateway's file that the stream has not acknowledged."),
		lagBytes:  gauge("sallyport_wal_lag_bytes", "Bytes of events in the gateway's file that the stream has not acknowledged."),
		recorders: gauge("sallyport_recorders", "Recorders heard within five seconds."),
		keepUp:    gauge("sallyport_recorders_keeping_up", "Recorders heard within five seconds that are no more than ten seconds behind."),
		syncs:     syncs, syncedBytes: bytes, failures: failures,
	}
	if r != nil {
		r.MustRegister(m.size, m.lagEvents, m.lagBytes, m.recorders, m.keepUp, syncs, bytes, failures)
	}
	return m
}

func (m *PublisherMetrics) synced(took time.Duration, bytes int) {
	m.syncs.Observe(took.Seconds())
	m.syncedBytes.Observe(float64(bytes))
}

func (m *PublisherMetrics) calls(err error) {
	if err != nil {
		m.failures.Inc()
	}
}

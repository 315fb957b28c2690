package recorder

import "github.com/prometheus/client_golang/prometheus"

// Metrics of a recorder. Labels come from closed sets.
type Metrics struct {
	alarms *prometheus.CounterVec
	lines  prometheus.Counter
	bytes  prometheus.Counter
	bodies prometheus.Counter
}

// NewMetrics registers the metrics with r; nil keeps them unregistered.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		alarms: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sallyport_record_alarms_total",
			Help: "What a recorder found that should not be, by code: gap, order, fork, chain, checkpoint, signature, ..."}, []string{"code"}),
		lines: prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_record_lines_total",
			Help: "Lines that were written to the record and synced."}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_record_bytes_total",
			Help: "Bytes of these lines."}),
		bodies: prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_record_bodies_total",
			Help: "Payloads of bodies that were written, each once."}),
	}
	if r != nil {
		r.MustRegister(m.alarms, m.lines, m.bytes, m.bodies)
	}
	return m
}

// gauges shows how far the log is behind the record.
func (s *Store) gauges(r prometheus.Registerer) {
	if r == nil {
		return
	}
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sallyport_record_log_lag_lines",
		Help: "Lines that are not in the recorder's Merkle log yet. It has stopped where this only grows."}, func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.merkle == nil {
			return 0
		}
		return float64(s.segments.count - s.merkle.size.Load())
	}))
}

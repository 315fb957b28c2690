package gateway

import "github.com/prometheus/client_golang/prometheus"

// Metrics of the gateway. Labels come from closed sets (catalog service ids,
// effects, reasons), never from what a client sends.
type Metrics struct {
	requests     *prometheus.CounterVec
	refusals     *prometheus.CounterVec
	masked       prometheus.Counter
	aborted      prometheus.Counter
	unrecorded   prometheus.Counter
	unidentified prometheus.Counter
	overhead     prometheus.Histogram
}

// NewMetrics registers the metrics with r; a nil r keeps them unregistered.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sallyport_requests_total",
			Help: "Requests that were identified, by service and effect of the decision."}, []string{"service", "effect"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sallyport_refusals_total",
			Help: "Requests that were refused, by reason."}, []string{"reason"}),
		masked: prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_masked_values_total",
			Help: "Values masked in answers."}),
		aborted: prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_aborted_total",
			Help: "Exchanges that broke off before their answer was complete."}),
		unrecorded: prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_event_failures_total",
			Help: "Events that could not be made durable. Requests are refused while this grows."}),
		unidentified: prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_unauthenticated_total",
			Help: "Requests and CONNECTs without a valid token, recorded or not (their events are rate-limited)."}),
		overhead: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sallyport_gateway_seconds",
			Help:    "Time a request spends in the gateway before it goes to AWS: identify, decide, record, mint.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
	}
	if r != nil {
		r.MustRegister(m.requests, m.refusals, m.masked, m.aborted, m.unrecorded, m.unidentified, m.overhead)
	}
	return m
}

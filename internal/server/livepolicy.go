package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport/policy"
)

// policyInterval is how soon a changed rule file is judged by. Files are read
// again and compared: notifications of the file system miss what a network file
// system or a swapped symbolic link (Kubernetes) brings.
const policyInterval = 2 * time.Second

// livePolicy is the policy as the files have it now. What is not valid never comes
// into force: the old rules stay, and somebody is told.
type livePolicy struct {
	current atomic.Pointer[policy.Engine]
	files   []string
	load    func() (*policy.Engine, error)
	log     *slog.Logger

	mu   sync.Mutex
	seen [sha256.Size]byte // of the files as they were last looked at; guarded by mu

	failures prometheus.Counter
	version  *prometheus.GaugeVec
}

func newLivePolicy(files []string, load func() (*policy.Engine, error), log *slog.Logger, registry prometheus.Registerer) (*livePolicy, error) {
	p := &livePolicy{files: files, load: load, log: log,
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_policy_reload_failures_total", Help: "Changed policy files that were not valid; the policy before them stays in force."}),
		version:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sallyport_policy_info", Help: "1 for the version of the policy in force."}, []string{"version"}),
	}
	if registry != nil {
		for _, c := range []prometheus.Collector{p.failures, p.version} {
			if err := registry.Register(c); err != nil {
				return nil, err
			}
		}
	}
	// The digest first: what changes while it is loaded is seen as a change.
	p.seen, _ = p.digest()
	e, err := load()
	if err != nil {
		return nil, err
	}
	p.enforce(e)
	return p, nil
}

// Decide implements gateway.Policy.
func (p *livePolicy) Decide(in policy.Input) policy.Decision { return p.current.Load().Decide(in) }

func (p *livePolicy) enforce(e *policy.Engine) {
	p.current.Store(e)
	p.version.Reset()
	p.version.WithLabelValues(e.Version()).Set(1)
}

// digest is of names and contents; a file that cannot be read counts as a change.
func (p *livePolicy) digest() (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for _, name := range p.files {
		data, readErr := os.ReadFile(name)
		err = errors.Join(err, readErr)
		one := sha256.Sum256(data)
		h.Write([]byte(name))
		h.Write(one[:])
		if readErr != nil {
			h.Write([]byte("unreadable"))
		}
	}
	h.Sum(sum[:0])
	return sum, err
}

// reload looks at the files, and loads them if they changed or always is set.
func (p *livePolicy) reload(ctx context.Context, always bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum, _ := p.digest()
	if sum == p.seen && !always {
		return
	}
	p.seen = sum
	e, err := p.load()
	if err != nil {
		p.failures.Inc()
		p.log.ErrorContext(ctx, "the changed policy is not valid; the one before it stays in force", "version", p.current.Load().Version(), "problems", err.Error())
		return
	}
	if old := p.current.Load().Version(); old != e.Version() {
		p.enforce(e)
		p.log.InfoContext(ctx, "policy loaded", "version", e.Version(), "before", old, "rules", len(e.RuleNames()))
	}
}

// run looks at the files at every tick, and loads them at every signal.
func (p *livePolicy) run(ctx context.Context, tick <-chan time.Time, hup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			p.reload(ctx, false)
		case <-hup:
			p.reload(ctx, true)
		}
	}
}

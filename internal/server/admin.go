package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readiness is what /readyz answers. The zero value is not ready.
type readiness struct {
	up atomic.Bool

	mu     sync.Mutex // guards checks
	checks []func() error
}

func (r *readiness) set(up bool) { r.up.Store(up) }

// require has /readyz ask a part whether it can do its work.
func (r *readiness) require(check func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, check)
}

// err says why the process is not ready; nil where it is.
func (r *readiness) err() error {
	if !r.up.Load() {
		return errors.New("starting, or draining")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var all error
	for _, check := range r.checks {
		all = errors.Join(all, check())
	}
	return all
}

// startAdmin serves /healthz, /readyz and /metrics. There is no pprof here: a heap
// profile holds whatever the process holds.
func (s *Server) startAdmin(ctx context.Context) error {
	listen := s.opts.Config.Admin.Listen.String()
	if listen == "" {
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.ready.err(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("admin.listen: %w", err)
	}
	s.Admin = ln.Addr()
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	s.background("admin", func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	s.onStop("admin listener", srv.Shutdown)
	return nil
}

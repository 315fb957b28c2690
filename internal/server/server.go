// Package server puts one process together from a configuration: the roles it
// plays, their listeners, and the order in which they start and stop. It decides
// nothing about requests; the gateway does.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/recorder"
)

// Role is one of the parts that a process can play.
type Role string

// The roles.
const (
	RoleGateway  Role = "gateway"
	RoleRecorder Role = "recorder"
)

// Roles are all there are, in the order in which they are named in help texts.
var Roles = []Role{RoleGateway, RoleRecorder}

// drainTimeout is how long open requests may take to finish after SIGTERM.
const drainTimeout = 30 * time.Second

// Options of a server. Config is required.
type Options struct {
	Config *config.Config
	Roles  []Role           // empty: all
	Log    *slog.Logger     // nil: discarded
	Now    func() time.Time // nil: time.Now
	Drain  time.Duration    // how long open requests may take to finish when it stops; 0: 30 s
	// SlackAPI stands in for Slack's Web API, in tests; "" is Slack's.
	SlackAPI string
	Base     *BaseKey // static gateway identity, for demonstrations; nil: the SDK's chain
}

// Server is a running process's worth of roles. Start makes one.
type Server struct {
	opts     Options
	registry *prometheus.Registry
	ready    *readiness
	embedded *bus.Server
	events   *recorder.Publisher // nil without the gateway role

	// Addresses, set by Start; nil where the role or listener is off.
	Proxy, ProxyTLS, Admin net.Addr
	NATS                   string // URL that clients use

	stops  []stop // what Close undoes, in reverse
	wait   sync.WaitGroup
	cancel context.CancelFunc
	failed chan error
}

type stop struct {
	name string
	fn   func(context.Context) error
}

// Start brings all roles up and returns when every listener accepts. On an error
// whatever had started is stopped again.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Config == nil {
		return nil, errors.New("server: no configuration")
	}
	if len(o.Roles) == 0 {
		o.Roles = Roles
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Drain <= 0 {
		o.Drain = drainTimeout
	}
	s := &Server{opts: o, registry: prometheus.NewRegistry(), ready: &readiness{}, failed: make(chan error, 8)}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// The roles outlive ctx's cancellation until Close has drained them.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if err := secureStateDir(o.Config.StateDir); err != nil {
		return nil, err
	}
	if err := s.startAdmin(run); err != nil {
		return nil, err
	}
	if err := s.startBus(run); err != nil {
		return nil, err
	}
	// The recorder starts first, and so stops last: what the gateway records while
	// it drains is written too.
	for _, role := range []Role{RoleRecorder, RoleGateway} {
		if !slices.Contains(o.Roles, role) {
			continue
		}
		start := map[Role]func(context.Context) error{RoleGateway: s.startGateway, RoleRecorder: s.startRecorder}[role]
		if err := start(run); err != nil {
			return nil, fmt.Errorf("starting the %s: %w", role, err)
		}
	}
	s.ready.set(true)
	o.Log.InfoContext(ctx, "ready", s.addresses()...)
	return s, nil
}

func (s *Server) addresses() []any {
	roles := make([]string, 0, len(s.opts.Roles))
	for _, r := range s.opts.Roles {
		roles = append(roles, string(r))
	}
	attrs := []any{"roles", roles}
	for name, a := range map[string]net.Addr{"proxy": s.Proxy, "proxyTLS": s.ProxyTLS, "admin": s.Admin} {
		if a != nil {
			attrs = append(attrs, name, a.String())
		}
	}
	return append(attrs, "nats", s.NATS)
}

// Wait returns when ctx is done or a role has failed; the error is the role's.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// Close drains and stops everything, in the reverse order of its start: no new
// requests, open ones finish within 30 s, everything recorded.
func (s *Server) Close() error {
	s.ready.set(false)
	var errs []error
	for _, st := range slices.Backward(s.stops) {
		// Each has its own time: what requests took to finish must not be missing where
		// the last of them is recorded.
		ctx, cancel := context.WithTimeout(context.Background(), s.opts.Drain)
		if err := st.fn(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stopping the %s: %w", st.name, err))
		}
		cancel()
	}
	s.stops = nil
	s.cancel()
	s.wait.Wait()
	return errors.Join(errs...)
}

func (s *Server) onStop(name string, fn func(context.Context) error) {
	s.stops = append(s.stops, stop{name, fn})
}

// background runs a part until its context ends; an error of its own ends the process.
func (s *Server) background(name string, fn func() error) {
	s.wait.Go(func() {
		if err := fn(); err != nil && !errors.Is(err, context.Canceled) {
			select {
			case s.failed <- fmt.Errorf("%s: %w", name, err):
			default:
			}
		}
	})
}

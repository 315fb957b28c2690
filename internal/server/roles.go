package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/jit"
	"github.com/sallyport/sallyport/mitm"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/revocation"
)

// BaseKey is a static AWS identity of the gateway, for the simulated AWS.
type BaseKey struct {
	ID     string
	Secret secret.String
}

// startBus starts the embedded NATS server when the gateway role is here and no
// URL is configured.
func (s *Server) startBus(ctx context.Context) error {
	c := s.opts.Config.NATS
	if c.URL != "" {
		s.NATS = c.URL
		return nil
	}
	if !slices.Contains(s.opts.Roles, RoleGateway) {
		return errors.New("without the gateway role there is no embedded NATS server in this process: set nats.url and nats.creds_file (of a gateway: state_dir/nats/url and state_dir/nats/recorder.creds)")
	}
	srv, err := bus.Start(ctx, bus.ServerOptions{
		Dir: filepath.Join(s.opts.Config.StateDir, "nats"), Listen: c.Listen.String(), Prefix: c.SubjectPrefix, Log: s.opts.Log,
	})
	if err != nil {
		return fmt.Errorf("starting the embedded NATS server: %w", err)
	}
	s.embedded, s.NATS = srv, srv.URL()
	s.onStop("NATS server", func(context.Context) error { srv.Shutdown(); return nil })
	return nil
}

func (s *Server) busOptions(role bus.Role) bus.Options {
	c := s.opts.Config.NATS
	if s.embedded != nil {
		return bus.Options{Role: role, InProcess: s.embedded, Log: s.opts.Log}
	}
	return bus.Options{Role: role, URL: c.URL, CredsFile: c.CredsFile, CAFile: c.TLS.CAFile, CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, Log: s.opts.Log}
}

func (s *Server) startRecorder(ctx context.Context) error {
	conn, err := bus.Connect(ctx, s.busOptions(bus.Recorder))
	if err != nil {
		return err
	}
	s.onStop("recorder's connection", func(context.Context) error { conn.Close(); return nil })
	o := StoreOptions(s.opts.Config)
	o.Now, o.Log, o.Metrics = s.opts.Now, s.opts.Log, s.registry
	if s.opts.Config.Record.Archive.Bucket != "" {
		o.SegmentAge = archivedWithin
	}
	store, err := recorder.OpenStore(o)
	if err != nil {
		return err
	}
	s.onStop("records", func(context.Context) error { return store.Close() })
	if err := s.startArchive(ctx, store); err != nil {
		return err
	}
	run, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	rec := &recorder.Recorder{Conn: conn, Store: store, Prefix: s.opts.Config.NATS.SubjectPrefix, Log: s.opts.Log, Retention: Retention(s.opts.Config)}
	s.background("recorder", func() error {
		defer close(done)
		return rec.Run(run)
	})
	s.onStop("recorder", func(ctx context.Context) error {
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

// RecordsDir is where the recorder's store is.
func RecordsDir(c *config.Config) string { return filepath.Join(c.StateDir, "records") }

// StoreOptions are those of the recorder's store in a configuration.
func StoreOptions(c *config.Config) recorder.StoreOptions {
	return recorder.StoreOptions{Dir: RecordsDir(c), Name: c.Record.Name, KeyFile: filepath.Join(c.StateDir, "keys", "recorder.key")}
}

// Retention is when bodies go, by a configuration.
func Retention(c *config.Config) recorder.Retention {
	return recorder.Retention{BodiesFor: c.Record.Retention.BodiesFor, BodiesSize: int64(c.Record.Retention.BodiesSize)}
}

func (s *Server) startGateway(ctx context.Context) error {
	c := s.opts.Config
	ids, err := NewIdentifier(c)
	if err != nil {
		return err
	}
	authority, err := openCA(c, ids)
	if err != nil {
		return err
	}
	load := func() (*policy.Engine, error) {
		e, err := LoadPolicy(c)
		if err == nil { // beside: it may take a third of a second, and a rule is in force before
			s.background("policy", func() error { warnUnknown(ctx, e, ids, s.opts.Log); return nil })
		}
		return e, err
	}
	rules, err := newLivePolicy(c.Policy.Files, load, s.opts.Log, s.registry)
	if err != nil {
		return err
	}
	verifier, err := s.verifier()
	if err != nil {
		return err
	}
	approvers, err := s.approvers()
	if err != nil {
		return err
	}
	conn, err := bus.Connect(ctx, s.busOptions(bus.Gateway))
	if err != nil {
		return err
	}
	s.onStop("gateway's connection", func(context.Context) error { conn.Close(); return nil })
	if s.embedded == nil {
		if err := bus.EnsureStreams(ctx, conn, bus.StreamOptions{Prefix: c.NATS.SubjectPrefix, Replicas: c.NATS.Replicas}); err != nil {
			return err
		}
	}
	publisher, err := s.startPublisher(ctx, recorder.PublisherOptions{Conn: conn})
	if err != nil {
		return err
	}
	upstream, err := s.upstream()
	if err != nil {
		return err
	}
	s.onStop("connections to AWS", func(context.Context) error { upstream.Close(); return nil })
	minterOptions := jit.Options{BaseProfile: c.AWS.BaseProfile, Transport: upstream.For("sts"), Now: s.opts.Now, Log: s.opts.Log}
	if b := s.opts.Base; b != nil {
		minterOptions.Credentials = credentials.NewStaticCredentialsProvider(b.ID, b.Secret.Reveal(), "")
	}
	minter, err := jit.NewMinter(ctx, minterOptions)
	if err != nil {
		return err
	}
	eventIDs := event.NewIDs(s.opts.Now)
	var gw *gateway.Gateway
	sessions := &identity.Sessions{Now: s.opts.Now, OnClose: func(ses *identity.Session, why identity.CloseReason) {
		upstream.CloseKey(ses.ID)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := publisher.Append(ctx, gw.SessionClosed(ses, why)); err != nil {
			s.opts.Log.ErrorContext(ctx, "the end of a session could not be recorded", "session", ses.ID, "cause", err.Error())
		}
	}}
	spool := filepath.Join(c.StateDir, "spool")
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return fmt.Errorf("the folder for bodies that must be read whole: %w", err)
	}
	key, err := FingerprintKey(c.StateDir)
	if err != nil {
		return err
	}
	masker, err := NewMasker(c.Mask, key)
	if err != nil {
		return err
	}
	source := publisher.Source()
	var broker *approvals.Broker
	revoked, err := revocation.NewList(ctx, revocation.Options{
		Conn: conn, Prefix: c.NATS.SubjectPrefix, Source: source, Targets: slices.Collect(maps.Keys(c.Targets)), Now: s.opts.Now, Log: s.opts.Log,
		Session: sessionOf(sessions),
		Enforce: func(ctx context.Context, r revocation.Revocation) revocation.Ended { return revoke(ctx, gw, broker, r) },
		Record: func(ctx context.Context, r revocation.Revocation, e revocation.Ended) error {
			return publisher.Append(ctx, gw.RevokedEvent(r, e))
		},
	})
	if err != nil {
		return err
	}
	var asker gateway.Approvals // stays nil where nobody could answer
	broker, err = s.broker(ctx, approvals.Options{Conn: conn, Verifier: approvers, Append: publisher.Append, IDs: eventIDs, Source: source, Stopped: stopped(revoked), Text: masker.Text})
	if err != nil {
		return err
	}
	var calls *approvals.Calls
	var outcomes gateway.Calls
	if broker != nil {
		asker = broker
		if calls, err = s.calls(ctx, approvals.Options{Conn: conn}); err != nil {
			return err
		}
		outcomes = calls
	}
	gw, err = gateway.New(gateway.Config{
		Approvals: asker, Calls: outcomes, Hold: c.Approvals.Hold, Expires: c.Approvals.Expires,
		SpoolDir:   spool,
		Identifier: ids, Verifier: verifier, Sessions: sessions, Revocations: revoked, Policy: rules, Recorder: publisher, Minter: minter,
		Masker:   masker,
		Upstream: upstream, IDs: eventIDs, Targets: targets(c), Default: c.DefaultTarget(), Tunnel: c.Tunnels(),
		Record: c.Record.Default(),
		Source: source, Now: s.opts.Now, Log: s.opts.Log, Metrics: gateway.NewMetrics(s.registry),
	})
	if err != nil {
		return err
	}
	s.onStop("revocations", func(context.Context) error { revoked.Close(); return nil })
	if err := revoked.Start(ctx); err != nil {
		return err
	}
	ticker := time.NewTicker(policyInterval)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	s.background("policy", func() error {
		defer ticker.Stop()
		defer signal.Stop(hup)
		rules.run(ctx, ticker.C, hup)
		return nil
	})
	s.onStop("sessions", func(context.Context) error { sessions.CloseAll(); return nil })
	s.background("sessions", func() error { sessions.Run(ctx); return nil })

	proxy := &mitm.Proxy{Admit: gw.Admit, Certificate: authority.Leaf, Dial: s.dialer().DialContext, Log: s.opts.Log, Now: s.opts.Now}
	s.onStop("exchanges", gw.Settle)
	s.onStop("proxy", proxy.Shutdown)
	s.onStop("exchanges", func(context.Context) error { gw.Stopping(); return nil })
	if broker != nil {
		s.onStop("held requests", func(context.Context) error { broker.Release(); calls.Release(); return nil })
	}
	if s.Proxy, err = s.listen(ctx, proxy, "proxy.listen", c.Proxy.Listen.String(), nil); err != nil {
		return err
	}
	s.ProxyTLS, err = s.listen(ctx, proxy, "proxy.tls_listen", c.Proxy.TLSListen.String(), &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return authority.ServerCertificate(ctx) },
	})
	return err
}

// listen serves the proxy on an address; "" is off. tlsConfig nil is plain.
func (s *Server) listen(ctx context.Context, proxy *mitm.Proxy, key, address string, tlsConfig *tls.Config) (net.Addr, error) {
	if address == "" {
		return nil, nil
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	addr := ln.Addr()
	if tlsConfig != nil {
		ln = tls.NewListener(ln, tlsConfig)
	}
	s.background("proxy", func() error { return proxy.Serve(ctx, ln) })
	return addr, nil
}

func (s *Server) dialer() *mitm.Dialer {
	return &mitm.Dialer{Allow: s.opts.Config.AWS.AllowPrivateUpstream}
}

func (s *Server) upstream() (*mitm.Upstream, error) {
	c := s.opts.Config.AWS
	u := &mitm.Upstream{Dialer: s.dialer(), Endpoint: c.Endpoint.URL}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("aws.ca_file: %w", err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("aws.ca_file: %s holds no certificate in PEM", c.CAFile)
		}
		u.RootCAs = roots
	}
	return u, nil
}

func targets(c *config.Config) map[string]gateway.Target {
	out := make(map[string]gateway.Target, len(c.Targets))
	for name, t := range c.Targets {
		out[name] = gateway.Target{
			Target:  jit.Target{Name: name, RoleARN: t.RoleARN, ExternalID: t.ExternalID, Accounts: t.Accounts, Regions: t.Regions, WebIdentity: t.Credentials == config.WebIdentity, TTL: t.CredentialTTL},
			Account: t.Account(), Partition: t.Partition(),
		}
	}
	return out
}

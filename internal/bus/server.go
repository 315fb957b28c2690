// Package bus is the NATS server inside the gateway, the connections to it or to
// an external one, and the stream of events.
//
// The embedded server accepts only the four users of permissions.go, by keys
// that it keeps under its directory, and syncs every message to disk before it
// acknowledges it. It has no monitoring port, no clustering, leaf nodes,
// WebSocket or MQTT, and no user without a key. An existing stream whose settings
// would lose or rewrite events is refused, not changed.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/privatefile"
)

const (
	startTime       = 10 * time.Second
	defaultMaxStore = 64 << 30
)

// SyncInterval is how often the embedded server syncs what it has acknowledged of the
// stream of events.
const SyncInterval = 10 * time.Second

// ServerOptions configure the embedded server.
type ServerOptions struct {
	Dir        string       // state_dir/nats: store, keys, creds files, url. Required
	Listen     string       // host:port; "" is 127.0.0.1:0; port 0 is any
	Prefix     string       // subject prefix; "" is sallyport
	MaxPayload int32        // bytes of a message; 0 is 1 MiB
	MaxStore   int64        // bytes on disk, after which events (and so requests) are refused; 0 is 64 GiB
	Log        *slog.Logger // nil discards
}

// Server is a running embedded server.
type Server struct {
	dir   string
	ns    *server.Server
	trust *trust
	lock  *os.File
	log   *slog.Logger
}

// Start starts the server, makes the stream of events and writes
// Dir/url and Dir/<role>.creds. It returns when clients can connect.
func Start(ctx context.Context, o ServerOptions) (_ *Server, err error) {
	if o.Prefix == "" {
		o.Prefix = "sallyport"
	}
	if o.MaxStore == 0 {
		o.MaxStore = defaultMaxStore
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := event.ValidPrefix(o.Prefix); err != nil {
		return nil, err
	}
	host, port, err := listenAddress(o.Listen)
	if err != nil {
		return nil, err
	}
	if o.Dir == "" {
		return nil, errors.New("embedded NATS: no directory given")
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	s := &Server{dir: o.Dir, log: o.Log}
	if s.lock, err = lock(filepath.Join(o.Dir, "lock")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Shutdown()
		}
	}()
	if s.trust, err = makeTrust(o.Dir, o.Prefix, o.MaxStore); err != nil {
		return nil, err
	}
	if s.ns, err = server.NewServer(s.options(o, host, port)); err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	s.ns.SetLogger(serverLog{o.Log}, false, false)
	s.ns.Start()
	if !s.ns.ReadyForConnections(startTime) || !s.ns.JetStreamEnabled() {
		return nil, fmt.Errorf("embedded NATS on %s did not start: the address may be in use, or %s damaged or full", net.JoinHostPort(host, strconv.Itoa(max(port, 0))), o.Dir)
	}
	if err := s.makeStream(ctx, o.Prefix); err != nil {
		return nil, err
	}
	return s, privatefile.Replace(filepath.Join(o.Dir, "url"), []byte(s.URL()+"\n"), 0o600)
}

func (s *Server) options(o ServerOptions, host string, port int) *server.Options {
	resolver := &server.MemAccResolver{}
	for id, claims := range s.trust.jwts {
		// MemAccResolver is a map: it has no error to give.
		_ = resolver.Store(id, claims)
	}
	return &server.Options{
		ServerName: "sallyport", Host: host, Port: port,
		NoSigs: true, NoLog: false, DisableJetStreamBanner: true,
		MaxPayload: o.MaxPayload, // 0 is the server's default, 1 MiB
		JetStream:  true, StoreDir: o.Dir,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: o.MaxStore,
		// Without SyncAlways a message is acknowledged before it is on disk, and a
		// power cut takes it back: a used approval would be good once more. The
		// stream of events alone is exempted (StreamOptions.Async).
		SyncAlways: true, SyncInterval: SyncInterval,
		TrustedOperators: []*jwt.OperatorClaims{s.trust.operator},
		AccountResolver:  resolver, SystemAccount: s.trust.system,
	}
}

// makeStream connects as the owner, in memory, for as long as it takes.
func (s *Server) makeStream(ctx context.Context, prefix string) error {
	nc, err := nats.Connect("", nats.InProcessServer(s.ns), nats.UserCredentialBytes(s.trust.owner),
		nats.Name("owner"), nats.CustomInboxPrefix("_INBOX.owner"), nats.NoReconnect())
	if err != nil {
		return fmt.Errorf("connect to embedded NATS: %w", err)
	}
	defer nc.Close()
	return EnsureStreams(ctx, nc, StreamOptions{Prefix: prefix, Replicas: 1, Async: true})
}

// URL is the address that clients connect to: nats://host:port.
func (s *Server) URL() string { return "nats://" + s.ns.Addr().String() }

// CredsFile is the path of a role's creds.
func (s *Server) CredsFile(r Role) string { return filepath.Join(s.dir, string(r)+".creds") }

// Shutdown ends the server, its connections closed and its store synced, and
// gives the directory free. Safe to call again.
func (s *Server) Shutdown() {
	if s.ns != nil {
		s.ns.Shutdown()
		s.ns.WaitForShutdown()
	}
	if s.lock != nil {
		s.lock.Close()
		s.lock = nil
	}
}

// listenAddress splits host:port; the server's own port -1 means any.
func listenAddress(s string) (string, int, error) {
	if s == "" {
		return "127.0.0.1", server.RANDOM_PORT, nil
	}
	host, p, err := net.SplitHostPort(s)
	port, perr := strconv.ParseUint(p, 10, 16)
	if err != nil || perr != nil || host == "" {
		return "", 0, fmt.Errorf("nats.listen %.80q: want host:port, e.g. 127.0.0.1:4222; port 0 is any free one", s)
	}
	if port == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(port), nil
}

// lock takes the directory for this process: two servers on one store destroy
// it. The lock ends with the process, however that ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock NATS directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("NATS directory %s is in use by another process: stop it, or choose another state_dir", filepath.Dir(path))
	}
	return f, nil
}

// serverLog passes the server's warnings and errors on; its notices are of
// interest to no operator of a gateway.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(f string, a ...any) { l.log.Debug("nats: " + fmt.Sprintf(f, a...)) }
func (l serverLog) Warnf(f string, a ...any)   { l.log.Warn("nats: " + fmt.Sprintf(f, a...)) }
func (l serverLog) Errorf(f string, a ...any)  { l.log.Error("nats: " + fmt.Sprintf(f, a...)) }

// Fatalf does not end the process: Start sees that the server is not ready.
func (l serverLog) Fatalf(f string, a ...any) { l.log.Error("nats: " + fmt.Sprintf(f, a...)) }
func (serverLog) Debugf(string, ...any)       {}
func (serverLog) Tracef(string, ...any)       {}

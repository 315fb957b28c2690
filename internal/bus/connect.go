package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Options say how to connect.
type Options struct {
	Role      Role    // names the inbox prefix and the connection. Required
	InProcess *Server // the embedded server of this process; then URL, CredsFile and TLS are not used
	URL       string  // nats://, tls://, ws:// or wss://host:port; several with commas between
	CredsFile string  // required with URL, except for a server that asks for a client certificate
	CAFile    string  // roots for TLS; "" is the system's
	CertFile  string  // client certificate and key, both or neither
	KeyFile   string
	Log       *slog.Logger // nil discards
}

// Conn is a connection to NATS, for those who only hand it on.
type Conn = nats.Conn

// Connect connects once, and fails with a reason if that fails. Later it
// reconnects for as long as it takes. While away nothing is buffered: a publish
// fails at once, so that the request behind it is refused and not forgotten.
func Connect(ctx context.Context, o Options) (*nats.Conn, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	log := o.Log.With("role", string(o.Role))
	if _, known := grants("x")[o.Role]; !known {
		return nil, fmt.Errorf("connect to NATS: unknown role %q", o.Role)
	}
	opts := []nats.Option{
		nats.Name("sallyport " + string(o.Role)),
		nats.CustomInboxPrefix("_INBOX." + string(o.Role)),
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // a server that lost its users for a while must not end us for good
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.Timeout(5 * time.Second),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil is our own Close
				log.Warn("NATS connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("NATS connected again", "server", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Error("NATS error", "error", err) }),
	}
	address := ""
	if o.InProcess != nil {
		opts = append(opts, nats.InProcessServer(o.InProcess.ns), nats.UserCredentials(o.InProcess.CredsFile(o.Role)))
	} else {
		more, err := external(o)
		if err != nil {
			return nil, err
		}
		opts, address = append(opts, more...), o.URL
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	nc, err := nats.Connect(address, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s as %s: %w", where(o), o.Role, err)
	}
	return nc, nil
}

func where(o Options) string {
	if o.InProcess != nil {
		return "the embedded server"
	}
	return o.URL
}

func external(o Options) ([]nats.Option, error) {
	for one := range strings.SplitSeq(o.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		switch {
		case err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
			return nil, errors.New("nats.url: want nats://host:port or tls://host:port, or several with commas between")
		case u.User != nil:
			return nil, errors.New("nats.url holds a user or password: put credentials into nats.creds_file")
		}
	}
	switch {
	case (o.CertFile == "") != (o.KeyFile == ""):
		return nil, errors.New("nats.tls: cert_file and key_file go together")
	case o.CredsFile == "" && o.CertFile == "":
		return nil, errors.New("nats.creds_file is empty: name the creds file of this role, e.g. state/nats/recorder.creds")
	}
	var opts []nats.Option
	if o.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(o.CredsFile))
	}
	if o.CAFile != "" {
		opts = append(opts, nats.RootCAs(o.CAFile))
	}
	if o.CertFile != "" {
		opts = append(opts, nats.ClientCert(o.CertFile, o.KeyFile))
	}
	return opts, nil
}

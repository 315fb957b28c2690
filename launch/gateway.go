package launch

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// Gateway is the gateway's proxy address. Make it with NewGateway.
type Gateway struct {
	address string
	tls     *tls.Config // nil for http
}

// NewGateway reads the gateway's URL, http://host:port or https://host:port.
// rootPEM is the gateway's root, which alone is trusted for https. Over http to
// another machine the token would cross the network in the clear, so that is
// refused.
func NewGateway(rawURL string, rootPEM []byte) (*Gateway, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, errors.New("the gateway's URL must be http://host:port or https://host:port")
	}
	g := &Gateway{}
	port := u.Port()
	switch u.Scheme {
	case "http":
		if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("%s is not on this machine: over http the identity token would be readable on the way; use the gateway's tls_listen with https://", u.Host)
		}
		if port == "" {
			port = "3128"
		}
	case "https":
		if port == "" {
			port = "443"
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(rootPEM) {
			return nil, errors.New("https to the gateway needs its root certificate (state_dir/ca/root.crt)")
		}
		g.tls = &tls.Config{RootCAs: roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	default:
		return nil, fmt.Errorf("the gateway's URL has scheme %q; use http or https", u.Scheme)
	}
	g.address = net.JoinHostPort(u.Hostname(), port)
	return g, nil
}

// Check says whether there is something to connect to, and that it has a
// certificate of the root where TLS is used.
func (g *Gateway) Check(ctx context.Context) error {
	conn, err := g.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (g *Gateway) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", g.address)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("the gateway at %s cannot be reached: %w; is `sallyport serve` running?", g.address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the gateway at %s cannot be reached: %w", g.address, err)
	}
	if g.tls == nil {
		return conn, nil
	}
	secured := tls.Client(conn, g.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		var unknown x509.UnknownAuthorityError
		if errors.As(err, &unknown) {
			return nil, fmt.Errorf("TLS with the gateway at %s failed: %w; the root must be the one that `sallyport ca show --pem` prints there", g.address, err)
		}
		return nil, fmt.Errorf("TLS with the gateway at %s failed: %w", g.address, err)
	}
	return secured, nil
}

// connect opens a tunnel to authority. When the answer is not 200, its body can
// be read until the connection is closed. No proxy of the environment is used:
// it would be ourselves.
func (g *Gateway) connect(ctx context.Context, authority, userAgent, label, reason string, token secret.String) (net.Conn, *http.Response, error) {
	conn, err := g.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	tunnel, answer, err := handshake(ctx, conn, authority, userAgent, label, reason, token)
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("the gateway at %s did not answer CONNECT: %w", g.address, err)
	}
	return tunnel, answer, nil
}

func handshake(ctx context.Context, conn net.Conn, authority, userAgent, label, reason string, token secret.String) (net.Conn, *http.Response, error) {
	// The context's end breaks off what is under way here, and not the tunnel.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	request := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: authority},
		Host:   authority,
		Header: http.Header{"Proxy-Authorization": {
			"Basic " + base64.StdEncoding.EncodeToString([]byte(label+":"+token.Reveal()))}},
	}
	request.Header.Set("User-Agent", userAgent)
	if reason != "" {
		request.Header.Set(reasonHeader, reason)
	}
	if err := request.Write(conn); err != nil {
		return nil, nil, errors.Join(err, ctx.Err())
	}
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, request)
	if err != nil {
		return nil, nil, errors.Join(err, ctx.Err())
	}
	if answer.StatusCode == http.StatusOK && !stop() {
		return nil, nil, ctx.Err()
	}
	return &bufferedConn{conn, reader}, answer, nil
}

// URL is the gateway's proxy URL.
func (g *Gateway) URL() *url.URL {
	u := &url.URL{Scheme: "http", Host: g.address}
	if g.tls != nil {
		u.Scheme = "https"
	}
	return u
}

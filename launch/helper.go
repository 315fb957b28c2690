package launch

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Helper is the proxy that an agent's clients use: it listens on 127.0.0.1 and
// passes each CONNECT to the gateway with the session label and a fresh token.
// So no client needs to know how to send proxy credentials (Java and git do not),
// and tokens are renewed under a running agent.
//
// Whoever can connect to it has the agent's identity. On Linux only processes of
// the same user can: the owner of every connection is looked up, and one whose
// owner cannot be found is refused. Elsewhere every local user can; do not run it
// there on machines shared with people you do not trust.
type Helper struct {
	Gateway *Gateway     // where to; required
	Tokens  TokenSource  // required; wrap it with Cached
	Label   string       // of the session; may be empty
	Reason  string       // what the agent's calls are for, in the agent's or its user's words; shown to approvers as untrusted
	Log     *slog.Logger // nil: slog.Default()

	// owner is overridden in tests.
	owner func(client, server netip.AddrPort) error
}

// reasonHeader carries Reason, percent-encoded, to the gateway.
const reasonHeader = "X-Sallyport-Stated-Reason"

// helperTimeout bounds everything before the tunnel stands, on both sides.
const helperTimeout = 30 * time.Second

// Listen opens the loopback listener. Its address goes into ProxyURL.
func Listen(ctx context.Context) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	return l, nil
}

// ProxyURL is the proxy URL of a listener of Listen.
func ProxyURL(l net.Listener) string { return "http://" + l.Addr().String() }

// Serve serves l until ctx ends; then open tunnels are cut, and it returns when
// the last is gone. It closes l. The error is nil when ctx ended.
func (h *Helper) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		l.Close()
		return fmt.Errorf("the helper listens on loopback only, not on %s: whoever reaches it has the agent's identity", l.Addr())
	}
	var tunnels sync.WaitGroup
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.connect(ctx, &tunnels, w, r) }),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: helperTimeout,
		IdleTimeout:       helperTimeout,
		MaxHeaderBytes:    128 << 10,
		ErrorLog:          slog.NewLogLogger(h.log().Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("serve the loopback helper: %w", err)
	case <-ctx.Done():
	}
	// Handlers see the end of ctx; Shutdown waits until each has answered or has
	// become a tunnel, so that nothing is added to tunnels while it is waited for.
	cancel()
	last, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer done()
	_ = server.Shutdown(last)
	server.Close()
	tunnels.Wait()
	return err
}

// connect serves one CONNECT: token, gateway, then bytes both ways.
func (h *Helper) connect(ctx context.Context, tunnels *sync.WaitGroup, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		refuse(w, http.StatusMethodNotAllowed, "this proxy serves CONNECT (https) only; plain http does not go through the gateway")
		return
	}
	if !validAuthority(r.RequestURI) {
		refuse(w, http.StatusBadRequest, "CONNECT needs host:port")
		return
	}
	if err := h.checkOwner(r); err != nil {
		h.log().Warn("connection to the helper refused", "error", err)
		refuse(w, http.StatusForbidden, "this proxy belongs to another user, or the owner of the connection could not be found")
		return
	}
	setup, cancel := context.WithTimeout(r.Context(), helperTimeout)
	defer cancel()
	token, _, err := h.Tokens.Token(setup)
	if err != nil {
		h.log().Error("no token for the gateway", "error", err)
		refuse(w, http.StatusBadGateway, "no identity token can be had: "+err.Error())
		return
	}
	up, answer, err := h.Gateway.connect(setup, r.RequestURI, r.UserAgent(), h.Label, h.reason(r), token)
	if err != nil {
		h.log().Error("gateway unreachable", "error", err)
		refuse(w, http.StatusBadGateway, err.Error())
		return
	}
	defer answer.Body.Close() // after the connection is closed: there is nothing left to read then
	defer up.Close()
	if answer.StatusCode != http.StatusOK {
		passRefusal(w, answer)
		return
	}
	tunnels.Add(1)
	defer tunnels.Done()
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		h.log().Error("take over the connection", "error", err)
		return
	}
	defer down.Close()
	_ = down.SetDeadline(time.Time{})
	if _, err := io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return // the client is gone
	}
	relay(ctx, &bufferedConn{down, buffered.Reader}, up)
}

// reason is what goes on with a CONNECT: the client's own header, or else Reason.
func (h *Helper) reason(r *http.Request) string {
	if own := r.Header.Get(reasonHeader); own != "" {
		return own
	}
	return url.PathEscape(h.Reason)
}

// refuse answers in plain text. 407 is never answered: the client has no
// credentials to give, the helper has.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Connection", "close")
	http.Error(w, "sallyport: "+message, status)
}

// passRefusal gives the gateway's own words to the client.
func passRefusal(w http.ResponseWriter, answer *http.Response) {
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	for name, values := range answer.Header {
		if name == "Content-Type" || strings.HasPrefix(name, "X-Sallyport-") {
			w.Header()[name] = values
		}
	}
	status := answer.StatusCode
	if status == http.StatusProxyAuthRequired || status < 300 {
		status = http.StatusForbidden
	}
	w.Header().Set("Connection", "close")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (h *Helper) checkOwner(r *http.Request) error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return errors.New("the connection has no local address")
	}
	server, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return fmt.Errorf("read the local address: %w", err)
	}
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return fmt.Errorf("read the client's address: %w", err)
	}
	if h.owner != nil {
		return h.owner(client, server)
	}
	return sameUser(client, server)
}

func (h *Helper) log() *slog.Logger { return cmp.Or(h.Log, slog.Default()) }

// validAuthority keeps everything out of the request line to the gateway that is
// not host:port; what the host may be is the gateway's to say.
func validAuthority(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || port == "" || len(s) > 300 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(".-_:[]", rune(c)) {
			return false
		}
	}
	return true
}

// bufferedConn reads first what was read ahead.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// CloseWrite ends one direction only, where the connection can.
func (c *bufferedConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// relay copies both ways until both sides have ended, or ctx has.
func relay(ctx context.Context, a, b net.Conn) {
	stop := context.AfterFunc(ctx, func() {
		a.Close()
		b.Close()
	})
	defer stop()
	var both sync.WaitGroup
	copyTo := func(dst, src net.Conn) {
		if _, err := io.Copy(dst, src); err != nil {
			// A broken direction means a broken tunnel: TLS inside cannot go on.
			a.Close()
			b.Close()
			return
		}
		_ = closeWrite(dst)
	}
	both.Go(func() { copyTo(a, b) })
	both.Go(func() { copyTo(b, a) })
	both.Wait()
}

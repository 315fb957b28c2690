package mitm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/elazarl/goproxy"
)

// Connect is a CONNECT request.
type Connect struct {
	Host               string // DNS name, lower case
	Port               uint16
	RemoteAddr         netip.AddrPort
	ProxyAuthorization []string // the header's values, as they came
	UserAgent          string
	StatedReason       []string // values of X-Sallyport-Stated-Reason: what the client says it is for
}

// Action is what becomes of a CONNECT.
type Action int

// The actions. The zero value refuses.
const (
	Refuse    Action = iota
	Intercept        // TLS with a certificate of ours; Handler serves what is inside
	Tunnel           // bytes pass untouched to the CONNECT host
)

// Admission answers a Connect.
type Admission struct {
	Action    Action
	Status    int          // of a refusal; 0: 403
	Message   string       // of a refusal, for a person
	Challenge bool         // the refusal asks for Basic credentials
	Handler   http.Handler // for Intercept; required
	// Began, if set, is told of the client's connection before anything of it is
	// carried, and may close it at any time, also at once. What it returns is called
	// when the connection has ended.
	Began func(io.Closer) (ended func())
}

// Proxy is a CONNECT proxy. Admit is required, Certificate for Intercept, Dial
// for Tunnel. Fields must not change after Serve.
type Proxy struct {
	Admit       func(context.Context, Connect) Admission
	Certificate func(ctx context.Context, host string) (*tls.Certificate, error)
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	Log         *slog.Logger     // nil: discarded
	Now         func() time.Time // nil: time.Now; for TLS only

	HeaderTimeout    time.Duration // to read a request's head, inside and outside; 0: 20 s
	HandshakeTimeout time.Duration // of TLS with the client; 0: 15 s
	IdleTimeout      time.Duration // between requests of a tunnel, and of a passed-through one; 0: 5 min
	StallTimeout     time.Duration // a body or an answer of which nothing moves; 0: 2 min
	MaxHeaderBytes   int           // of a head; 0: 64 KiB
	MaxConns         int           // client connections at once; 0: 20,000
	MaxConnsPerAddr  int           // of one address; 0: half of MaxConns

	once   sync.Once
	outer  *http.Server
	inner  *http.Server
	queue  *queue
	limits *limits
	ctx    context.Context // ends with Shutdown
	stop   context.CancelFunc
	wait   sync.WaitGroup // hijacked connections
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (p *Proxy) setUp() {
	p.HeaderTimeout = or(p.HeaderTimeout, 20*time.Second)
	p.HandshakeTimeout = or(p.HandshakeTimeout, 15*time.Second)
	p.IdleTimeout = or(p.IdleTimeout, 5*time.Minute)
	p.StallTimeout = or(p.StallTimeout, 2*time.Minute)
	p.MaxHeaderBytes = or(p.MaxHeaderBytes, 64<<10)
	p.MaxConns = or(p.MaxConns, 20_000)
	p.MaxConnsPerAddr = or(p.MaxConnsPerAddr, max(1, p.MaxConns/2))
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.limits = &limits{max: p.MaxConns, maxPerAddr: p.MaxConnsPerAddr, perAddr: map[netip.Addr]int{}}
	p.queue = newQueue()
	quiet := log.New(io.Discard, "", 0) // net/http's log lines quote what clients sent
	p.outer = &http.Server{
		Handler: p.goproxy(), ReadHeaderTimeout: p.HeaderTimeout, IdleTimeout: p.HeaderTimeout,
		MaxHeaderBytes: p.MaxHeaderBytes, ErrorLog: quiet, DisableGeneralOptionsHandler: true, // it says 200 to OPTIONS *
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, // no HTTP/2
	}
	p.inner = &http.Server{
		Handler: http.HandlerFunc(p.serveInner), ReadHeaderTimeout: p.HeaderTimeout, IdleTimeout: p.IdleTimeout,
		MaxHeaderBytes: p.MaxHeaderBytes, ErrorLog: quiet, DisableGeneralOptionsHandler: true, // it says 200 to OPTIONS *
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, tunnelKey{}, c)
		},
	}
	p.wait.Go(func() { _ = p.inner.Serve(p.queue) })
}

// goproxy is configured to decide nothing: every CONNECT is handed over or
// refused, and every default of it that forwards is closed.
func (p *Proxy) goproxy() http.Handler {
	g := goproxy.NewProxyHttpServer()
	g.Logger = log.New(io.Discard, "", 0)
	g.Tr = &http.Transport{Proxy: nil, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("mitm: goproxy must not dial")
	}}
	g.ConnectDial, g.ConnectDialWithReq, g.CertStore = nil, nil, nil
	g.AllowHTTP2 = false
	g.NonproxyHandler = http.HandlerFunc(noConnect)
	g.OnRequest().HandleConnectFunc(p.handleConnect)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A plain request in absolute form would be fetched by goproxy itself.
		if r.Method != http.MethodConnect {
			// net/http reads on in a body that nobody wants. Without a deadline one that is
			// withheld would hold the connection for ever, and no token is asked for here.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(p.HeaderTimeout))
			noConnect(w, r)
			return
		}
		g.ServeHTTP(w, r)
	})
}

func noConnect(w http.ResponseWriter, _ *http.Request) {
	refuse(w, http.StatusBadRequest, "sallyport: this port takes CONNECT only: set it as HTTPS_PROXY, and use https:// addresses")
}

func (p *Proxy) handleConnect(_ string, ctx *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
	r := ctx.Req
	refused := func(a Admission) (*goproxy.ConnectAction, string) {
		ctx.Resp = response(a)
		return &goproxy.ConnectAction{Action: goproxy.ConnectReject}, r.RequestURI
	}
	// RequestURI is what the client wrote: r.Host and r.URL are other readings of it.
	host, port, err := ParseAuthority(r.RequestURI)
	if err != nil {
		return refused(Admission{Status: http.StatusBadRequest, Message: "sallyport: " + err.Error()})
	}
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return refused(Admission{Status: http.StatusBadRequest, Message: "sallyport: no client address"})
	}
	a := p.Admit(r.Context(), Connect{
		Host: host, Port: port, RemoteAddr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()),
		ProxyAuthorization: r.Header.Values("Proxy-Authorization"), UserAgent: r.UserAgent(), StatedReason: r.Header.Values("X-Sallyport-Stated-Reason"),
	})
	var serve func(net.Conn, string, uint16, Admission)
	switch {
	case a.Action == Intercept && a.Handler != nil && p.Certificate != nil:
		serve = p.intercept
	case a.Action == Tunnel && p.Dial != nil:
		serve = p.tunnel
	default:
		return refused(a)
	}
	return &goproxy.ConnectAction{Action: goproxy.ConnectHijack, Hijack: func(_ *http.Request, c net.Conn, _ *goproxy.ProxyCtx) {
		// A goroutine of its own, so that goproxy's and the server's stacks and
		// buffers are given back while the tunnel lasts.
		p.wait.Go(func() {
			// net/http's recovery ends with the hijack. A panic here would take every
			// agent's tunnel with it.
			defer func() {
				if v := recover(); v != nil {
					p.Log.Error("panic while a tunnel was set up", "host", host, "panic", fmt.Sprintf("%T", v))
					_ = c.Close()
				}
			}()
			c = watch(c, a)
			serve(c, host, port, a)
		})
	}}, r.RequestURI
}

// response is a refusal before the tunnel.
func response(a Admission) *http.Response {
	status := or(a.Status, http.StatusForbidden)
	message := or(a.Message, "sallyport: refused") + "\n"
	h := http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "Connection": {"close"}}
	if a.Challenge {
		status = http.StatusProxyAuthRequired
		h.Set("Proxy-Authenticate", `Basic realm="sallyport"`)
	}
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: h, Close: true,
		ContentLength: int64(len(message)), Body: io.NopCloser(strings.NewReader(message)),
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Connection", "close")
	http.Error(w, message, status)
}

// Serve accepts connections on ln until Shutdown, and closes it. It may be called
// for several listeners. A listener that fails is an error; Shutdown is not.
func (p *Proxy) Serve(_ context.Context, ln net.Listener) error {
	if p.Admit == nil {
		_ = ln.Close()
		return errors.New("mitm: a proxy without Admit admits nobody")
	}
	p.once.Do(p.setUp)
	err := p.outer.Serve(&limited{Listener: ln, limits: p.limits})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown stops: no new connections and no new requests, idle tunnels closed,
// requests under way finish until ctx ends, and are cut then.
func (p *Proxy) Shutdown(ctx context.Context) error {
	p.once.Do(p.setUp)
	p.queue.close()
	// Side by side: a CONNECT that waits for a slow Admit must not keep open tunnels
	// serving new requests meanwhile, nor use up the time they have to finish.
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, srv := range []*http.Server{p.outer, p.inner} {
		wg.Go(func() {
			if errs[i] = srv.Shutdown(ctx); errs[i] != nil {
				errs[i] = errors.Join(errs[i], srv.Close())
			}
		})
	}
	wg.Wait()
	err := errors.Join(errs...)
	p.stop()
	p.wait.Wait()
	return err
}

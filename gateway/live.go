package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/refusal"
	"github.com/sallyport/sallyport/revocation"
)

// cutTime is how long what was cut may take to tell its client so, and to be recorded,
// before the client's connection is cut too.
const cutTime = time.Second

// Revocations say who and what may go on. It is *revocation.List.
type Revocations interface {
	Refusal(ctx context.Context, c revocation.Caller) *refusal.Error
}

// live is what goes on now: the tunnels and the requests that can be cut.
type live struct {
	mu       sync.Mutex
	tunnels  map[*liveTunnel]struct{}
	requests map[*liveRequest]struct{}
}

type liveTunnel struct {
	who  revocation.Caller
	conn io.Closer
}

// liveRequest is a request from the moment its caller and target are known.
type liveRequest struct {
	who    revocation.Caller
	cancel context.CancelCauseFunc
	ended  chan struct{}

	mu   sync.Mutex
	wire net.Conn // to AWS, once there is one
	cut  bool
}

func (c *caller) revocable(session, target string) revocation.Caller {
	return revocation.Caller{Issuer: c.principal.Issuer, Subject: c.principal.Subject, Label: c.label, Session: session, Target: target}
}

// began keeps a client's connection for as long as it is open.
// blind says that what is inside cannot be looked at again.
func (g *Gateway) began(ctx context.Context, who *caller, blind bool) func(io.Closer) func() {
	if who.principal == nil {
		return nil // nothing is carried for a caller without identity
	}
	ctx = context.WithoutCancel(ctx)
	return func(conn io.Closer) func() {
		t := &liveTunnel{who.revocable("", ""), conn}
		g.live.mu.Lock()
		if g.live.tunnels == nil {
			g.live.tunnels = map[*liveTunnel]struct{}{}
		}
		g.live.tunnels[t] = struct{}{}
		g.live.mu.Unlock()
		if blind && g.Revocations.Refusal(ctx, t.who) != nil { // since Admit looked
			_ = conn.Close()
		}
		return func() {
			g.live.mu.Lock()
			delete(g.live.tunnels, t)
			g.live.mu.Unlock()
		}
	}
}

// enter makes a request one that can be cut, and then looks whether its caller or its
// target is revoked: in this order, one that passes is among those that a revocation
// made meanwhile cuts. The context ends when it is cut, with the refusal as its cause.
func (h *handler) enter(ctx context.Context, x *exchange) (context.Context, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &liveRequest{who: x.caller.revocable(x.session.ID, x.target.Name), cancel: cancel, ended: make(chan struct{})}
	x.live, x.cut = l, ctx
	h.live.mu.Lock()
	if h.live.requests == nil {
		h.live.requests = map[*liveRequest]struct{}{}
	}
	h.live.requests[l] = struct{}{}
	h.live.mu.Unlock()
	// Whoever reads the client's body would wait for it, and not see that it was cut.
	still := context.AfterFunc(ctx, func() {
		if errors.As(context.Cause(ctx), new(*refusal.Error)) {
			_ = bound(x, time.Unix(1, 0), 0) // one that has no body
		}
	})
	x.release = append(x.release, func() {
		still() // first: the connection may be another request's from here on
		h.live.mu.Lock()
		delete(h.live.requests, l)
		h.live.mu.Unlock()
		l.offWire()
		cancel(nil)
		close(l.ended)
	})
	if e := h.Revocations.Refusal(ctx, l.who); e != nil {
		if e.Reason == refusal.Identity { // it may have been opened just behind the closing
			h.Sessions.Revoke(func(s *identity.Session) bool { return s.ID == x.session.ID })
		}
		return ctx, h.said(e)
	}
	return ctx, nil
}

// said is a refusal whose words, an operator's, may be shown to an agent.
func (g *Gateway) said(e *refusal.Error) *refusal.Error {
	out := *e
	out.Message = g.Masker.Text(e.Message)
	return &out
}

// onWire lets the connection that carries a request be closed under it. net/http
// notices that a request was cancelled a moment later than it was, and may write
// meanwhile.
func (l *liveRequest) onWire(ctx context.Context) context.Context {
	if l == nil {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.wire = i.Conn; l.cut {
				drop(i.Conn)
			}
		},
		PutIdleConn: func(error) { l.offWire() },
	})
}

// offWire forgets the connection, which may be another request's from now on.
func (l *liveRequest) offWire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wire = nil
}

// stop cuts requests off from AWS. When it returns nothing more of them goes out. All
// are cancelled before a connection is closed, which may have passed from one to another:
// each ends with the reason.
func stop(why *refusal.Error, requests ...*liveRequest) {
	for _, l := range requests {
		l.cancel(why)
	}
	for _, l := range requests {
		l.drop()
	}
}

func (l *liveRequest) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut = true; l.wire != nil {
		drop(l.wire)
	}
}

// drop closes a connection, and what it was given and has not yet sent is not sent.
func drop(c net.Conn) {
	under := c
	for {
		t, ok := under.(interface{ NetConn() net.Conn }) // TLS is over it
		if !ok {
			break
		}
		under = t.NetConn()
	}
	if t, ok := under.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = under.Close() // first: TLS would wait to say goodbye
	_ = c.Close()
}

// revoked replaces the error of a request that was cut by what cut it.
func (x *exchange) revoked(e *refusal.Error) *refusal.Error {
	if x.cut == nil {
		return e
	}
	var why *refusal.Error
	if !errors.As(context.Cause(x.cut), &why) {
		return e
	}
	out := *why
	if out.Err = e; x.recorded {
		out.Message += "; the request was cut off, and whether AWS acted on it is not known"
	}
	return &out
}

// Revoke ends everything that r covers: requests under way and held ones, sessions,
// and the tunnels of whom it covers. When it returns nothing of them goes to AWS. That
// new requests are refused is Revocations' work, and must have begun before.
func (g *Gateway) Revoke(ctx context.Context, r revocation.Revocation) revocation.Ended {
	var e revocation.Ended
	var requests []*liveRequest
	g.live.mu.Lock()
	for l := range g.live.requests {
		if r.Covers(l.who) {
			requests = append(requests, l)
		}
	}
	g.live.mu.Unlock()
	why := g.said(revocation.Refuse(r))
	stop(why, requests...)
	e.Requests = len(requests)
	g.await(ctx, requests) // what can be told why is told, before its connection goes
	if r.Target == "" {
		e.Sessions = len(g.Sessions.Revoke(func(s *identity.Session) bool {
			return r.Covers(revocation.Caller{Issuer: s.Issuer, Subject: s.Subject, Label: s.Label, Session: s.ID})
		}))
		e.Tunnels = g.cutTunnels(r)
		g.await(ctx, requests)
	}
	return e
}

func (g *Gateway) await(ctx context.Context, requests []*liveRequest) {
	ctx, cancel := context.WithTimeout(ctx, cutTime)
	defer cancel()
	for _, l := range requests {
		select {
		case <-l.ended:
		case <-ctx.Done():
			return
		}
	}
}

func (g *Gateway) cutTunnels(r revocation.Revocation) (n int) {
	var conns []io.Closer
	g.live.mu.Lock()
	for t := range g.live.tunnels {
		if r.Covers(t.who) {
			conns = append(conns, t.conn)
		}
	}
	g.live.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // one that has ended by itself
	}
	return len(conns)
}

// RevokedEvent records what a revocation did here, or that it was lifted.
func (g *Gateway) RevokedEvent(r revocation.Revocation, e revocation.Ended) event.Event {
	d := &event.Revoked{
		Common:  event.Common{RequestID: g.IDs.New(), SessionID: r.Session, EventTime: g.Now()},
		Session: r.Session, Target: r.Target, Reason: g.Masker.Text(r.Reason), Until: r.Until, Lifted: r.Lifted,
		SessionsClosed: e.Sessions, TunnelsCut: e.Tunnels, RequestsCut: e.Requests, Approvals: e.Approvals,
	}
	switch {
	case r.Session != "":
		d.UserIdentity = event.UserIdentity{Issuer: r.Issuer, Subject: r.Subject, Label: g.Masker.Text(r.Label)}
	case r.Subject != "":
		d.Subject, d.Issuer = r.Subject, r.Issuer
	}
	if e.Err != nil {
		d.ApprovalsFailed = g.Masker.Text(e.Err.Error())
	}
	return g.newEvent(d)
}

package mitm

import (
	"net"
	"net/netip"
	"sync"
)

// limits counts client connections, so that neither one address nor all together
// exhaust the process. A connection over the limit is closed at once.
type limits struct {
	max, maxPerAddr int

	mu      sync.Mutex
	total   int
	perAddr map[netip.Addr]int
}

func (l *limits) enter(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.max || l.perAddr[a] >= l.maxPerAddr {
		return false
	}
	l.total++
	l.perAddr[a]++
	return true
}

func (l *limits) leave(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.perAddr[a]--; l.perAddr[a] == 0 {
		delete(l.perAddr, a)
	}
}

// limited is a listener under limits.
type limited struct {
	net.Listener
	limits *limits
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr, err := netip.ParseAddrPort(c.RemoteAddr().String())
		if err != nil || !l.limits.enter(addr.Addr()) {
			_ = c.Close()
			continue
		}
		return &counted{Conn: c, leave: sync.OnceFunc(func() { l.limits.leave(addr.Addr()) })}, nil
	}
}

// counted leaves the limits when it is closed.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}

// CloseWrite lets tunnels pass a half-close on.
func (c *counted) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}

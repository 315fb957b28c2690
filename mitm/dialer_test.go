package mitm_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/mitm"
)

func TestKind(t *testing.T) {
	for _, a := range []string{
		"169.254.169.254", "169.254.170.2", "fd00:ec2::254", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "127.0.0.1", "127.1.2.3",
		"0.0.0.0", "0.1.2.3", "::", "::1", "::1%lo", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255",
		"64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:a9fe:a9fe::", "2001:0:1::1", "::169.254.169.254", "::ffff:0:169.254.169.254",
		"fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"192.0.0.8", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "198.19.255.255", "192.88.99.1", "2001:db8::1", "3fff::1",
		"2001:20::1", "100::1", "5f00::1", "::ffff:10.0.0.1",
	} {
		if mitm.Kind(netip.MustParseAddr(a)) == "" {
			t.Errorf("%s is taken for public", a)
		}
	}
	if mitm.Kind(netip.Addr{}) == "" {
		t.Error("the zero address is taken for public")
	}
	for _, a := range []string{"52.95.110.1", "3.5.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "169.253.1.1", "::ffff:52.95.110.1", "2600:1f00::1", "2a05:d000::1"} {
		if kind := mitm.Kind(netip.MustParseAddr(a)); kind != "" {
			t.Errorf("%s is taken for %s", a, kind)
		}
	}
}

// answers is a resolver that says answers in turn.
type answers struct {
	lists [][]string
	asked atomic.Int64
}

func (a *answers) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	n := int(a.asked.Add(1)) - 1
	var out []netip.Addr
	for _, s := range a.lists[n%len(a.lists)] {
		out = append(out, netip.MustParseAddr(s))
	}
	if out == nil && n == 1 {
		return nil, errors.New("SERVFAIL")
	}
	return out, nil
}

// listening waits on every loopback address, and says when something dials it.
func listening(t *testing.T) (port string, dialled *atomic.Int64) {
	t.Helper()
	dialled = new(atomic.Int64)
	ln, err := net.Listen("tcp", ":0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	_, port, err = net.SplitHostPort(ln.Addr().String())
	must(t, err)
	return port, dialled
}

// One private address among public ones spoils the whole answer, whatever its place
// and whatever the next answer is.
func TestDialerRefuses(t *testing.T) {
	port, dialled := listening(t)
	everything := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	for name, c := range map[string]struct {
		answers []string
		allow   []netip.Prefix
	}{
		"loopback":                     {[]string{"127.0.0.1"}, nil},
		"loopback among public":        {[]string{"127.0.0.1", "52.95.110.1"}, nil},
		"public, then loopback":        {[]string{"52.95.110.1", "127.0.0.1"}, nil},
		"public, then IPv6 loopback":   {[]string{"52.95.110.1", "::1"}, nil},
		"private":                      {[]string{"10.0.0.1"}, nil},
		"private beside another allow": {[]string{"10.1.0.1"}, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}},
		"nothing":                      {nil, nil},
		"loopback, all allowed":        {[]string{"127.0.0.1"}, everything},
		"mapped loopback, all allowed": {[]string{"::ffff:127.0.0.1"}, everything},
		"IPv6 loopback, all allowed":   {[]string{"::1"}, everything},
		"unspecified, all allowed":     {[]string{"0.0.0.0"}, everything},
		"metadata, all allowed":        {[]string{"169.254.169.254"}, everything},
		"IPv6 metadata, all allowed":   {[]string{"fd00:ec2::254"}, everything},
		"link-local, all allowed":      {[]string{"fe80::1%lo"}, everything},
		"NAT64 metadata, NAT64 allowed": {
			[]string{"64:ff9b::a9fe:a9fe"}, []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96")},
		},
		"6to4 private, 6to4 allowed": {[]string{"2002:a00:1::"}, []netip.Prefix{netip.MustParsePrefix("2002::/16")}},
	} {
		d := &mitm.Dialer{Resolver: &answers{lists: [][]string{c.answers}}, Allow: c.allow, Timeout: 50 * time.Millisecond}
		conn, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s: dialled", name)
		} else if len(c.answers) > 0 && !strings.Contains(err.Error(), "resolves to") {
			t.Errorf("%s: %v: an address was tried", name, err)
		}
	}
	if n := dialled.Load(); n != 0 {
		t.Errorf("loopback was dialled %d times", n)
	}
}

// A literal address gets no further than a name.
func TestDialerLiteral(t *testing.T) {
	port, dialled := listening(t)
	for _, a := range []string{"127.0.0.1", "::1", "0.0.0.0", "::ffff:127.0.0.1", "localhost"} {
		if c, err := new(mitm.Dialer).DialContext(t.Context(), "tcp", net.JoinHostPort(a, port)); err == nil {
			_ = c.Close()
			t.Errorf("%s was dialled", a)
		}
	}
	if n := dialled.Load(); n != 0 {
		t.Errorf("loopback was dialled %d times", n)
	}
}

// DNS rebinding: the name is asked once for each connection, and what was checked
// is what is dialled. The public address is this machine's own, by way of Allow.
func TestDialerRebinding(t *testing.T) {
	port, _ := listening(t)
	mine := ownAddress(t)
	r := &answers{lists: [][]string{{mine.String()}, {"127.0.0.1"}}}
	d := &mitm.Dialer{Resolver: r, Allow: []netip.Prefix{netip.PrefixFrom(mine, mine.BitLen())}}
	for i := range 50 {
		c, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if (err == nil) != (i%2 == 0) {
			t.Fatalf("attempt %d: %v", i, err)
		}
		if err == nil {
			if got := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(); got != mine {
				t.Errorf("dialled %s, checked %s", got, mine)
			}
			_ = c.Close()
		}
		if n := r.asked.Load(); n != int64(i+1) {
			t.Fatalf("%d look-ups for %d connections", n, i+1)
		}
	}
}

func ownAddress(t *testing.T) netip.Addr {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	must(t, err)
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	t.Skip("this machine has loopback only")
	return netip.Addr{}
}

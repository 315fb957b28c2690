package mitm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Resolver looks names up; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Dialer dials public addresses only. A name is resolved once, every one of its
// addresses is checked, and the very addresses that were checked are dialled: a
// name that resolves differently the next time (DNS rebinding) gains nothing.
// The zero value refuses every private network.
type Dialer struct {
	Resolver Resolver       // nil: net.DefaultResolver
	Allow    []netip.Prefix // private networks that may be reached (VPC endpoints)
	Timeout  time.Duration  // of one connection attempt; 0: 10 s
}

// DialContext connects to address, host:port.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	var r Resolver = net.DefaultResolver
	if d.Resolver != nil {
		r = d.Resolver
	}
	ctx, cancel := context.WithTimeout(ctx, 3*or(d.Timeout, 10*time.Second))
	defer cancel()
	addrs, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", host, err)
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("look up %s: no addresses", host)
	}
	for _, a := range addrs {
		if kind := Kind(a); kind != "" && !d.allowed(a) {
			return nil, fmt.Errorf("%s resolves to %s, which is %s; aws.allow_private_upstream can name the network", host, a.Unmap(), kind)
		}
	}
	plain := &net.Dialer{Timeout: or(d.Timeout, 10*time.Second)}
	var errs []error
	for _, a := range addrs {
		c, err := plain.DialContext(ctx, network, net.JoinHostPort(a.Unmap().String(), port))
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// allowed: the metadata service and loopback stay closed whatever is configured,
// since what answers there trusts this machine.
func (d *Dialer) allowed(a netip.Addr) bool {
	a = a.Unmap()
	if a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a == metadata6 {
		return false
	}
	if inside, ok := embedded(a); ok && Kind(inside) != "" && !d.allowed(inside) {
		return false // the metadata service by way of NAT64
	}
	for _, p := range d.Allow {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// embedded is the IPv4 address inside a NAT64 (RFC 6052) or 6to4 (RFC 3056) one.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return netip.Addr{}, false
	}
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
	global6   = netip.MustParsePrefix("2000::/3") // all of IPv6 that IANA has given out as global unicast
)

var metadata6 = netip.MustParseAddr("fd00:ec2::254") // EC2's instance metadata service over IPv6

// special are the networks of RFC 6890 and its kin that are not the public
// internet, and those that carry an IPv4 address inside.
var special = []struct {
	prefix netip.Prefix
	kind   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT"},
	{netip.MustParsePrefix("192.0.0.0/24"), "an IETF protocol assignment"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{nat64, "NAT64 (an IPv4 address inside)"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "local NAT64"},
	{netip.MustParsePrefix("100::/64"), "discard-only"},
	{netip.MustParsePrefix("2001::/32"), "Teredo (an IPv4 address inside)"},
	{netip.MustParsePrefix("2001::/23"), "an IETF protocol assignment"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
	{sixToFour, "6to4 (an IPv4 address inside)"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
}

// Kind says what an address is that is not public; "" for a public one.
func Kind(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return "no address"
	case a == metadata6:
		return "the instance metadata service"
	case a.IsUnspecified():
		return "unspecified"
	case a.IsLoopback():
		return "loopback"
	case a.IsLinkLocalUnicast(), a.IsLinkLocalMulticast():
		return "link-local"
	case a.IsMulticast():
		return "multicast"
	case a.IsPrivate():
		return "private"
	}
	for _, s := range special {
		if s.prefix.Contains(a) {
			return s.kind
		}
	}
	if a.Is6() && !global6.Contains(a) { // IPv4-compatible and IPv4-translated ones among them
		return "not global unicast"
	}
	return ""
}

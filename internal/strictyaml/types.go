package strictyaml

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

func parseDuration(s string, v reflect.Value) error {
	t, err := time.ParseDuration(s)
	if err != nil || t < 0 {
		return fmt.Errorf("expected a duration such as 60s, 15m or 1h, found %q", clip(s))
	}
	v.SetInt(int64(t))
	return nil
}

func parsePrefix(s string, v reflect.Value) error {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("expected a network such as 10.0.0.0/16, found %q", clip(s))
	}
	if p != p.Masked() {
		return fmt.Errorf("%s has bits set behind its length; write %s", p, p.Masked())
	}
	v.Set(reflect.ValueOf(p))
	return nil
}

// Size is a number of bytes, written "512KiB", "16MiB", "1GiB", "100B" or as a
// whole number of bytes. Decimal units (MB) are refused, since people mean
// either by them.
type Size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	in := string(text)
	bad := fmt.Errorf("expected a size such as 512KiB, 16MiB or 1GiB, found %q", clip(in))
	shift := 0
	digits := in
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if rest, ok := strings.CutSuffix(in, unit); ok {
			digits, shift = rest, bits
		}
	}
	if shift == 0 {
		digits = strings.TrimSuffix(in, "B")
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt64>>shift {
		return bad
	}
	*s = Size(n << shift) // #nosec G115 -- bounded in the line above
	return nil
}

// String is the shortest exact form.
func (s Size) String() string {
	for _, u := range []struct {
		bits int
		name string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if s != 0 && s%(1<<u.bits) == 0 {
			return strconv.FormatInt(int64(s>>u.bits), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// HostPort is host:port. The host is an IP address (IPv6 in brackets) or a name
// in lower case; the port is always given. The zero value, written "", is unset.
type HostPort struct {
	Host string
	Port uint16
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *HostPort) UnmarshalText(text []byte) error {
	s := string(text)
	*h = HostPort{}
	if s == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("expected host:port such as 127.0.0.1:3128, found %q", clip(s))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%q does not end in a port (0 to 65535)", clip(s))
	}
	if host == "" {
		return fmt.Errorf("%q names no host; write 127.0.0.1:%s for this machine only, 0.0.0.0:%s for every network", clip(s), port, port)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.String()
	} else if !isName(host) {
		return fmt.Errorf("%q is neither an IP address nor a host name", clip(host))
	}
	*h = HostPort{strings.ToLower(host), uint16(n)}
	return nil
}

// String is host:port, or "" when unset.
func (h HostPort) String() string {
	if h.IsZero() {
		return ""
	}
	return net.JoinHostPort(h.Host, strconv.Itoa(int(h.Port)))
}

// IsZero reports an unset address.
func (h HostPort) IsZero() bool { return h.Host == "" }

// IP returns the host as an address; false when it is a name.
func (h HostPort) IP() (netip.Addr, bool) {
	ip, err := netip.ParseAddr(h.Host)
	return ip, err == nil
}

// Loopback reports whether the host is this machine alone: 127.0.0.0/8, ::1 or
// localhost (RFC 6761 section 6.3).
func (h HostPort) Loopback() bool {
	ip, ok := h.IP()
	return ok && ip.Unmap().IsLoopback() || h.Host == "localhost"
}

// isName checks a DNS name: labels of letters, digits, - and _, at most 63 bytes
// each and 253 in all, no dot at the end. A last label of digits alone would be
// taken for an IPv4 address by some resolvers (127.1, 0x7f.1) and is refused.
func isName(s string) bool {
	if len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return false
		}
		for _, c := range []byte(l) {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	last := strings.ToLower(labels[len(labels)-1])
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

// URL is an absolute URL with a host and without a user or password. The zero
// value, written "", is unset: its URL is nil.
type URL struct{ *url.URL }

// UnmarshalText implements encoding.TextUnmarshaler. Its errors do not quote the
// text: a URL may hold a password.
func (u *URL) UnmarshalText(text []byte) error {
	u.URL = nil
	if len(text) == 0 {
		return nil
	}
	p, err := url.Parse(string(text))
	if err != nil || p.Scheme == "" || p.Host == "" || p.Hostname() == "" {
		return errors.New("expected a URL such as https://host:port")
	}
	if p.User != nil {
		return errors.New("a URL here must not hold a user or a password; secrets come from files")
	}
	u.URL = p
	return nil
}

// String is the URL's text, "" when unset.
func (u URL) String() string {
	if u.URL == nil {
		return ""
	}
	return u.URL.String()
}

// IsZero reports an unset URL.
func (u URL) IsZero() bool { return u.URL == nil }

// clip keeps a message to one readable line.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

package mitm

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ParseAuthority reads the target of a CONNECT, host:port, and gives the host in
// lower case. It is strict, because every later check compares with its answer:
// the host is a DNS name of ASCII letters, digits and hyphens (RFC 1123, section
// 2.1), with at least one dot and no trailing one, and the port is decimal without
// leading zeros. IP literals in every spelling, user information, brackets,
// percent signs, and names that a resolver would read as a number are refused.
func ParseAuthority(s string) (host string, port uint16, err error) {
	if len(s) > 260 {
		return "", 0, errors.New("the target is too long for a host name")
	}
	name, number, ok := strings.Cut(s, ":")
	if !ok {
		return "", 0, errors.New("the target has no port")
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != number {
		return "", 0, errors.New("the target's port is not a number from 1 to 65535")
	}
	name = lower(name)
	if err := checkName(name); err != nil {
		return "", 0, err
	}
	return name, uint16(n), nil
}

func checkName(name string) error {
	labels := strings.Split(name, ".")
	if len(labels) < 2 || len(name) > 253 {
		return errors.New("the target is not a full host name")
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("the target is not a host name")
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return errors.New("the target's name has characters other than letters, digits, dots and hyphens")
			}
		}
	}
	// Resolvers take 127.1, 0x7f.1 and 2130706433 for addresses; a name whose last
	// label is numeric cannot be a DNS name (RFC 3696, section 2).
	last := labels[len(labels)-1]
	if _, err := netip.ParseAddr(name); err == nil || isNumeric(last) {
		return errors.New("the target is an IP address; give a name")
	}
	return nil
}

func isNumeric(label string) bool {
	if c := label[0]; c >= '0' && c <= '9' {
		_, err := strconv.ParseUint(label, 0, 64)
		return err == nil || strings.Trim(label, "0123456789") == ""
	}
	return false
}

// lower is for ASCII alone: strings.ToLower makes a k of U+212A (KELVIN SIGN), and
// what was no host name would become one.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}

// sameName reports whether an SNI is the CONNECT host.
func sameName(sni, host string) bool { return lower(sni) == host }

// sameHost reports whether an inner Host header is the CONNECT host. The default
// port is the same authority (RFC 9110, section 4.2.3).
func sameHost(got, host string) bool { return sameName(strings.TrimSuffix(got, ":443"), host) }

func hostPort(host string, port uint16) string { return fmt.Sprintf("%s:%d", host, port) }

//go:build !linux

package launch

import "net/netip"

// sameUser cannot be answered here without privileges; see Helper.
func sameUser(_, _ netip.AddrPort) error { return nil }

package launch

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// sameUser says whether the process at the client end of a loopback connection
// belongs to the user we run as. The kernel lists every socket with its owner in
// /proc/net/tcp and, for clients that use IPv6 sockets for IPv4 (Java), tcp6.
func sameUser(client, server netip.AddrPort) error {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		uid, found, err := ownerIn(table, client, server)
		if err != nil {
			return err
		}
		if found {
			if uid != os.Getuid() {
				return fmt.Errorf("the connection is of user %d, the helper's is %d", uid, os.Getuid())
			}
			return nil
		}
	}
	return errors.New("the connection is in no socket table")
}

// ownerIn finds the established socket whose local end is client. One that is
// closing is passed over: the kernel then writes 0, which is also root's.
func ownerIn(table string, client, server netip.AddrPort) (uid int, found bool, err error) {
	f, err := os.Open(table)
	if err != nil {
		if table == "/proc/net/tcp6" && errors.Is(err, os.ErrNotExist) {
			return 0, false, nil // a kernel without IPv6
		}
		return 0, false, fmt.Errorf("read the socket table: %w", err)
	}
	defer f.Close()
	const established = "01"
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid ...
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 || fields[3] != established || parseKernelAddr(fields[1]) != client || parseKernelAddr(fields[2]) != server {
			continue
		}
		uid, err := strconv.Atoi(fields[7])
		if err != nil {
			return 0, false, fmt.Errorf("read the socket table: %w", err)
		}
		return uid, true, nil
	}
	if err := lines.Err(); err != nil {
		return 0, false, fmt.Errorf("read the socket table: %w", err)
	}
	return 0, false, nil
}

// parseKernelAddr reads "0100007F:1F90": the address in 32-bit words of the
// machine's byte order, the port as a number. Mapped IPv4 becomes IPv4.
func parseKernelAddr(s string) netip.AddrPort {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, ok := netip.AddrFromSlice(b)
	p, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(p))
}

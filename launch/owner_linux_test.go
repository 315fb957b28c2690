package launch

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

// Clients with IPv6 sockets (Java) appear in the other table.
func TestSameUser(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	server := l.Addr().(*net.TCPAddr).AddrPort()
	conn, err := net.Dial("tcp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	if err := sameUser(client, server); err != nil {
		t.Errorf("own connection: %v", err)
	}
	if err := sameUser(netip.AddrPortFrom(client.Addr(), client.Port()^1), server); err == nil {
		t.Error("a connection that is in no table was taken for ours")
	}
}

func TestOwnerIn(t *testing.T) {
	table := filepath.Join(t.TempDir(), "tcp")
	text := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1
   1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 2 1
   2: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 3 1
   3: 0100007F:9C41 0100007F:1F90 06 00000000:00000000 00:00000000 00000000     0        0 0 1
   4: 0000000000000000FFFF00000100007F:9C42 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000  1002 0 4 1
   5: garbage
`
	if err := os.WriteFile(table, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := netip.MustParseAddrPort("127.0.0.1:8080")
	for port, want := range map[uint16]int{40000: 1001, 40001: -1, 40002: 1002, 40003: -1} {
		uid, found, err := ownerIn(table, netip.AddrPortFrom(server.Addr(), port), server)
		if err != nil || found != (want >= 0) || (found && uid != want) {
			t.Errorf("port %d: uid %d found %v %v, want %d", port, uid, found, err, want)
		}
	}
}

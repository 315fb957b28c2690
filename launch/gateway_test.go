package launch

import (
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
)

// Check tells apart what is wrong before an agent starts, and what to do.
func TestCheck(t *testing.T) {
	plain := httptest.NewServer(nil)
	defer plain.Close()
	secure := httptest.NewTLSServer(nil)
	defer secure.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail on purpose
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	root := func(s *httptest.Server) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	}
	for _, c := range []struct {
		name, url string
		root      []byte
		want      string // "" is no error
	}{
		{"there", plain.URL, nil, ""},
		{"there, TLS", secure.URL, root(secure), ""},
		{"closed", closed, nil, "is `sallyport serve` running?"},
		{"another root", secure.URL, selfSigned(t), "the root must be the one that `sallyport ca show --pem` prints there"},
		{"no TLS there", strings.Replace(plain.URL, "http:", "https:", 1), root(secure), "TLS with the gateway at"},
	} {
		g, err := NewGateway(c.url, c.root)
		if err != nil {
			t.Fatal(err)
		}
		err = g.Check(t.Context())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

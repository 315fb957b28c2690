package server

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/strictyaml"
)

// The CA outlives the machine's name, and turning on tls_listen for all addresses.
// A name that the operator wrote down must be covered.
func TestCAOutlivesHostname(t *testing.T) {
	ids, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := &config.Config{StateDir: dir}
	names := func(hostname string) []string {
		t.Helper()
		a, err := openCAOn(hostname, c, ids)
		if err != nil {
			t.Fatalf("on %s: %v", hostname, err)
		}
		cert, err := a.ServerCertificate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf.DNSNames
	}
	if got := names("first"); strings.Join(got, " ") != "first localhost" {
		t.Errorf("names: %v", got)
	}
	root, err := os.ReadFile(filepath.Join(dir, "ca", "root.crt"))
	if err != nil {
		t.Fatal(err)
	}
	c.Proxy.TLSListen = strictyaml.HostPort{Host: netip.IPv4Unspecified().String(), Port: 3129}
	if got := names("second"); strings.Join(got, " ") != "localhost" {
		t.Errorf("names after the machine was renamed: %v", got)
	}
	if got := names("first"); strings.Join(got, " ") != "first localhost" {
		t.Errorf("names: %v", got)
	}
	if now, err := os.ReadFile(filepath.Join(dir, "ca", "root.crt")); err != nil || string(now) != string(root) {
		t.Errorf("another root (%v)", err)
	}
	c.Proxy.TLSListen.Host = "gateway.corp.example"
	if _, err := openCAOn("first", c, ids); err == nil || !strings.Contains(err.Error(), "do not cover gateway.corp.example") {
		t.Errorf("a name outside the root's: %v", err)
	}
}

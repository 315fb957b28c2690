package ca_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ca"
)

// verify checks a chain as a client at now does.
func verify(a *ca.Authority, chain [][]byte, name string, now time.Time) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.Root())
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	for _, der := range chain[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		between.AddCert(c)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: name, CurrentTime: now})
	return err
}

func TestLeaf(t *testing.T) {
	o, clock := options()
	a := open(t, create(t, o), o)
	long := strings.Repeat("a", 63) + ".bucket.cloud.example" // longer than a common name may be
	for _, host := range []string{"store.eu.cloud.example", "cloud.example", "x.api.cloud", long} {
		c, err := a.Leaf(t.Context(), host)
		must(t, err)
		must(t, verify(a, c.Certificate, host, clock.now))
		leaf := c.Leaf
		if len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != host || len(leaf.IPAddresses)+len(leaf.EmailAddresses)+len(leaf.URIs) != 0 {
			t.Errorf("%s: names %v", host, leaf.DNSNames)
		}
		if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 25*time.Hour || leaf.IsCA || leaf.SerialNumber.BitLen() < 64 {
			t.Errorf("%s: life %v, CA %v, serial %v", host, life, leaf.IsCA, leaf.SerialNumber)
		}
		if verify(a, c.Certificate, "other.cloud.example", clock.now) == nil {
			t.Errorf("%s: vouches for another name", host)
		}
	}
	for _, host := range []string{
		"", "github.com", "evilcloud.example", "cloud.example.evil.example", "gateway.corp.example", "example", "10.0.0.1", "*.cloud.example",
		"STORE.cloud.example", "a b.cloud.example", "a\x00.cloud.example", "\u212A.cloud.example", "the gateway itself",
	} {
		if _, err := a.Leaf(t.Context(), host); err == nil {
			t.Errorf("a leaf for %q", host)
		}
	}
}

func TestLeafCache(t *testing.T) {
	o, clock := options()
	a := open(t, create(t, o), o)
	const host = "store.cloud.example"
	got := make([]*tls.Certificate, 16)
	for i := range 50 {
		name := host
		if i > 0 {
			name = fmt.Sprintf("flight%d.cloud.example", i)
		}
		var wait sync.WaitGroup
		begin := make(chan struct{})
		these := make([]*tls.Certificate, len(got))
		for i := range these {
			wait.Go(func() {
				<-begin
				these[i], _ = a.Leaf(t.Context(), name)
			})
		}
		close(begin)
		wait.Wait()
		for _, c := range these {
			if c == nil || c != these[0] {
				t.Fatal("those who asked at once got different leaves")
			}
		}
		if i == 0 {
			copy(got, these)
		}
	}
	clock.now = clock.now.Add(11 * time.Hour)
	if c, _ := a.Leaf(t.Context(), host); c != got[0] {
		t.Error("a leaf was replaced early")
	}
	clock.now = clock.now.Add(2 * time.Hour)
	c, err := a.Leaf(t.Context(), host)
	must(t, err)
	if c == got[0] {
		t.Error("a leaf near its end was not replaced")
	}
	must(t, verify(a, c.Certificate, host, clock.now.Add(20*time.Hour)))
	// Names are for agents to choose: old ones make room.
	for i := range 1100 {
		_, err := a.Leaf(t.Context(), fmt.Sprintf("b%d.cloud.example", i))
		must(t, err)
	}
	if again, _ := a.Leaf(t.Context(), host); again == c {
		t.Error("1,100 names later the first leaf is still there")
	}
}

func TestServerCertificate(t *testing.T) {
	o, clock := options()
	o.IPs = []net.IP{net.IPv4(10, 1, 2, 3), net.ParseIP("fd00::7")}
	a := open(t, create(t, o), o)
	c, err := a.ServerCertificate(t.Context())
	must(t, err)
	for _, name := range []string{"gateway.corp.example", "10.1.2.3", "fd00::7"} {
		if err := verify(a, c.Certificate, name, clock.now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again, _ := a.ServerCertificate(t.Context()); again != c {
		t.Error("made anew each time")
	}
	o.Names, o.IPs = nil, nil
	if _, err := open(t, create(t, o), o).ServerCertificate(t.Context()); err == nil {
		t.Error("a certificate for nobody")
	}
}

func TestIntermediateRenewal(t *testing.T) {
	o, clock := options()
	dir := create(t, o)
	a := open(t, dir, o)
	intermediate := func(a *ca.Authority) string {
		c, err := a.Leaf(t.Context(), fmt.Sprintf("n%d.cloud.example", clock.now.Unix()))
		must(t, err)
		must(t, verify(a, c.Certificate, c.Leaf.DNSNames[0], clock.now))
		return string(c.Certificate[1])
	}
	first := intermediate(a)
	if intermediate(open(t, dir, o)) != first {
		t.Error("a good intermediate was replaced")
	}
	clock.now = clock.now.AddDate(0, 0, 61)
	second := intermediate(a) // the process has not been started again
	if second == first {
		t.Error("an intermediate near its end was not replaced while running")
	}
	if intermediate(open(t, dir, o)) != second {
		t.Error("the new intermediate is not the one on disk")
	}
	clock.now = clock.now.AddDate(0, 0, 61)
	if intermediate(open(t, dir, o)) == second {
		t.Error("an intermediate near its end was not replaced when opened")
	}
	// One of another root is not used.
	must(t, os.Rename(filepath.Join(dir, "intermediate.crt"), filepath.Join(dir, "old.crt")))
	other := create(t, o)
	open(t, other, o)
	for _, f := range []string{"intermediate.crt", "intermediate.key"} {
		must(t, os.Rename(filepath.Join(other, f), filepath.Join(dir, f)))
	}
	intermediate(open(t, dir, o))
}

// forge signs a leaf with the intermediate's stolen key: what a thief could do.
func forge(t *testing.T, dir string, change func(*x509.Certificate)) [][]byte {
	t.Helper()
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		block, _ := pem.Decode(text)
		return block.Bytes
	}
	parent, err := x509.ParseCertificate(read("intermediate.crt"))
	must(t, err)
	key, err := x509.ParsePKCS8PrivateKey(read("intermediate.key"))
	must(t, err)
	ec, _ := key.(*ecdsa.PrivateKey)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(9), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, SubjectKeyId: []byte{1},
	}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &ec.PublicKey, ec)
	must(t, err)
	return [][]byte{der, parent.Raw}
}

// A stolen key vouches for nothing outside the constraints.
func TestConstraints(t *testing.T) {
	o, clock := options()
	dir := create(t, o)
	a := open(t, dir, o)
	const inside = "store.cloud.example"
	for name, c := range map[string]struct {
		ok     bool
		change func(*x509.Certificate)
	}{
		"inside":           {true, func(c *x509.Certificate) { c.DNSNames = []string{inside} }},
		"github.com":       {false, func(c *x509.Certificate) { c.DNSNames = []string{"github.com"} }},
		"inside, and more": {false, func(c *x509.Certificate) { c.DNSNames = []string{inside, "github.com"} }},
		"look-alike":       {false, func(c *x509.Certificate) { c.DNSNames = []string{"evilcloud.example"} }},
		"parent":           {false, func(c *x509.Certificate) { c.DNSNames = []string{"example"} }},
		"address":          {false, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }},
		"IPv6 address":     {false, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv6loopback} }},
		"e-mail":           {false, func(c *x509.Certificate) { c.EmailAddresses = []string{"a@cloud.example"} }},
		"URI":              {false, func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "cloud.example", Path: "/x"}} }},
		"client": {false, func(c *x509.Certificate) {
			c.DNSNames = []string{inside}
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}},
	} {
		chain := forge(t, dir, c.change)
		if err := verify(a, chain, "", clock.now); (err == nil) != c.ok {
			t.Errorf("%s: crypto/x509 says %v", name, err)
		}
		if _, err := exec.LookPath("openssl"); err == nil {
			if out, err := openssl(t, a, chain); (err == nil) != c.ok {
				t.Errorf("%s: openssl says %v: %s", name, err, out)
			}
		}
	}
	// Nor does it make a further authority (the path length is 0).
	sub := forge(t, dir, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	parent, err := x509.ParseCertificate(sub[0])
	must(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "intermediate.key"))
	must(t, err)
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(t, err)
	ec, _ := key.(*ecdsa.PrivateKey)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(10), NotBefore: clock.now.Add(-time.Minute), NotAfter: clock.now.Add(time.Hour), DNSNames: []string{inside}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, parent, &ec.PublicKey, ec)
	must(t, err)
	if verify(a, append([][]byte{der}, sub...), inside, clock.now) == nil {
		t.Error("a further authority below the intermediate was taken")
	}
}

func pemFile(t *testing.T, chain ...[]byte) string {
	t.Helper()
	var text []byte
	for _, der := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	path := filepath.Join(t.TempDir(), "chain.pem")
	must(t, os.WriteFile(path, text, 0o600))
	return path
}

func openssl(t *testing.T, a *ca.Authority, chain [][]byte) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-no-CApath",
		"-CAfile", pemFile(t, a.Root().Raw), "-untrusted", pemFile(t, chain[1:]...), pemFile(t, chain[0])).CombinedOutput()
	return string(out), err
}

func TestStrictOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("there is no openssl command here")
	}
	o, _ := options()
	a := open(t, create(t, o), o)
	for _, host := range []string{"store.cloud.example", strings.Repeat("a", 63) + ".cloud.example"} {
		c, err := a.Leaf(t.Context(), host)
		must(t, err)
		if out, err := openssl(t, a, c.Certificate); err != nil {
			t.Errorf("%s: %v: %s", host, err, out)
		}
	}
}

const pythonClient = `
import socket, ssl, sys
c = ssl.create_default_context(cafile=sys.argv[2])
c.verify_flags |= ssl.VERIFY_X509_STRICT
try:
    c.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
except AttributeError:
    pass
host, port = sys.argv[1].rsplit(":", 1)
with socket.create_connection((host, int(port)), 10) as s, c.wrap_socket(s, server_hostname="store.cloud.example") as t:
    print("verified", t.version())
`

func TestStrictPython(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3 here")
	}
	o, _ := options()
	a := open(t, create(t, o), o)
	leaf, err := a.Leaf(t.Context(), "store.cloud.example")
	must(t, err)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*leaf}, MinVersion: tls.VersionTLS12})
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := ln.Accept(); err == nil {
			_ = c.(*tls.Conn).Handshake()
			_, _ = c.Read(make([]byte, 1))
			_ = c.Close()
		}
	}()
	out, err := exec.CommandContext(t.Context(), "python3", "-c", pythonClient, ln.Addr().String(), pemFile(t, a.Root().Raw)).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "verified") {
		t.Errorf("%v: %s", err, out)
	}
	_ = ln.Close()
	<-done
}

func BenchmarkLeaf(b *testing.B) {
	o, _ := options()
	a := open(b, create(b, o), o)
	b.Run("new", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, err := a.Leaf(b.Context(), fmt.Sprintf("b%d.cloud.example", i))
			must(b, err)
		}
	})
	b.Run("cached", func(b *testing.B) {
		for b.Loop() {
			_, err := a.Leaf(b.Context(), "store.cloud.example")
			must(b, err)
		}
	})
}

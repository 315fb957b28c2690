package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	leafLife  = 24 * time.Hour
	leafRenew = 12 * time.Hour // a leaf this close to its end is replaced
	maxLeaves = 1024           // names are the agents' to choose (buckets): the cache must not grow with them
)

// Authority is an opened CA. Its methods may be called from many goroutines.
type Authority struct {
	o       Options
	dir     string
	root    *x509.Certificate
	leafKey *ecdsa.PrivateKey // shared by all leaves, in memory only: a key each would cost more than it gains
	leaves  *lru.Cache[string, *tls.Certificate]
	flight  singleflight.Group

	mu           sync.Mutex // guards the two below
	intermediate *x509.Certificate
	signer       *ecdsa.PrivateKey // of the intermediate; the root's is dropped once it has signed
}

// Open opens the CA in dir. An intermediate that is missing, near its end or of
// another root is made anew.
func Open(dir string, o Options) (*Authority, error) {
	a := &Authority{o: o, dir: dir}
	if err := a.open(dir); err != nil {
		return nil, fmt.Errorf("open the CA: %w", err)
	}
	return a, nil
}

func (a *Authority) open(dir string) (err error) {
	if len(a.o.Permitted) == 0 {
		return errors.New("no permitted names")
	}
	if err := checkDir(dir); err != nil {
		return err
	}
	if a.root, err = readCert(filepath.Join(dir, rootCert)); err != nil {
		return err
	}
	key, err := readKey(filepath.Join(dir, rootKey))
	if err != nil {
		return err
	}
	now := a.o.now()
	switch {
	case !key.PublicKey.Equal(a.root.PublicKey):
		return fmt.Errorf("%s and %s do not belong together", rootCert, rootKey)
	case now.After(a.root.NotAfter):
		return fmt.Errorf("the root expired on %s; move %s away and run `sallyport init` or `serve` to make a new one, which agents must then trust", a.root.NotAfter.Format(time.DateOnly), dir)
	case now.Before(a.root.NotBefore):
		return fmt.Errorf("the root is valid from %s on: is this machine's clock right?", a.root.NotBefore.Format(time.RFC3339))
	case len(a.root.PermittedDNSDomains) == 0 || !a.root.PermittedDNSDomainsCritical:
		return errors.New("the root has no critical name constraints; it is not one of ours")
	}
	for _, name := range slices.Concat(a.o.Permitted, a.o.Names) {
		if !within(name, a.root.PermittedDNSDomains) {
			return fmt.Errorf("the root's name constraints do not cover %s; move %s away to have a new one made, which agents must then trust", name, dir)
		}
	}
	for _, ip := range a.o.IPs {
		if !contains(a.root.PermittedIPRanges, ip) {
			return fmt.Errorf("the root's name constraints do not cover %s; move %s away to have a new one made, which agents must then trust", ip, dir)
		}
	}
	if a.leafKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	if a.leaves, err = lru.New[string, *tls.Certificate](maxLeaves); err != nil {
		return err
	}
	return a.openIntermediate(dir, key)
}

func (a *Authority) openIntermediate(dir string, rootKey *ecdsa.PrivateKey) error {
	certPath, keyPath := filepath.Join(dir, intermediateCert), filepath.Join(dir, intermediateKey)
	cert, err := readCert(certPath)
	if err == nil {
		var key *ecdsa.PrivateKey
		if key, err = readKey(keyPath); err == nil && a.serves(cert, key) {
			a.intermediate, a.signer = cert, key
			return nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t, err := authorityTemplate(a.o, "Sallyport gateway", intermediateLife, &key.PublicKey)
	if err != nil {
		return err
	}
	if t.NotAfter.After(a.root.NotAfter) {
		t.NotAfter = a.root.NotAfter
	}
	t.MaxPathLen, t.MaxPathLenZero = 0, true
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	constrain(t, a.o)
	der, err := x509.CreateCertificate(rand.Reader, t, a.root, &key.PublicKey, rootKey)
	if err != nil {
		return err
	}
	if a.intermediate, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.signer = key
	if err := writeKey(keyPath, key); err != nil {
		return err
	}
	return writeCert(certPath, der)
}

// issuer is the intermediate and its key. A process may outlive one: near its end,
// the CA is opened anew.
func (a *Authority) issuer() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.o.now().Add(renewBefore).After(a.intermediate.NotAfter) && a.intermediate.NotAfter.Before(a.root.NotAfter) {
		next, err := Open(a.dir, a.o)
		if err == nil && !next.root.Equal(a.root) {
			err = errors.New("the root on disk is another one now; restart the gateway")
		}
		switch {
		case err == nil:
			a.intermediate, a.signer = next.intermediate, next.signer
		case a.o.now().After(a.intermediate.NotAfter):
			return nil, nil, fmt.Errorf("renew the intermediate: %w", err)
		}
	}
	return a.intermediate, a.signer, nil
}

// serves reports whether an intermediate found on disk can go on being used.
func (a *Authority) serves(c *x509.Certificate, key *ecdsa.PrivateKey) bool {
	now := a.o.now()
	if !key.PublicKey.Equal(c.PublicKey) || c.CheckSignatureFrom(a.root) != nil ||
		now.Before(c.NotBefore) || now.Add(renewBefore).After(c.NotAfter) {
		return false
	}
	for _, name := range slices.Concat(a.o.Permitted, a.o.Names) {
		if !within(name, c.PermittedDNSDomains) {
			return false
		}
	}
	for _, ip := range a.o.IPs {
		if !contains(c.PermittedIPRanges, ip) {
			return false
		}
	}
	return true
}

func contains(ranges []*net.IPNet, ip net.IP) bool {
	return slices.ContainsFunc(ranges, func(n *net.IPNet) bool { return n.Contains(ip) })
}

// within reports whether name is one of the domains or below one.
func within(name string, domains []string) bool {
	return slices.ContainsFunc(domains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) })
}

// Leaf is a certificate for host, which must lie below Options.Permitted. Many who
// ask at once get the same one.
func (a *Authority) Leaf(_ context.Context, host string) (*tls.Certificate, error) {
	// A wildcard below a permitted name would be within, and vouch for all of them.
	if strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" || !within(host, a.o.Permitted) {
		return nil, fmt.Errorf("ca: %q lies outside what this CA vouches for", host)
	}
	if c, ok := a.leaves.Get(host); ok && a.fresh(c) {
		return c, nil
	}
	v, err, _ := a.flight.Do(host, func() (any, error) {
		if c, ok := a.leaves.Get(host); ok && a.fresh(c) {
			return c, nil
		}
		c, err := a.mint([]string{host}, nil)
		if err == nil {
			a.leaves.Add(host, c)
		}
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("ca: leaf for %s: %w", host, err)
	}
	c, _ := v.(*tls.Certificate)
	return c, nil
}

// own is the cache's key for the gateway's own certificate; no host has a space.
const own = "the gateway itself"

// ServerCertificate is for the gateway's own names and addresses.
func (a *Authority) ServerCertificate(context.Context) (*tls.Certificate, error) {
	v, err, _ := a.flight.Do(own, func() (any, error) {
		if c, ok := a.leaves.Get(own); ok && a.fresh(c) {
			return c, nil
		}
		c, err := a.mint(a.o.Names, a.o.IPs)
		if err == nil {
			a.leaves.Add(own, c)
		}
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("ca: the gateway's own certificate: %w", err)
	}
	c, _ := v.(*tls.Certificate)
	return c, nil
}

func (a *Authority) fresh(c *tls.Certificate) bool {
	return a.o.now().Add(leafRenew).Before(c.Leaf.NotAfter)
}

func (a *Authority) mint(names []string, ips []net.IP) (*tls.Certificate, error) {
	if len(names)+len(ips) == 0 {
		return nil, errors.New("no name to vouch for")
	}
	intermediate, signer, err := a.issuer()
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	ski, err := keyID(&a.leafKey.PublicKey)
	if err != nil {
		return nil, err
	}
	now := a.o.now()
	t := &x509.Certificate{
		SerialNumber: serial, DNSNames: names, IPAddresses: ips,
		NotBefore: now.Add(-backdate), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, SubjectKeyId: ski,
	}
	// A common name is at most 64 octets (RFC 5280, ub-common-name); bucket names
	// are longer. Clients read the SAN.
	if len(names) > 0 && len(names[0]) <= 64 {
		t.Subject = pkix.Name{CommonName: names[0]}
	} else {
		t.Subject = pkix.Name{Organization: []string{"Sallyport"}}
	}
	if t.NotAfter.After(intermediate.NotAfter) {
		t.NotAfter = intermediate.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, t, intermediate, &a.leafKey.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, intermediate.Raw}, PrivateKey: a.leafKey, Leaf: leaf}, nil
}

// Root is the root's certificate.
func (a *Authority) Root() *x509.Certificate { return a.root }

// RootPEM is the same in PEM: what agents trust.
func (a *Authority) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})
}

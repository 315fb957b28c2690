// Package ca is the certificate authority that agents trust: a root whose name
// constraints say in which domains it can vouch for anybody, an intermediate for
// each gateway, and leaves of a day, made when they are needed. It knows no AWS:
// which domains is its caller's word (Options.Permitted).
//
// It refuses keys that others can read, links in place of files, certificates
// that do not belong to their keys, and leaves for names outside its constraints.
// A stolen key can vouch for nothing beyond them either: validators enforce the
// constraints (RFC 5280, section 4.2.1.10), which are critical and stand on root and
// intermediate both, since some validators skip those of the trust anchor.
package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	rootLife         = 10 * 365 * 24 * time.Hour // agents' images carry it: turning it is a rollout
	intermediateLife = 90 * 24 * time.Hour
	renewBefore      = 30 * 24 * time.Hour // an intermediate this close to its end is replaced at Open
	backdate         = 10 * time.Minute    // for clients whose clock is behind
)

// Options say what the authority may vouch for. Permitted is required.
type Options struct {
	// Permitted are DNS suffixes ("amazonaws.com"): the name itself and all below.
	Permitted []string
	// Names and IPs are the gateway's own, for its TLS listener.
	Names []string
	IPs   []net.IP
	Now   func() time.Time // nil: time.Now
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// The files of an authority in its directory.
const (
	rootCert         = "root.crt"
	rootKey          = "root.key"
	intermediateCert = "intermediate.crt"
	intermediateKey  = "intermediate.key"
)

// Create makes a root in dir (made 0700). It never replaces one: agents trust it.
func Create(dir string, o Options) error {
	if len(o.Permitted) == 0 {
		return errors.New("create the CA: no permitted names; a root without constraints could vouch for anybody")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the CA: %w", err)
	}
	for _, name := range []string{rootCert, rootKey} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("create the CA: %s exists already; agents may trust it, so it is left as it is", filepath.Join(dir, name))
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("create the CA: %w", err)
	}
	t, err := authorityTemplate(o, "Sallyport root", rootLife, &key.PublicKey)
	if err != nil {
		return fmt.Errorf("create the CA: %w", err)
	}
	t.MaxPathLen = 1
	constrain(t, o)
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("create the CA: %w", err)
	}
	if err := writeKey(filepath.Join(dir, rootKey), key); err != nil {
		return fmt.Errorf("create the CA: %w", err)
	}
	if err := writeCert(filepath.Join(dir, rootCert), der); err != nil {
		return fmt.Errorf("create the CA: %w", err)
	}
	return nil
}

// authorityTemplate is what root and intermediate have in common. SKI and AKI are
// there because Python 3.13's strict mode and OpenSSL's -x509_strict demand them.
func authorityTemplate(o Options, name string, life time.Duration, public *ecdsa.PublicKey) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	ski, err := keyID(public)
	if err != nil {
		return nil, err
	}
	now := o.now()
	return &x509.Certificate{
		SerialNumber: serial,
		// The serial in the name keeps two installations' roots apart in a trust store.
		Subject:               pkix.Name{Organization: []string{"Sallyport"}, CommonName: fmt.Sprintf("%s %x", name, serial.Bytes()[:4])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(life),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId:          ski,
	}, nil
}

// constrain limits what t can vouch for. A constraint on DNS names says nothing of
// IP addresses, e-mail or URIs (each form is constrained apart), so the others
// are closed explicitly.
func constrain(t *x509.Certificate, o Options) {
	t.PermittedDNSDomainsCritical = true
	t.PermittedDNSDomains = slices.Concat(o.Permitted, o.Names)
	if len(o.IPs) == 0 {
		t.ExcludedIPRanges = []*net.IPNet{
			{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
			{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		}
	}
	for _, ip := range o.IPs {
		if v4 := ip.To4(); v4 != nil {
			t.PermittedIPRanges = append(t.PermittedIPRanges, &net.IPNet{IP: v4, Mask: net.CIDRMask(32, 32)})
		} else {
			t.PermittedIPRanges = append(t.PermittedIPRanges, &net.IPNet{IP: ip.To16(), Mask: net.CIDRMask(128, 128)})
		}
	}
	// A domain that exists nowhere (RFC 2606): permitting only it permits none.
	t.PermittedEmailAddresses = []string{"sallyport.invalid"}
	t.PermittedURIDomains = []string{"sallyport.invalid"}
}

func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x7f | 0x40 // positive, and always 16 octets
	return new(big.Int).SetBytes(b), nil
}

// keyID is a subject key identifier after RFC 7093, method 1: the first 160 bits of
// the key's SHA-256.
func keyID(public *ecdsa.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(spki)
	return sum[:20], nil
}

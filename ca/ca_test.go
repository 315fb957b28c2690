package ca_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/ca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func options() (ca.Options, *clock) {
	c := &clock{time.Now()}
	return ca.Options{Permitted: []string{"cloud.example", "api.cloud"}, Names: []string{"gateway.corp.example"}, Now: c.read}, c
}

// create makes a CA in a directory of the test.
func create(tb testing.TB, o ca.Options) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "ca")
	must(tb, ca.Create(dir, o))
	return dir
}

func open(tb testing.TB, dir string, o ca.Options) *ca.Authority {
	tb.Helper()
	a, err := ca.Open(dir, o)
	must(tb, err)
	return a
}

func TestFiles(t *testing.T) {
	o, _ := options()
	dir := create(t, o)
	open(t, dir, o)
	for name, want := range map[string]os.FileMode{
		".": 0o700, "root.key": 0o600, "intermediate.key": 0o600, "root.crt": 0o644, "intermediate.crt": 0o644,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 4 {
		t.Errorf("files: %v", entries)
	}
	before, err := os.ReadFile(filepath.Join(dir, "root.crt"))
	must(t, err)
	if err := ca.Create(dir, o); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("a second Create: %v", err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "root.crt")); string(after) != string(before) {
		t.Error("a second Create replaced the root")
	}
	if err := ca.Create(filepath.Join(t.TempDir(), "ca"), ca.Options{}); err == nil {
		t.Error("a root without constraints was made")
	}
	if _, err := ca.Open(dir, ca.Options{}); err == nil {
		t.Error("an authority without permitted names was opened")
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string, o *ca.Options, c *clock)
		want  string
	}{
		"readable root key": {func(t *testing.T, dir string, _ *ca.Options, _ *clock) {
			must(t, os.Chmod(filepath.Join(dir, "root.key"), 0o644))
		}, "chmod 600"},
		"group-readable root key": {func(t *testing.T, dir string, _ *ca.Options, _ *clock) {
			must(t, os.Chmod(filepath.Join(dir, "root.key"), 0o640))
		}, "chmod 600"},
		"readable intermediate key": {func(t *testing.T, dir string, _ *ca.Options, _ *clock) {
			must(t, os.Chmod(filepath.Join(dir, "intermediate.key"), 0o604))
		}, "chmod 600"},
		"linked root key":          {link("root.key"), "not a plain file"},
		"linked root":              {link("root.crt"), "not a plain file"},
		"linked intermediate key":  {link("intermediate.key"), "not a plain file"},
		"linked intermediate":      {link("intermediate.crt"), "not a plain file"},
		"group-writable directory": {func(t *testing.T, dir string, _ *ca.Options, _ *clock) { must(t, os.Chmod(dir, 0o770)) }, "chmod 700"},
		"world-writable directory": {func(t *testing.T, dir string, _ *ca.Options, _ *clock) { must(t, os.Chmod(dir, 0o702)) }, "chmod 700"},
		"linked directory": {func(t *testing.T, dir string, _ *ca.Options, _ *clock) {
			must(t, os.Rename(dir, dir+"2"))
			must(t, os.Symlink(dir+"2", dir))
		}, "not a directory"},
		"no root": {func(t *testing.T, dir string, _ *ca.Options, _ *clock) {
			must(t, os.Remove(filepath.Join(dir, "root.crt")))
		}, "no such file"},
		"no root key": {func(t *testing.T, dir string, _ *ca.Options, _ *clock) {
			must(t, os.Remove(filepath.Join(dir, "root.key")))
		}, "no such file"},
		"another root's key": {func(t *testing.T, dir string, o *ca.Options, _ *clock) {
			must(t, os.Rename(filepath.Join(create(t, *o), "root.key"), filepath.Join(dir, "root.key")))
		}, "do not belong together"},
		"two certificates": {func(t *testing.T, dir string, _ *ca.Options, _ *clock) {
			text, err := os.ReadFile(filepath.Join(dir, "root.crt"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, "root.crt"), append(text, text...), 0o600))
		}, "not exactly one"},
		"broken key": {func(t *testing.T, dir string, _ *ca.Options, _ *clock) {
			must(t, os.WriteFile(filepath.Join(dir, "root.key"), []byte("-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n"), 0o600))
		}, "cannot be read"},
		"expired": {func(_ *testing.T, _ string, _ *ca.Options, c *clock) { c.now = c.now.AddDate(11, 0, 0) }, "expired on"},
		"not yet": {func(_ *testing.T, _ string, _ *ca.Options, c *clock) { c.now = c.now.AddDate(-1, 0, 0) }, "clock"},
		"more wide": {func(_ *testing.T, _ string, o *ca.Options, _ *clock) {
			o.Permitted = append(o.Permitted, "other.example")
		}, "do not cover other.example"},
		"look-alike":   {func(_ *testing.T, _ string, o *ca.Options, _ *clock) { o.Permitted = []string{"evilcloud.example"} }, "do not cover"},
		"new name":     {func(_ *testing.T, _ string, o *ca.Options, _ *clock) { o.Names = []string{"other.corp.example"} }, "do not cover"},
		"new address":  {func(_ *testing.T, _ string, o *ca.Options, _ *clock) { o.IPs = []net.IP{net.IPv4(10, 0, 0, 1)} }, "do not cover 10.0.0.1"},
		"foreign root": {func(t *testing.T, dir string, _ *ca.Options, _ *clock) { foreign(t, dir, nil, false) }, "not one of ours"},
		"foreign root, constraints not critical": {func(t *testing.T, dir string, o *ca.Options, _ *clock) {
			foreign(t, dir, append(o.Permitted, o.Names...), false)
		}, "not one of ours"},
	} {
		t.Run(name, func(t *testing.T) {
			o, clock := options()
			dir := create(t, o)
			open(t, dir, o)
			c.spoil(t, dir, &o, clock)
			_, err := ca.Open(dir, o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("opened with %v, want an error with %q", err, c.want)
			}
			if strings.Contains(err.Error(), "PRIVATE") || strings.Contains(err.Error(), "QUJD") {
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
}

func link(name string) func(*testing.T, string, *ca.Options, *clock) {
	return func(t *testing.T, dir string, _ *ca.Options, _ *clock) {
		path := filepath.Join(dir, name)
		must(t, os.Rename(path, path+".real"))
		must(t, os.Symlink(path+".real", path))
	}
}

// foreign puts somebody else's root into dir.
func foreign(t *testing.T, dir string, permitted []string, critical bool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, PermittedDNSDomains: permitted, PermittedDNSDomainsCritical: critical,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "root.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "root.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

func TestBundle(t *testing.T) {
	o, _ := options()
	root := open(t, create(t, o), o).RootPEM()
	file := filepath.Join(t.TempDir(), "roots.pem")
	t.Setenv("SSL_CERT_FILE", file)
	if got, err := ca.BundleOf(root); err != nil || string(got) != string(root) {
		t.Errorf("without system roots: %q, %v", got, err)
	}
	other := string(open(t, create(t, o), o).RootPEM())
	must(t, os.WriteFile(file, []byte(strings.TrimSpace(other)), 0o600)) // without a line's end
	got, err := ca.BundleOf(root)
	must(t, err)
	if string(got) != other+string(root) {
		t.Errorf("the bundle is %q", got)
	}
	if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(got) || strings.Count(string(got), "BEGIN CERTIFICATE") != 2 {
		t.Error("the bundle does not hold two roots")
	}
	if os.Geteuid() != 0 {
		must(t, os.Chmod(file, 0))
		if _, err := ca.BundleOf(root); err == nil {
			t.Error("roots that cannot be read were left out in silence")
		}
	}
}

package launch

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

func selfSigned(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestWriteFiles(t *testing.T) {
	dir := t.TempDir() + "/agent files"
	root := selfSigned(t)
	bundle := append(selfSigned(t), root...)
	for range 2 { // again over the old ones
		f, err := WriteFiles(dir, root, bundle)
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string][]byte{f.Root: root, f.Bundle: bundle, f.NodeHook: nodeHook, f.AWSConfig: {}, f.AWSCredentials: {}} {
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes, %v", path, len(got), err)
			}
		}
		store, _ := os.ReadFile(f.TrustStore)
		if certs, err := pkcs12.DecodeTrustStore(store, trustStorePassword); err != nil || len(certs) != 2 {
			t.Errorf("trust store: %d certificates, %v", len(certs), err)
		}
		if keytool, err := exec.LookPath("keytool"); err == nil {
			out, err := exec.Command(keytool, "-list", "-storetype", "PKCS12", "-keystore", f.TrustStore, "-storepass", trustStorePassword).CombinedOutput()
			if err != nil || strings.Count(string(out), "trustedCertEntry") != 2 {
				t.Errorf("keytool: %v\n%s", err, out)
			}
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 6 {
		t.Errorf("%d files", len(left))
	}
	if _, err := WriteFiles(t.TempDir(), root, []byte("nothing")); err == nil {
		t.Error("a bundle without certificates was accepted")
	}
}

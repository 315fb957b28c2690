package launch

import (
	"bytes"
	"crypto/x509"
	_ "embed" // the hook
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/sallyport/sallyport/internal/privatefile"
)

//go:embed nodehook.cjs
var nodeHook []byte

// trustStorePassword is Java's own customary one. The store holds public
// certificates only; PKCS #12 wants a password nonetheless.
const trustStorePassword = "changeit"

// Files are the paths of the files that the environment names; see WriteFiles.
type Files struct {
	Root           string // our root, PEM
	Bundle         string // the system's roots and ours, PEM
	TrustStore     string // the same, PKCS #12 for Java
	NodeHook       string // CommonJS, for --require
	AWSConfig      string // empty
	AWSCredentials string // empty
}

// WriteFiles writes what Files names into dir (made 0700 if need be), and gives
// the absolute paths. root and bundle are PEM. Each file is replaced as a whole,
// so that a running agent never reads half of one.
func WriteFiles(dir string, root, bundle []byte) (Files, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Files{}, fmt.Errorf("find %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Files{}, fmt.Errorf("make the directory for the agent's files: %w", err)
	}
	store, err := trustStore(bundle)
	if err != nil {
		return Files{}, fmt.Errorf("make the Java trust store: %w", err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	f := Files{
		Root: at("root.crt"), Bundle: at("bundle.crt"), TrustStore: at("truststore.p12"),
		NodeHook: at("node-proxy.cjs"), AWSConfig: at("aws-config"), AWSCredentials: at("aws-credentials"),
	}
	for path, content := range map[string][]byte{
		f.Root: root, f.Bundle: bundle, f.TrustStore: store, f.NodeHook: nodeHook,
		f.AWSConfig: nil, f.AWSCredentials: nil,
	} {
		if err := replace(path, content); err != nil {
			return Files{}, fmt.Errorf("write %s: %w", path, err)
		}
	}
	return f, nil
}

func replace(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	return privatefile.Replace(path, content, 0o600)
}

// trustStore makes a PKCS #12 store of every certificate in bundle.
func trustStore(bundle []byte) ([]byte, error) {
	var entries []pkcs12.TrustStoreEntry
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue // a system root that Go cannot read is no reason to stop
		}
		// Java keeps one entry per name, and roots share subjects.
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: cert, FriendlyName: fmt.Sprintf("root-%d", len(entries)+1)})
	}
	if len(entries) == 0 {
		return nil, errors.New("the bundle holds no certificate")
	}
	return pkcs12.Modern.EncodeTrustStoreEntries(entries, trustStorePassword)
}

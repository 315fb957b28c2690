package recorder

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/privatefile"
)

// GatewayKeyFile is where in its state_dir a gateway has the Ed25519 key that signs
// its chain of events, and by which it is named (event.SourceOf): PKCS #8 in PEM,
// mode 0600.
func GatewayKeyFile(stateDir string) string { return filepath.Join(stateDir, "keys", "gateway.key") }

// ReadGatewayKey reads a gateway's key; a missing one is fs.ErrNotExist.
func ReadGatewayKey(path string) (ed25519.PrivateKey, error) {
	text, err := privatefile.Read(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) > 0 {
		return nil, fmt.Errorf("%s is not a private key in PEM", path)
	}
	defer clear(block.Bytes)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s holds no key that can be read", path) // the cause may quote it
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a key of another kind than Ed25519", path)
	}
	return ed, nil
}

// CheckGatewayKey says what is wrong with the key of a state_dir's gateway; one that is
// not there yet is made at the first start.
func CheckGatewayKey(stateDir string) error {
	if _, err := ReadGatewayKey(GatewayKeyFile(stateDir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the gateway's key: %w", err)
	}
	return nil
}

// gatewayKey reads the key, or makes one where none is or a new one is wanted.
func gatewayKey(path string, renew bool) (ed25519.PrivateKey, error) {
	key, err := ReadGatewayKey(path)
	if err == nil && !renew {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the gateway's key: %w", err)
	}
	if _, key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, fmt.Errorf("the gateway's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("the gateway's key: %w", err)
	}
	defer clear(der)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("the gateway's key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(text)
	return key, privatefile.Replace(path, text, 0o600)
}

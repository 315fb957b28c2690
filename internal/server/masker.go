package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/presidio"
	"github.com/sallyport/sallyport/internal/privatefile"
	"github.com/sallyport/sallyport/mask"
)

// NewMasker makes the masker that the configuration describes. key is for
// fingerprints; without one, rules that ask for them are refused.
func NewMasker(c config.Mask, key []byte) (*mask.Masker, error) {
	scanner, err := c.Scanner()
	if err != nil {
		return nil, fmt.Errorf("mask: %w", err)
	}
	o := mask.Options{
		MaxBody: int64(c.MaxBody), PassAWSSensitive: !c.AWSSensitive, Scanner: scanner,
		MaskObjects: c.Objects == config.ObjectsMask, FingerprintKey: key,
	}
	if p := c.Presidio; p.URL.URL != nil {
		if o.Analyzer, err = presidio.New(presidio.Options{URL: p.URL.URL, Language: p.Language, Entities: p.Entities, Threshold: p.Threshold, Timeout: p.Timeout}); err != nil {
			return nil, err
		}
	}
	return mask.New(o), nil
}

// FingerprintKey is state_dir/keys/fingerprint.key, made when it is missing. It
// outlives restarts, so that a secret has the same fingerprint tomorrow. Gateways
// with the same file make the same fingerprints.
func FingerprintKey(stateDir string) ([]byte, error) {
	name := filepath.Join(stateDir, "keys", "fingerprint.key")
	key, err := privatefile.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		key = NewFingerprintKey()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return nil, fmt.Errorf("make %s: %w", name, err)
		}
		return key, privatefile.Replace(name, key, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if len(key) < mask.KeySize {
		return nil, fmt.Errorf("%s holds %d bytes, and a key has %d: remove it to have a new one made (secrets then get other fingerprints)", name, len(key), mask.KeySize)
	}
	return key, nil
}

// NewFingerprintKey is a random key.
func NewFingerprintKey() []byte {
	key := make([]byte, mask.KeySize)
	_, _ = rand.Read(key) // it never fails, and ends the program where it would
	return key
}

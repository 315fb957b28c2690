package recorder

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport/sallyport/internal/privatefile"
)

// originPrefix begins the name under which a recorder signs: sallyport.dev/recorder/<name>.
const originPrefix = "sallyport.dev/recorder/"

// VerifierFile is the file of a store with its recorder's public key, in the form of
// signed notes (C2SP signed-note: name+hash+base64). Keep a copy elsewhere: who can
// change the store can change this file, too.
const VerifierFile = "recorder.vkey"

// DefaultName is the name of a recorder that was given none.
const DefaultName = "recorder"

// ValidName checks a recorder's name: 1 to 32 lower-case letters, digits, - and _. It
// is in the name of its consumer, in subjects, and in what it signs.
func ValidName(name string) error {
	ok := len(name) >= 1 && len(name) <= 32
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	if !ok {
		return fmt.Errorf("recorder's name %.40q: use 1 to 32 lower-case letters, digits, - and _", name)
	}
	return nil
}

// logSigner signs checkpoints: a note.Signer over an Ed25519 key.
type logSigner struct {
	note.Verifier
	vkey string
	key  ed25519.PrivateKey
}

// Sign implements note.Signer.
func (s *logSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// openSigner reads the recorder's key (PEM, PKCS #8), or makes it.
func openSigner(path, name string) (*logSigner, error) {
	key, err := openLogKey(path)
	if err != nil {
		return nil, err
	}
	public, _ := key.Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(originPrefix+name, public)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	return &logSigner{Verifier: v, vkey: vkey, key: key}, nil
}

func openLogKey(path string) (ed25519.PrivateKey, error) {
	text, err := privatefile.Read(path)
	if errors.Is(err, os.ErrNotExist) {
		return newLogKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the recorder's key: %w", err)
	}
	defer clear(text)
	if block, rest := pem.Decode(text); block != nil && len(rest) == 0 && block.Type == "PRIVATE KEY" {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if key, ok := parsed.(ed25519.PrivateKey); ok && err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("the recorder's key: %s holds no Ed25519 key (PEM, PKCS #8)", path)
}

func newLogKey(path string) (ed25519.PrivateKey, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("the recorder's key: %w", err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("the recorder's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("the recorder's key: %w", err)
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(text)
	if err := privatefile.Replace(path, text, 0o600); err != nil {
		return nil, err
	}
	return key, syncDir(filepath.Dir(path))
}

// holdVerifier writes the public key beside the record, and refuses another recorder's
// store: its checkpoints would be of two keys, and prove nothing to who knows one.
func holdVerifier(dir string, s *logSigner) error {
	path := filepath.Join(dir, VerifierFile)
	is, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if _, err := os.Stat(filepath.Join(dir, logDir, "checkpoint")); err == nil {
			return fmt.Errorf("there is a log, but no file %s with the key that signed it: put it back", VerifierFile)
		}
		return errors.Join(privatefile.Replace(path, []byte(s.vkey+"\n"), 0o600), syncDir(dir))
	case err != nil:
		return err
	case strings.TrimSpace(string(is)) != s.vkey:
		return fmt.Errorf("its log is signed by %.80q, and this recorder signs as %s: name it so and give it that key, or begin a new store", strings.TrimSpace(string(is)), s.vkey)
	}
	return nil
}

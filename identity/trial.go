package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/oklog/ulid/v2"

	"github.com/sallyport/sallyport/internal/privatefile"
	"github.com/sallyport/sallyport/internal/secret"
)

const (
	// TrialIssuer is the iss of the built-in issuer. The .invalid domain (RFC 2606)
	// exists nowhere, so it can never be fetched or be somebody's.
	TrialIssuer = "https://trial.sallyport.invalid"
	// TrialAudience is the audience of agents' tokens.
	TrialAudience = "sallyport"
	// ApproverAudience is the audience of approvers' tokens. It differs, so that an
	// agent's token cannot approve.
	ApproverAudience = "sallyport-approver"
	// TrialMaxTTL is the longest, and the usual, life of a trial token.
	TrialMaxTTL = time.Hour
)

// Trial is the built-in issuer for trials on one machine: whoever can read its
// key file can be anyone. The zero value has no key and makes no tokens.
type Trial struct {
	key *ecdsa.PrivateKey
	kid string
}

// OpenTrial opens the issuer whose key is dir/keys/trial-issuer.key (PEM, PKCS #8,
// P-256), and makes the key when there is none. A key that others can read or
// write, or that is not a plain file, is refused.
func OpenTrial(dir string) (*Trial, error) {
	path := filepath.Join(dir, "keys", "trial-issuer.key")
	key, err := readTrialKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createTrialKey(path); err == nil {
			key, err = readTrialKey(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the trial issuer's key: %w", err)
	}
	jwk := jose.JSONWebKey{Key: key.Public()}
	print, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("name the trial issuer's key: %w", err)
	}
	return &Trial{key: key, kid: fmt.Sprintf("%x", print[:8])}, nil
}

func readTrialKey(path string) (*ecdsa.PrivateKey, error) {
	b, err := privatefile.Read(path)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM key; remove it, and a new one is made", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s is not a P-256 key in PKCS #8; remove it, and a new one is made", path)
	}
	return key, nil
}

// createTrialKey writes a new key under another name and links it into place:
// link fails where a key exists, so of two processes that start together both end
// up with the same one, and nobody reads half a file.
func createTrialKey(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".trial-issuer-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Token makes a token. audience "" means TrialAudience; ttl 0 means TrialMaxTTL,
// and a longer or negative one is an error.
func (t *Trial) Token(subject string, groups []string, audience string, ttl time.Duration, now time.Time) (secret.String, error) {
	if t == nil || t.key == nil {
		return secret.String{}, errors.New("the trial issuer is not open")
	}
	if err := checkName(subject); err != nil {
		return secret.String{}, fmt.Errorf("subject %s cannot be used: %w", quote(subject), err)
	}
	for _, g := range groups {
		if err := checkName(g); err != nil {
			return secret.String{}, fmt.Errorf("group %s cannot be used: %w", quote(g), err)
		}
	}
	if ttl < 0 || ttl > TrialMaxTTL {
		return secret.String{}, fmt.Errorf("a trial token lives at most %s, not %s", TrialMaxTTL, ttl)
	}
	if ttl == 0 {
		ttl = TrialMaxTTL
	}
	if audience == "" {
		audience = TrialAudience
	}
	if groups == nil {
		groups = []string{}
	}
	members := map[string]any{
		"iss": TrialIssuer, "sub": subject, "aud": audience, "groups": groups,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(ttl).Unix(),
		"jti": ulid.MustNew(ulid.Timestamp(now), rand.Reader).String(),
	}
	if audience == ApproverAudience {
		members["name"] = subject // approvers are people
	}
	claims, err := json.Marshal(members)
	if err != nil {
		return secret.String{}, fmt.Errorf("write the claims: %w", err)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: t.key, KeyID: t.kid}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return secret.String{}, fmt.Errorf("make the signer: %w", err)
	}
	jws, err := signer.Sign(claims)
	if err != nil {
		return secret.String{}, fmt.Errorf("sign the token: %w", err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		return secret.String{}, fmt.Errorf("write the token: %w", err)
	}
	return secret.New(compact), nil
}

// IssuerConfig is what a Verifier needs to accept agents' tokens of t. For
// approvers, set Audience to ApproverAudience.
func (t *Trial) IssuerConfig() IssuerConfig {
	return IssuerConfig{
		Issuer:      TrialIssuer,
		Audience:    TrialAudience,
		MaxTokenAge: TrialMaxTTL,
		Keys:        &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{t.key.Public()}},
		Algorithms:  []string{oidc.ES256},
	}
}

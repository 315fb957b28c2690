package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// Token is a token to be made by Sign. Zero fields take what a good token has.
type Token struct {
	Alg    string         // "" RS256; also PS256, ES256, EdDSA, HS256, none
	Key    any            // crypto.Signer, or []byte for HS256; nil: the issuer's for Alg
	Header map[string]any // members beside or instead of alg, kid and typ; nil removes one
	Claims map[string]any // see Issuer.Claims

	RawHeader string // sent instead of the JSON of Header
	RawClaims string // sent instead of the JSON of Claims
}

// Claims are those of a good token: ten minutes old, good for 50 more.
func (i *Issuer) Claims(subject, audience string, now time.Time) map[string]any {
	return map[string]any{
		"iss": i.URL, "sub": subject, "aud": audience,
		"iat": now.Add(-10 * time.Minute).Unix(), "exp": now.Add(50 * time.Minute).Unix(),
		"jti": fmt.Sprintf("id-%d", now.UnixNano()),
	}
}

// With copies claims with some replaced; nil removes one.
func With(claims map[string]any, replace map[string]any) map[string]any {
	c := maps.Clone(claims)
	for k, v := range replace {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// Token signs claims as the issuer does (RS256).
func (i *Issuer) Token(claims map[string]any) string { return i.Sign(Token{Claims: claims}) }

// Sign makes the token described. It panics when that cannot be done, as the
// description is the test's own.
func (i *Issuer) Sign(t Token) string {
	if t.Alg == "" {
		t.Alg = "RS256"
	}
	header := map[string]any{"alg": t.Alg, "typ": "JWT"}
	issuerKey := i.Key(t.Alg)
	if t.Alg == "PS256" {
		issuerKey = i.Key("RS256")
	}
	if issuerKey.ID != "" {
		header["kid"] = issuerKey.ID
	}
	header = With(header, t.Header)
	if t.Key == nil && issuerKey.Private != nil {
		t.Key = issuerKey.Private
	}
	h, c := []byte(t.RawHeader), []byte(t.RawClaims)
	if t.RawHeader == "" {
		h = must(json.Marshal(header))
	}
	if t.RawClaims == "" {
		c = must(json.Marshal(t.Claims))
	}
	input := encode(h) + "." + encode(c)
	return input + "." + encode(signature(t.Alg, t.Key, []byte(input)))
}

func signature(alg string, key any, input []byte) []byte {
	digest := sha256.Sum256(input)
	switch alg {
	case "none":
		return nil
	case "HS256":
		mac := hmac.New(sha256.New, key.([]byte))
		mac.Write(input)
		return mac.Sum(nil)
	case "RS256":
		return must(key.(*rsa.PrivateKey).Sign(rand.Reader, digest[:], crypto.SHA256))
	case "PS256":
		return must(key.(*rsa.PrivateKey).Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}))
	case "ES256":
		r, s, err := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), digest[:])
		if err != nil {
			panic(err)
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out
	case "EdDSA":
		return ed25519.Sign(key.(ed25519.PrivateKey), input)
	}
	panic("oidctest cannot sign with " + alg)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

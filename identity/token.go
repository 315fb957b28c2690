package identity

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// token is a compact JWS (RFC 7515 3.1) taken apart. Nothing in it is proven.
type token struct {
	alg, kid string
	issuer   string
	claims   map[string]json.RawMessage
}

// parseToken takes raw apart without believing it. Everything cheap comes first:
// length, alphabet and the number of dots before any decoding.
func parseToken(raw string) (*token, *refusal.Error) {
	switch {
	case raw == "":
		return nil, refusal.New(refusal.Identity, "the token is empty")
	case len(raw) > MaxTokenBytes:
		return nil, refusal.New(refusal.Identity, "the token is %d bytes long, the limit is %d; ask the issuer for one with fewer claims", len(raw), MaxTokenBytes)
	case strings.Count(raw, ".") == 4:
		return nil, refusal.New(refusal.Identity, "the token is encrypted (JWE); a signed one (JWS) is needed")
	case strings.Count(raw, ".") != 2:
		return nil, refusal.New(refusal.Identity, "the token is not a JWT: it needs three parts with two dots between them; opaque access tokens cannot be verified")
	case !jwtAlphabet(raw):
		// Go's base64 decoder skips line breaks: two spellings of one token.
		return nil, refusal.New(refusal.Identity, "the token is not a JWT: it has characters other than A-Z a-z 0-9 - _")
	}
	var parts [3][]byte
	for i, s := range strings.Split(raw, ".") {
		b, err := base64.RawURLEncoding.Strict().DecodeString(s)
		if err != nil || len(b) == 0 {
			return nil, refusal.New(refusal.Identity, "part %d of the token is empty or not base64url", i+1)
		}
		parts[i] = b
	}
	header, err := objectMembers(parts[0])
	if err != nil {
		return nil, refusal.New(refusal.Identity, "the token's header cannot be read: %v", err)
	}
	t := &token{}
	if rerr := t.readHeader(header); rerr != nil {
		return nil, rerr
	}
	if t.claims, err = objectMembers(parts[1]); err != nil {
		return nil, refusal.New(refusal.Identity, "the token's claims cannot be read: %v", err)
	}
	var ok bool
	if t.issuer, ok = stringClaim(t.claims["iss"]); !ok || t.issuer == "" {
		return nil, refusal.New(refusal.Identity, "the token has no issuer (iss)")
	}
	return t, nil
}

// readHeader takes alg and kid. Members by which a token brings its own key, a
// place to fetch one, or rules of its own are attacks or are not understood; both
// are refused rather than ignored (RFC 7515 4.1, RFC 8725 3.10).
func (t *token) readHeader(h map[string]json.RawMessage) *refusal.Error {
	for _, name := range []string{"jku", "jwk", "x5u", "x5c"} {
		if _, found := h[name]; found {
			return refusal.New(refusal.Identity, "the token's header has %s: keys come from the issuer, never from a token", name)
		}
	}
	for _, name := range []string{"crit", "b64", "zip", "enc"} {
		if _, found := h[name]; found {
			return refusal.New(refusal.Identity, "the token's header has %s, which is not supported", name)
		}
	}
	var ok bool
	if t.alg, ok = stringClaim(h["alg"]); !ok || !slices.Contains(asymmetric, t.alg) {
		return refusal.New(refusal.Identity, "the token's algorithm is %s; only signatures with a public key are accepted (RS, PS, ES, EdDSA)", quote(t.alg))
	}
	if raw, found := h["kid"]; found {
		if t.kid, ok = stringClaim(raw); !ok || t.kid == "" || len(t.kid) > 256 {
			return refusal.New(refusal.Identity, "the token's key id (kid) is not a string of 1 to 256 bytes")
		}
	}
	if raw, found := h["typ"]; found {
		// A logout token or a DPoP proof of the same issuer is signed with the same
		// keys and is no statement about who is calling (RFC 8725 3.11).
		typ, ok := stringClaim(raw)
		typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
		if !ok || (typ != "jwt" && typ != "at+jwt") {
			return refusal.New(refusal.Identity, "the token's type is %s; an ID token or access token (JWT, at+jwt) is needed", quote(typ))
		}
	}
	return nil
}

func jwtAlphabet(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

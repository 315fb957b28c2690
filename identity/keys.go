package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/sallyport/sallyport/refusal"
)

const (
	// keysFresh is how long keys are used before they are read again: the longest
	// that a key withdrawn by its issuer is still accepted.
	keysFresh = 15 * time.Minute
	// keysKept is how long keys are used while reading them again fails.
	keysKept = time.Hour
	// unknownKeyEvery bounds how often tokens that name unknown keys can make us
	// ask the issuer: a flood of invented ids must not become a flood at it.
	unknownKeyEvery = time.Minute

	retryMin = time.Second
	retryMax = time.Minute

	maxKeys       = 100 // of one issuer
	maxCandidates = 4   // signature checks one token can cost
)

// keySource holds the keys of one issuer. They are read when first needed, so a
// gateway starts while a provider is away, and one reader asks for all.
type keySource struct {
	issuer string
	client *http.Client
	now    func() time.Time
	flight singleflight.Group

	mu       sync.Mutex // guards all below; never held during a fetch
	keys     []jose.JSONWebKey
	algs     []string
	fetched  time.Time // last success; zero: never
	tried    time.Time // last attempt
	failures int       // attempts failed since the last success
	lastErr  error
}

// found is what lookup gives: keys that may verify the token, and until when an
// answer that rests on them may be remembered.
type found struct {
	keys  []crypto.PublicKey
	until time.Time
}

// lookup finds the keys for a token. It reads the issuer's keys first when there
// are none, when they are not fresh, and, at most once in unknownKeyEvery, when
// the token names a key that is not among them.
func (k *keySource) lookup(ctx context.Context, t *token) (found, *refusal.Error) {
	if k.due(false) {
		k.fetch(ctx, false)
	}
	f, err := k.match(t)
	if err != nil && err.Reason == refusal.Identity && k.due(true) {
		k.fetch(ctx, true)
		f, err = k.match(t)
	}
	return f, err
}

// due says whether the keys should be read now.
func (k *keySource) due(unknownKey bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.failures > 0 {
		wait := min(retryMin<<min(k.failures-1, 10), retryMax)
		return !now.Before(k.tried.Add(wait))
	}
	if unknownKey {
		return !now.Before(k.fetched.Add(unknownKeyEvery))
	}
	return k.fetched.IsZero() || !now.Before(k.fetched.Add(keysFresh))
}

// fetch reads discovery and keys once for all who wait. The result is left in k;
// one caller going away does not end it for the others.
func (k *keySource) fetch(ctx context.Context, unknownKey bool) {
	_, _, _ = k.flight.Do("", func() (any, error) {
		if !k.due(unknownKey) {
			return nil, nil // another caller's fetch ended between our look and our turn
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*fetchTimeout)
		defer cancel()
		keys, algs, err := readKeys(ctx, k.client, k.issuer)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.tried = k.now()
		if err != nil {
			k.failures++
			k.lastErr = err
			return nil, nil
		}
		k.keys, k.algs, k.fetched, k.failures, k.lastErr = keys, algs, k.tried, 0, nil
		return nil, nil
	})
}

// match finds the token's keys among those read.
func (k *keySource) match(t *token) (found, *refusal.Error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	until := k.fetched.Add(keysKept)
	if k.fetched.IsZero() || !k.now().Before(until) {
		cause := k.lastErr
		if cause == nil {
			cause = errors.New("keys were never read")
		}
		return found{}, refusal.Wrap(refusal.Unavailable, cause,
			"the keys of issuer %s cannot be read, so the token cannot be verified; nothing was sent to AWS. Try again in a minute", quote(k.issuer))
	}
	if !slices.Contains(k.algs, t.alg) {
		return found{}, refusal.New(refusal.Identity, "the token is signed with %s; its issuer announces %s", t.alg, strings.Join(k.algs, ", "))
	}
	f := found{until: until}
	for _, key := range k.keys {
		if (t.kid == "" || key.KeyID == t.kid) && (key.Algorithm == "" || key.Algorithm == t.alg) && fits(key.Key, t.alg) {
			f.keys = append(f.keys, key.Key)
		}
	}
	switch {
	case len(f.keys) == 0:
		return found{}, refusal.New(refusal.Identity, "the token is signed with key %s for %s, which its issuer does not publish (keys were last read at %s)",
			quote(t.kid), t.alg, k.fetched.UTC().Format(time.RFC3339))
	case t.kid == "" && len(f.keys) > 1:
		// OpenID Connect Core 10.1: with several keys, a token must name its own.
		return found{}, refusal.New(refusal.Identity, "the token does not say which of its issuer's keys signed it (kid)")
	case len(f.keys) > maxCandidates:
		return found{}, refusal.New(refusal.Identity, "the issuer publishes more than %d keys under the id of this token's", maxCandidates)
	}
	return f, nil
}

// fits says whether a key is of the kind and size that alg needs (RFC 7518 3.1).
func fits(key any, alg string) bool {
	switch pub := key.(type) {
	case *rsa.PublicKey:
		return (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")) && pub.N.BitLen() >= 2048 && pub.N.BitLen() <= 8192
	case *ecdsa.PublicKey:
		return (alg == "ES256" && pub.Curve == elliptic.P256()) ||
			(alg == "ES384" && pub.Curve == elliptic.P384()) ||
			(alg == "ES512" && pub.Curve == elliptic.P521())
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// readKeys reads discovery and the key set it points to (RFC 7517 5). Keys of
// kinds we do not know are skipped, as the RFC says; so are private and shared
// ones, which have no business there, and those not meant for signatures.
func readKeys(ctx context.Context, client *http.Client, issuer string) ([]jose.JSONWebKey, []string, error) {
	meta, err := Discover(ctx, client, issuer)
	if err != nil {
		return nil, nil, err
	}
	if meta.JWKSURI == "" {
		return nil, nil, fmt.Errorf("discovery of %s: jwks_uri is missing", issuer)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := getJSON(ctx, client, meta.JWKSURI, &set); err != nil {
		return nil, nil, fmt.Errorf("keys of %s: %w", issuer, err)
	}
	if len(set.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("keys of %s: %d keys, the limit is %d", issuer, len(set.Keys), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.IsPublic() && (key.Use == "" || key.Use == "sig") {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, nil, fmt.Errorf("keys of %s: the key set has no usable key", issuer)
	}
	return keys, meta.Algorithms, nil
}

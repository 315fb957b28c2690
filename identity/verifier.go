package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/refusal"
)

// Options tune a Verifier; the zero value is good.
type Options struct {
	Now       func() time.Time // nil: time.Now
	CacheSize int              // verified tokens remembered; 0: 4096
}

// Verifier proves tokens of the configured issuers. Its methods may be called
// from many goroutines. The zero value knows no issuer and refuses every token.
type Verifier struct {
	issuers map[string]*issuer
	now     func() time.Time
	cache   *lru.Cache[[sha256.Size]byte, cached]
	work    chan struct{} // bounds signature checks running at once, so that a flood of bad tokens leaves CPU for the others
}

type issuer struct {
	config IssuerConfig
	source *keySource // nil where config.Keys is set
}

type cached struct {
	principal *Principal
	until     time.Time
}

// NewVerifier checks the configuration. It reads CA files but asks no issuer:
// that happens with the first token.
func NewVerifier(configs []IssuerConfig, o Options) (*Verifier, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CacheSize <= 0 {
		o.CacheSize = 4096
	}
	cache, err := lru.New[[sha256.Size]byte, cached](o.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("make the token cache: %w", err)
	}
	v := &Verifier{
		issuers: map[string]*issuer{},
		now:     o.Now,
		cache:   cache,
		work:    make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
	}
	var problems []error
	for _, c := range configs {
		c, err := c.withDefaults()
		if err == nil && v.issuers[c.Issuer] != nil {
			err = fmt.Errorf("issuer %s is configured twice", c.Issuer)
		}
		is := &issuer{config: c}
		if err == nil && c.Keys == nil {
			is.source = &keySource{issuer: c.Issuer, now: o.Now}
			if is.source.client, err = NewClient(c.CAFile); err != nil {
				err = fmt.Errorf("issuer %s: %w", c.Issuer, err)
			}
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		v.issuers[c.Issuer] = is
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return v, nil
}

// Trusts reports that an issuer is one of those configured.
func (v *Verifier) Trusts(issuer string) bool { return v.issuers[issuer] != nil }

// Verify proves raw. The error is a *refusal.Error: Identity with a sentence that
// says what is wrong with the token, or Unavailable when the issuer's keys cannot
// be had. A token that was proven is remembered by its digest until it expires,
// and no longer than keysFresh, so that a withdrawn key stops counting.
func (v *Verifier) Verify(ctx context.Context, raw secret.String) (*Principal, error) {
	if len(v.issuers) == 0 {
		return nil, refusal.New(refusal.Identity, "no identity provider is configured, so no token can be accepted; configure identity.issuers")
	}
	text := raw.Reveal()
	if len(text) > MaxTokenBytes { // before hashing
		_, err := parseToken(text)
		return nil, err
	}
	now := v.now()
	digest := sha256.Sum256([]byte(text))
	if c, hit := v.cache.Get(digest); hit {
		if now.Before(c.until) {
			return c.principal.with(raw), nil
		}
		v.cache.Remove(digest)
	}
	p, until, err := v.verify(ctx, text)
	if err != nil {
		return nil, err
	}
	if p.TokenID == "" {
		p.TokenID = "sha256:" + hex.EncodeToString(digest[:16])
	}
	until = earliest(until, p.Expires.Add(Leeway), now.Add(keysFresh))
	v.cache.Add(digest, cached{principal: p, until: until})
	return p.with(raw), nil
}

func (v *Verifier) verify(ctx context.Context, text string) (*Principal, time.Time, error) {
	t, rerr := parseToken(text)
	if rerr != nil {
		return nil, time.Time{}, rerr
	}
	is := v.issuers[t.issuer]
	if is == nil {
		return nil, time.Time{}, v.unknownIssuer(t.issuer)
	}
	keys, until, rerr := is.keysFor(ctx, t, v.now())
	if rerr != nil {
		return nil, time.Time{}, rerr
	}
	select {
	case v.work <- struct{}{}:
		defer func() { <-v.work }()
	case <-ctx.Done():
		return nil, time.Time{}, refusal.Wrap(refusal.Unavailable, ctx.Err(), "the request ended before its token was verified")
	}
	// Audience and times are checked below, with the reason in words and with the
	// leeway promised; go-oidc would allow nbf five minutes.
	verifier := oidc.NewVerifier(is.config.Issuer, keys, &oidc.Config{
		SupportedSigningAlgs: []string{t.alg},
		SkipClientIDCheck:    true,
		SkipExpiryCheck:      true,
	})
	if _, err := verifier.Verify(ctx, text); err != nil {
		return nil, time.Time{}, refusal.New(refusal.Identity, "the token's signature does not hold, or the token is malformed: it is not one that issuer %s made", quote(t.issuer))
	}
	p, rerr := is.config.principal(t, v.now())
	if rerr != nil {
		return nil, time.Time{}, rerr
	}
	return p, until, nil
}

// keysFor gives the keys that may verify t, all of the kind its algorithm needs.
func (is *issuer) keysFor(ctx context.Context, t *token, now time.Time) (oidc.KeySet, time.Time, *refusal.Error) {
	if is.source == nil {
		for _, a := range is.config.Algorithms {
			if a == t.alg {
				return is.config.Keys, now.Add(keysKept), nil
			}
		}
		return nil, time.Time{}, refusal.New(refusal.Identity, "the token is signed with %s; issuer %s uses %s",
			t.alg, quote(is.config.Issuer), strings.Join(is.config.Algorithms, ", "))
	}
	f, err := is.source.lookup(ctx, t)
	if err != nil {
		return nil, time.Time{}, err
	}
	return &oidc.StaticKeySet{PublicKeys: f.keys}, f.until, nil
}

func (v *Verifier) unknownIssuer(got string) *refusal.Error {
	for name := range v.issuers {
		if strings.TrimSuffix(name, "/") == strings.TrimSuffix(got, "/") {
			return refusal.New(refusal.Identity, "the token's issuer is %s, the configured one is %s: they must be the same to the last slash", quote(got), quote(name))
		}
	}
	return refusal.New(refusal.Identity, "the token's issuer %s is not configured here; use a token of an issuer that is", quote(got))
}

func earliest(t time.Time, others ...time.Time) time.Time {
	for _, o := range others {
		if o.Before(t) {
			t = o
		}
	}
	return t
}

package launch

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sallyport/sallyport/internal/secret"
)

// TokenSource gives OIDC tokens for the gateway. The time is the token's exp.
// Implementations may be called from many goroutines. A token that has expired
// is given nevertheless where there is no other: the gateway then says so inside
// the tunnel, where clients show it.
type TokenSource interface {
	Token(ctx context.Context) (secret.String, time.Time, error)
}

// Cached wraps src: a token is used for 80 % of the life it had when it was
// fetched, then replaced, by one fetch for all who wait. While fetching fails,
// the old token is used until it expires. now nil means time.Now.
func Cached(src TokenSource, now func() time.Time) TokenSource {
	if now == nil {
		now = time.Now
	}
	return &cachedSource{src: src, now: now}
}

type cachedSource struct {
	src    TokenSource
	now    func() time.Time
	flight singleflight.Group

	mu      sync.Mutex
	token   secret.String
	renew   time.Time // zero: nothing is held
	expires time.Time
}

// retryRenewal keeps a provider that is away from being asked for every CONNECT
// while the old token still holds.
const retryRenewal = 10 * time.Second

func (c *cachedSource) Token(ctx context.Context) (secret.String, time.Time, error) {
	if token, expires, fresh := c.held(); fresh {
		return token, expires, nil
	}
	fetch := c.flight.DoChan("", func() (any, error) {
		if _, _, fresh := c.held(); fresh {
			return nil, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), helperTimeout)
		defer cancel()
		return nil, c.fetch(ctx)
	})
	var err error
	select {
	case r := <-fetch:
		err = r.Err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return secret.String{}, time.Time{}, err
	}
	token, expires, _ := c.held()
	return token, expires, nil
}

func (c *cachedSource) held() (token secret.String, expires time.Time, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token, c.expires, c.now().Before(c.renew)
}

func (c *cachedSource) fetch(ctx context.Context) error {
	token, expires, err := c.src.Token(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if err != nil {
		if c.token.IsZero() || !now.Before(c.expires) {
			return err
		}
		c.renew = now.Add(retryRenewal)
		return nil
	}
	c.token, c.expires = token, expires
	c.renew = now.Add(expires.Sub(now) * 4 / 5)
	return nil
}

// fromText makes what a source returns of a token's text. The signature is not
// looked at, that is the gateway's part; exp only says when to get another.
func fromText(text string) (secret.String, time.Time, error) {
	text = strings.TrimSpace(text)
	expires, err := expiry(text)
	if err != nil {
		return secret.String{}, time.Time{}, err
	}
	return secret.New(text), expires, nil
}

func expiry(token string) (time.Time, error) {
	notJWT := errors.New("what came is not a JWT; the gateway needs an OIDC token, not an opaque access token")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, notJWT
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, notJWT
	}
	var c struct {
		Exp float64 `json:"exp"`
	}
	if json.Unmarshal(claims, &c) != nil || c.Exp <= 0 || c.Exp > 1e12 {
		return time.Time{}, fmt.Errorf("the token has no expiry (exp)")
	}
	return time.Unix(int64(c.Exp), 0), nil
}

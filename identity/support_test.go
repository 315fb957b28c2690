package identity_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/oidctest"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/refusal"
)

// clock is a clock that tests turn by hand.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// rig is an issuer and a verifier that trusts it.
type rig struct {
	*oidctest.Issuer
	*clock
	v      *identity.Verifier
	caFile string
}

func newRig(t *testing.T, edit func(*identity.IssuerConfig)) *rig {
	t.Helper()
	is, err := oidctest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(is.Close)
	r := &rig{Issuer: is, clock: newClock(), caFile: filepath.Join(t.TempDir(), "idp.pem")}
	if err := os.WriteFile(r.caFile, is.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := identity.IssuerConfig{Issuer: is.URL, Audience: "sallyport", CAFile: r.caFile}
	if edit != nil {
		edit(&c)
	}
	if r.v, err = identity.NewVerifier([]identity.IssuerConfig{c}, identity.Options{Now: r.now}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) claims() map[string]any { return r.Claims("alice", "sallyport", r.now()) }

func (r *rig) verify(token string) (*identity.Principal, error) {
	return r.v.Verify(context.Background(), secret.New(token))
}

// good returns the principal of a token that must be accepted.
func (r *rig) good(t *testing.T, token string) *identity.Principal {
	t.Helper()
	p, err := r.verify(token)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return p
}

// refused returns the refusal of a token, which must have this reason.
func (r *rig) refused(t *testing.T, token string, reason refusal.Reason) *refusal.Error {
	t.Helper()
	p, err := r.verify(token)
	if err == nil {
		t.Fatalf("accepted as %q with groups %q", p.Subject, p.Groups)
	}
	var re *refusal.Error
	if !errors.As(err, &re) {
		t.Fatalf("error is a %T, not a refusal: %v", err, err)
	}
	if re.Reason != reason {
		t.Fatalf("reason %q, want %q: %v", re.Reason, reason, err)
	}
	return re
}

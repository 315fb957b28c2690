package identity_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/oidctest"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/refusal"
)

func TestGoodTokens(t *testing.T) {
	r := newRig(t, nil)
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		p := r.good(t, r.Sign(tok{Alg: alg, Claims: r.claims()}))
		if p.Subject != "alice" || p.Issuer != r.URL || p.TokenID == "" {
			t.Errorf("%s: %+v", alg, p)
		}
	}
	for name, c := range map[string]struct {
		replace m
		check   func(*identity.Principal) bool
	}{
		"aud list":      {m{"aud": []string{"other", "sallyport"}}, func(p *identity.Principal) bool { return true }},
		"groups list":   {m{"groups": []string{"b", "a", "b"}}, func(p *identity.Principal) bool { return slices.Equal(p.Groups, []string{"a", "b"}) }},
		"groups string": {m{"groups": "a  b"}, func(p *identity.Principal) bool { return slices.Equal(p.Groups, []string{"a", "b"}) }},
		"groups none":   {m{"groups": []string{}}, func(p *identity.Principal) bool { return p.Groups == nil }},
		"groups null":   {m{"groups": m(nil)}, func(p *identity.Principal) bool { return p.Groups == nil }},
		"group spaces":  {m{"groups": []string{"Domain Admins"}}, func(p *identity.Principal) bool { return slices.Equal(p.Groups, []string{"Domain Admins"}) }},
		"overage":       {m{"groups": []string{"a"}, "_claim_names": m{"groups": "s"}, "_claim_sources": m{"s": m{"endpoint": "https://evil.invalid/g"}}}, func(p *identity.Principal) bool { return p.Groups == nil }},
		"no jti": {m{"jti": nil}, func(p *identity.Principal) bool {
			return strings.HasPrefix(p.TokenID, "sha256:") && len(p.TokenID) == 39
		}},
		"jti unprintable": {m{"jti": "a\nb"}, func(p *identity.Principal) bool { return strings.HasPrefix(p.TokenID, "sha256:") }},
		"email":           {m{"email": "a@b.example", "email_verified": true}, func(p *identity.Principal) bool { return p.Email == "a@b.example" && p.EmailVerified }},
		"email claimed":   {m{"email": "a@b.example", "email_verified": "true"}, func(p *identity.Principal) bool { return p.Email == "a@b.example" && !p.EmailVerified }},
		"in the leeway":   {m{"exp": r.now().Add(-59 * time.Second).Unix(), "nbf": r.now().Add(59 * time.Second).Unix()}, func(p *identity.Principal) bool { return true }},
		"fractions":       {m{"exp": float64(r.now().Unix()) + 10.5}, func(p *identity.Principal) bool { return p.Expires.Sub(r.now()) == 10500*time.Millisecond }},
		"far exp":         {m{"exp": r.now().Add(48 * time.Hour).Unix()}, func(p *identity.Principal) bool { return p.Expires.Equal(p.IssuedAt.Add(time.Hour)) }},
	} {
		if p := r.good(t, r.Token(oidctest.With(r.claims(), c.replace))); !c.check(p) {
			t.Errorf("%s: %+v", name, p)
		}
	}
	r.good(t, r.Sign(tok{Claims: r.claims(), Header: m{"typ": "at+jwt"}}))
	r.good(t, r.Sign(tok{Claims: r.claims(), Header: m{"typ": nil, "kid": nil}}))
}

func TestClaimsByConfiguration(t *testing.T) {
	r := newRig(t, func(c *identity.IssuerConfig) {
		c.SubjectClaim = "email"
		c.GroupsClaim = "realm.roles"
	})
	claims := oidctest.With(r.claims(), m{"email": "a@b.example", "email_verified": true, "realm": m{"roles": []string{"x"}}})
	if p := r.good(t, r.Token(claims)); p.Subject != "a@b.example" || !slices.Equal(p.Groups, []string{"x"}) {
		t.Errorf("%+v", p)
	}
	if p := r.good(t, r.Token(oidctest.With(claims, m{"realm.roles": []string{"exact"}}))); !slices.Equal(p.Groups, []string{"exact"}) {
		t.Errorf("the exact name must come before the path: %+v", p)
	}
	r.refused(t, r.Token(oidctest.With(claims, m{"email_verified": false})), refusal.Identity)
	r.refused(t, r.Token(oidctest.With(claims, m{"email": nil})), refusal.Identity)
}

func TestConfigurationRefused(t *testing.T) {
	ok := identity.IssuerConfig{Issuer: "https://idp.example.com", Audience: "sallyport"}
	trial, err := identity.OpenTrial(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for want, edit := range map[string]func(*identity.IssuerConfig){
		"empty":       func(c *identity.IssuerConfig) { c.Issuer = "" },
		"https":       func(c *identity.IssuerConfig) { c.Issuer = "http://idp.example.com" },
		"template":    func(c *identity.IssuerConfig) { c.Issuer = "https://login.example.com/{tenantid}/v2.0" },
		"query":       func(c *identity.IssuerConfig) { c.Issuer += "?a=b" },
		"audience":    func(c *identity.IssuerConfig) { c.Audience = "" },
		"negative":    func(c *identity.IssuerConfig) { c.MaxTokenAge = -1 },
		"go together": func(c *identity.IssuerConfig) { c.Algorithms = []string{"HS256"} },
		"not an asymmetric": func(c *identity.IssuerConfig) {
			*c = trial.IssuerConfig()
			c.Algorithms = []string{"HS256"}
		},
		"read ca_file": func(c *identity.IssuerConfig) { c.CAFile = "/nonexistent/ca.pem" },
	} {
		c := ok
		edit(&c)
		if _, err := identity.NewVerifier([]identity.IssuerConfig{c}, identity.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	if _, err := identity.NewVerifier([]identity.IssuerConfig{ok, ok}, identity.Options{}); err == nil {
		t.Error("the same issuer twice was accepted")
	}
	none, err := identity.NewVerifier(nil, identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.Verify(context.Background(), secret.New("a.b.c")); refusal.Of(err).Reason != refusal.Identity {
		t.Errorf("no issuer: %v", err)
	}
	if _, err := new(identity.Verifier).Verify(context.Background(), secret.New("a.b.c")); refusal.Of(err).Reason != refusal.Identity {
		t.Errorf("zero Verifier: %v", err)
	}
}

func TestRecheck(t *testing.T) {
	r := newRig(t, nil)
	p := r.good(t, r.Token(r.claims()))
	for d, ok := range map[time.Duration]bool{0: true, 50*time.Minute + 60*time.Second: true, 50*time.Minute + 61*time.Second: false} {
		if err := r.v.Recheck(p, r.now().Add(d)); (err == nil) != ok {
			t.Errorf("after %s: %v", d, err)
		}
	}
	for _, p := range []*identity.Principal{nil, {}} {
		if err := r.v.Recheck(p, r.now()); refusal.Of(err).Reason != refusal.Identity {
			t.Errorf("nobody: %v", err)
		}
	}
}

// The IdP is away when the gateway starts, comes, goes, and stays away.
func TestIssuerComesAndGoes(t *testing.T) {
	r := newRig(t, nil)
	r.Stop()
	token := func() string { return r.Token(r.claims()) }
	r.refused(t, token(), refusal.Unavailable)
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	if e := r.refused(t, token(), refusal.Unavailable); e.Err == nil {
		t.Error("no cause for the log")
	}
	if n := len(r.Requests()); n != 0 {
		t.Fatalf("asked %d times within the back-off", n)
	}
	r.add(time.Second)
	r.good(t, token())

	r.Stop()
	r.add(16 * time.Minute) // keys are no longer fresh, but kept
	last := token()
	r.good(t, last)
	r.add(43 * time.Minute)
	late := token()
	r.good(t, late)
	r.add(time.Minute)
	r.refused(t, token(), refusal.Unavailable)
	r.refused(t, last, refusal.Unavailable)
	r.refused(t, late, refusal.Unavailable) // verified a minute ago, but not remembered for longer than the keys
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	r.add(time.Minute)
	r.good(t, token())
}

func TestBackoffGrows(t *testing.T) {
	r := newRig(t, nil)
	r.Fail(oidctest.DiscoveryPath, 500)
	tries := 0
	for range 600 { // ten minutes, one token a second
		r.refused(t, r.Token(r.claims()), refusal.Unavailable)
		r.add(time.Second)
	}
	if tries = r.Count(oidctest.DiscoveryPath); tries < 8 || tries > 20 {
		t.Errorf("%d attempts in ten minutes", tries)
	}
}

func TestRotation(t *testing.T) {
	r := newRig(t, nil)
	old := r.Token(r.claims())
	r.good(t, old)
	oldKey := r.Key("RS256")
	if err := r.Rotate(); err != nil {
		t.Fatal(err)
	}
	fresh := r.Token(r.claims())
	r.refused(t, fresh, refusal.Identity) // the keys were read this minute
	r.add(time.Minute)
	r.good(t, fresh)
	if n := r.Count(oidctest.KeysPath); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	r.good(t, old) // still remembered
	r.refused(t, r.Sign(tok{Key: oldKey.Private, Header: m{"kid": oldKey.ID}, Claims: r.claims()}), refusal.Identity)
	r.add(15 * time.Minute)
	r.refused(t, old, refusal.Identity) // the withdrawn key no longer counts
}

func TestUnknownKeyFlood(t *testing.T) {
	r := newRig(t, nil)
	r.good(t, r.Token(r.claims()))
	r.add(2 * time.Minute)
	var wg sync.WaitGroup
	for i := range 64 {
		token := r.Sign(tok{Claims: r.claims(), Header: m{"kid": fmt.Sprint("k", i)}})
		wg.Go(func() {
			if _, err := r.verify(token); refusal.Of(err).Reason != refusal.Identity {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	if n := r.Count(oidctest.KeysPath); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

func TestManyAtOnceFetchOnce(t *testing.T) {
	r := newRig(t, nil)
	var wg sync.WaitGroup
	for i := range 32 {
		token := r.Token(r.Claims(fmt.Sprint("agent-", i), "sallyport", r.now()))
		wg.Go(func() {
			if _, err := r.verify(token); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := r.Count(oidctest.DiscoveryPath); n != 1 {
		t.Errorf("%d fetches of discovery, want 1", n)
	}
}

func TestRememberedTokenExpires(t *testing.T) {
	r := newRig(t, nil)
	token := r.Token(oidctest.With(r.claims(), m{"exp": r.now().Add(time.Minute).Unix(), "groups": []string{"a"}}))
	for range 3 {
		p := r.good(t, token)
		if p.Groups[0] != "a" || p.Subject != "alice" {
			t.Fatalf("the remembered principal was changed from outside: %+v", p)
		}
		p.Groups[0], p.Subject = "admin", "root" // the caller's own copy
	}
	r.add(2*time.Minute + time.Second)
	r.refused(t, token, refusal.Identity)
}

func TestDiscoveryNotBelieved(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("keys were read over plain http")
	}))
	defer plain.Close()
	for name, edit := range map[string]func(*rig){
		"another issuer":   func(r *rig) { r.SetDiscovery("issuer", "https://evil.invalid") },
		"plain http keys":  func(r *rig) { r.SetDiscovery("jwks_uri", plain.URL) },
		"file keys":        func(r *rig) { r.SetDiscovery("jwks_uri", "file:///etc/keys") },
		"no keys":          func(r *rig) { r.SetDiscovery("jwks_uri", nil) },
		"redirected away":  func(r *rig) { r.Fail(oidctest.DiscoveryPath, 302) },
		"keys redirected":  func(r *rig) { r.Fail(oidctest.KeysPath, 302) },
		"keys not a set":   func(r *rig) { r.SetDiscovery("jwks_uri", r.URL+oidctest.DiscoveryPath) },
		"keys unreachable": func(r *rig) { r.Fail(oidctest.KeysPath, 503) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			edit(r)
			r.refused(t, r.Token(r.claims()), refusal.Unavailable)
		})
	}
	r := newRig(t, nil)
	r.SetDiscovery("id_token_signing_alg_values_supported", nil) // RS256 is then meant
	r.good(t, r.Token(r.claims()))
	r.refused(t, r.Sign(tok{Alg: "ES256", Claims: r.claims()}), refusal.Identity)
}

// An issuer whose certificate the system does not know is not believed without ca_file.
func TestUntrustedIssuer(t *testing.T) {
	r := newRig(t, func(c *identity.IssuerConfig) { c.CAFile = "" })
	e := r.refused(t, r.Token(r.claims()), refusal.Unavailable)
	if !strings.Contains(fmt.Sprint(e.Err), "x509") {
		t.Errorf("cause: %v", e.Err)
	}
	if len(r.Requests()) != 0 {
		t.Error("a request went out")
	}
}

func TestEndedRequest(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// The keys are still read, for those who come next.
	_, err := r.v.Verify(ctx, secret.New(r.Token(r.claims())))
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	r.good(t, r.Token(r.claims()))
	if n := r.Count(oidctest.KeysPath); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

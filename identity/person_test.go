package identity_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/oidctest"
	"github.com/sallyport/sallyport/internal/secret"
)

func TestPersonsAndPrograms(t *testing.T) {
	idp, err := oidctest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	c := newClock()
	roots := filepath.Join(t.TempDir(), "idp.pem")
	if err := os.WriteFile(roots, idp.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	config := identity.IssuerConfig{Issuer: idp.URL, Audience: "approvers", Excluded: []string{"agents"}, CAFile: roots}
	v, err := identity.NewVerifier([]identity.IssuerConfig{config}, identity.Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		claims map[string]any
		want   bool
	}{
		"nothing said":            {nil, false},
		"a name":                  {map[string]any{"name": "Ann Smith"}, true},
		"an empty name":           {map[string]any{"name": " "}, false},
		"a verified address":      {map[string]any{"email": "a@acme.example", "email_verified": true}, true},
		"an unverified address":   {map[string]any{"email": "a@acme.example"}, false},
		"Entra ID, application":   {map[string]any{"name": "x", "idtyp": "app"}, false},
		"Auth0, application":      {map[string]any{"name": "x", "gty": "client-credentials"}, false},
		"subject is the client":   {map[string]any{"name": "x", "client_id": "ann"}, false},
		"subject is the party":    {map[string]any{"name": "x", "azp": "ann"}, false},
		"Google service account":  {map[string]any{"email": "x@p.iam.gserviceaccount.com", "email_verified": true}, false},
		"Keycloak service client": {map[string]any{"name": "x", "preferred_username": "service-account-x"}, false},
		"a person by a client":    {map[string]any{"name": "x", "azp": "browser-app"}, true},
	} {
		p, err := v.Verify(t.Context(), secret.New(idp.Token(oidctest.With(idp.Claims("ann", "approvers", c.now()), test.claims))))
		if err != nil || p.Person != test.want {
			t.Errorf("%s: %+v %v, want %v", name, p, err, test.want)
		}
	}
	both := oidctest.With(idp.Claims("ann", "approvers", c.now()), map[string]any{"aud": []string{"approvers", "agents"}})
	if _, err := v.Verify(t.Context(), secret.New(idp.Token(both))); err == nil {
		t.Error("a token that agents can use too was accepted")
	}
	config.Excluded = []string{"approvers"}
	if _, err := identity.NewVerifier([]identity.IssuerConfig{config}, identity.Options{}); err == nil {
		t.Error("an audience may be both accepted and excluded")
	}
}

// The trial issuer's approvers are people, and its agents no approvers.
func TestTrialApprovers(t *testing.T) {
	trial, err := identity.OpenTrial(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	config := trial.IssuerConfig()
	config.Audience, config.Excluded = identity.ApproverAudience, []string{identity.TrialAudience}
	v, err := identity.NewVerifier([]identity.IssuerConfig{config}, identity.Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	token, err := trial.Token("ann", []string{"sre"}, identity.ApproverAudience, 0, c.now())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := v.Verify(t.Context(), token); err != nil || !p.Person {
		t.Errorf("%+v %v", p, err)
	}
	if token, err = trial.Token("bot", nil, "", 0, c.now()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), token); err == nil {
		t.Error("an agent's token was accepted")
	}
}

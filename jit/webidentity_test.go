package jit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/oidctest"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/refusal"
)

func TestMintWebIdentity(t *testing.T) {
	idp, err := oidctest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	other, err := oidctest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	s, _ := startAWS(t, awstest.Config{OIDC: &awstest.OIDCProvider{Issuer: idp.URL, RootPEM: idp.RootPEM(), ClientID: "sallyport"}})
	m, err := NewMinter(t.Context(), Options{Transport: s.Transport(), Now: time.Now, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no providers")
	})})
	if err != nil {
		t.Fatal(err)
	}
	m.pause = func(context.Context) error { return nil }
	claims := idp.Claims("agent-1", "sallyport", time.Now())
	good := idp.Token(claims)
	tests := []struct {
		name, token string
		faults      awstest.Faults
		reason      refusal.Reason // "" minted
		calls       int
	}{
		{"good", good, awstest.Faults{}, "", 1},
		{"none", "", awstest.Faults{}, refusal.Credentials, 0},
		{"another's key", other.Token(claims), awstest.Faults{}, refusal.Credentials, 1},
		{"another's token", other.Token(other.Claims("agent-1", "sallyport", time.Now())), awstest.Faults{}, refusal.Credentials, 1},
		{"altered", good[:len(good)-8] + "AAAAAAAA", awstest.Faults{}, refusal.Credentials, 1},
		{"no token at all", "not-a-token", awstest.Faults{}, refusal.Credentials, 1},
		{"not trusted", good, awstest.Faults{STSDenied: true}, refusal.Credentials, 1},
		{"away", good, awstest.Faults{STSUnavailable: true}, refusal.Unavailable, 1},
		{"stale", good, awstest.Faults{StaleExpiration: true}, refusal.Unavailable, 1},
		{"another account's role", good, awstest.Faults{WrongAccount: true}, refusal.Credentials, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.SetFaults(tt.faults)
			s.Forget()
			r := request()
			r.Target.WebIdentity, r.WebIdentityToken = true, secret.New(tt.token)
			cred, err := m.Mint(t.Context(), r)
			if n := len(s.Requests()); n != tt.calls {
				t.Errorf("STS was called %d times", n)
			}
			if tt.reason == "" {
				if err != nil || !cred.usable() {
					t.Fatal(err)
				}
				if key, _ := s.Key(cred.AccessKeyID()); key.Policy != cred.SessionPolicy() || key.Policy == "" {
					t.Error("without its session policy")
				}
				return
			}
			if err == nil || cred != nil || refusal.Of(err).Reason != tt.reason {
				t.Fatalf("want %s, got %v", tt.reason, err)
			}
			if tt.token != "" && strings.Contains(err.Error()+refusal.Of(err).Message, tt.token) {
				t.Error("the error holds the token")
			}
		})
	}
}

// The token goes nowhere where the target does not ask for it.
func TestTokenStaysOutOfAssumeRole(t *testing.T) {
	s, m := startAWS(t, awstest.Config{})
	r := request()
	r.WebIdentityToken = secret.New("the-agents-token")
	if _, err := m.Mint(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, got := range s.Requests() {
		if strings.Contains(string(got.Body)+string(got.Head), "the-agents-token") {
			t.Error("STS got the token")
		}
	}
}

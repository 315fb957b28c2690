package jit

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/refusal"
)

const (
	sessionID = "01JQ0000000000000000000001"
	requestID = "01JQ0000000000000000000002"
)

func startAWS(t *testing.T, c awstest.Config) (*awstest.Server, *Minter) {
	t.Helper()
	s, err := awstest.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	m, err := NewMinter(t.Context(), Options{Transport: s.Transport(), Now: time.Now, Credentials: baseKey(awstest.BaseSecret)})
	if err != nil {
		t.Fatal(err)
	}
	m.pause = func(context.Context) error { return nil }
	return s, m
}

func baseKey(secret string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: awstest.BaseKeyID, SecretAccessKey: secret}, nil
	})
}

func request() Request {
	return Request{Target: testTarget, Call: callOn("s3:GetObject", "arn:aws:s3:::acme-dev-reports/2026/q3.csv"), Scope: ScopeRequest, SessionID: sessionID, RequestID: requestID}
}

func TestMint(t *testing.T) {
	s, m := startAWS(t, awstest.Config{ExternalID: "ext-1"})
	r := request()
	r.Target.ExternalID = "ext-1"
	cred, err := m.Mint(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	known, ok := s.Key(cred.AccessKeyID())
	if !ok || known.Policy != cred.SessionPolicy() || known.Policy == "" {
		t.Errorf("STS holds policy %q, the credential says %q", known.Policy, cred.SessionPolicy())
	}
	if !regexp.MustCompile(`/sp-` + sessionID + `-` + requestID + `-[a-z2-7]{7}$`).MatchString(cred.AssumedRoleARN()) {
		t.Errorf("session is named %s", cred.AssumedRoleARN())
	}
	got := s.Requests()
	if len(got) != 1 || got[0].Host != "sts.us-east-1.amazonaws.com" || !strings.Contains(string(got[0].Body), "SourceIdentity=sp-"+sessionID) {
		t.Errorf("STS received %+v", got)
	}
	if text := fmt.Sprintf("%+v %#v", cred, *cred); strings.Contains(text, known.Secret) || strings.Contains(text, known.Token) {
		t.Error("the credential prints its secrets")
	}
	cred.Wipe()
	if cred.usable() || strings.Contains(cred.secretKey.Reveal(), known.Secret) {
		t.Error("a wiped credential can still be used")
	}
}

func TestMintFaults(t *testing.T) {
	tests := []struct {
		name   string
		faults awstest.Faults
		reason refusal.Reason
		calls  int
	}{
		{"throttled once", awstest.Faults{STSThrottle: 1}, "", 2},
		{"throttled on", awstest.Faults{STSThrottle: 9}, refusal.Unavailable, 2},
		{"503", awstest.Faults{STSUnavailable: true}, refusal.Unavailable, 1},
		{"broken connection", awstest.Faults{STSDown: true}, refusal.Unavailable, -1},
		{"truncated", awstest.Faults{Truncate: true}, refusal.Unavailable, 1},
		{"denied", awstest.Faults{STSDenied: true}, refusal.Credentials, 1},
		{"stale", awstest.Faults{StaleExpiration: true}, refusal.Unavailable, 1},
		{"another account's role", awstest.Faults{WrongAccount: true}, refusal.Credentials, 1},
		{"empty", awstest.Faults{EmptyCredentials: true}, refusal.Unavailable, 1},
		{"one byte at a time", awstest.Faults{OneByteWrites: true}, "", 1},
	}
	s, m := startAWS(t, awstest.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.SetFaults(tt.faults)
			s.Forget()
			cred, err := m.Mint(t.Context(), request())
			if tt.reason == "" {
				if err != nil || !cred.usable() {
					t.Fatalf("%v", err)
				}
			} else if err == nil || cred != nil || refusal.Of(err).Reason != tt.reason {
				t.Fatalf("want %s, got %v", tt.reason, err)
			}
			if n := len(s.Requests()); tt.calls >= 0 && n != tt.calls {
				t.Errorf("STS was called %d times", n)
			}
		})
	}
}

func TestMintOwnIdentity(t *testing.T) {
	s, _ := startAWS(t, awstest.Config{})
	for name, base := range map[string]aws.CredentialsProvider{
		"wrong secret": baseKey("wrong"),
		"none": aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no providers")
		}),
	} {
		m, err := NewMinter(t.Context(), Options{Transport: s.Transport(), Now: time.Now, Credentials: base})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Mint(t.Context(), request()); err == nil || refusal.Of(err).Reason != refusal.Credentials {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (&Minter{}).Mint(t.Context(), request()); err == nil {
		t.Error("the zero Minter minted")
	}
}

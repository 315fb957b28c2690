package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/oidctest"
)

const webTarget = `
  dev: {role_arn: "arn:aws:iam::111122223333:role/agent-dev", credentials: web-identity, regions: [us-east-1]}
`

// The agent's own token is what STS gets; the gateway has no AWS identity at all.
// The token stays out of AWS's services, the log and the record.
func TestWebIdentity(t *testing.T) {
	r := newRig(t, rigOptions{targets: webTarget, webIdentity: &awstest.OIDCProvider{ClientID: audience}, noBase: true})
	token := r.token()
	a := r.tunnel(t, s3Host, token).do(t, http.MethodGet, "/acme-dev-reports/2026/q3.csv", "")
	passed(t, a, http.StatusOK)
	sts, calls := r.upstream()
	if len(sts) != 1 || len(calls) != 1 {
		t.Fatalf("%d calls of STS, %d others", len(sts), len(calls))
	}
	body := string(sts[0].Body)
	for _, want := range []string{"Action=AssumeRoleWithWebIdentity", "WebIdentityToken=" + token, "RoleSessionName=sp-", "Policy=%7B", "DurationSeconds=900"} {
		if !strings.Contains(body, want) {
			t.Errorf("STS did not get %.40s", want)
		}
	}
	if sts[0].Header.Get("Authorization") != "" || strings.Contains(string(calls[0].Head), token) {
		t.Error("the call of STS is signed, or the token went on to S3")
	}
	key, _ := r.aws.Key(calls[0].KeyID)
	if !strings.Contains(key.Policy, "DateLessThan") || !strings.Contains(key.ARN, "/sp-") {
		t.Errorf("the credential is %s with %s", key.ARN, key.Policy)
	}
	if strings.Contains(r.log.String(), token) {
		t.Error("the token is in the log")
	}
	for _, e := range r.stored(t, "sallyport.events.>") {
		if text, err := json.Marshal(e); err != nil || strings.Contains(string(text), token) {
			t.Errorf("the token is in a record, or: %v", err)
		}
	}
}

// STS verifies the token by itself; each of its refusals says what to mend.
func TestWebIdentityRefusals(t *testing.T) {
	t.Parallel()
	claims := func(r *rig, more map[string]any) map[string]any {
		return oidctest.With(oidctest.With(r.claims(), map[string]any{"groups": []string{"ai-agents"}}), more)
	}
	tests := []struct {
		name     string
		provider *awstest.OIDCProvider
		token    func(*rig) string // nil: a good one
		down     bool              // the issuer goes away after the gateway has its keys
		status   int
		reason   string
		say      string
	}{
		{name: "another audience", provider: &awstest.OIDCProvider{ClientID: "another"}, status: 403, reason: "credentials", say: "client ids"},
		{name: "another issuer's provider", provider: &awstest.OIDCProvider{ClientID: audience, Issuer: "https://idp.example.com"}, status: 403, reason: "credentials", say: "OIDC identity provider"},
		{name: "a subject that is not trusted", provider: &awstest.OIDCProvider{ClientID: audience, Subject: "agent-2"}, status: 403, reason: "credentials", say: "trust policy"},
		{name: "an algorithm that AWS does not take", provider: &awstest.OIDCProvider{ClientID: audience}, status: 403, reason: "credentials", say: "RS or ES keys",
			token: func(r *rig) string { return r.idp.Sign(oidctest.Token{Alg: "EdDSA", Claims: claims(r, nil)}) }},
		// Our leeway still takes it, STS has none.
		{name: "expired for STS", provider: &awstest.OIDCProvider{ClientID: audience}, status: 403, reason: "credentials", say: "expired",
			token: func(r *rig) string {
				return r.idp.Token(claims(r, map[string]any{"exp": r.clock.now().Add(-20 * time.Second).Unix()}))
			}},
		{name: "an issuer that STS cannot reach", provider: &awstest.OIDCProvider{ClientID: audience}, status: 503, reason: "unavailable", say: "could not reach", down: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, rigOptions{targets: webTarget, webIdentity: tt.provider, noBase: true})
			token := r.token()
			if tt.token != nil {
				token = tt.token(r)
			}
			tunnel := r.tunnel(t, s3Host, token)
			if tt.down {
				r.idp.Stop()
			}
			a := tunnel.do(t, http.MethodGet, "/acme-dev-reports/2026/q3.csv", "")
			refused(t, a, tt.status, tt.reason)
			if !strings.Contains(string(a.body), tt.say) {
				t.Errorf("says %s", a.body)
			}
			if _, calls := r.upstream(); len(calls) > 0 {
				t.Error("something went on to AWS")
			}
		})
	}
}

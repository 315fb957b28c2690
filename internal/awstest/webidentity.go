package awstest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// OIDCProvider is an IAM OIDC identity provider of the account, and the trust of
// its roles in it. Tokens are verified as AWS does: by the keys that the issuer
// publishes, fetched anew each time.
type OIDCProvider struct {
	Issuer   string
	RootPEM  []byte // of the issuer's certificate
	ClientID string // the audience
	Subject  string // the subject that the trust policy wants; "" any
}

// AWS takes these (IAM User Guide, "Create an OIDC identity provider").
var oidcAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}

// webIdentity reports that a request is the one STS call that needs no signature.
func (x *exchange) webIdentity() bool {
	if !strings.HasPrefix(x.rec.Host, "sts.") || x.rec.Header.Get("Authorization") != "" {
		return false
	}
	form, err := url.ParseQuery(string(x.body))
	return err == nil && form.Get("Action") == "AssumeRoleWithWebIdentity"
}

func (x *exchange) assumeRoleWithWebIdentity(form url.Values) error {
	x.rec.Action, x.rec.Resource = "sts:AssumeRoleWithWebIdentity", form.Get("RoleArn")
	if err := limits(form); err != nil {
		return err
	}
	subject, err := x.verifyToken(form.Get("WebIdentityToken"))
	if err != nil {
		return err
	}
	m := roleName.FindStringSubmatch(form.Get("RoleArn"))
	if want := x.config.OIDC.Subject; m == nil || want != "" && want != subject || x.faults.STSDenied {
		return fault(http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	return x.issue(form, m)
}

func (x *exchange) verifyToken(raw string) (string, error) {
	p := x.config.OIDC
	invalid := func(why string) error { return fault(http.StatusBadRequest, "InvalidIdentityToken", why) }
	if p == nil {
		return "", invalid("No OpenIDConnect provider found in your account")
	}
	token, err := jwt.ParseSigned(raw, oidcAlgorithms)
	if err != nil || len(token.Headers) != 1 {
		return "", invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	var said jwt.Claims // which provider is meant; believed only once the signature holds
	if err := token.UnsafeClaimsWithoutVerification(&said); err != nil || said.Issuer != p.Issuer {
		return "", invalid("No OpenIDConnect provider found in your account for " + said.Issuer)
	}
	keys, err := p.keys(x.ctx)
	if err != nil {
		return "", fault(http.StatusBadRequest, "IDPCommunicationError", "Couldn't retrieve verification key from your identity provider")
	}
	var claims jwt.Claims
	verified := slices.ContainsFunc(keys.Key(token.Headers[0].KeyID), func(k jose.JSONWebKey) bool { return token.Claims(k, &claims) == nil })
	now := x.now()
	switch {
	case !verified:
		return "", invalid("Couldn't verify the signature of the token")
	case !slices.Contains(claims.Audience, p.ClientID):
		return "", invalid("Incorrect token audience")
	case claims.Expiry == nil || !now.Before(claims.Expiry.Time()):
		return "", fault(http.StatusBadRequest, "ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time")
	case claims.Subject == "":
		return "", fault(http.StatusForbidden, "IDPRejectedClaim", "The token has no subject")
	}
	return claims.Subject, nil
}

// keys fetches the issuer's key set by way of its discovery document.
func (p *OIDCProvider) keys(ctx context.Context) (*jose.JSONWebKeySet, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(p.RootPEM) {
		return nil, errors.New("awstest: no root for the issuer")
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	get := func(address string, into any) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New("awstest: the issuer answers " + resp.Status)
		}
		return json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(into)
	}
	var discovery struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := get(p.Issuer+"/.well-known/openid-configuration", &discovery); err != nil {
		return nil, err
	}
	var keys jose.JSONWebKeySet
	if err := get(discovery.Keys, &keys); err != nil {
		return nil, err
	}
	return &keys, nil
}

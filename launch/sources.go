package launch

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/secret"
)

// KubernetesFile is where deployments mount a projected service account
// token with audience "sallyport"; use it with FileTokens.
const KubernetesFile = "/var/run/secrets/sallyport/token"

// FileTokens reads the token from a file each time it is asked, so that one which
// is replaced from outside (Kubernetes, a login tool) is seen.
type FileTokens string

// Token implements TokenSource.
func (f FileTokens) Token(context.Context) (secret.String, time.Time, error) {
	file, err := os.Open(string(f))
	if err != nil {
		return secret.String{}, time.Time{}, fmt.Errorf("read the token file: %w", err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, 64<<10))
	if err != nil {
		return secret.String{}, time.Time{}, fmt.Errorf("read the token file: %w", err)
	}
	token, expires, err := fromText(string(b))
	if err != nil {
		return token, expires, fmt.Errorf("token file %s: %w", string(f), err)
	}
	return token, expires, nil
}

// EnvTokens takes the token from an environment variable of ours. It cannot be
// renewed; Hide the variable from the agent.
type EnvTokens string

// Token implements TokenSource.
func (e EnvTokens) Token(context.Context) (secret.String, time.Time, error) {
	text := os.Getenv(string(e))
	if text == "" {
		return secret.String{}, time.Time{}, fmt.Errorf("the environment variable %s, which should hold the token, is empty", string(e))
	}
	token, expires, err := fromText(text)
	if err != nil {
		return token, expires, fmt.Errorf("environment variable %s: %w", string(e), err)
	}
	return token, expires, nil
}

// TrialTokens makes tokens of the built-in issuer.
type TrialTokens struct {
	Trial    *identity.Trial
	Subject  string
	Groups   []string
	Audience string           // "": identity.TrialAudience
	TTL      time.Duration    // 0: identity.TrialMaxTTL
	Now      func() time.Time // nil: time.Now
}

// Token implements TokenSource.
func (s TrialTokens) Token(context.Context) (secret.String, time.Time, error) {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	token, err := s.Trial.Token(s.Subject, s.Groups, s.Audience, s.TTL, now())
	if err != nil {
		return secret.String{}, time.Time{}, fmt.Errorf("make a trial token: %w", err)
	}
	return fromText(token.Reveal())
}

// GitHubTokens asks GitHub Actions for the job's OIDC token. The workflow needs
// `permissions: id-token: write`.
type GitHubTokens struct {
	RequestURL   string        // ACTIONS_ID_TOKEN_REQUEST_URL
	RequestToken secret.String // ACTIONS_ID_TOKEN_REQUEST_TOKEN
	Audience     string
	Client       *http.Client // nil: one with timeouts
}

// GitHubTokensFromEnv takes both variables from our environment.
func GitHubTokensFromEnv(audience string) (GitHubTokens, error) {
	g := GitHubTokens{
		RequestURL:   os.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL"),
		RequestToken: secret.New(os.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")),
		Audience:     audience,
	}
	if g.RequestURL == "" || g.RequestToken.IsZero() {
		return g, errors.New("this job may not ask for OIDC tokens; add `permissions: id-token: write` to the workflow")
	}
	return g, nil
}

// Token implements TokenSource.
func (g GitHubTokens) Token(ctx context.Context) (secret.String, time.Time, error) {
	var none secret.String
	u, err := url.Parse(g.RequestURL)
	if err != nil || u.Scheme != "https" {
		return none, time.Time{}, errors.New("ACTIONS_ID_TOKEN_REQUEST_URL is not an https URL")
	}
	q := u.Query()
	q.Set("audience", g.Audience)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return none, time.Time{}, fmt.Errorf("build the request for GitHub's token: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+g.RequestToken.Reveal())
	client := g.Client
	if client == nil {
		client = defaultClient()
	}
	resp, err := client.Do(req)
	if err != nil {
		return none, time.Time{}, fmt.Errorf("ask GitHub for a token: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return none, time.Time{}, fmt.Errorf("ask GitHub for a token: it answered %d", resp.StatusCode)
	}
	var answer struct {
		Value string `json:"value"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil {
		return none, time.Time{}, errors.New("ask GitHub for a token: its answer is not the JSON expected")
	}
	return fromText(answer.Value)
}

// ClientCredentials gets access tokens by the OAuth 2.0 client credentials grant
// (RFC 6749 4.4). They must be JWTs (RFC 9068).
type ClientCredentials struct {
	Issuer   string // its discovery names the token endpoint, unless TokenURL is set
	TokenURL string
	CAFile   string // PEM roots of a private provider
	ID       string
	Secret   secret.String
	Audience string // sent as `audience`; "" sends none
	Scopes   []string
}

// Token implements TokenSource.
func (c ClientCredentials) Token(ctx context.Context) (secret.String, time.Time, error) {
	var none secret.String
	client, err := identity.NewClient(c.CAFile)
	if err != nil {
		return none, time.Time{}, fmt.Errorf("client credentials: %w", err)
	}
	defer client.CloseIdleConnections()
	endpoint := c.TokenURL
	if endpoint == "" {
		meta, err := identity.Discover(ctx, client, c.Issuer)
		if err != nil {
			return none, time.Time{}, fmt.Errorf("client credentials: %w", err)
		}
		endpoint = meta.TokenEndpoint
	}
	if u, err := url.Parse(endpoint); err != nil || u.Scheme != "https" {
		return none, time.Time{}, errors.New("client credentials: the token endpoint is not an https URL, the client secret would be readable on the way")
	}
	config := clientcredentials.Config{ClientID: c.ID, ClientSecret: c.Secret.Reveal(), TokenURL: endpoint, Scopes: c.Scopes}
	if c.Audience != "" {
		config.EndpointParams = url.Values{"audience": {c.Audience}}
	}
	got, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		// oauth2's error text holds the provider's whole answer.
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) && refused.Response != nil {
			return none, time.Time{}, fmt.Errorf("client credentials: the provider answered %d (%+.80q)", refused.Response.StatusCode, refused.ErrorCode)
		}
		return none, time.Time{}, fmt.Errorf("client credentials: the provider at %s gave no token", endpoint)
	}
	return fromText(got.AccessToken)
}

func defaultClient() *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 5 * time.Second,
			IdleConnTimeout:     10 * time.Second,
		},
		// The request carries a token; it goes nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

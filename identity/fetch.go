package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	fetchTimeout = 5 * time.Second
	maxDocument  = 1 << 20 // bytes of a discovery document or key set
)

// Metadata is what is used of an issuer's discovery document (OpenID Connect
// Discovery 1.0, section 3).
type Metadata struct {
	Issuer         string   `json:"issuer"`
	JWKSURI        string   `json:"jwks_uri"`
	TokenEndpoint  string   `json:"token_endpoint"`
	DeviceEndpoint string   `json:"device_authorization_endpoint"` // RFC 8628; as it stands there
	Algorithms     []string `json:"id_token_signing_alg_values_supported"`
}

// NewClient makes the HTTP client for talking to an identity provider. caFile
// holds extra PEM roots for a private one; "" means the system's alone. Proxies
// of the environment are used, since many networks reach their provider only
// through one; TLS is verified end to end, so such a proxy can withhold keys but
// not replace them. Redirects to another host are refused.
func NewClient(caFile string) (*http.Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's roots: %w", err)
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file %s holds no PEM certificate", caFile)
		}
	}
	return &http.Client{
		Timeout: fetchTimeout,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    3 * time.Second,
			ResponseHeaderTimeout:  fetchTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > 3 || req.URL.Scheme != "https" || req.URL.Host != via[0].URL.Host {
				return errors.New("redirect to another host refused")
			}
			return nil
		},
	}, nil
}

// Discover reads the discovery document of a configured issuer. The document must
// name that very issuer, and every URL in it that is used must be https.
func Discover(ctx context.Context, client *http.Client, issuer string) (*Metadata, error) {
	var m Metadata
	if err := getJSON(ctx, client, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &m); err != nil {
		return nil, fmt.Errorf("discovery of %s: %w", issuer, err)
	}
	if m.Issuer != issuer {
		return nil, fmt.Errorf("discovery of %s: the document is of issuer %s; write the issuer exactly so in the configuration (a trailing slash counts)", issuer, quote(m.Issuer))
	}
	for _, s := range []string{m.JWKSURI, m.TokenEndpoint} {
		u, err := url.Parse(s)
		if s != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
			return nil, fmt.Errorf("discovery of %s: %s is not an https URL", issuer, quote(s))
		}
	}
	if len(m.Algorithms) == 0 {
		m.Algorithms = []string{oidc.RS256} // the one every provider must support
	}
	m.Algorithms = slices.DeleteFunc(m.Algorithms, func(a string) bool { return !slices.Contains(asymmetric, a) })
	return &m, nil
}

// getJSON reads one bounded JSON document. Errors never hold the answer's text.
func getJSON(ctx context.Context, client *http.Client, from string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return fmt.Errorf("build request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", from, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	if len(body) > maxDocument {
		return fmt.Errorf("%s is larger than %d bytes", from, maxDocument)
	}
	if json.Unmarshal(body, into) != nil {
		return fmt.Errorf("%s is not the JSON document expected there", from)
	}
	return nil
}

package identity

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// IssuerConfig is one issuer whose tokens are accepted.
type IssuerConfig struct {
	// Issuer is the https URL that tokens carry in iss, compared byte for byte: a
	// trailing slash counts. Discovery is read below it.
	Issuer string
	// Audience must be among the token's aud. It is what keeps tokens for other
	// applications of the same provider out, so it is required. azp is not looked
	// at: it names the client that asked for the token, and agents have their own.
	Audience string
	// Excluded are audiences that a token must not have beside Audience: one token
	// for both agents and approvers would let an agent approve.
	Excluded []string
	// CAFile holds PEM roots for a private provider; "" means the system's roots.
	CAFile string
	// SubjectClaim names the claim (or dotted path) that becomes Subject; "" means
	// sub. With "email", email_verified must be true.
	SubjectClaim string
	// GroupsClaim names the claim, or the dotted path to it, that holds the groups
	// as a list of strings or one space-separated string; "" means groups. A claim
	// of exactly this name comes before a path.
	GroupsClaim string
	// MaxTokenAge is how long after iat a token is still accepted, whatever its
	// exp; zero means DefaultMaxTokenAge.
	MaxTokenAge time.Duration
	// Keys, when set, are the issuer's keys, and nothing is fetched.
	Keys oidc.KeySet
	// Algorithms are the signature algorithms that Keys may use; required with
	// Keys. Without Keys it must be empty: discovery announces them.
	Algorithms []string
}

// asymmetric are the JWS algorithms (RFC 7518, RFC 8037) that can be accepted at
// all. HS* would let whoever knows a public key sign with it as a shared secret,
// and none is no signature.
var asymmetric = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512,
	oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

// withDefaults checks c and fills what is empty.
func (c IssuerConfig) withDefaults() (IssuerConfig, error) {
	u, err := url.Parse(c.Issuer)
	switch {
	case c.Issuer == "":
		return c, errors.New("issuer is empty: give the https URL that tokens carry in iss")
	case err != nil:
		return c, fmt.Errorf("issuer %q is not a URL", c.Issuer)
	case u.Scheme != "https" || u.Host == "":
		return c, fmt.Errorf("issuer %q must be an https:// URL: keys read over plain http could be anyone's", c.Issuer)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return c, fmt.Errorf("issuer %q must have no user, query or fragment", c.Issuer)
	case strings.ContainsAny(c.Issuer, "{}"):
		return c, fmt.Errorf("issuer %q is a template: give the URL of your own tenant, or every tenant's users would be accepted", c.Issuer)
	case c.Audience == "":
		return c, fmt.Errorf("issuer %s: audience is empty: without it tokens for other applications would be accepted", c.Issuer)
	case slices.Contains(c.Excluded, c.Audience):
		return c, fmt.Errorf("issuer %s: audience %s is accepted and excluded", c.Issuer, c.Audience)
	case c.MaxTokenAge < 0:
		return c, fmt.Errorf("issuer %s: max_token_age is negative", c.Issuer)
	case (c.Keys == nil) != (len(c.Algorithms) == 0):
		return c, fmt.Errorf("issuer %s: Keys and Algorithms go together", c.Issuer)
	}
	for _, a := range c.Algorithms {
		if !slices.Contains(asymmetric, a) {
			return c, fmt.Errorf("issuer %s: %q is not an asymmetric signature algorithm", c.Issuer, a)
		}
	}
	if c.SubjectClaim == "" {
		c.SubjectClaim = "sub"
	}
	if c.GroupsClaim == "" {
		c.GroupsClaim = "groups"
	}
	if c.MaxTokenAge == 0 {
		c.MaxTokenAge = DefaultMaxTokenAge
	}
	return c, nil
}

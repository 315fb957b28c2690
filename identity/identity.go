// Package identity says who is calling. It takes the OIDC token that came with a
// CONNECT (ParseProxyAuthorization), proves it against the configured issuers
// (Verifier) and gives a Principal; later stages never see the token, but for
// targets with web identity, whose STS call is made with it. It keeps
// the sessions of those principals (Sessions) and holds the built-in issuer for
// trials on one machine (Trial).
//
// It accepts a compact JWS of at most MaxTokenBytes, signed with an asymmetric
// algorithm that its issuer announces, for the configured audience, inside its
// lifetime. It refuses everything else, and whatever could be read two ways:
// duplicate members, key material or critical extensions in the header, names
// with invisible characters. A URL in a token is never fetched: `iss` only picks
// among the issuers that the operator configured, and keys come from where the
// discovery document of that issuer says.
//
// The client's AWS signature is not looked at: identity is the token alone.
package identity

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/refusal"
)

const (
	// MaxTokenBytes bounds a token. Larger ones are refused before anything is
	// decoded, so that a flood of them costs no more than reading them.
	MaxTokenBytes = 16 << 10

	// Leeway is how far the clocks of issuer and gateway may be apart, applied to
	// exp, nbf and iat.
	Leeway = 60 * time.Second

	// DefaultMaxTokenAge is used where IssuerConfig.MaxTokenAge is zero.
	DefaultMaxTokenAge = time.Hour
)

// Principal is a caller whose token was verified. Values given out by Verifier
// are copies that the receiver owns. The zero value is nobody: Recheck refuses it.
type Principal struct {
	Issuer        string    // exactly as configured and as in the token
	Subject       string    // the subject claim; never empty, printable, NFC
	Email         string    // "" when absent or not printable; a claim, not proof, unless EmailVerified
	EmailVerified bool      // the claim email_verified is the JSON value true
	Person        bool      // nothing says that the token is a program's own, and it has a verified e-mail address or a name; see readPerson
	Groups        []string  // distinct, sorted; nil when the token has none or says they are elsewhere (overage)
	TokenID       string    // jti, or "sha256:" and 32 hex digits of the token's digest where there is none
	IssuedAt      time.Time // iat
	Expires       time.Time // the earlier of exp and iat + MaxTokenAge; Leeway comes on top
	// Token is the verified token itself, for AssumeRoleWithWebIdentity and nothing else.
	Token secret.String
}

// with is a copy that holds token; the cache of proven tokens keeps none.
func (p *Principal) with(token secret.String) *Principal {
	c := *p
	c.Groups, c.Token = slices.Clone(p.Groups), token
	return &c
}

// Recheck refuses a principal whose token has run out since it was verified. It
// is cheap and meant for every request in a tunnel, which can outlive its token.
func (*Verifier) Recheck(p *Principal, now time.Time) error {
	if p == nil || p.Subject == "" {
		return refusal.New(refusal.Identity, "no identity was proven; send an OIDC token in Proxy-Authorization")
	}
	if now.After(p.Expires.Add(Leeway)) {
		return expiredError(p.Expires, now)
	}
	return nil
}

func expiredError(at, now time.Time) *refusal.Error {
	return refusal.New(refusal.Identity,
		"the OIDC token expired %s ago, at %s; get a fresh one and connect again (`sallyport run` does so by itself)",
		now.Sub(at).Round(time.Second), at.UTC().Format(time.RFC3339))
}

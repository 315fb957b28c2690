package jit

import (
	"time"

	"github.com/sallyport/sallyport/internal/secret"
)

// Credential is a temporary credential for one call. It lives in memory only, and
// only until Wipe. The zero value signs nothing.
type Credential struct {
	Expires time.Time // by STS; the session policy's deadline comes first

	accessKeyID   string
	secretKey     secret.String
	sessionToken  secret.String
	sessionPolicy Policy
	roleARN       string
	assumedARN    string
	wiped         bool
}

// AccessKeyID is not a secret: it is in the credential event and in CloudTrail.
func (c *Credential) AccessKeyID() string { return c.accessKeyID }

// SessionPolicy is the inline policy that the credential was made with.
func (c *Credential) SessionPolicy() string { return c.sessionPolicy.Text }

// Scope is how far that policy reaches.
func (c *Credential) Scope() Scope { return c.sessionPolicy.Scope }

// Detail is what that policy had to leave out.
func (c *Credential) Detail() Detail { return c.sessionPolicy.Detail }

// RoleARN is the role that was assumed.
func (c *Credential) RoleARN() string { return c.roleARN }

// AssumedRoleARN is the session's ARN as CloudTrail names it (userIdentity.arn).
func (c *Credential) AssumedRoleARN() string { return c.assumedARN }

// Wipe overwrites the secrets. A wiped credential signs nothing. It must not be
// called while Sign runs.
func (c *Credential) Wipe() {
	c.secretKey.Wipe()
	c.sessionToken.Wipe()
	c.wiped = true
}

func (c *Credential) usable() bool {
	return c != nil && !c.wiped && c.accessKeyID != "" && !c.secretKey.IsZero() && !c.sessionToken.IsZero()
}

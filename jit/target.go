package jit

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Target is a role that calls are made with. The zero value gives no credential.
type Target struct {
	Name       string
	RoleARN    string
	ExternalID string   // "" sends none
	Accounts   []string // accounts whose resources may be reached; empty: the role's own
	Regions    []string // the first one's STS is asked for calls without a region
	// WebIdentity: STS gets the agent's own token (AssumeRoleWithWebIdentity), and the
	// gateway needs no identity of its own. The token's issuer must be an IAM OIDC
	// provider that the role trusts.
	WebIdentity bool
	TTL         time.Duration // how long the session policy allows anything; whole seconds, must be positive
}

// role is a role ARN in parts.
type role struct{ partition, account, name string }

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

func (t Target) role() (role, error) {
	f := strings.SplitN(t.RoleARN, ":", 6)
	if len(f) != 6 || f[0] != "arn" || f[2] != "iam" || f[3] != "" || !accountID.MatchString(f[4]) || !strings.HasPrefix(f[5], "role/") || strings.HasSuffix(f[5], "/") {
		return role{}, fmt.Errorf("target %q: role_arn %q is not arn:PARTITION:iam::ACCOUNT:role/NAME", t.Name, t.RoleARN)
	}
	return role{partition: f[1], account: f[4], name: f[5][strings.LastIndexByte(f[5], '/')+1:]}, nil
}

// accounts are the accounts of the data perimeter, never none.
func (t Target) accounts() ([]string, error) {
	r, err := t.role()
	if err != nil {
		return nil, err
	}
	if len(t.Accounts) == 0 {
		return []string{r.account}, nil
	}
	for _, a := range t.Accounts {
		if !accountID.MatchString(a) {
			return nil, fmt.Errorf("target %q: account %q is not 12 digits", t.Name, a)
		}
	}
	return t.Accounts, nil
}

func (t Target) ttl() (time.Duration, error) {
	if t.TTL <= 0 {
		return 0, errors.New("target " + t.Name + ": credential_ttl is not set")
	}
	return t.TTL, nil
}

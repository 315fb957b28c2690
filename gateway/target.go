package gateway

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/refusal"
)

// chooseTarget takes the target's name from where an AWS profile puts it: key, the
// access key id of the client's signature. Anything that is not a target's name
// means the default target. Nothing else of that signature is used.
func (h *handler) chooseTarget(x *exchange, key string) {
	x.realKey = looksReal(key) || bearer(x.r.Header.Get("Authorization"))
	t, ok := h.Targets[key]
	if !ok {
		t = h.Targets[h.Default]
	}
	x.target = t
	x.request.Account = t.Account
}

// looksReal reports whether a key id has the form of a live AWS key: the unique
// id prefixes of access keys (IAM User Guide, "Understanding unique ID prefixes").
// Such a key is stripped like any other; the event says that one was seen, so
// that a leaked static key in an agent's environment is found.
func looksReal(key string) bool {
	return len(key) >= 16 && len(key) <= 128 && (strings.HasPrefix(key, "AKIA") || strings.HasPrefix(key, "ASIA"))
}

// bearer reports a bearer key of an AWS service (Amazon Bedrock's API keys), which is
// as real as an access key.
func bearer(authorization string) bool {
	scheme, key, ok := strings.Cut(authorization, " ")
	return ok && strings.EqualFold(scheme, "Bearer") && len(key) >= 16
}

// perimeter refuses what lies outside the target before policy is asked: another
// partition, a region or an account that the target does not have. The session
// policy's aws:ResourceAccount is the second wall, for resources whose ARN names
// no account (S3 buckets).
func perimeter(c *awsapi.Call, t Target) error {
	if c.Partition != t.Partition {
		return refusal.New(refusal.Denied, "target %s is in partition %s, this request is for %s", t.Name, t.Partition, c.Partition)
	}
	if len(t.Regions) > 0 && c.Region != "" && !slices.Contains(t.Regions, c.Region) {
		return refusal.New(refusal.Denied, "target %s may be used in %s, not in %s", t.Name, strings.Join(t.Regions, ", "), c.Region)
	}
	if len(t.Regions) > 0 && c.Canonical().RegionSet() != "" {
		return refusal.New(refusal.Denied, "target %s may be used in %s, and %s may answer from any region; use a regional endpoint", t.Name, strings.Join(t.Regions, ", "), c.Canonical().Host())
	}
	for _, a := range c.Actions {
		for _, r := range a.Resources {
			if isAccountID(r.Account) && !slices.Contains(t.Accounts, r.Account) {
				return refusal.New(refusal.Denied, "%s is in account %s, target %s reaches only %s", r.ARN, r.Account, t.Name, strings.Join(t.Accounts, ", "))
			}
		}
	}
	return c.CheckBucketOwner(t.Accounts)
}

// owned is what is signed: the judged request, with the target's account as the
// expected owner of S3 buckets where it has exactly one. With several accounts the
// session policy's aws:ResourceAccount is the only wall.
func owned(c *awsapi.Call, t Target) awsapi.Canonical {
	if len(t.Accounts) != 1 {
		return c.Canonical()
	}
	canonical, _ := c.WithBucketOwner(t.Accounts[0])
	return canonical
}

// webIdentityToken is the caller's token where the target takes it to STS, and
// nothing elsewhere.
func (x *exchange) webIdentityToken() secret.String {
	if x.caller == nil || x.caller.principal == nil || !x.target.WebIdentity {
		return secret.String{}
	}
	return x.caller.principal.Token
}

// isAccountID is false for "", "*" and the owners that AWS itself has in ARNs
// ("aws" in arn:aws:iam::aws:policy/ReadOnlyAccess).
func isAccountID(s string) bool {
	if len(s) != 12 {
		return false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

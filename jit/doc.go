// Package jit gets the credential for one judged call, and signs that call with
// it. It is the only package that speaks to STS and that signs.
//
// SessionPolicy turns a Call into an inline session policy that allows that call
// and, as far as IAM can say it, nothing else, or as much more as the rule's scope
// says. Mint calls AssumeRole with it, or AssumeRoleWithWebIdentity with the
// agent's own token, and checks the answer. Sign builds a fresh request out of an
// awsapi.Canonical; nothing else of what a client sent can get into it.
//
// The role's trust policy must allow the gateway's identity sts:AssumeRole and
// sts:SetSourceIdentity, and ask for the external id where one is configured:
// RoleSessionName and SourceIdentity carry the session and the request id, so
// that a CloudTrail line joins to our record.
//
// What cannot be narrowed (a policy over 2,048 characters that cannot be made
// coarser, an action with a wildcard in its name) is refused; there is no
// AssumeRole without a policy. Errors are *refusal.Error: Unavailable when STS is
// away, Credentials when it said no, Malformed when the request itself
// cannot be signed.
package jit

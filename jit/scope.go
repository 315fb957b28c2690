package jit

import (
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// Scope is how far the credential of one call may reach: the policy file's
// `scope`. Wider scopes are for services that do more with the caller's credential
// than the call says (CloudFormation). Every scope keeps the deadline and the
// target's accounts. The zero value is refused.
type Scope string

// The scopes, from narrow to wide.
const (
	// ScopeRequest: the call's actions on the call's resources, and what its service
	// needs of KMS (see kmsUses).
	ScopeRequest Scope = "request"
	// ScopeAction: the call's own actions on any resource in the accounts. Dependent
	// actions stay on their resources: iam:PassRole on any role would be another
	// permission altogether.
	ScopeAction Scope = "action"
	// ScopeService: every action of the call's service in the accounts, less guards.
	ScopeService Scope = "service"
	// ScopeRole: everything that the role may in the accounts, less core guards.
	ScopeRole Scope = "role"
)

// Valid reports whether s is one of the four.
func (s Scope) Valid() bool {
	return s == ScopeRequest || s == ScopeAction || s == ScopeService || s == ScopeRole
}

// wide reports that s allows actions that the call does not name.
func (s Scope) wide() bool { return s == ScopeService || s == ScopeRole }

// widened adds to the exact allows of a call those of the scope. The exact ones
// that a wide one includes are left out; what stays carries the exceptions (an AMI
// of Amazon's), which must never be had on any resource.
func widened(scope Scope, own []string, exact []allow, p perimeter) []allow {
	everything := [][]string{{"*"}}
	operator := ifExists
	var services []string
	for _, prefix := range prefixes(own) {
		services = append(services, prefix+":*")
		if strings.HasPrefix(prefix, "s3") {
			operator = strict // S3's ARNs name no account, so the key must be there
		}
	}
	var wide []allow
	switch scope {
	case ScopeAction:
		wide = []allow{{actions: own, resources: everything, condition: p.asked(operator)}}
	case ScopeService:
		wide = []allow{{actions: services, resources: everything, condition: p.asked(operator)}}
	case ScopeRole:
		wide = []allow{
			{notActions: []string{"s3:*"}, resources: everything, condition: p.asked(ifExists)},
			{actions: []string{"s3:*"}, resources: everything, condition: p.asked(strict)},
		}
	default:
		return exact
	}
	// A statement is included if a wide one covers its actions and asks for no more
	// than it does: strict implies ifExists.
	strictly := p.asked(strict)
	included := func(a allow) bool {
		isStrict := reflect.DeepEqual(a.condition, strictly)
		if !isStrict && !reflect.DeepEqual(a.condition, p.asked(ifExists)) {
			return false // an exception
		}
		return !slices.ContainsFunc(a.actions, func(name string) bool {
			if scope == ScopeRole {
				return strings.HasPrefix(name, "s3:") && !isStrict
			}
			return !slices.Contains(own, name) || operator == strict && !isStrict
		})
	}
	return append(wide, slices.DeleteFunc(slices.Clone(exact), included)...)
}

// prefixes are the IAM prefixes of actions, sorted.
func prefixes(actions []string) []string {
	var out []string
	for _, a := range actions {
		prefix, _, _ := strings.Cut(a, ":")
		if !slices.Contains(out, prefix) {
			out = append(out, prefix)
		}
	}
	slices.Sort(out)
	return out
}

// guarded are the actions that a wide scope denies, and the refusal where one of
// the call's own is among them: what hands out credentials must be named by its
// call and is never had by the way.
func guarded(scope Scope, own []string) ([]string, *refusal.Error) {
	if !scope.wide() {
		return nil, nil
	}
	var out []string
	for _, g := range guards {
		if scope == ScopeService && !slices.Contains(prefixes(own), g.prefix) || scope == ScopeRole && !g.core {
			continue
		}
		for _, word := range g.actions {
			out = append(out, g.prefix+":"+word)
		}
	}
	if scope == ScopeService && slices.Contains(prefixes(own), "iam") {
		out = append(out, "iam:PassRole")
	}
	for _, a := range own {
		for _, g := range guards {
			for _, word := range g.actions {
				if ok, _ := path.Match(g.prefix+":"+word, a); ok {
					return nil, refusal.New(refusal.Credentials, "%s (%s) is never done with a credential of scope %s; its rule must say scope: request or action", a, g.reason, scope)
				}
			}
		}
	}
	return out, nil
}

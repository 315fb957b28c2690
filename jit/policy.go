package jit

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/refusal"
)

// maxPolicy is STS's limit for inline session policies, in characters
// (AssumeRole API reference, Policy).
const maxPolicy = 2048

// Policy is an inline session policy. The zero value is none.
type Policy struct {
	Text   string // minified JSON of at most 2,048 characters
	Scope  Scope
	Detail Detail
	// Deadline is from when on it allows nothing any more.
	Deadline time.Time
}

// Detail says what a session policy left out to fit, see SessionPolicy.
type Detail string

// The steps, in their order. Full leaves nothing out.
const (
	Full                Detail = "full"
	WithoutResourceDeny Detail = "without-resource-deny"
	WithoutDeny         Detail = "without-deny"
	Prefixes            Detail = "prefixes"
	Types               Detail = "types"
)

type document struct {
	Version   string
	Statement []statement
}

type statement struct {
	Effect      string
	Action      []string                       `json:",omitempty"`
	NotAction   []string                       `json:",omitempty"`
	Resource    []string                       `json:",omitempty"`
	NotResource []string                       `json:",omitempty"`
	Condition   map[string]map[string][]string `json:",omitempty"`
}

// actionName has no wildcard: an action that the catalog could not name exactly
// must not become a policy that allows its neighbours.
var actionName = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9]+$`)

// SessionPolicy is the inline session policy for one call in its scope.
//
// Every action of the call, dependent ones included, is allowed on its own
// resources (or on what a wider scope says), until now + TTL (DateLessThan
// aws:CurrentTime) and in the target's accounts (aws:ResourceAccount, see
// perimeterOperator; exceptions.go has what AWS does differently). Explicit Denies
// follow, since a resource policy elsewhere that names our session's ARN is not
// bound by what a session policy merely does not allow: every other action, every
// other resource, and everything after the deadline. Wide scopes have the Deny of
// guards, which is never left out.
//
// A policy that is too long leaves out, in this order, and is refused if that is
// not enough:
//  1. the Deny of other resources (WithoutResourceDeny);
//  2. the Denies of other actions and of the time after the deadline (WithoutDeny).
//     What is allowed is still exact;
//  3. resources that share service, account and first path segment (an S3 bucket, a
//     DynamoDB table) become their longest common prefix and `*` (Prefixes);
//  4. resources of which the request tells only the type become everything of that
//     service in that region and account (Types). Never S3's, whose ARNs have
//     no account.
//
// A Permissionless call without actions (sts:GetCallerIdentity) needs nothing
// allowed, so its policy denies everything in any scope.
func SessionPolicy(call *awsapi.Call, t Target, scope Scope, now time.Time) (Policy, error) {
	if !scope.Valid() {
		return Policy{}, refusal.New(refusal.Credentials, "the rule's scope %q is not request, action, service or role, so no credential can be made", string(scope))
	}
	accounts, err := t.accounts()
	if err != nil {
		return Policy{}, refusal.Wrap(refusal.Credentials, err, "target %s is not configured rightly; the operator must mend its role_arn and accounts", t.Name)
	}
	ttl, err := t.ttl()
	if err != nil {
		return Policy{}, refusal.Wrap(refusal.Credentials, err, "target %s has no credential_ttl; the operator must set one", t.Name)
	}
	deadline := now.Add(ttl)
	if call == nil || len(call.Actions) == 0 {
		if call == nil || !call.Permissionless {
			return Policy{}, refusal.New(refusal.Credentials, "the IAM actions that this call needs are not known, so no credential can be made for it alone")
		}
		text, err := encode([]statement{{Effect: "Deny", Action: []string{"*"}, Resource: []string{"*"}}})
		return Policy{Text: text, Scope: scope, Detail: Full, Deadline: deadline}, err
	}
	w, err := newWriter(call, t, scope, accounts, deadline)
	if err != nil {
		return Policy{}, err
	}
	for _, detail := range []Detail{Full, WithoutResourceDeny, WithoutDeny, Prefixes, Types} {
		text, err := encode(w.statements(detail))
		if err != nil {
			return Policy{}, err
		}
		if utf8.RuneCountInString(text) <= maxPolicy {
			return Policy{Text: text, Scope: scope, Detail: detail, Deadline: deadline}, nil
		}
	}
	return Policy{}, refusal.New(refusal.Credentials, "this call names too many resources for one STS session policy (%d characters); split it into smaller calls", maxPolicy)
}

// writer has what the statements of one policy are made from.
type writer struct {
	allows   []allow
	guards   []string
	scope    Scope
	deadline string
}

func newWriter(call *awsapi.Call, t Target, scope Scope, accounts []string, deadline time.Time) (*writer, error) {
	if e := unscoped(call, scope); e != nil {
		return nil, e
	}
	role, err := t.role()
	if err != nil {
		return nil, err
	}
	p := perimeter{accounts: accounts}
	exact, err := grouped(call, p, role)
	if err != nil {
		return nil, err
	}
	var own []string
	for _, a := range call.Actions {
		if !a.Dependent && !slices.Contains(own, a.Name) {
			own = append(own, a.Name)
		}
	}
	if len(own) == 0 {
		return nil, refusal.New(refusal.Credentials, "the IAM action of this call is not known exactly, so no credential can be made for it alone")
	}
	guards, refused := guarded(scope, own)
	if refused != nil {
		return nil, refused
	}
	if kms, ok := kmsAllow(call, own, role, accounts); ok {
		exact = append(exact, kms)
	}
	return &writer{allows: widened(scope, own, exact, p), guards: guards, scope: scope, deadline: deadline.UTC().Format("2006-01-02T15:04:05Z")}, nil
}

func (w *writer) statements(detail Detail) []statement {
	allows := slices.Clone(w.allows)
	for i := range allows {
		if detail == Types {
			allows[i].resources = byAccount(allows[i])
		}
		if detail == Types || detail == Prefixes {
			allows[i].resources = coarser(allows[i].resources)
		}
	}
	if detail == Types {
		allows = merged(allows)
	}
	var out []statement
	var actions, resources []string
	for _, a := range allows {
		st := statement{Effect: "Allow", Action: a.actions, NotAction: a.notActions, Resource: patternTexts(a.resources),
			Condition: map[string]map[string][]string{"DateLessThan": {"aws:CurrentTime": {w.deadline}}}}
		for operator, keys := range a.condition {
			st.Condition[operator] = keys
		}
		out = append(out, st)
		actions, resources = append(actions, a.actions...), append(resources, st.Resource...)
	}
	if len(w.guards) > 0 {
		out = append(out, statement{Effect: "Deny", Action: w.guards, Resource: []string{"*"}})
	}
	if detail != Full && detail != WithoutResourceDeny {
		return out
	}
	if w.scope != ScopeRole {
		slices.Sort(actions)
		out = append(out, statement{Effect: "Deny", NotAction: slices.Compact(actions), Resource: []string{"*"}})
	}
	slices.Sort(resources)
	if resources = slices.Compact(resources); detail == Full && !slices.ContainsFunc(resources, behindAnother) {
		out = append(out, statement{Effect: "Deny", Action: []string{"*"}, NotResource: resources})
	}
	return append(out, statement{Effect: "Deny", Action: []string{"*"}, Resource: []string{"*"},
		Condition: map[string]map[string][]string{"DateGreaterThanEquals": {"aws:CurrentTime": {w.deadline}}}})
}

// behindAnother reports that AWS asks about more than the resource that a call
// names: "*" is everything, and behind an access point stands a bucket whose
// policy may delegate to it. A Deny of other resources would hit those, too.
func behindAnother(resource string) bool {
	return resource == "*" || strings.Contains(resource, ":accesspoint/")
}

func encode(statements []statement) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // \u003c would be six characters for one
	if err := enc.Encode(document{Version: "2012-10-17", Statement: statements}); err != nil {
		return "", refusal.Wrap(refusal.Credentials, err, "the session policy of this call could not be written")
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

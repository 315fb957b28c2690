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

type document struct {
	Version   string
	Statement []statement
}

type statement struct {
	Effect    string
	Action    []string                       `json:",omitempty"`
	NotAction []string                       `json:",omitempty"`
	Resource  []string                       `json:",omitempty"`
	Condition map[string]map[string][]string `json:",omitempty"`
}

// actionName has no wildcard: an action that the catalog could not name exactly
// must not become a policy that allows its neighbours.
var actionName = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9]+$`)

// SessionPolicy is the inline session policy for one call: minified JSON of at
// most 2,048 characters.
//
// Every action of the call, dependent ones included, is allowed on its own
// resources, until now + t.TTL (DateLessThan aws:CurrentTime) and in the target's
// accounts (aws:ResourceAccount, see perimeterOperator). A last statement denies
// every other action: a resource policy elsewhere that names our session's ARN is
// not bound by what a session policy merely does not allow, but is by a Deny.
//
// A policy that is too long is made coarser in this order, and refused if that is
// not enough:
//  1. without the Deny statement (what is allowed stays exact);
//  2. each statement's resources that share service, account and first path
//     segment (an S3 bucket, a DynamoDB table) become their longest common prefix
//     and `*`.
//
// A Permissionless call without actions (sts:GetCallerIdentity) needs nothing
// allowed, so its policy denies everything.
func SessionPolicy(call *awsapi.Call, t Target, now time.Time) (string, error) {
	accounts, err := t.accounts()
	if err != nil {
		return "", refusal.Wrap(refusal.Credentials, err, "target %s is not configured rightly; the operator must mend its role_arn and accounts", t.Name)
	}
	ttl, err := t.ttl()
	if err != nil {
		return "", refusal.Wrap(refusal.Credentials, err, "target %s has no credential_ttl; the operator must set one", t.Name)
	}
	if call == nil || len(call.Actions) == 0 {
		if call == nil || !call.Permissionless {
			return "", refusal.New(refusal.Credentials, "the IAM actions that this call needs are not known, so no credential can be made for it alone")
		}
		return encode([]statement{{Effect: "Deny", Action: []string{"*"}, Resource: []string{"*"}}})
	}
	deadline := now.Add(ttl).UTC().Format("2006-01-02T15:04:05Z")

	groups, names, err := grouped(call)
	if err != nil {
		return "", err
	}
	deny := statement{Effect: "Deny", NotAction: names, Resource: []string{"*"}}
	allow := func(coarse bool) []statement {
		var out []statement
		for _, g := range groups {
			resources := g.resources
			if coarse {
				resources = coarser(resources)
			}
			st := statement{Effect: "Allow", Action: g.actions, Condition: map[string]map[string][]string{
				"DateLessThan": {"aws:CurrentTime": {deadline}},
				g.operator:     {"aws:ResourceAccount": accounts},
			}}
			for _, r := range resources {
				st.Resource = append(st.Resource, strings.Join(r, ""))
			}
			out = append(out, st)
		}
		return out
	}
	exact := allow(false)
	for _, statements := range [][]statement{append(slices.Clone(exact), deny), exact, allow(true)} {
		text, err := encode(statements)
		if err != nil {
			return "", err
		}
		if utf8.RuneCountInString(text) <= maxPolicy {
			return text, nil
		}
	}
	return "", refusal.New(refusal.Credentials, "this call names too many resources for one STS session policy (%d characters); split it into smaller calls", maxPolicy)
}

// group is the actions that share one list of resources and one operator.
type group struct {
	actions   []string
	resources [][]string // patterns, in the pieces that coarser may cut between
	operator  string
}

func grouped(call *awsapi.Call) ([]*group, []string, error) {
	var groups []*group
	var names []string
	for _, a := range call.Actions {
		if !actionName.MatchString(a.Name) {
			return nil, nil, refusal.New(refusal.Credentials, "the IAM action of this call is not known exactly, so no credential can be made for it alone")
		}
		if len(a.Resources) == 0 {
			return nil, nil, refusal.New(refusal.Credentials, "the resources of %s are not known, so no credential can be made for it alone", a.Name)
		}
		if !slices.Contains(names, a.Name) {
			names = append(names, a.Name)
		}
		byOperator := map[string][][]string{}
		for _, r := range a.Resources {
			p, op := pattern(r), perimeterOperator(r)
			if !slices.ContainsFunc(byOperator[op], func(q []string) bool { return slices.Equal(p, q) }) {
				byOperator[op] = append(byOperator[op], p)
			}
		}
		for _, op := range []string{strict, ifExists} {
			if len(byOperator[op]) == 0 {
				continue
			}
			same := func(g *group) bool {
				return g.operator == op && slices.EqualFunc(g.resources, byOperator[op], slices.Equal[[]string])
			}
			if i := slices.IndexFunc(groups, same); i < 0 {
				groups = append(groups, &group{actions: []string{a.Name}, resources: byOperator[op], operator: op})
			} else if !slices.Contains(groups[i].actions, a.Name) {
				groups[i].actions = append(groups[i].actions, a.Name)
			}
		}
	}
	return groups, names, nil
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

package jit

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/refusal"
)

// allow is one Allow statement before it is written. Its condition lacks the
// deadline, which every one gets.
type allow struct {
	actions, notActions []string
	resources           [][]string // patterns, in the pieces that coarser may cut between
	unnamed             []bool     // per resource: known by its type only, see byAccount
	dependent           bool
	condition           map[string]map[string][]string
}

// perimeter is the accounts whose resources may be reached.
type perimeter struct{ accounts []string }

// asked asks for aws:ResourceAccount with the operator.
func (p perimeter) asked(operator string) map[string]map[string][]string {
	out := map[string]map[string][]string{}
	put(out, operator, "aws:ResourceAccount", p.accounts...)
	return out
}

func put(condition map[string]map[string][]string, operator, key string, values ...string) {
	if condition[operator] == nil {
		condition[operator] = map[string][]string{}
	}
	condition[operator][key] = slices.Clone(values)
}

// grouped are the call's actions as statements: those that share resources and
// condition together, own and dependent actions apart.
func grouped(call *awsapi.Call, p perimeter, in role) ([]allow, error) {
	var groups []allow
	for _, a := range call.Actions {
		if !actionName.MatchString(a.Name) {
			return nil, refusal.New(refusal.Credentials, "the IAM action of this call is not known exactly, so no credential can be made for it alone")
		}
		if len(a.Resources) == 0 {
			return nil, refusal.New(refusal.Credentials, "the resources of %s are not known, so no credential can be made for it alone", a.Name)
		}
		if a.Dependent {
			// A dependent action on something without an ARN is left out. If the call does
			// need it, AWS denies the call.
			a.Resources = slices.DeleteFunc(slices.Clone(a.Resources), func(r awsapi.Resource) bool { return !nameable(serviceLinked(a.Name, r, in)) })
		} else if slices.ContainsFunc(a.Resources, func(r awsapi.Resource) bool { return !nameable(r) }) {
			return nil, refusal.New(refusal.Credentials, "a resource of %s is named by something that is no ARN; give its whole ARN", a.Name)
		}
		for _, g := range byCondition(call, a, p, in) {
			i := slices.IndexFunc(groups, func(o allow) bool {
				return o.dependent == g.dependent && reflect.DeepEqual(o.condition, g.condition) && slices.EqualFunc(o.resources, g.resources, slices.Equal[[]string])
			})
			if i < 0 {
				groups = append(groups, g)
			} else if !slices.Contains(groups[i].actions, a.Name) {
				groups[i].actions = append(groups[i].actions, a.Name)
			}
		}
	}
	return groups, nil
}

// byCondition splits one action's resources by the condition that they need.
func byCondition(call *awsapi.Call, a awsapi.Action, p perimeter, in role) []allow {
	var out []allow
	seen := make([]map[string]bool, 0, 1) // patterns by statement; comparing each with each is too dear for thousands
	for _, r := range a.Resources {
		r = serviceLinked(a.Name, r, in)
		condition := p.owned(a.Name, r)
		if services := passedToService(call.Service, in.partition); a.Name == "iam:PassRole" && len(services) > 0 {
			condition = maps.Clone(condition)
			for operator, keys := range condition {
				condition[operator] = maps.Clone(keys)
			}
			put(condition, ifExists, "iam:PassedToService", services...)
		}
		i := slices.IndexFunc(out, func(o allow) bool { return reflect.DeepEqual(o.condition, condition) })
		if i < 0 {
			i, out = len(out), append(out, allow{actions: []string{a.Name}, dependent: a.Dependent, condition: condition})
			seen = append(seen, map[string]bool{})
		}
		text := pattern(r)
		// Pieces are cut between by coarser: two texts that are the same may be cut apart.
		if key := strings.Join(text, "\x00"); !seen[i][key] {
			seen[i][key] = true
			out[i].resources = append(out[i].resources, text)
			out[i].unnamed = append(out[i].unnamed, onlyType(r))
		}
	}
	return out
}

// nameable reports that r can stand in a policy: an ARN, or "*" where it is ours. A
// "*" that a request gave as its resource's name is neither.
func nameable(r awsapi.Resource) bool {
	if r.ARN == "*" {
		return r.Type == "" || r.Partial
	}
	return strings.HasPrefix(r.ARN, "arn:") && strings.Count(r.ARN, ":") >= 5
}

// onlyType reports that the request tells no more of r than its type.
func onlyType(r awsapi.Resource) bool {
	f := strings.SplitN(r.ARN, ":", 6)
	return r.Partial && len(f) == 6 && r.Type != "" && (f[5] == r.Type+"/*" || f[5] == r.Type+":*")
}

// byAccount replaces resources of which only the type is known by everything of
// their service in their region and account.
func byAccount(a allow) [][]string {
	var out [][]string
	seen := make(map[string]bool, len(a.resources))
	for i, p := range a.resources {
		if i < len(a.unnamed) && a.unnamed[i] {
			if f := strings.SplitN(strings.Join(p, ""), ":", 6); len(f) == 6 && f[2] != "s3" {
				p = []string{strings.Join(f[:5], ":") + ":*"}
			}
		}
		if key := strings.Join(p, "\x00"); !seen[key] {
			seen[key] = true
			out = append(out, p)
		}
	}
	return out
}

// merged joins statements that have become the same but for their actions.
func merged(in []allow) []allow {
	var out []allow
	for _, a := range in {
		i := slices.IndexFunc(out, func(o allow) bool {
			return reflect.DeepEqual(o.condition, a.condition) && len(o.notActions)+len(a.notActions) == 0 && slices.EqualFunc(o.resources, a.resources, slices.Equal[[]string])
		})
		if i < 0 {
			a.actions = slices.Clone(a.actions)
			out = append(out, a)
			continue
		}
		for _, name := range a.actions {
			if !slices.Contains(out[i].actions, name) {
				out[i].actions = append(out[i].actions, name)
			}
		}
	}
	return out
}

func patternTexts(patterns [][]string) []string {
	out := make([]string, 0, len(patterns))
	for _, p := range patterns {
		out = append(out, strings.Join(p, ""))
	}
	return out
}

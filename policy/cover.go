package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
)

// Cover is a set of actions on resources, in the globs of rules, that somebody lets
// through beyond one call. The zero value covers nothing.
type Cover struct {
	actions   []ActionGlob
	resources []ARNGlob
}

// MaxCover is the most globs of each kind in a Cover.
const MaxCover = 20

// minVerb is how much of an action's name stands before its first wildcard: the
// shortest verbs of AWS (Get, Put, Run, Add, Tag) have three letters. iam:* and iam:*Role
// would leave open whether something is read or deleted.
const minVerb = 3

// NewCover reads globs that people wrote, for an account. It takes less than rules
// do, since who writes it has a minute for it: the service is named, and so are the
// verb and the kind of resource; the account of a resource is account or, where AWS
// has none in the ARN (S3's), empty.
func NewCover(account string, actions, resources []string) (Cover, error) {
	var c Cover
	if len(actions) == 0 || len(resources) == 0 {
		return c, errors.New("name one action and one resource at least")
	}
	if len(actions) > MaxCover || len(resources) > MaxCover {
		return c, fmt.Errorf("at most %d actions and %d resources", MaxCover, MaxCover)
	}
	c.actions, c.resources = make([]ActionGlob, len(actions)), make([]ARNGlob, len(resources))
	for i, s := range actions {
		if err := c.actions[i].UnmarshalText([]byte(s)); err != nil {
			return Cover{}, fmt.Errorf("action: %w", err)
		}
		service, name, _ := strings.Cut(s, ":")
		if strings.ContainsAny(service, "*?") {
			return Cover{}, fmt.Errorf("action %q names no service", s)
		}
		if n := strings.IndexAny(name, "*?"); n >= 0 && n < minVerb {
			return Cover{}, fmt.Errorf("action %q leaves open what is done: write its verb before the wildcard, such as %s:Get*", s, service)
		}
	}
	for i, s := range resources {
		if err := c.resources[i].UnmarshalText([]byte(s)); err != nil {
			return Cover{}, fmt.Errorf("resource: %w", err)
		}
		parts := strings.SplitN(s, ":", arnParts)
		switch {
		case len(parts) != arnParts:
			return Cover{}, fmt.Errorf("resource %q has not the 6 parts of an ARN, arn:partition:service:region:account:resource", s)
		case strings.ContainsAny(parts[1]+parts[2], "*?") || parts[1] == "" || parts[2] == "":
			return Cover{}, fmt.Errorf("resource %q does not name its partition and service", s)
		case parts[4] != "" && parts[4] != account:
			return Cover{}, fmt.Errorf("resource %q is not in account %s", s, account)
		case parts[5] == "" || parts[5][0] == '*' || parts[5][0] == '?':
			return Cover{}, fmt.Errorf("resource %q is any resource: write how it begins before the wildcard, such as instance/*", s)
		}
	}
	return c, nil
}

// Covers reports whether everything that a call does is in the set, whatever its
// resources turn out to be: every action that AWS checks, dependent ones too, on
// every resource. A call that does not tell its resource (ARN "*") is in none, and
// one that tells it in part only where the glob takes any such.
func (c Cover) Covers(call *awsapi.Call) bool {
	if call == nil || len(call.Actions) == 0 {
		return false
	}
	for _, a := range call.Actions {
		if !c.action(a.Name) || len(a.Resources) == 0 {
			return false
		}
		for _, r := range a.Resources {
			if !c.resource(newResource(r.ARN, r.Partial)) {
				return false
			}
		}
	}
	return true
}

// CoversShown is Covers for what a person sees of a call: nil, or what is not in the
// set. Where an ARN has a `*`, it is taken for any text.
func (c Cover) CoversShown(actions, arns []string) error {
	if len(actions) == 0 || len(arns) == 0 {
		return errors.New("the call that is asked for does not say what it does to what")
	}
	for _, a := range actions {
		if !c.action(a) {
			return fmt.Errorf("the call that is asked for needs %s, which is not among the actions", show(a))
		}
	}
	for _, arn := range arns {
		if !c.resource(newResource(arn, strings.Contains(arn, "*"))) {
			return fmt.Errorf("the call that is asked for is on %s, which is not among the resources", show(arn))
		}
	}
	return nil
}

func (c Cover) action(name string) bool {
	lower := strings.ToLower(name)
	for _, a := range c.actions {
		if a.matches(lower) {
			return true
		}
	}
	return false
}

func (c Cover) resource(r resource) bool {
	for _, g := range c.resources {
		if g.covers(r) {
			return true
		}
	}
	return false
}

// RiskKinds are the kinds of harm in a Risk's reasons, without how they were
// weighed: classes, and what else was found. That it lists, reads, tags or writes is
// none, since the score says as much; that it manages permissions is.
func RiskKinds(reasons []string) []string {
	var out []string
	for _, r := range reasons {
		if i := strings.LastIndex(r, ": +"); i >= 0 {
			r = r[:i]
		}
		r = strings.TrimSuffix(r, furtherSuffix)
		switch level, ok := strings.CutPrefix(r, levelPrefix); {
		case ok && (level == string(awsapi.List) || level == string(awsapi.Read) || level == string(awsapi.Tagging) || level == string(awsapi.Write)):
		default:
			out = append(out, r)
		}
	}
	return out
}

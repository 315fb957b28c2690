package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/strictyaml"
)

// Effect is what a rule does, and what is decided. The zero value is Deny.
type Effect int

// The effects.
const (
	Deny Effect = iota
	Allow
)

// String is the word used in rule files, events and metrics.
func (e Effect) String() string {
	if e == Allow {
		return "allow"
	}
	return "deny"
}

// Rule is one rule of a file; its fields are the reference of the keys.
type Rule struct {
	// Name appears in refusals and events: letters, digits, . _ -, at most 64,
	// unique over all files. Required.
	Name string `yaml:"name"`
	// Who it is for. Required.
	Who Who `yaml:"who"`
	// Targets are globs over the names under `targets` of sallyport.yaml. Required.
	Targets []Glob `yaml:"targets"`
	// Actions are globs over IAM actions (service:Action), without regard to case.
	// Required.
	Actions []ActionGlob `yaml:"actions"`
	// Access are AWS access levels: List, Read, Tagging, Write, Permissions
	// management. Empty: any.
	Access []Access `yaml:"access"`
	// Resources are ARNs with globs in their parts, with regard to case. Empty:
	// any. Actions that have no resource types (ec2:DescribeInstances) are on
	// "*", which only an empty list or "*" matches.
	Resources []ARNGlob `yaml:"resources"`
	// Regions are globs over region names. Empty: any.
	Regions []Glob `yaml:"regions"`
	// Effect is allow or deny. Required.
	Effect EffectName `yaml:"effect"`
	// AllowCredentials lets the rule allow operations whose answer carries
	// credentials. Only with effect: allow.
	AllowCredentials bool `yaml:"allow_credentials"`
	// Mask are gjson paths into the answer that are masked beside what is secret
	// anyway. The paths of all rules that cover the call count. Only with allow.
	Mask []string `yaml:"mask"`
	// Unmask are sensitive members that the agent gets to see. A path counts only
	// if every rule that covers the call has it. Only with allow.
	Unmask []string `yaml:"unmask"`

	file     string
	position strictyaml.Position
}

// Who selects callers: any group or any subject that a glob matches, with regard
// to case. One of the lists must have an entry; {subjects: ["*"]} is everybody.
type Who struct {
	Groups   []Glob `yaml:"groups"`
	Subjects []Glob `yaml:"subjects"`
}

// EffectName is an Effect as written. The zero value is not one.
type EffectName string

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *EffectName) UnmarshalText(text []byte) error {
	*e = EffectName(text)
	if *e != "allow" && *e != "deny" {
		return fmt.Errorf("%q is not an effect; write allow or deny", string(text))
	}
	return nil
}

// Access is an AWS access level as written.
type Access awsapi.AccessLevel

var accessLevels = []string{string(awsapi.List), string(awsapi.Read), string(awsapi.Tagging), string(awsapi.Write), string(awsapi.Permissions)}

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Access) UnmarshalText(text []byte) error {
	*a = Access(text)
	if slices.Contains(accessLevels, string(text)) {
		return nil
	}
	if near := strictyaml.Nearest(string(text), accessLevels); near != "" {
		return fmt.Errorf("%q is not an access level; did you mean %q?", string(text), near)
	}
	return fmt.Errorf("%q is not an access level; they are %s", string(text), strings.Join(accessLevels, ", "))
}

// mismatch says at which of its conditions a rule did not match, in the order in
// which they are looked at.
type mismatch int

const (
	matches mismatch = iota
	wrongAction
	wrongTarget
	wrongWho
	wrongRegion
	wrongAccess
	wrongResource
	noCredentials // it would cover a call that hands out credentials
)

// need is one thing that a call does: an action on a resource.
type need struct {
	action    string // as AWS writes it
	lower     string
	level     awsapi.AccessLevel
	resource  resource
	dependent bool
	twin      bool // resource and level are the primary action's
}

// optional needs no allow rule; see the package comment.
func (n *need) optional() bool {
	return n.twin || n.dependent && n.lower != "iam:passrole"
}

// against compares the rule with one need of a call. Allow rules must cover it
// for certain, deny rules need only match possibly. Decide and Explain both ask
// here and nowhere else.
func (r *Rule) against(in *Input, n *need, handsOut bool) mismatch {
	deny := r.Effect == "deny"
	switch {
	case !slices.ContainsFunc(r.Actions, func(a ActionGlob) bool { return Match(string(a), n.lower) }):
		return wrongAction
	case !matchAny(r.Targets, in.Target):
		return wrongTarget
	case !r.matchesWho(in):
		return wrongWho
	case len(r.Regions) > 0 && !matchAny(r.Regions, in.Call.Region):
		return wrongRegion
	}
	if len(r.Access) > 0 && !slices.Contains(r.Access, Access(n.level)) {
		// A level that is not known may be any.
		if !deny || (n.level != "" && !n.twin) {
			return wrongAccess
		}
	}
	if len(r.Resources) > 0 && !slices.ContainsFunc(r.Resources, func(g ARNGlob) bool {
		if deny {
			return g.mayMatch(n.resource)
		}
		return g.covers(n.resource)
	}) {
		return wrongResource
	}
	if !deny && handsOut && !r.AllowCredentials {
		return noCredentials
	}
	return matches
}

func (r *Rule) matchesWho(in *Input) bool {
	if matchAny(r.Who.Subjects, in.Subject) {
		return true
	}
	return slices.ContainsFunc(in.Groups, func(g string) bool { return matchAny(r.Who.Groups, g) })
}

package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/strictyaml"
	"github.com/sallyport/sallyport/mask"
)

// Effect is what a rule does, and what is decided. The zero value is Deny.
type Effect int

// The effects.
const (
	Deny Effect = iota
	Allow
	Ask // allow it once a person has agreed
)

// String is the word used in rule files, events and metrics.
func (e Effect) String() string {
	switch e {
	case Allow:
		return "allow"
	case Ask:
		return "ask"
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
	// When is a CEL expression (https://cel.dev) that must hold too. It sees
	// who.issuer, who.subject, who.groups, session, target, service, operation, action
	// and access (of the primary action), resources, region, classes, params,
	// request.method, request.host, request.path, request.length (bytes; -1: not known), now and risk. Where it cannot be
	// evaluated the call is denied, whatever the rule's effect. Empty: holds.
	When string `yaml:"when"`
	// Effect is allow, ask or deny. Required.
	Effect EffectName `yaml:"effect"`
	// Approvers are who may agree. Required with ask, and only there.
	Approvers Approvers `yaml:"approvers"`
	// Enrich lets the gateway read names and tags of the call's resources, with the
	// target's role, to show them to approvers. A deny rule that matches such a read
	// forbids it. Only with ask.
	Enrich bool `yaml:"enrich"`
	// Scope is how far the credential of a call may reach: request (the default),
	// action, service or role. Of several rules that cover a call the narrowest
	// holds. Not with deny.
	Scope Scope `yaml:"scope"`
	// AllowCredentials lets the rule allow operations whose answer carries
	// credentials. Only with effect: allow.
	AllowCredentials bool `yaml:"allow_credentials"`
	// Mask are gjson paths into the answer that are masked beside what is secret
	// anyway. The paths of all rules that cover the call count. Only with allow.
	Mask []string `yaml:"mask"`
	// MaskAs is how what is masked in answers to the rule's calls is replaced: redact
	// (the default), fingerprint, last4 or drop. Of several rules that cover a call
	// the strictest holds, for a path of Mask among those that have it. Only with
	// allow.
	MaskAs mask.Style `yaml:"mask_as"`
	// Unmask are sensitive members that the agent gets to see. A path counts only
	// if every rule that covers the call has it. Only with allow.
	Unmask []string `yaml:"unmask"`
	// Record is what of the bodies of the rule's calls is recorded, more or less than
	// sallyport.yaml's record says. Of several rules that cover a call the one that
	// records more holds. Not with deny.
	Record Record `yaml:"record"`

	file      string
	position  strictyaml.Position
	actionAt  []strictyaml.Position // of each of Actions
	arnAt     []strictyaml.Position // of each of Resources
	condition condition
}

// Approvers are who may agree to a call that a rule asks for.
type Approvers struct {
	Groups []string `yaml:"groups"` // any of; at least one
	Count  int      `yaml:"count"`  // how many different people; 0 is 1
}

// Scope is how far the credential of one call may reach.
type Scope string

// The scopes, from narrow to wide; jit says what each allows. The zero value is
// ScopeRequest.
const (
	ScopeRequest Scope = "request"
	ScopeAction  Scope = "action"
	ScopeService Scope = "service"
	ScopeRole    Scope = "role"
)

var scopes = []string{string(ScopeRequest), string(ScopeAction), string(ScopeService), string(ScopeRole)}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Scope) UnmarshalText(text []byte) error {
	*s = Scope(text)
	if !slices.Contains(scopes, string(text)) {
		return fmt.Errorf("%q is not a scope; they are %s", string(text), strings.Join(scopes, ", "))
	}
	return nil
}

func (s Scope) width() int { return max(0, slices.Index(scopes, string(s))) }

// Who selects callers: any group or any subject that a glob matches, with regard
// to case. One of these lists must have an entry; {subjects: ["*"]} is everybody.
// Issuers narrow that to tokens of some issuers: a group of one identity provider
// is not the group of that name of another.
type Who struct {
	Issuers  []Glob `yaml:"issuers"` // empty: any
	Groups   []Glob `yaml:"groups"`
	Subjects []Glob `yaml:"subjects"`
}

// EffectName is an Effect as written. The zero value is not one.
type EffectName string

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *EffectName) UnmarshalText(text []byte) error {
	*e = EffectName(text)
	if *e != "allow" && *e != "ask" && *e != "deny" {
		return fmt.Errorf("%q is not an effect; write allow, ask or deny", string(text))
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
	wrongWhen     // its condition does not hold
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

// question is an Input with what is worked out about it once.
type question struct {
	*Input
	handsOut bool
	risk     Risk
	vars     map[string]any
	asked    map[*Rule]answer
}

type answer struct {
	holds bool
	err   error
}

func newQuestion(in *Input) *question {
	return &question{Input: in, handsOut: slices.Contains(in.Call.Classes, awsapi.HandsOutCredentials), risk: riskOf(in.Call)}
}

// holds evaluates the rule's condition, once for each call.
func (q *question) holds(r *Rule) answer {
	if r.condition.program == nil {
		return answer{holds: true}
	}
	if a, ok := q.asked[r]; ok {
		return a
	}
	if q.vars == nil {
		q.vars, q.asked = q.variables(q.risk), map[*Rule]answer{}
	}
	var a answer
	a.holds, a.err = r.condition.holds(q.vars)
	q.asked[r] = a
	return a
}

// against compares the rule with one need of a call. Rules that allow must cover
// it for certain; for rules that restrict (deny, and ask as far as it asks) it is
// enough to match possibly. Decide and Explain both ask here and nowhere else. A
// rule whose condition cannot be evaluated matches; question.holds has the error.
func (r *Rule) against(in *question, n *need, restrict bool) mismatch {
	deny := restrict
	switch {
	case !slices.ContainsFunc(r.Actions, func(a ActionGlob) bool { return a.matches(n.lower) }):
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
	if !deny && in.handsOut && !r.AllowCredentials {
		return noCredentials
	}
	if a := in.holds(r); a.err == nil && !a.holds {
		return wrongWhen
	}
	return matches
}

func (r *Rule) matchesWho(in *question) bool {
	if len(r.Who.Issuers) > 0 && !matchAny(r.Who.Issuers, in.Issuer) {
		return false
	}
	if matchAny(r.Who.Subjects, in.Subject) {
		return true
	}
	return slices.ContainsFunc(in.Groups, func(g string) bool { return matchAny(r.Who.Groups, g) })
}

package policy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/mask"
)

// Engine holds the rules. It does not change, and may be used by any number of
// goroutines. The zero Engine, and a nil one, deny everything.
type Engine struct {
	rules   []*Rule // as in the files
	allow   index   // rules that can cover a need: allow and ask
	ask     index
	deny    index
	risk    Thresholds
	tests   []*Test
	version string
}

// Input is a question: who wants what, on which target.
type Input struct {
	Issuer, Subject string
	Groups          []string
	Session         string
	Target          string // name under targets
	Call            *awsapi.Call
	Now             time.Time // for conditions; zero is the system's time
}

// Decision is the answer. The zero value denies.
type Decision struct {
	Effect Effect
	Rules  []string    // names of the rules that decided, in the files' order; none where nothing allowed
	Reason string      // a sentence for the agent
	Mask   []mask.Path // gjson paths to mask in the answer, sorted
	MaskAs mask.Style  // how everything else that is masked is replaced
	Unmask []string    // sensitive members that stay readable for the agent, sorted
	Scope  Scope       // how far the credential may reach; "" unless allowed or asked
	// Records is what each rule that covers the call says of recording its bodies, none
	// where no rule says anything; see RecordOr.
	Records []Record
	Risk    Risk
	// Approvers must agree to an Ask: enough people of each entry.
	Approvers []Approvers
	// Unallowed: it is denied for no other reason than that no rule allows it, and no
	// rule might ask for it but such as have enrich.
	Unallowed bool
	// Enrich: before an Ask, names and tags of the call's resources may be read.
	Enrich  bool
	Version string // SHA-256, in hex, of the bytes of all rule files in order
}

// index finds the rules that can match a target and a service without looking at
// the others. A rule is under each literal name it has, and under "" where it has
// a wildcard.
type index map[indexKey][]*Rule

type indexKey struct{ target, service string }

func newEngine(rules []*Rule, version string) *Engine {
	e := &Engine{rules: rules, allow: index{}, ask: index{}, deny: index{}, version: version, risk: defaultThresholds}
	for _, r := range rules {
		switch r.Effect {
		case "allow":
			e.allow.add(r)
		case "ask":
			e.allow.add(r)
			e.ask.add(r)
		default:
			e.deny.add(r)
		}
	}
	return e
}

func (x index) add(r *Rule) {
	for _, t := range r.Targets {
		for _, a := range r.Actions {
			k := indexKey{service: a.service()}
			if !strings.ContainsAny(string(t), "*?") {
				k.target = string(t)
			}
			if list := x[k]; len(list) == 0 || list[len(list)-1] != r {
				x[k] = append(list, r)
			}
		}
	}
}

// find calls f for each rule that may match. A rule can come more than once.
func (x index) find(target, service string, f func(*Rule)) {
	keys := [4]indexKey{{target, service}, {target, ""}, {"", service}, {"", ""}}
	for i, k := range keys {
		if slices.Contains(keys[:i], k) {
			continue
		}
		for _, r := range x[k] {
			f(r)
		}
	}
}

// Decide judges a call.
func (e *Engine) Decide(in Input) Decision {
	d := Decision{Effect: Deny}
	if e == nil {
		d.Reason = "the gateway has no policy, so everything is denied; ask an operator to load one"
		return d
	}
	d.Version = e.version
	needs, why := needsOf(&in)
	if why != "" {
		d.Reason = why
		return d
	}
	q := newQuestion(&in)
	d.Risk = q.risk

	// Deny beats ask beats allow.
	if hits, first := e.restricting(e.deny, q, needs); len(hits) > 0 {
		d.Rules = e.names(hits)
		d.Reason = deniedBy(first, d.Rules)
		return d
	}
	covering, n, almost := e.covering(q, needs)
	if n != nil {
		d.Reason = notAllowed(&in, n, e.names(almost))
	} else {
		d.Effect = Allow
		d.Rules = e.names(covering)
		d.Reason = allowedBy(&in, needs, d.Rules)
	}
	asking, first := e.restricting(e.ask, q, needs)
	// A condition that cannot be evaluated might have said anything.
	if r, err := q.failed(); r != nil {
		d.Effect, d.Rules = Deny, []string{r.Name}
		d.Reason = unevaluated(&needs[0], r.Name, err)
		return d
	}
	if d.Effect == Deny {
		d.Unallowed = !slices.ContainsFunc(asking, func(r *Rule) bool { return !r.Enrich })
		return d
	}
	d.Mask, d.MaskAs, d.Unmask = masks(covering)
	d.Scope = narrowest(covering)
	d.Records = records(covering)
	if len(asking) > 0 {
		d.Effect, d.Rules = Ask, e.names(asking)
		d.Reason = askedBy(first, d.Rules)
		for _, r := range asking {
			d.Approvers = append(d.Approvers, r.Approvers)
			d.Enrich = d.Enrich || r.Enrich
		}
	}
	e.risk.apply(&d, &needs[0])
	return d
}

// Asks reports that a rule asks people.
func (e *Engine) Asks() bool { return e != nil && len(e.ask) > 0 }

// restricting finds the rules of x that one need may match, and the first need.
func (e *Engine) restricting(x index, q *question, needs []need) (hits []*Rule, first *need) {
	for i := range needs {
		n := &needs[i]
		x.find(q.Target, service(n.lower), func(r *Rule) {
			if !slices.Contains(hits, r) && r.against(q, n, true) == matches {
				hits = append(hits, r)
				if first == nil {
					first = n
				}
			}
		})
	}
	return hits, first
}

// covering finds the rules that cover the call, or the first need that none
// covers, with the rules that would but for the credentials it hands out.
func (e *Engine) covering(q *question, needs []need) (rules []*Rule, open *need, almost []*Rule) {
	for i := range needs {
		n := &needs[i]
		if n.optional() {
			continue
		}
		covered := false
		almost = nil
		try := func(n *need) {
			e.allow.find(q.Target, service(n.lower), func(r *Rule) {
				switch r.against(q, n, false) {
				case matches:
					covered = true
					if !slices.Contains(rules, r) {
						rules = append(rules, r)
					}
				case noCredentials:
					almost = append(almost, r)
				}
			})
		}
		try(n)
		for t := range needs {
			// Nothing in the request tells the two apart, so neither does a rule.
			if !covered && needs[t].twin && !n.dependent && needs[t].resource.arn == n.resource.arn {
				try(&needs[t])
			}
		}
		if !covered {
			return nil, n, almost
		}
	}
	return rules, nil, nil
}

// failed is a rule whose condition could not be evaluated, the first in the files.
func (q *question) failed() (*Rule, error) {
	var first *Rule
	for r, a := range q.asked {
		if a.err != nil && (first == nil || r.file < first.file || r.file == first.file && r.position.Line < first.position.Line) {
			first = r
		}
	}
	if first == nil {
		return nil, nil
	}
	return first, q.asked[first].err
}

// narrowest is the scope of a call that several rules cover: each was written
// without the others in mind, so none may widen what another allows.
func narrowest(rules []*Rule) Scope {
	out := ScopeRequest
	for i, r := range rules {
		s := r.Scope
		if s == "" {
			s = ScopeRequest
		}
		if i == 0 || s.width() < out.width() {
			out = s
		}
	}
	return out
}

// names lists rules in the files' order, each once.
func (e *Engine) names(rules []*Rule) []string {
	if len(rules) == 0 {
		return nil
	}
	var out []string
	for _, r := range e.rules {
		if slices.Contains(rules, r) {
			out = append(out, r.Name)
		}
	}
	return out
}

// masks joins what the rules mask, and keeps of what they unmask that on which
// all agree: the rule that masks more wins.
func masks(rules []*Rule) (paths []mask.Path, as mask.Style, unmask []string) {
	styles := map[string]mask.Style{}
	for i, r := range rules {
		for _, p := range r.Mask {
			if s, ok := styles[p]; ok {
				styles[p] = mask.Stricter(s, r.MaskAs)
			} else {
				styles[p] = r.MaskAs
			}
		}
		if i == 0 {
			unmask, as = slices.Clone(r.Unmask), r.MaskAs
		}
		as = mask.Stricter(as, r.MaskAs)
		unmask = slices.DeleteFunc(unmask, func(p string) bool { return !slices.Contains(r.Unmask, p) })
	}
	for _, p := range slices.Sorted(maps.Keys(styles)) {
		paths = append(paths, mask.Path{Path: p, As: styles[p]})
	}
	slices.Sort(unmask)
	return paths, as, slices.Compact(unmask)
}

// needsOf lists what a call does, or says why it cannot be judged.
func needsOf(in *Input) ([]need, string) {
	c := in.Call
	switch {
	case c == nil:
		return nil, "there is no call to judge"
	case in.Subject == "" || in.Target == "":
		return nil, "it is not known who is calling or for which target, so the call is denied"
	}
	actions := c.Actions
	if len(actions) == 0 && c.Permissionless {
		actions = []awsapi.Action{{Name: c.Service + ":" + c.Operation, Resources: []awsapi.Resource{{ARN: "*"}}}}
	}
	needs := make([]need, 0, len(actions)+len(c.Twins))
	judged := false
	for _, a := range actions {
		if len(a.Resources) == 0 || a.Name == "" {
			return nil, "the gateway does not know on what " + c.Service + ":" + c.Operation + " acts, so it is denied"
		}
		judged = judged || !a.Dependent
		for _, r := range a.Resources {
			needs = append(needs, need{action: a.Name, lower: strings.ToLower(a.Name), level: a.Level,
				resource: newResource(r.ARN, r.Partial), dependent: a.Dependent})
		}
	}
	if !judged {
		return nil, "the gateway does not know which permission " + c.Service + ":" + c.Operation + " needs, so it is denied"
	}
	for _, name := range c.Twins {
		for _, n := range needs {
			if n.action == actions[0].Name && !n.dependent {
				n.action, n.lower, n.twin = name, strings.ToLower(name), true
				needs = append(needs, n)
			}
		}
	}
	return needs, ""
}

// service is the part of an action before the colon.
func service(action string) string {
	s, _, _ := strings.Cut(action, ":")
	return s
}

package policy

import (
	"strings"
)

// Explanation says how a decision came about. It is for operators: agents must
// not see it, since it tells what every rule is about.
type Explanation struct {
	Decision Decision
	Rules    []RuleExplanation // every rule, in the files' order
}

// RuleExplanation is what one rule had to do with a call.
type RuleExplanation struct {
	Name    string
	File    string
	Line    int
	Effect  Effect
	Matched bool // covers (allow) or hits (deny) at least one action on one resource
	// Why lists the actions and resources that it matched or, where there are
	// none, the first condition at which it failed.
	Why string
}

var whyNot = map[mismatch]string{
	wrongTarget:   "it is for other targets",
	wrongWho:      "it is for other groups or subjects",
	wrongRegion:   "it is for other regions",
	wrongAction:   "it is for other actions",
	wrongAccess:   "it is for other access levels",
	wrongResource: "it is for other resources",
	wrongWhen:     "its condition does not hold",
	noCredentials: "the operation hands out credentials and the rule has no allow_credentials",
}

// Explain is Decide with every rule's part in it.
func (e *Engine) Explain(in Input) Explanation {
	x := Explanation{Decision: e.Decide(in)}
	if e == nil {
		return x
	}
	needs, why := needsOf(&in)
	var q *question
	if why == "" {
		q = newQuestion(&in)
	}
	for _, r := range e.rules {
		out := RuleExplanation{Name: r.Name, File: r.file, Line: r.position.Line, Effect: Deny, Why: why}
		switch r.Effect {
		case "allow":
			out.Effect = Allow
		case "ask":
			out.Effect = Ask
		}
		if why == "" {
			out.Matched, out.Why = r.explain(q, needs, out.Effect)
		}
		x.Rules = append(x.Rules, out)
	}
	return x
}

func (r *Rule) explain(q *question, needs []need, effect Effect) (matched bool, why string) {
	var hit []string
	furthest := wrongAction
	failed := &needs[0]
	for i := range needs {
		n := &needs[i]
		if effect == Allow && n.optional() && !n.twin {
			continue
		}
		m := r.against(q, n, effect != Allow)
		if m == matches {
			hit = append(hit, what(n))
		} else if m > furthest { // the need that came closest says most
			furthest, failed = m, n
		}
	}
	if len(hit) == 0 {
		return false, whyNot[furthest] + " (" + what(failed) + ")"
	}
	if err := q.holds(r).err; err != nil {
		return true, "its condition cannot be evaluated: " + err.Error()
	}
	return true, "matches " + strings.Join(hit, ", ")
}

// RuleNames lists the rules in the files' order.
func (e *Engine) RuleNames() []string {
	var out []string
	if e != nil {
		for _, r := range e.rules {
			out = append(out, r.Name)
		}
	}
	return out
}

// Version is the SHA-256, in hex, of the rule files' bytes; "" for no policy.
func (e *Engine) Version() string {
	if e == nil {
		return ""
	}
	return e.version
}

package policy

import (
	"strconv"
	"strings"
	"unicode"
)

// The sentences that agents read. They name rules and never quote them: what a
// rule says about others is not the agent's to know.

func deniedBy(n *need, rules []string) string {
	return what(n) + " is denied by " + ruleList(rules) +
		". Sending it again will not help; use an operation that changes less, or ask an operator."
}

func notAllowed(in *Input, n *need, almost []string) string {
	if len(almost) > 0 {
		return what(n) + " hands out credentials, which " + ruleList(almost) +
			" does not allow. The gateway signs each call itself, so the credentials are not needed; if they are, ask an operator to set allow_credentials."
	}
	return "no rule allows " + what(n) + " for you on target " + show(in.Target) +
		". Sending it again will not help; ask an operator to add a rule that allows it."
}

func allowedBy(in *Input, needs []need, rules []string) string {
	more := ""
	if n := len(needs) - 1; n > 0 {
		more = " and " + strconv.Itoa(n) + " more"
	}
	return what(&needs[0]) + more + " on target " + show(in.Target) + " is allowed by " + ruleList(rules) + "."
}

func what(n *need) string {
	if n.resource.arn == "*" {
		return n.action
	}
	return n.action + " on " + show(n.resource.arn)
}

func ruleList(names []string) string {
	if len(names) == 1 {
		return "rule " + names[0]
	}
	return "rules " + strings.Join(names, ", ")
}

// show makes text from the request safe to print: an object key may hold escape
// sequences, direction marks or a made-up second sentence after a line break.
func show(s string) string {
	const limit = 256
	cut := ""
	if len(s) > limit {
		s, cut = strings.ToValidUTF8(s[:limit], ""), "..."
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || r == unicode.ReplacementChar }) {
		q := strconv.QuoteToASCII(s)
		s = q[1 : len(q)-1]
	}
	return s + cut
}

func askedBy(n *need, rules []string) string {
	return what(n) + " needs a person's approval by " + ruleList(rules)
}

func asRisky(n *need, r Risk, at int) string {
	return what(n) + " needs a person's approval: its risk is " + strconv.Itoa(r.Score) + " of 100 (" + strings.Join(r.Reasons, ", ") + "), and from " + strconv.Itoa(at) + " on somebody must agree"
}

func tooRisky(n *need, r Risk, at int) string {
	return what(n) + " is denied: its risk is " + strconv.Itoa(r.Score) + " of 100 (" + strings.Join(r.Reasons, ", ") + "), and from " + strconv.Itoa(at) +
		" on nothing is allowed. Sending it again will not help; use an operation that changes less, or ask an operator."
}

func unevaluated(n *need, rule string, err error) string {
	return what(n) + " is denied, since the condition of rule " + rule + " cannot be evaluated: " + err.Error() +
		". Sending it again will not help; ask an operator to mend the rule."
}

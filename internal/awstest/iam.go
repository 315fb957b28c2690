package awstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy is an IAM policy document, as far as session policies of this project
// use the language: Allow and Deny, Action, NotAction, Resource, NotResource,
// and the conditions DateLessThan on aws:CurrentTime and StringEquals[IfExists]
// on aws:ResourceAccount. Anything else is an error and not ignored: a condition
// that is overlooked would allow what AWS denies.
type Policy struct{ statements []statement }

type statement struct {
	deny                   bool
	actions, notActions    []string
	resources, notResource []string
	conditions             []condition
}

type condition struct {
	operator, key string
	values        []string
}

// Question is what is asked of a policy.
type Question struct {
	Action   string // s3:GetObject
	Resource string // ARN; "*" for actions without resource types
	Account  string // owner of the resource; "" where AWS gives no aws:ResourceAccount
	Now      time.Time
}

// oneOrMore is a JSON string or a list of strings.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*o = oneOrMore{s}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(o))
}

// ParsePolicy reads a policy document strictly.
func ParsePolicy(text string) (*Policy, error) {
	var doc struct {
		Version   string
		Id        string
		Statement []struct {
			Sid         string
			Effect      string
			Action      oneOrMore
			NotAction   oneOrMore
			Resource    oneOrMore
			NotResource oneOrMore
			Condition   map[string]map[string]oneOrMore
		}
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if dec.More() {
		return nil, errors.New("policy: text after the document")
	}
	if doc.Version != "2012-10-17" || len(doc.Statement) == 0 {
		return nil, errors.New("policy: wants Version 2012-10-17 and a Statement")
	}
	p := &Policy{}
	for _, s := range doc.Statement {
		st := statement{deny: s.Effect == "Deny", actions: s.Action, notActions: s.NotAction, resources: s.Resource, notResource: s.NotResource}
		switch {
		case s.Effect != "Allow" && s.Effect != "Deny":
			return nil, fmt.Errorf("policy: effect %q", s.Effect)
		case (len(s.Action) == 0) == (len(s.NotAction) == 0):
			return nil, errors.New("policy: a statement wants Action or NotAction")
		case (len(s.Resource) == 0) == (len(s.NotResource) == 0):
			return nil, errors.New("policy: a statement wants Resource or NotResource")
		}
		for operator, keys := range s.Condition {
			for key, values := range keys {
				c := condition{operator: operator, key: key, values: values}
				if err := c.check(); err != nil {
					return nil, err
				}
				st.conditions = append(st.conditions, c)
			}
		}
		p.statements = append(p.statements, st)
	}
	return p, nil
}

func (c condition) check() error {
	switch {
	case c.operator == "DateLessThan" && strings.EqualFold(c.key, "aws:CurrentTime") && len(c.values) == 1:
		if _, err := time.Parse(time.RFC3339, c.values[0]); err != nil {
			return fmt.Errorf("policy: condition %s: %w", c.operator, err)
		}
		return nil
	case (c.operator == "StringEquals" || c.operator == "StringEqualsIfExists") && strings.EqualFold(c.key, "aws:ResourceAccount") && len(c.values) > 0:
		return nil
	}
	return fmt.Errorf("policy: condition %s on %s is not known here", c.operator, c.key)
}

// Allows evaluates the policy: an explicit deny wins, nothing matching is a deny
// (IAM User Guide, "Policy evaluation logic").
func (p *Policy) Allows(q Question) bool {
	allowed := false
	for _, s := range p.statements {
		if !s.matches(q) {
			continue
		}
		if s.deny {
			return false
		}
		allowed = true
	}
	return allowed
}

func (s statement) matches(q Question) bool {
	any := func(patterns []string, text string, fold bool) bool {
		return slices.ContainsFunc(patterns, func(p string) bool {
			if fold {
				return Match(strings.ToLower(p), strings.ToLower(text))
			}
			return Match(p, text)
		})
	}
	if len(s.actions) > 0 && !any(s.actions, q.Action, true) || len(s.notActions) > 0 && any(s.notActions, q.Action, true) {
		return false
	}
	if len(s.resources) > 0 && !any(s.resources, q.Resource, false) || len(s.notResource) > 0 && any(s.notResource, q.Resource, false) {
		return false
	}
	return !slices.ContainsFunc(s.conditions, func(c condition) bool { return !c.holds(q) })
}

func (c condition) holds(q Question) bool {
	if c.operator == "DateLessThan" {
		deadline, err := time.Parse(time.RFC3339, c.values[0])
		return err == nil && q.Now.Before(deadline)
	}
	if q.Account == "" {
		return c.operator == "StringEqualsIfExists"
	}
	return slices.Contains(c.values, q.Account)
}

// Match reports whether text fits an IAM pattern: `*` is any run of characters,
// `?` any one, and ${*}, ${?}, ${$} are those characters themselves. Another
// policy variable matches nothing.
func Match(pattern, text string) bool {
	tokens, ok := tokenise(pattern)
	if !ok {
		return false
	}
	runes := []rune(text)
	// Greedy with one point to come back to: enough for `*`, and linear in space.
	t, r, star, mark := 0, 0, -1, 0
	for r < len(runes) {
		switch {
		case t < len(tokens) && tokens[t].kind == '*':
			star, mark = t, r
			t++
		case t < len(tokens) && (tokens[t].kind == '?' || tokens[t].char == runes[r]):
			t++
			r++
		case star >= 0:
			mark++
			t, r = star+1, mark
		default:
			return false
		}
	}
	for t < len(tokens) && tokens[t].kind == '*' {
		t++
	}
	return t == len(tokens)
}

type token struct {
	kind rune // '*', '?' or 0 for a literal
	char rune
}

func tokenise(pattern string) ([]token, bool) {
	var out []token
	for p := []rune(pattern); len(p) > 0; {
		switch {
		case len(p) >= 4 && p[0] == '$' && p[1] == '{' && strings.ContainsRune("*?$", p[2]) && p[3] == '}':
			out = append(out, token{char: p[2]})
			p = p[4:]
			continue
		case len(p) >= 2 && p[0] == '$' && p[1] == '{':
			return nil, false
		case p[0] == '*' || p[0] == '?':
			out = append(out, token{kind: p[0], char: -1})
		default:
			out = append(out, token{char: p[0]})
		}
		p = p[1:]
	}
	return out, true
}

package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/strictyaml"
)

// Unknown are the patterns of actions and resources that match nothing which the
// catalog has: a misspelt one in a deny rule protects nothing. They are warnings and
// no errors, since AWS has new actions before the catalog does.
func (e *Engine) Unknown(ids *awsapi.Identifier) (strictyaml.Problems, error) {
	if e == nil {
		return nil, nil
	}
	known := &names{ActionNames: ids.ActionNames()}
	var out strictyaml.Problems
	for _, r := range e.rules {
		add := func(at strictyaml.Position, message string) {
			if message != "" {
				out = append(out, strictyaml.Problem{File: r.file, Line: at.Line, Column: at.Column, Path: "rule " + r.Name, Message: message})
			}
		}
		for i, a := range r.Actions {
			message, err := known.action(a)
			if err != nil {
				return nil, err
			}
			add(r.actionAt[i], message)
		}
		for i, g := range r.Resources {
			message, err := known.arn(g)
			if err != nil {
				return nil, err
			}
			add(r.arnAt[i], message)
		}
	}
	out.Sort()
	return out, nil
}

// names are what patterns are compared with.
type names struct {
	*awsapi.ActionNames
	services []string // of ARNs; nil: not asked for yet
}

// action says what is wrong with a pattern of actions; "": nothing.
func (n *names) action(a ActionGlob) (string, error) {
	if found, err := n.matched(a.lower); found || err != nil {
		return "", err
	}
	message := fmt.Sprintf("the action %q matches none that an AWS operation needs, as far as the catalog knows, so it has no effect", a.text)
	// An operation's name is not misspelt: its action has another.
	if needed, err := n.OfOperation(a.text); err != nil || needed != "" {
		return message + fmt.Sprintf("; the operation of that name needs %s", needed), err
	}
	near, err := n.nearAction(a)
	if near != "" {
		message += fmt.Sprintf("; did you mean %s?", near)
	}
	return message, err
}

func (n *names) matched(lower string) (bool, error) {
	if lower == "*" {
		return true, nil
	}
	return n.Find(ActionGlob{lower: lower}.service(), func(action string) bool { return Match(lower, strings.ToLower(action)) })
}

// nearAction is what the author most likely meant, "" where nothing is near.
func (n *names) nearAction(a ActionGlob) (string, error) {
	service, name, _ := strings.Cut(a.text, ":")
	if !wild(service) && !slices.Contains(n.Prefixes(), strings.ToLower(service)) {
		if service = strictyaml.Nearest(service, n.Prefixes()); service == "" {
			return "", nil
		}
		if found, err := n.matched(strings.ToLower(service + ":" + name)); found || err != nil {
			return service + ":" + name, err
		}
	}
	// Of a pattern, the verb that it begins with can be compared.
	literal, rest := name, ""
	if i := strings.IndexAny(name, "*?"); i >= 0 {
		literal, rest = name[:i], name[i:]
	}
	if rest != "" && rest != "*" {
		return "", nil
	}
	var candidates []string
	_, err := n.Find(strings.ToLower(service), func(action string) bool {
		prefix, word, _ := strings.Cut(action, ":")
		if !Match(strings.ToLower(service), strings.ToLower(prefix)) {
			return false
		}
		if rest != "" {
			word = verb(word)
		}
		candidates = append(candidates, word)
		return false
	})
	slices.Sort(candidates)
	near := strictyaml.Nearest(literal, slices.Compact(candidates))
	if near == "" || err != nil {
		return "", err
	}
	return service + ":" + near + rest, nil
}

// arn says what is wrong with a pattern of resources; "": nothing.
func (n *names) arn(g ARNGlob) (string, error) {
	if g.any {
		return "", nil
	}
	if p := g.parts[1]; !wild(p) && !slices.Contains(n.Partitions(), p) {
		return unknownPart("partition", g, p, n.Partitions()), nil
	}
	s := g.parts[2]
	if wild(s) || slices.Contains(n.Prefixes(), s) {
		return "", nil
	}
	if n.services == nil {
		var err error
		if n.services, err = n.ARNServices(); err != nil {
			return "", err
		}
	}
	if slices.Contains(n.services, s) {
		return "", nil
	}
	return unknownPart("service", g, s, n.services), nil
}

func unknownPart(what string, g ARNGlob, part string, known []string) string {
	message := fmt.Sprintf("the resource %q matches nothing: no %s in ARNs is %q, as far as the catalog knows", g.text, what, part)
	if near := strictyaml.Nearest(part, known); near != "" {
		message += fmt.Sprintf("; did you mean %s?", near)
	}
	return message
}

func wild(s string) bool { return strings.ContainsAny(s, "*?") }

// verb is the first word of an action's name: Terminate of TerminateInstances.
func verb(name string) string {
	for i, c := range name {
		if i > 0 && c >= 'A' && c <= 'Z' {
			return name[:i]
		}
	}
	return name
}

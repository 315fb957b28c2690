package mask

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
	"github.com/tidwall/match"
)

// ValidatePath checks a rule's mask path: gjson's path syntax, as far as it
// names places in a document. Names, `*` and `?` in names, array indices, `#`,
// `#(query)` and `#(query)#`, and `\` before a special character are understood.
// Modifiers (@), multipaths, literals, pipes and a trailing # compute something
// that is nowhere in the answer, so they are refused.
func ValidatePath(path string) error {
	_, err := parseRulePath(path)
	return err
}

type stepKind int

const (
	nameStep    stepKind = iota // an exact key, or an index on arrays
	patternStep                 // a key with * or ?
	eachStep                    // # : every element
	queryStep                   // #(...) : every element the query is true for
)

type step struct {
	kind stepKind
	text string // key, pattern, or the whole query as gjson writes it
}

// rule is one path of a rule.
type rule struct {
	path  string
	steps []step
	style Style
}

const maxRulePath = 1024

func parseRulePath(path string) (*rule, error) {
	bad := func(format string, args ...any) (*rule, error) {
		return nil, fmt.Errorf("mask path %q: %s", path, fmt.Sprintf(format, args...))
	}
	if path == "" {
		return bad("is empty; name a member, such as SecretString or Item.ssn.S")
	}
	if len(path) > maxRulePath {
		return nil, fmt.Errorf("mask path is longer than %d bytes", maxRulePath)
	}
	r := &rule{path: path}
	for i := 0; ; {
		if i >= len(path) || path[i] == '.' {
			return bad("has an empty step; write \\. for a dot inside a name")
		}
		switch path[i] {
		case '@', '!', '{', '[':
			return bad("%q begins a modifier, literal or multipath, which has no place in the answer; write a path of names, or \\%c for the character itself", path[i], path[i])
		case '#':
			if i+1 < len(path) && path[i+1] == '(' {
				end, err := queryEnd(path, i+1)
				if err != nil {
					return bad("%v", err)
				}
				q := path[i:end]
				if !strings.HasSuffix(q, "#") {
					q += "#"
				}
				r.steps = append(r.steps, step{queryStep, q})
				i = end
			} else {
				i++
				if i == len(path) {
					return bad("ends in #, which is the number of elements; leave it out to mask all of them")
				}
				r.steps = append(r.steps, step{kind: eachStep})
			}
			if i < len(path) && path[i] != '.' {
				return bad("# must be followed by a dot")
			}
		default:
			s, end, err := nameAt(path, i)
			if err != nil {
				return bad("%v", err)
			}
			r.steps = append(r.steps, s)
			i = end
		}
		if i == len(path) {
			return r, nil
		}
		i++ // the dot
	}
}

// nameAt reads one name; escapes are taken off unless it is a pattern, since
// match understands the same escapes.
func nameAt(path string, i int) (step, int, error) {
	start, pattern := i, false
	var plain strings.Builder
	for ; i < len(path) && path[i] != '.'; i++ {
		switch path[i] {
		case '\\':
			if i++; i == len(path) {
				return step{}, 0, fmt.Errorf("ends in a lone \\")
			}
		case '|':
			return step{}, 0, fmt.Errorf("has a pipe; write a dot")
		case '*', '?':
			pattern = true
		}
		plain.WriteByte(path[i])
	}
	if pattern {
		return step{patternStep, path[start:i]}, i, nil
	}
	return step{nameStep, plain.String()}, i, nil
}

// queryEnd returns the end of a #(...) or #(...)# whose ( is at i.
func queryEnd(path string, i int) (int, error) {
	depth, quoted := 0, false
	for ; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '@' || c == '!' && (i+1 >= len(path) || path[i+1] != '=' && path[i+1] != '%'):
			return 0, fmt.Errorf("has a modifier in its query")
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			if depth--; depth == 0 {
				i++
				if i < len(path) && path[i] == '#' {
					i++
				}
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("has a query without its )")
}

// at is a place inside a rule: its step next is the one to match.
type at struct {
	rule *rule
	next int
	// named: the last step matched by its exact name, so that a text below
	// which the path goes on is what the rule means.
	named bool
}

func (a at) done() bool { return a.next == len(a.rule.steps) }

// key returns the place after an object member; pos is false when none matches.
func (a at) key(k string) (at, bool) {
	switch s := a.rule.steps[a.next]; s.kind {
	case nameStep:
		return at{a.rule, a.next + 1, true}, s.text == k
	case patternStep:
		return at{a.rule, a.next + 1, false}, match.Match(k, s.text)
	}
	return at{}, false
}

// element returns the place after an array element. A wildcard takes elements
// too, as in the catalog's paths: a rule that misses is worse than one that
// masks too much.
func (a at) element(i int, raw []byte) (at, bool) {
	n := at{a.rule, a.next + 1, false}
	switch s := a.rule.steps[a.next]; s.kind {
	case eachStep:
		return n, true
	case nameStep:
		return n, s.text == strconv.Itoa(i)
	case patternStep:
		return n, match.Match(strconv.Itoa(i), s.text)
	case queryStep:
		doc := make([]byte, 0, len(raw)+2)
		doc = append(append(append(doc, '['), raw...), ']')
		return n, len(gjson.GetBytes(doc, s.text).Array()) > 0
	}
	return at{}, false
}

// child appends the places that a child element leads to. XML does not say
// which elements are lists, and a list may or may not have an element around
// its items, so an index, # or query takes any one element or none. All elements
// count: no query is asked.
func (a at) child(name string, out []at) []at {
	for ; !a.done(); a.next++ {
		s := a.rule.steps[a.next]
		n := at{a.rule, a.next + 1, s.kind == nameStep}
		if s.skippable() {
			out = append(out, at{a.rule, a.next + 1, false})
			continue
		}
		if s.kind == nameStep && s.text == name || s.kind == patternStep && match.Match(name, s.text) {
			out = append(out, n)
		}
		return out
	}
	return out
}

func (s step) skippable() bool {
	if s.kind == eachStep || s.kind == queryStep {
		return true
	}
	if s.kind != nameStep {
		return false
	}
	_, err := strconv.Atoi(s.text)
	return err == nil
}

func (a at) doneXML() bool {
	for _, s := range a.rule.steps[a.next:] {
		if !s.skippable() {
			return false
		}
	}
	return true
}

package class

import (
	"slices"
	"strings"
)

// lookup finds the classes of an operation: whole names by map, globs in turn.
type lookup struct {
	names map[string][]Class // service:Operation
	globs map[string][]glob  // by service, "*" for all
}

type glob struct {
	pattern string
	class   Class
}

func newLookup(tables map[Class]table) *lookup {
	l := &lookup{names: map[string][]Class{}, globs: map[string][]glob{}}
	for c, t := range tables {
		for _, r := range t {
			for op := range strings.FieldsSeq(r.operations) {
				if r.service == "*" || strings.Contains(op, "*") {
					l.globs[r.service] = append(l.globs[r.service], glob{op, c})
					continue
				}
				l.names[r.service+":"+op] = append(l.names[r.service+":"+op], c)
			}
		}
	}
	return l
}

// of returns a slice of the caller's own, sorted, each class once.
func (l *lookup) of(service, operation string) []Class {
	out := slices.Clone(l.names[service+":"+operation])
	for _, list := range [][]glob{l.globs[service], l.globs["*"]} {
		for _, g := range list {
			if matches(g.pattern, operation) {
				out = append(out, g.class)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// matches reports that name is in pattern's language; `*` is any text.
func matches(pattern, name string) bool {
	head, rest, ok := strings.Cut(pattern, "*")
	if !ok {
		return pattern == name
	}
	if !strings.HasPrefix(name, head) {
		return false
	}
	name = name[len(head):]
	for {
		var part string
		part, rest, ok = strings.Cut(rest, "*")
		if !ok {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
}

// Package strictyaml reads YAML files that people write by hand into structs, and
// says everything that is wrong with one at once, each with file, line and column.
//
// It accepts one document whose root is a mapping, and fields of the types bool,
// string, int, int64, float64, time.Duration ("60s"), Size ("16MiB"), HostPort,
// URL, netip.Prefix (CIDR), anything with UnmarshalText, structs with `yaml` tags,
// pointers, slices and maps with string keys. It refuses unknown and duplicate
// keys, keys without a value (a list whose entries were all commented out must
// not come to mean "any"), a second document, anchors, aliases, merge keys and
// tags of the author's own (with them go the expansion bombs), and text that is
// too long or nested too deeply.
package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File    string
	Line    int    // from 1; 0 where the problem is the whole file's
	Column  int    // from 1; 0 unknown
	Path    string // the key: targets.dev.role_arn, rules[2].name; "" is the root
	Message string // what is wrong and how to mend it
}

// String is "file:line:column: path: message", without the parts that are unknown.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	return b.String() + p.Message
}

// Problems is an error with one line per problem.
type Problems []Problem

// Error joins the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Sort orders by file (in the order in which they first appear), line and column.
func (ps Problems) Sort() {
	order := map[string]int{}
	for _, p := range ps {
		if _, ok := order[p.File]; !ok {
			order[p.File] = len(order)
		}
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Err returns the problems as an error, sorted, or nil when there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	ps.Sort()
	return ps
}

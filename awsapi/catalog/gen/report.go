package main

import (
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/awsapi/class"
)

// writeReport says what a maintainer has to look at: services and operations that
// came, went or changed, operations whose IAM action nobody documents, and those
// that look as if they were of a class and are not classed.
func writeReport(w io.Writer, before, after *catalog.Catalog) error {
	old, err := operations(before)
	if err != nil {
		return err
	}
	now, err := operations(after)
	if err != nil {
		return err
	}
	var added, removed, changed, unknown, suspects []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		o, was := old[name]
		n := now[name]
		switch {
		case !was:
			added = append(added, name)
			if len(n.detail.IAM) == 0 && n.detail.IAMNote == "" && !n.op.Permissionless {
				unknown = append(unknown, name)
			}
		case !reflect.DeepEqual(o.op, n.op):
			changed = append(changed, name+": bound to HTTP in another way")
		case !reflect.DeepEqual(actions(o.detail), actions(n.detail)):
			changed = append(changed, fmt.Sprintf("%s: needed %v, needs %v", name, actions(o.detail), actions(n.detail)))
		case !reflect.DeepEqual(o.detail, n.detail):
			changed = append(changed, name+": resources or secret members")
		}
		for _, s := range class.Suspects(n.service, n.operation, n.detail) {
			suspects = append(suspects, s.String())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if _, is := now[name]; !is {
			removed = append(removed, name)
		}
	}
	_, err = fmt.Fprintf(w, "%d services and %d operations (before: %d and %d)\n", len(after.Services), len(now), len(before.Services), len(old))
	for _, part := range []struct {
		title string
		lines []string
	}{{"new", added}, {"gone", removed}, {"changed", changed}, {"new, and no IAM action is known", unknown}, {"to be classed or excused in awsapi/class", suspects}} {
		if err == nil {
			_, err = fmt.Fprintf(w, "%s: %d\n", part.title, len(part.lines))
		}
		for _, l := range part.lines {
			if err == nil {
				_, err = fmt.Fprintf(w, "  %s\n", l)
			}
		}
	}
	return err
}

// fact is what is known of one operation.
type fact struct {
	service, operation string
	op                 *catalog.Operation
	detail             *catalog.Detail
}

func operations(c *catalog.Catalog) (map[string]fact, error) {
	out := map[string]fact{}
	for i := range c.Services {
		s, err := c.Service(i)
		if err != nil {
			return nil, err
		}
		for name, op := range s.Operations {
			d, err := s.Detail(name)
			if err != nil {
				return nil, err
			}
			out[s.ID+":"+name] = fact{s.ID, name, op, d}
		}
	}
	return out, nil
}

// actions are an operation's IAM actions with their levels.
func actions(d *catalog.Detail) []string {
	out := make([]string, 0, len(d.IAM))
	for _, a := range d.IAM {
		out = append(out, a.Action+" ("+a.Level+")")
	}
	return out
}

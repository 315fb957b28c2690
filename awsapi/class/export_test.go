package class

import "strings"

// Matches is for tests.
var Matches = matches

// Excuses are the tables of what is not of a class, for tests.
func Excuses() []Entry {
	var out []Entry
	add := func(c Class, t table) {
		for _, r := range t {
			for op := range strings.FieldsSeq(r.operations) {
				out = append(out, Entry{c, r.service, op, r.reason})
			}
		}
	}
	add(Destroys, harmless)
	for c, t := range notSo {
		add(c, t)
	}
	return out
}

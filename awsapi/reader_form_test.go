package awsapi_test

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// dotted is a parameter of a form with what is left of its name.
type dotted struct {
	names []string
	value string
}

// step is what parameters with one name or number in common lead to.
type step struct {
	key   string
	shape int32
	list  []dotted
}

// form reads dotted keys.
func (u *under) form(calls []param) {
	var list []dotted
	for _, p := range calls {
		if !u.same(p.key, "Action") && !u.same(p.key, "Version") {
			list = append(list, dotted{strings.Split(p.key, "."), p.value})
		}
	}
	u.dots("", *u.of.op.Input, list)
}

// dots gathers what list says of the value at path.
func (u *under) dots(path string, shape int32, list []dotted) {
	sh := u.shapes.At(shape)
	var values []string
	var steps []step
	for _, p := range list {
		if len(p.names) == 0 {
			values = append(values, p.value)
			continue
		}
		var s step
		var rest []string
		switch {
		case sh.IsList(), sh.IsMap():
			s.shape = sh.Of
			s.key, rest = u.number(sh, p.names)
		default:
			s.key, s.shape = u.parameter(path, sh, p)
			rest = p.names[1:]
		}
		i := slices.IndexFunc(steps, func(o step) bool { return o.key == s.key })
		if i < 0 {
			i, steps = len(steps), append(steps, s)
		}
		steps[i].list = append(steps[i].list, dotted{rest, p.value})
	}
	if len(values) > 0 {
		// An empty list or structure is sent as a name without a value.
		if v := one(u.reader, values); v != "" || sh.IsScalar() || sh.Kind == catalog.Document {
			u.add(path, shape, v)
		}
	}
	for _, s := range steps {
		switch {
		case sh.IsList() && isNumber(s.key):
			u.dots(path, s.shape, s.list)
		case sh.IsMap() && isNumber(s.key):
			u.formEntry(path, sh, s.list)
		default:
			u.dots(below(path, s.key), s.shape, s.list)
		}
	}
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// number takes the number of an element off names, with the word before it. The
// exact reader must find the word that belongs there, and numbers in another
// spelling are other elements to it.
func (u *under) number(sh catalog.Shape, names []string) (key string, rest []string) {
	word := ""
	switch sh.Kind {
	case catalog.List:
		word = u.shapes.Element(sh)
	case catalog.Map:
		word = "entry"
	}
	switch {
	case len(names) > 1 && word != "" && u.same(names[0], word),
		len(names) > 1 && u.lax && slices.ContainsFunc([]string{"member", "entry", "item"}, func(w string) bool { return strings.EqualFold(w, names[0]) }):
		names = names[1:]
	case word != "" && !u.lax:
		return names[0] + "?", names[1:]
	}
	n, err := strconv.Atoi(strings.TrimSpace(names[0]))
	if err != nil {
		return names[0] + "?", names[1:]
	}
	if u.lax {
		return strconv.Itoa(n), names[1:]
	}
	return names[0], names[1:]
}

// parameter is the member that a parameter's next name is. The model of SQS has only
// the names of its JSON protocol, and clients know those of its query protocol.
func (u *under) parameter(path string, sh catalog.Shape, p dotted) (string, int32) {
	name := p.names[0]
	got, shape := u.member(sh, name)
	if shape != unknown || sh.Kind != catalog.Structure {
		return got, shape
	}
	for _, m := range u.shapes.Members(sh) {
		old := u.of.svc.ID == "sqs" && path == "" && (u.same(name+"s", m.Wire) || strings.EqualFold(name, "Tag") && m.Wire == "tags" ||
			name == "ActionName" && m.Wire == "Actions" || strings.HasSuffix(name, "BatchRequestEntry") && m.Wire == "Entries")
		empty := m.Name == name && len(p.names) == 1 && p.value == "" && u.shapes.At(m.Shape).IsList() // as botocore sends it
		if old || empty {
			return m.Name, m.Shape
		}
	}
	return got, shape
}

// formEntry gathers the value of a map's entry below its key.
func (u *under) formEntry(path string, sh catalog.Shape, list []dotted) {
	keyName, valueName := u.shapes.Entry(sh)
	is := func(p dotted, names ...string) bool {
		return len(p.names) > 0 && slices.ContainsFunc(names, func(n string) bool { return u.same(p.names[0], n) })
	}
	keys, values := []string{keyName}, []string{valueName}
	if u.of.svc.ID == "sqs" {
		keys, values = append(keys, "Name", "Key"), append(values, "Value")
	}
	var names []string
	var rest []dotted
	for _, p := range list {
		switch {
		case is(p, keys...) && len(p.names) == 1:
			names = append(names, p.value)
		case is(p, values...):
			rest = append(rest, dotted{p.names[1:], p.value})
		default:
			u.add(path+".?", unknown, p.value)
		}
	}
	if len(names) == 0 {
		names = []string{"?"}
	}
	u.dots(below(path, one(u.reader, names)), sh.Of, rest)
}

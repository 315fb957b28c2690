package awsapi

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

const maxFormDepth = 32

// readForm reads the dotted keys of a query-protocol form into the root (AWS Query
// and EC2 Query protocols): A.B=1 is {A: {B: 1}}, A.member.1=x and A.1=x are
// {A: [x]}, A.entry.1.key=k with A.entry.1.value=v is {A: {k: v}}.
func (d *document) readForm(pairs []pair, aliases map[string][]string) error {
	f := formReader{document: d, aliases: aliases}
	for _, p := range pairs {
		if p.key == "Action" || p.key == "Version" || formAuth[p.key] {
			continue
		}
		if err := f.put(p); err != nil {
			return err
		}
	}
	return f.finish(0)
}

// formReader builds the tree. Until finish, the children of a list or map are named
// by their numbers.
type formReader struct {
	*document
	aliases map[string][]string        // names on the wire that the shapes do not have -> members
	wide    map[int32]map[string]int32 // children by name, of parents that have many
}

func clash(p pair) error {
	return refusal.New(refusal.Malformed, "the form's parameter %q is both a value and a structure, or of another type than its member", clip(p.key))
}

// put follows a key from the root and adds what is not there yet.
func (f *formReader) put(p pair) error {
	if strings.Contains(p.key, "..") || p.key[0] == '.' || strings.HasSuffix(p.key, ".") {
		return refusal.New(refusal.Malformed, "the form's parameter %q has an empty name between its dots", clip(p.key))
	}
	at, rest, depth, found := int32(0), p.key, 0, false
	for rest != "" {
		if depth++; depth > maxFormDepth {
			return refusal.New(refusal.Malformed, "the form's parameter %q is nested more than %d deep", clip(p.key), maxFormDepth)
		}
		if f.nodes[at].kind != objectNode { // a value, or empty
			return clash(p)
		}
		n, after, err := f.step(at, rest, p)
		if err != nil {
			return err
		}
		next := f.find(at, n.name)
		if found = next != 0; !found {
			if next, err = f.insert(at, n); err != nil {
				return err
			}
		}
		at, rest = next, after
	}
	if found {
		return clash(p)
	}
	n, sh := &f.nodes[at], f.shapeOf(at)
	switch {
	case sh.IsScalar() || sh.Kind == catalog.Document && n.shape > isEntry:
		*n = f.scalar(n.name, p.value, n.shape)
	case p.value != "":
		return clash(p)
	default: // an empty list or structure is sent as NAME=
		n.kind = listNode
		if sh.Kind == catalog.Structure || sh.IsMap() {
			n.kind = nullNode
		}
	}
	return nil
}

// step takes the next name off rest: a member's, or the number of an element with
// the words around it.
func (f *formReader) step(at int32, rest string, p pair) (n node, after string, err error) {
	sh := f.shapeOf(at)
	name, after, _ := strings.Cut(rest, ".")
	switch {
	case sh.IsScalar():
		return n, "", clash(p)
	case f.nodes[at].shape <= isEntry:
		of := f.shapes.At(isEntry - f.nodes[at].shape)
		key, value := f.shapes.Entry(of)
		switch name = f.entryName(name); name {
		case key:
			return node{name: name, kind: objectNode, shape: noShape}, after, nil
		case value:
			return node{name: name, kind: objectNode, shape: of.Of}, after, nil
		}
		return n, "", refusal.New(refusal.Malformed, "the form's parameter %q must have %s or %s in place of %q", clip(p.key), key, value, clip(name))
	case sh.IsList() || sh.IsMap():
		word := ""
		switch sh.Kind {
		case catalog.List:
			word = f.shapes.Element(sh)
		case catalog.Map:
			word = "entry"
		}
		if word != "" {
			if name != word {
				return n, "", refusal.New(refusal.Malformed, "the form's parameter %q must have %s in place of %q", clip(p.key), word, clip(name))
			}
			name, after, _ = strings.Cut(after, ".")
		}
		if !isIndex(name) {
			return n, "", refusal.New(refusal.Malformed, "the form's parameter %q must have a number from 1 on in place of %q", clip(p.key), clip(name))
		}
		n = node{name: name, kind: objectNode, shape: sh.Of}
		if sh.IsMap() {
			n.shape = isEntry - f.nodes[at].shape
		}
		return n, after, nil
	}
	n = node{kind: objectNode}
	for _, alias := range f.aliases[name] {
		for _, m := range f.shapes.Members(sh) {
			if m.Name == alias && at == 0 {
				n.name, n.shape = m.Name, m.Shape
				return n, after, nil
			}
		}
	}
	if after == "" && p.value == "" {
		// botocore sends an empty list under the model's name.
		for _, m := range f.shapes.Members(sh) {
			if m.Name == name && f.shapes.At(m.Shape).IsList() {
				n.name, n.shape = m.Name, m.Shape
				return n, after, nil
			}
		}
	}
	n.name, n.shape, err = f.member(at, name)
	return n, after, err
}

// entryName is key for Name and value for Value, where the service's old names are
// read: SQS's maps had them.
func (f *formReader) entryName(name string) string {
	if f.aliases != nil && (name == "Name" || name == "Key") {
		return "key"
	}
	if f.aliases != nil && name == "Value" {
		return "value"
	}
	return name
}

// many is from how many children on a parent gets a map.
const many = 32

func (f *formReader) find(parent int32, name string) int32 {
	if last := f.nodes[parent].last; last != 0 && f.nodes[last].name == name {
		return last // keys come in order
	}
	if m := f.wide[parent]; m != nil {
		return m[name]
	}
	return f.child(parent, name)
}

func (f *formReader) insert(parent int32, n node) (int32, error) {
	i, err := f.add(parent, n)
	if err != nil {
		return 0, err
	}
	if m := f.wide[parent]; m != nil {
		m[n.name] = i
		return i, nil
	}
	count := 0
	for c := f.nodes[parent].first; c != 0 && count <= many; c = f.nodes[c].next {
		count++
	}
	if count > many {
		m := map[string]int32{}
		for c := f.nodes[parent].first; c != 0; c = f.nodes[c].next {
			m[f.nodes[c].name] = c
		}
		if f.wide == nil {
			f.wide = map[int32]map[string]int32{}
		}
		f.wide[parent] = m
	}
	return i, nil
}

// finish makes lists and maps of what is numbered, below and including at.
func (f *formReader) finish(at int32) error {
	sh := f.shapeOf(at)
	switch {
	case sh.IsList():
		f.nodes[at].kind = listNode
		f.sort(at)
		for c := f.nodes[at].first; c != 0; c = f.nodes[c].next {
			f.nodes[c].name = ""
		}
	case sh.IsMap():
		f.sort(at)
		if err := f.entries(at, sh); err != nil {
			return err
		}
	}
	for c := f.nodes[at].first; c != 0; c = f.nodes[c].next {
		if err := f.finish(c); err != nil {
			return err
		}
	}
	return nil
}

// sort orders numbered children, which clients send in order.
func (f *formReader) sort(at int32) {
	var list []int32
	inOrder, prev := true, 0
	for c := f.nodes[at].first; c != 0; c = f.nodes[c].next {
		n, _ := strconv.Atoi(f.nodes[c].name)
		inOrder = inOrder && n > prev
		prev = n
		list = append(list, c)
	}
	if inOrder {
		return
	}
	slices.SortFunc(list, func(a, b int32) int {
		x, _ := strconv.Atoi(f.nodes[a].name)
		y, _ := strconv.Atoi(f.nodes[b].name)
		return x - y
	})
	f.nodes[at].first, f.nodes[at].last = 0, 0
	for _, c := range list {
		f.nodes[c].next = 0
		f.link(at, c)
	}
}

// isIndex accepts an element's number as clients write it: from 1 on, no leading
// zero.
func isIndex(s string) bool {
	if s == "" || len(s) > 6 || s[0] == '0' {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

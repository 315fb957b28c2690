package awsapi_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// encode writes n as JSON, in the order and with the duplicates that it has.
func encode(b *strings.Builder, n node, rng *rand.Rand) {
	str := func(s string) {
		j, _ := json.Marshal(s)
		b.Write(j)
	}
	switch {
	case n.leaf && n.quote:
		str(n.text)
	case n.leaf, n.list && n.text != "":
		b.WriteString(n.text)
	case n.list:
		b.WriteByte('[')
		for i, k := range n.kids {
			if i > 0 {
				b.WriteByte(',')
			}
			encode(b, k, rng)
		}
		b.WriteByte(']')
	default:
		b.WriteByte('{')
		for i, k := range n.kids {
			if i > 0 {
				b.WriteByte(',')
			}
			if name, marked := unescaped(n.names[i]); marked {
				at := rng.IntN(len(name))
				fmt.Fprintf(b, `"%s\u%04x%s"`, name[:at], name[at], name[at+1:])
			} else {
				str(name)
			}
			b.WriteByte(':')
			encode(b, k, rng)
		}
		b.WriteByte('}')
	}
}

const escaped = "\x00escape:" // marks a name that is written in another way: with an escape, in pieces

func unescaped(name string) (string, bool) { return strings.CutPrefix(name, escaped) }

// changeJSON changes one object of the body, at any depth.
func changeJSON(m *mutant, rng *rand.Rand, change func(n *node, i int)) bool {
	if !m.hasJSON() {
		return false
	}
	root, err := readJSON(m.body)
	if err != nil {
		return false
	}
	n, i, ok := pickName(rng, &root)
	if !ok {
		return false
	}
	change(n, i)
	var b strings.Builder
	encode(&b, root, rng)
	m.setBody([]byte(b.String()))
	return true
}

// pickName picks a name of an object at any depth, of the root half of the time.
func pickName(rng *rand.Rand, root *node) (*node, int, bool) {
	var objects []*node
	var walk func(n *node)
	walk = func(n *node) {
		if len(n.names) > 0 {
			objects = append(objects, n)
		}
		for i := range n.kids {
			walk(&n.kids[i])
		}
	}
	walk(root)
	if len(objects) == 0 {
		return nil, 0, false
	}
	n := objects[rng.IntN(len(objects))]
	if rng.IntN(2) == 0 {
		n = objects[0]
	}
	i := rng.IntN(len(n.names))
	return n, i, n.names[i] != ""
}

// other is another value than n.
func other(n node) node {
	if n.leaf && n.quote {
		return node{leaf: true, quote: true, text: n.text + "x"}
	}
	return node{leaf: true, quote: true, text: "other"}
}

// insert adds a name and value to an object, anywhere.
func insert(rng *rand.Rand, n *node, name string, kid node) {
	i := rng.IntN(len(n.names) + 1)
	n.names, n.kids = slices.Insert(n.names, i, name), slices.Insert(n.kids, i, kid)
}

// jsonChanges are of JSON bodies.
var jsonChanges = []change{
	{"JSON key twice", func(m *mutant, rng *rand.Rand) bool {
		return changeJSON(m, rng, func(n *node, i int) { insert(rng, n, n.names[i], other(n.kids[i])) })
	}},
	{"JSON key twice, escaped", func(m *mutant, rng *rand.Rand) bool {
		return changeJSON(m, rng, func(n *node, i int) { insert(rng, n, escaped+n.names[i], other(n.kids[i])) })
	}},
	{"JSON key twice, other case", func(m *mutant, rng *rand.Rand) bool {
		return changeJSON(m, rng, func(n *node, i int) {
			if k := turnCase(rng, n.names[i]); k != n.names[i] {
				insert(rng, n, k, other(n.kids[i]))
			}
		})
	}},
	{"JSON key in other case", func(m *mutant, rng *rand.Rand) bool {
		return changeJSON(m, rng, func(n *node, i int) { n.names[i] = turnCase(rng, n.names[i]) })
	}},
	{"JSON key escaped", func(m *mutant, rng *rand.Rand) bool {
		return changeJSON(m, rng, func(n *node, i int) { n.names[i] = escaped + n.names[i] })
	}},
	{"JSON key added", func(m *mutant, rng *rand.Rand) bool {
		return changeJSON(m, rng, func(n *node, i int) {
			insert(rng, n, pickOne(rng, "Action", "x", "Bucket", "Name", "Arn", "ResourceArn", "Id", "__type", "FunctionName", n.names[i]+" ", n.names[i]+"\u0000", "\ufeff"+n.names[i], n.names[i]+"\u200b"), other(n.kids[i]))
		})
	}},
	{"JSON value of another kind", func(m *mutant, rng *rand.Rand) bool {
		return changeJSON(m, rng, func(n *node, i int) {
			n.kids[i] = pickOne(rng, node{list: true, kids: []node{n.kids[i], other(n.kids[i])}}, node{names: []string{"x"}, kids: []node{n.kids[i]}}, node{leaf: true, text: "1e400"},
				node{leaf: true, text: "12345678901234567890"}, node{list: true, text: "null"}, node{list: true, text: "true"}, node{leaf: true, text: "NaN"}, node{leaf: true, text: "01"})
		})
	}},
	{"wildcards", func(m *mutant, rng *rand.Rand) bool {
		w := pickOne(rng, "*", "?", "${aws:username}", "%2A", "%3F")
		switch rng.IntN(3) {
		case 0:
			return changeJSON(m, rng, func(n *node, i int) {
				if n.kids[i].quote {
					n.kids[i].text += w
				}
			})
		case 1:
			return changeParam(m, rng, func(k, v string) string {
				return k + "=" + v + strings.NewReplacer("?", "%3F", "{", "%7B", "}", "%7D").Replace(w)
			})
		}
		m.path += strings.NewReplacer("?", "%3F", "{", "%7B", "}", "%7D").Replace(w)
		return true
	}},
}

package catalog

import (
	"encoding/json"
	"slices"
	"strings"
)

// Pairs is a small map of strings, sorted by key: a tenth of a Go map's memory, and
// there are some for each of 18,000 operations.
type Pairs []Pair

// Pair is one entry.
type Pair struct{ Key, Value string }

// Get is the value of a key, "" where there is none.
func (p Pairs) Get(key string) string {
	for i := range p {
		if p[i].Key == key {
			return p[i].Value
		}
	}
	return ""
}

// UnmarshalJSON reads an object of strings.
func (p *Pairs) UnmarshalJSON(b []byte) error {
	var m map[string]string
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*p = make(Pairs, 0, len(m))
	for k, v := range m {
		*p = append(*p, Pair{k, v})
	}
	slices.SortFunc(*p, func(a, b Pair) int { return strings.Compare(a.Key, b.Key) })
	return nil
}

// Bindings are the query parameters or headers that carry members, sorted by their
// names on the wire.
type Bindings []Binding

// Get is the binding of a name.
func (b Bindings) Get(wire string) (Binding, bool) {
	for i := range b {
		if b[i].Wire == wire {
			return b[i], true
		}
	}
	return Binding{}, false
}

// UnmarshalJSON reads an object of bindings by name.
func (b *Bindings) UnmarshalJSON(text []byte) error {
	var m map[string]Binding
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	*b = make(Bindings, 0, len(m))
	for wire, v := range m {
		v.Wire = wire
		*b = append(*b, v)
	}
	slices.SortFunc(*b, func(x, y Binding) int { return strings.Compare(x.Wire, y.Wire) })
	return nil
}

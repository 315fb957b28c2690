package mask

// docWalk is what the readers of JSON and CBOR share: one pass over the bytes of a
// document of maps and arrays, which collects edits.
type docWalk struct {
	*walk
	src   []byte
	edits []edit
	err   error
	names map[string]string // map keys that were seen, and found clean
}

// spot is where a value stands, as far as masking needs to know it.
type spot struct {
	nodes []*node
	rules []at
	all   *mark // everything here is masked
	mute  bool  // dropped anyway: only read
	label
	number bool // a DynamoDB number, which is text
}

// fail ends the walk: every loop asks whether what it called got on.
func (w *docWalk) fail(err error) int {
	if w.err == nil {
		w.err = err
	}
	return len(w.src)
}

// below is the spot of the member key.
func (w *docWalk) below(s spot, key []byte) spot {
	here := spot{all: s.all, mute: s.mute, number: string(key) == "N" || string(key) == "NS"}
	if w.looks() {
		here.label = newLabel(w.name(key))
		here.open = s.open
		if dynamoType(here.name) && s.name != "" {
			here.label = s.label
		}
	}
	if s.all != nil {
		here.all = s.all.inner()
		return here
	}
	for _, n := range s.nodes {
		here.nodes = n.next(key, here.nodes)
	}
	for _, r := range s.rules {
		if a, ok := r.key(string(key)); ok {
			here.rules = append(here.rules, a)
		}
	}
	return here
}

// drops reports that the value at s is taken out, and makes it one that is only read.
func (w *docWalk) drops(s *spot) bool {
	if s.mute || s.all != nil || len(s.nodes) == 0 && len(s.rules) == 0 {
		return false
	}
	drop := w.style == Drop && marks(s.nodes) != nil
	for _, r := range s.rules {
		drop = drop || r.done() && r.rule.style == Drop
	}
	if drop {
		w.marked(s.nodes, s.rules, at.done)
		*s = spot{mute: true}
	}
	return drop
}

// clean reports that the same key was looked at before.
func (w *docWalk) clean(key []byte) bool {
	if w.names == nil {
		w.names = map[string]string{}
	}
	_, ok := w.names[string(key)]
	return ok
}

// name is the key as a string, without a new one for each member of a long list.
func (w *docWalk) name(key []byte) string {
	if s, ok := w.names[string(key)]; ok {
		return s
	}
	return string(key)
}

func (w *docWalk) replace(start, end int, text []byte) {
	w.edits = append(w.edits, edit{start, end, text})
}

// dynamoType reports that a key is a type letter of DynamoDB's attribute values:
// what it holds is known by the attribute's name around it.
func dynamoType(key string) bool {
	switch key {
	case "S", "N", "B", "SS", "NS", "BS", "M", "L":
		return true
	}
	return false
}

// nameName and valueName are the members of {"Name": "API_KEY", "Value": "..."}.
func nameName(key []byte) bool {
	switch string(key) {
	case "name", "Name", "key", "Key", "ParameterKey", "OutputKey", "ParameterName":
		return true
	}
	return false
}

func valueName(key []byte) bool {
	switch string(key) {
	case "value", "Value", "ParameterValue", "OutputValue":
		return true
	}
	return false
}

package mask

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

var errNotJSON = errors.New("it is not one JSON document in UTF-8")

// jsonWalk reads one JSON document (RFC 8259, as strictly as encoding/json) in one
// pass and collects edits.
type jsonWalk struct {
	docWalk
	nested int // documents in whose texts this one stands
}

// json returns the edits of one document.
func (w *walk) json(src []byte, nodes []*node, rules []at, nested int) ([]edit, error) {
	if !utf8.Valid(src) {
		return nil, errNotJSON
	}
	j := &jsonWalk{docWalk: docWalk{walk: w, src: src}, nested: nested}
	i := j.value(j.space(0), spot{nodes: nodes, rules: rules}, 0)
	if j.err == nil && j.space(i) != len(src) {
		j.err = errNotJSON
	}
	if j.err != nil {
		return nil, j.err
	}
	return j.edits, nil
}

// at is the byte at i, and 0 (which no document has outside strings) behind the end.
func (w *jsonWalk) at(i int) byte {
	if i < len(w.src) {
		return w.src[i]
	}
	return 0
}

// value handles the value at i and returns its end.
func (w *jsonWalk) value(i int, s spot, depth int) int {
	if depth > maxDepth {
		return w.fail(errDeep)
	}
	if s.all == nil && !s.mute && (len(s.nodes) > 0 || len(s.rules) > 0) {
		s.open = s.open || opens(s.nodes)
		if m, ok := w.marked(s.nodes, s.rules, at.done); ok {
			s.all = &m
		}
	}
	switch c := w.at(i); {
	case c == '{':
		return w.object(i, s, depth)
	case c == '[':
		return w.array(i, s, depth)
	case c == '"':
		end := w.str(i)
		if w.err == nil && !s.mute {
			w.text(i, end, s)
		}
		return end
	case c == 't':
		return w.literal(i, "true", s)
	case c == 'f':
		return w.literal(i, "false", s)
	case c == 'n':
		return w.literal(i, "null", s)
	case c == '-' || c >= '0' && c <= '9':
		end := w.number(i)
		if s.all != nil && !s.mute {
			w.replace(i, end, []byte("0"))
		}
		return end
	}
	return w.fail(errNotJSON)
}

func (w *jsonWalk) object(i int, s spot, depth int) int {
	var keys *node
	for _, n := range s.nodes {
		if n.keys && s.all == nil {
			keys = n
		}
	}
	kept, first := i+1, len(w.edits) // end of the last member that stays, edits before it
	named := ""                      // the text of a name member, for the value beside it
	if i = w.space(i + 1); w.at(i) == '}' {
		return i + 1
	}
	for ordinal := 0; ; ordinal++ {
		start, end := i, w.str(i)
		if w.err != nil {
			return end
		}
		key := w.src[start+1 : end-1]
		if escaped(key) {
			key, _ = decode(key)
		}
		here := w.below(s, key)
		if named != "" && valueName(key) {
			here.context = named
		}
		dropped := w.drops(&here)
		if !s.mute && !dropped {
			w.key(start, end, key, ordinal, s, keys)
		}
		i = w.space(end)
		if w.at(i) != ':' {
			return w.fail(errNotJSON)
		}
		i = w.space(i + 1)
		if w.looks() && named == "" && nameName(key) && w.at(i) == '"' {
			if to := w.str(i); w.err == nil {
				named = string(unquote(w.src[i:to]))
			}
		}
		end = w.value(i, here, depth+1)
		if w.err != nil {
			return end
		}
		i = w.space(end)
		c := w.at(i)
		switch {
		case dropped && c == ',':
			w.edits = append(w.edits, edit{start, w.space(i + 1), nil})
		case dropped:
			// Nothing follows: the comma before goes too, and whatever was dropped since.
			w.edits = append(w.edits[:first], edit{kept, end, nil})
		default:
			kept, first = end, len(w.edits)
		}
		switch c {
		case ',':
			i = w.space(i + 1)
		case '}':
			return i + 1
		default:
			return w.fail(errNotJSON)
		}
	}
}

func (w *jsonWalk) array(i int, s spot, depth int) int {
	here := spot{all: s.all, mute: s.mute, label: s.label, number: s.number}
	if s.all != nil {
		here.all = s.all.inner()
	}
	for _, n := range s.nodes {
		if s.all == nil {
			here.nodes = n.next([]byte("*"), here.nodes)
		}
	}
	if i = w.space(i + 1); w.at(i) == ']' {
		return i + 1
	}
	for ordinal := 0; ; ordinal++ {
		if s.all == nil && len(s.rules) > 0 {
			end := w.skim(i, depth+1)
			if w.err != nil {
				return end
			}
			here.rules = nil
			for _, r := range s.rules {
				if a, ok := r.element(ordinal, w.src[i:end]); ok {
					here.rules = append(here.rules, a)
				}
			}
		}
		i = w.value(i, here, depth+1)
		if w.err != nil {
			return i
		}
		i = w.space(i)
		switch w.at(i) {
		case ',':
			i = w.space(i + 1)
		case ']':
			return i + 1
		default:
			return w.fail(errNotJSON)
		}
	}
}

// skim reads the value at i and changes nothing.
func (w *jsonWalk) skim(i, depth int) int { return w.value(i, spot{mute: true}, depth) }

// text handles the string src[i:end].
func (w *jsonWalk) text(i, end int, s spot) {
	in := w.src[i+1 : end-1]
	if len(in) == 0 {
		return
	}
	if s.all != nil {
		w.replace(i, end, quote(w.stringFor(unquote(w.src[i:end]), s), true))
		return
	}
	if len(s.rules) == 0 {
		if !w.looks() {
			return
		}
		if escaped(in) {
			in, _ = decode(in)
		}
		if out, changed := w.detect(s.label, in); changed {
			w.replace(i, end, quote(string(out), true))
		}
		return
	}
	plain, offsets := decode(in)
	edits, whole := w.inText(plain, s.rules, s.label, w.nested)
	if whole != "" {
		w.replace(i, end, quote(whole, true))
	}
	for _, e := range edits {
		w.replace(i+1+offsets[e.start], i+1+offsets[e.end], quote(string(e.text), false))
	}
}

// stringFor is what stands for a JSON string. DynamoDB writes numbers as text under
// N and NS, and SDKs fail on a number that is none.
func (w *jsonWalk) stringFor(text []byte, s spot) string {
	if s.all.typ == "" && s.number {
		if _, err := strconv.ParseFloat(string(text), 64); err == nil {
			return "0"
		}
	}
	return w.swap.text(text, s.all.typ, s.all.style)
}

// key masks the key src[i:end] of a map whose keys are data and marked, or which a
// detector finds. A structure's keys are names.
func (w *jsonWalk) key(i, end int, key []byte, ordinal int, s spot, keys *node) {
	switch {
	case keys != nil:
		w.found.add(keys.label, SourceAWS, "")
	case s.all != nil && s.all.typ == "map":
	case s.all == nil && w.looks() && !w.clean(key):
		if out, changed := w.detect(label{open: s.open}, key); changed {
			w.replace(i, end, quote(string(out)+"-"+strconv.Itoa(ordinal+1), true))
		} else {
			w.names[string(key)] = string(key)
		}
		return
	default:
		return
	}
	w.replace(i, end, quote(ordinalToken(ordinal), true))
}

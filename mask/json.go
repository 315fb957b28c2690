package mask

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

var (
	errNotJSON = errors.New("the answer is not one JSON document in UTF-8")
	errDeep    = errors.New("the answer is nested too deeply")
)

const (
	maxDepth  = 1000 // of one document
	maxNested = 8    // of JSON text inside strings inside JSON text
)

// edit replaces src[start:end].
type edit struct {
	start, end int
	text       []byte
}

// apply makes the edits, which are in order and do not overlap.
func apply(src []byte, edits []edit) []byte {
	if len(edits) == 0 {
		return src
	}
	out := make([]byte, 0, len(src)+64*len(edits))
	last := 0
	for _, e := range edits {
		out = append(append(out, src[last:e.start]...), e.text...)
		last = e.end
	}
	return append(out, src[last:]...)
}

// jsonWalk walks one valid JSON document and collects edits. It trusts that the
// text is valid and checks only depth.
type jsonWalk struct {
	src    []byte
	edits  []edit
	found  *findings
	nested int
	deep   bool
}

// maskJSON returns the edits of one document.
func maskJSON(src []byte, nodes []*node, rules []at, f *findings, nested int) ([]edit, error) {
	if !utf8.Valid(src) || !json.Valid(src) {
		return nil, errNotJSON
	}
	w := &jsonWalk{src: src, found: f, nested: nested}
	w.value(w.space(0), nodes, rules, "", 0)
	if w.deep {
		return nil, errDeep
	}
	return w.edits, nil
}

// value handles the value at i and returns its end. key is the object key it
// stands under.
func (w *jsonWalk) value(i int, nodes []*node, rules []at, key string, depth int) int {
	if len(nodes) == 0 && len(rules) == 0 || w.deep {
		return w.skip(i)
	}
	if depth > maxDepth {
		w.deep = true
		return w.skip(i)
	}
	if n := marks(nodes); n != nil {
		w.found.add(n.label, SourceAWS)
		return w.all(i, n.typ, key, depth)
	}
	for _, r := range rules {
		if r.done() {
			w.found.add(r.rule.path, SourceRule)
			return w.all(i, "", key, depth)
		}
	}
	switch w.src[i] {
	case '{':
		return w.object(i, nodes, rules, depth)
	case '[':
		return w.array(i, nodes, rules, key, depth)
	case '"':
		return w.text(i, rules)
	}
	return w.skip(i)
}

func (w *jsonWalk) object(i int, nodes []*node, rules []at, depth int) int {
	var nn []*node
	var rr []at
	var keys *node
	for _, n := range nodes {
		if n.keys {
			keys = n
		}
	}
	ordinal := 0
	for i = w.space(i + 1); w.src[i] != '}'; ordinal++ {
		end := w.stringEnd(i)
		key := unquote(w.src[i:end])
		if keys != nil {
			w.found.add(keys.label, SourceAWS)
			w.key(i, end, ordinal)
		}
		nn, rr = nn[:0], rr[:0]
		for _, n := range nodes {
			nn = n.next(key, nn)
		}
		for _, r := range rules {
			if a, ok := r.key(key); ok {
				rr = append(rr, a)
			}
		}
		i = w.space(w.space(end) + 1)
		i = w.space(w.value(i, append([]*node(nil), nn...), append([]at(nil), rr...), key, depth+1))
		if w.src[i] == ',' {
			i = w.space(i + 1)
		}
	}
	return i + 1
}

func (w *jsonWalk) array(i int, nodes []*node, rules []at, key string, depth int) int {
	var nn []*node
	for _, n := range nodes {
		nn = n.next("*", nn)
	}
	i = w.space(i + 1)
	for ordinal := 0; w.src[i] != ']'; ordinal++ {
		var rr []at
		if len(rules) > 0 {
			raw := w.src[i:w.skip(i)]
			for _, r := range rules {
				if a, ok := r.element(ordinal, raw); ok {
					rr = append(rr, a)
				}
			}
		}
		i = w.space(w.value(i, nn, rr, key, depth+1))
		if w.src[i] == ',' {
			i = w.space(i + 1)
		}
	}
	return i + 1
}

// text handles a string below which rule paths go on: it looks into JSON text.
// A string that a rule names as a container and that holds no JSON object or
// array is masked whole: what the rule wants hidden is in there somewhere.
func (w *jsonWalk) text(i int, rules []at) int {
	end := w.stringEnd(i)
	if len(rules) == 0 {
		return end
	}
	plain, offsets := decode(w.src[i+1 : end-1])
	trimmed := bytes.TrimLeft(plain, " \t\r\n")
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && w.nested < maxNested {
		if inner, err := maskJSON(plain, nil, rules, w.found, w.nested+1); err == nil {
			for _, e := range inner {
				w.edits = append(w.edits, edit{i + 1 + offsets[e.start], i + 1 + offsets[e.end], quote(string(e.text), false)})
			}
			return end
		}
	}
	for _, r := range rules {
		if r.named && len(plain) > 0 {
			w.found.add(r.rule.path, SourceRule)
			w.replace(i, end, quote(Token, true))
			break
		}
	}
	return end
}

// all masks every leaf of the value at i. Objects of a map member lose their
// keys too, since those are data; a structure's keys are names.
func (w *jsonWalk) all(i int, typ, key string, depth int) int {
	if depth > maxDepth {
		w.deep = true
		return w.skip(i)
	}
	below := typ
	switch typ {
	case "structure", "list", "map":
		below = ""
	}
	switch w.src[i] {
	case '{':
		i = w.space(i + 1)
		for ordinal := 0; w.src[i] != '}'; ordinal++ {
			end := w.stringEnd(i)
			k := unquote(w.src[i:end])
			if typ == "map" {
				w.key(i, end, ordinal)
			}
			i = w.space(w.space(end) + 1)
			i = w.space(w.all(i, below, k, depth+1))
			if w.src[i] == ',' {
				i = w.space(i + 1)
			}
		}
		return i + 1
	case '[':
		for i = w.space(i + 1); w.src[i] != ']'; {
			i = w.space(w.all(i, below, key, depth+1))
			if w.src[i] == ',' {
				i = w.space(i + 1)
			}
		}
		return i + 1
	case '"':
		end := w.stringEnd(i)
		if s := unquote(w.src[i:end]); s != "" {
			w.replace(i, end, quote(stringFor(s, typ, key), true))
		}
		return end
	case 't', 'f':
		end := w.skip(i)
		w.replace(i, end, []byte("false"))
		return end
	case 'n':
		return w.skip(i)
	}
	end := w.skip(i)
	w.replace(i, end, []byte("0"))
	return end
}

// stringFor is textFor for JSON strings. DynamoDB writes numbers as text under N
// and NS, and SDKs fail on a number that is none.
func stringFor(s, typ, key string) string {
	if typ == "" && (key == "N" || key == "NS") {
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			return "0"
		}
	}
	return textFor(s, typ)
}

// key masks an object key; the ordinal keeps keys apart.
func (w *jsonWalk) key(i, end, ordinal int) {
	t := Token
	if ordinal > 0 {
		t += "-" + strconv.Itoa(ordinal+1)
	}
	w.replace(i, end, quote(t, true))
}

func (w *jsonWalk) replace(start, end int, text []byte) {
	w.edits = append(w.edits, edit{start, end, text})
}

func (w *jsonWalk) space(i int) int {
	for i < len(w.src) && (w.src[i] == ' ' || w.src[i] == '\n' || w.src[i] == '\r' || w.src[i] == '\t') {
		i++
	}
	return i
}

func (w *jsonWalk) stringEnd(i int) int {
	for i++; w.src[i] != '"'; i++ {
		if w.src[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skip returns the end of the value at i.
func (w *jsonWalk) skip(i int) int {
	switch w.src[i] {
	case '"':
		return w.stringEnd(i)
	case '{', '[':
		depth := 0
		for ; ; i++ {
			switch w.src[i] {
			case '"':
				i = w.stringEnd(i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	for i < len(w.src) && bytes.IndexByte([]byte(",]} \t\r\n"), w.src[i]) < 0 {
		i++
	}
	return i
}

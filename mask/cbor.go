package mask

import (
	"errors"
	"strconv"
)

var errNotCBOR = errors.New("it is not one CBOR value that can be read in one way only")

// cborWalk reads one CBOR value (RFC 8949) in one pass and collects edits. It
// takes what Smithy's RPC v2 CBOR protocol and its neighbours use: keys are texts,
// bytes or integers, simple values are false, true, null and undefined.
type cborWalk struct {
	docWalk
	echoes bool // only what an error echoes is overwritten, see scrubCBOR
	echoed int  // texts in which something was
}

// cbor returns the edits of one document.
func (w *walk) cbor(src []byte, nodes []*node, rules []at) ([]edit, error) {
	c := &cborWalk{docWalk: docWalk{walk: w, src: src}}
	return c.document(spot{nodes: nodes, rules: rules})
}

func (w *cborWalk) document(s spot) ([]edit, error) {
	i := w.value(0, s, 0)
	if w.err == nil && i != len(w.src) {
		w.err = errNotCBOR
	}
	if w.err != nil {
		return nil, w.err
	}
	return w.edits, nil
}

// value handles the value at i and returns its end.
func (w *cborWalk) value(i int, s spot, depth int) int {
	if depth > maxDepth {
		return w.fail(errDeep)
	}
	h, ok := w.head(i)
	if !ok {
		return len(w.src)
	}
	if s.all == nil && !s.mute && (len(s.nodes) > 0 || len(s.rules) > 0) {
		s.open = s.open || opens(s.nodes)
		if m, ok := w.marked(s.nodes, s.rules, at.done); ok {
			s.all = &m
		}
	}
	switch h.major {
	case cborUint, cborNegative:
		if s.masked() {
			w.replace(i, h.end, []byte{0})
		}
		return h.end
	case cborBytes, cborText:
		plain, end := w.join(h)
		if w.err == nil && !s.mute && len(plain) > 0 {
			w.text(i, end, h.major, plain, s)
		}
		return end
	case cborArray:
		return w.array(h, s, depth)
	case cborMap:
		return w.object(i, h, s, depth)
	case cborTag:
		return w.tag(i, h, s, depth)
	}
	return w.simple(i, h, s)
}

func (s spot) masked() bool { return s.all != nil && !s.mute }

// simple handles booleans, null, undefined and floating-point numbers.
func (w *cborWalk) simple(i int, h cborHead, s spot) int {
	switch h.info {
	case 20, 21:
		if s.masked() {
			w.replace(i, h.end, []byte{cborFalse})
		}
	case 22, 23:
	case 25, 26, 27:
		if s.masked() {
			zero := make([]byte, h.end-i) // in the number's own width
			zero[0] = w.src[i]
			w.replace(i, h.end, zero)
		}
	default:
		return w.fail(errNotCBOR)
	}
	return h.end
}

func (w *cborWalk) array(h cborHead, s spot, depth int) int {
	here := spot{all: s.all, mute: s.mute, label: s.label, number: s.number}
	if s.all != nil {
		here.all = s.all.inner()
	}
	query := false
	if s.all == nil {
		for _, n := range s.nodes {
			here.nodes = n.next([]byte("*"), here.nodes)
		}
		for _, r := range s.rules {
			query = query || !r.done() && r.rule.steps[r.next].kind == queryStep
		}
	}
	i := h.end
	for ordinal := 0; w.more(h, ordinal, &i); ordinal++ {
		if s.all == nil && len(s.rules) > 0 {
			var asJSON []byte
			if query {
				if end := w.skim(i, depth+1); w.err != nil {
					return end
				}
				asJSON, _ = w.appendJSON(nil, i)
			}
			here.rules = nil
			for _, r := range s.rules {
				if a, ok := r.element(ordinal, asJSON); ok {
					here.rules = append(here.rules, a)
				}
			}
		}
		if i = w.value(i, here, depth+1); w.err != nil {
			break
		}
	}
	return i
}

// skim reads the value at i and changes nothing.
func (w *cborWalk) skim(i, depth int) int { return w.value(i, spot{mute: true}, depth) }

func (w *cborWalk) object(i int, h cborHead, s spot, depth int) int {
	var keys *node
	for _, n := range s.nodes {
		if n.keys && s.all == nil {
			keys = n
		}
	}
	head, dropped := len(w.edits), 0
	if !h.indefinite() && w.mayDrop(s) {
		// The head stands before what is dropped, so its place is kept.
		w.replace(i, h.end, w.src[i:h.end])
		defer func() {
			if w.err == nil && dropped > 0 {
				w.edits[head].text = appendHead(nil, cborMap, h.arg-uint64(dropped))
			}
		}()
	}
	named := "" // the text of a name member, for the value beside it
	i = h.end
	for ordinal := 0; w.more(h, ordinal, &i); ordinal++ {
		start := i
		key, major, end := w.keyAt(i)
		if w.err != nil {
			return end
		}
		here := w.below(s, key)
		if w.echoes {
			here.label = newLabel(string(key))
		}
		if named != "" && valueName(key) {
			here.context = named
		}
		drop := w.drops(&here)
		if !s.mute && !drop {
			w.key(start, end, key, major, ordinal, s, keys)
		}
		if w.looks() && named == "" && nameName(key) {
			named = w.textAt(end)
		}
		if i = w.value(end, here, depth+1); w.err != nil {
			return i
		}
		if drop {
			dropped++
			w.replace(start, i, nil)
		}
	}
	return i
}

// mayDrop reports that a member of the map at s could be dropped.
func (w *cborWalk) mayDrop(s spot) bool {
	if s.all != nil || s.mute {
		return false
	}
	drop := w.style == Drop && len(s.nodes) > 0
	for _, r := range s.rules {
		drop = drop || r.rule.style == Drop
	}
	return drop
}

// text handles a text or byte string that is not empty, at src[i:end].
func (w *cborWalk) text(i, end int, major byte, plain []byte, s spot) {
	var out string
	switch {
	case w.echoes:
		out = w.echo(plain, s.name)
	case s.all != nil:
		out = w.stringFor(major, plain, s)
		w.replace(i, end, appendString(nil, major, out))
		return
	case len(s.rules) > 0:
		edits, whole := w.inText(plain, s.rules, s.label, 0)
		if out = whole; out == "" {
			out = string(apply(plain, edits))
		}
	case w.looks():
		masked, _ := w.detect(s.label, plain)
		out = string(masked)
	default:
		return
	}
	if out != string(plain) {
		w.replace(i, end, appendString(nil, major, out))
	}
}

// stringFor is what stands for a string. A blob is a byte string, never base64 in a
// text, and is replaced by bytes.
func (w *cborWalk) stringFor(major byte, plain []byte, s spot) string {
	if major == cborBytes {
		return w.swap.word(plain, s.all.style)
	}
	if s.all.typ == "" && s.number {
		if _, err := strconv.ParseFloat(string(plain), 64); err == nil {
			return "0"
		}
	}
	typ := s.all.typ
	if typ == "" || typ == "blob" {
		typ = "string"
	}
	return w.swap.text(plain, typ, s.all.style)
}

// key masks the key src[i:end], as in JSON.
func (w *cborWalk) key(i, end int, key []byte, major byte, ordinal int, s spot, keys *node) {
	switch {
	case w.echoes:
		if out := w.echo(key, ""); out != string(key) {
			w.replace(i, end, appendString(nil, major, out))
		}
		return
	case keys != nil:
		w.found.add(keys.label, SourceAWS, "")
	case s.all != nil && s.all.typ == "map":
	case s.all == nil && w.looks() && major != cborUint && !w.clean(key):
		if out, changed := w.detect(label{open: s.open}, key); changed {
			w.replace(i, end, appendString(nil, major, string(out)+"-"+strconv.Itoa(ordinal+1)))
		} else {
			w.names[string(key)] = string(key)
		}
		return
	default:
		return
	}
	if major == cborUint {
		w.replace(i, end, appendHead(nil, cborUint, uint64(ordinal)))
		return
	}
	w.replace(i, end, appendString(nil, major, ordinalToken(ordinal)))
}

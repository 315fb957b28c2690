package detect

import (
	"bytes"
	"cmp"
	"slices"
	"sync"
)

// How far Mask looks into what is encoded.
const (
	// MaxDepth is how many encodings inside one another are entered: JSON strings,
	// base64, percent-encoding.
	MaxDepth = 6
	// In all, at most work times the text's length is decoded, and at least leastWork
	// bytes: texts that decode in many ways cost no more.
	work      = 16
	leastWork = 64 << 10
)

// Hit counts what a detector found in a text.
type Hit struct {
	Rule  string
	Count int
}

// Mask puts repl's result in the place of every secret in text and counts them by
// detector. Besides what Find finds it looks into JSON text, into escapes of JSON strings,
// base64 (both alphabets, with and without padding, broken in lines) and
// percent-encoding, also nested, to MaxDepth. There the replacement is encoded like
// what it replaces, so that JSON stays JSON and base64 stays base64; every other
// byte stays. Where nothing is found, out is text itself.
//
// repl must not keep secret, and its result should be text that no detector takes
// for a secret.
func (s *Scanner) Mask(label string, text []byte, repl func(rule string, secret []byte) []byte) (out []byte, hits []Hit) {
	m := pool.Get().(*masking)
	m.s, m.repl = s, repl
	out = text
	n := map[string]int(nil)
	for range maxPasses {
		m.again, m.budget = false, work*len(out)+leastWork
		edits := m.edits(label, out, 0)
		if len(edits) == 0 {
			break
		}
		out = apply(out, edits)
		if n == nil {
			n = map[string]int{}
		}
		for _, e := range edits {
			for _, r := range e.rules {
				n[r]++
			}
		}
		if !m.again {
			break
		}
	}
	m.s, m.repl = nil, nil
	clear(m.names)
	if m.small() {
		pool.Put(m)
	}
	return out, sorted(n)
}

// maxPasses is how often a text is gone through at most. A replacement that touches
// other text can make that read otherwise, as base64 from another character on.
const maxPasses = 4

// masking is one call of Mask, with buffers that are used again.
type masking struct {
	s      *Scanner
	repl   func(rule string, secret []byte) []byte
	budget int
	again  bool              // a replacement touches text that it may change the reading of
	later  []place           // strings whose label stands further on
	names  map[string]string // by how they are written
	level  [MaxDepth + 1]struct {
		plain   []byte
		offsets []int32
	}
}

var pool = sync.Pool{New: func() any { return new(masking) }}

func (m *masking) small() bool {
	n := 0
	for i := range m.level {
		n += cap(m.level[i].plain) + 4*cap(m.level[i].offsets)
	}
	return n < 4<<20
}

// edit replaces text[start:end].
type edit struct {
	start, end int
	text       []byte
	rules      []string
	kind       kind
}

type kind int

const (
	mapped    kind = iota // in what was decoded: nothing of the place is left
	rewritten             // an encoded text with some of its bytes changed
	plain                 // the text itself
	yielding              // plain, but gives way to a rewritten one
)

// edits are the changes that free text of secrets, in order and apart.
func (m *masking) edits(label string, text []byte, depth int) []edit {
	spans, touched := m.s.find(label, text)
	var edits []edit
	if depth < MaxDepth && m.budget > 0 {
		escapes := bytes.IndexByte(text, '\\') >= 0
		structured := (touched || escapes) && isJSON(text)
		if !structured {
			if escapes {
				edits = m.escaped(label, text, depth, edits)
			}
			edits = m.percent(label, text, depth, edits)
			edits = m.base64(label, text, depth, edits)
			structured = len(edits) > 0 && isJSON(text)
		}
		if structured {
			return m.json(label, text, spans, depth)
		}
	}
	for _, span := range spans {
		m.again = m.again || span.Start > 0 && reads(text[span.Start-1]) || span.End < len(text) && reads(text[span.End])
		k := plain
		if span.Rule == keyInBase64 {
			k = yielding
		}
		edits = append(edits, edit{span.Start, span.End, m.repl(span.Rule, text[span.Start:span.End]), []string{span.Rule}, k})
	}
	return m.resolve(text, edits)
}

// resolve makes edits that overlap into one that leaves nothing of either's secret.
func (m *masking) resolve(text []byte, edits []edit) []edit {
	if len(edits) < 2 {
		return edits
	}
	slices.SortStableFunc(edits, func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end), cmp.Compare(a.kind, b.kind))
	})
	out := edits[:1]
	for _, e := range edits[1:] {
		last := &out[len(out)-1]
		switch {
		case e.start >= last.end:
			out = append(out, e)
		case e.end <= last.end && last.kind != rewritten:
		case e.end <= last.end && (e.kind == rewritten || e.kind == yielding):
		default:
			// A secret that reaches over both, or one in the raw text of an encoded one.
			last.end, last.kind = max(last.end, e.end), plain
			if last.rules[0] == "" || e.kind != rewritten {
				last.rules = e.rules
			}
			last.text = m.repl(last.rules[0], text[last.start:last.end])
		}
	}
	return out
}

// reads tells the characters that are read together with those beside them.
func reads(c byte) bool { return class64[c] != 0 || c == '%' || c == '\\' }

func apply(text []byte, edits []edit) []byte {
	n := len(text)
	for _, e := range edits {
		n += len(e.text) - (e.end - e.start)
	}
	out := make([]byte, 0, n)
	at := 0
	for _, e := range edits {
		out = append(append(out, text[at:e.start]...), e.text...)
		at = e.end
	}
	return append(out, text[at:]...)
}

func sorted(n map[string]int) []Hit {
	if len(n) == 0 {
		return nil
	}
	hits := make([]Hit, 0, len(n))
	for r, c := range n {
		hits = append(hits, Hit{r, c})
	}
	slices.SortFunc(hits, func(a, b Hit) int { return cmp.Compare(a.Rule, b.Rule) })
	return hits
}

// decoded looks for secrets in what level depth holds decoded, and gives the edits of
// the source text: byte i of the decoded text comes from base+offsets[i].
func (m *masking) decoded(label string, base, depth int, encode func([]byte) []byte, edits []edit) []edit {
	l := &m.level[depth]
	m.budget -= len(l.plain)
	for _, e := range m.edits(label, l.plain, depth+1) {
		e.start, e.end, e.text = base+int(l.offsets[e.start]), base+int(l.offsets[e.end]), encode(e.text)
		if e.kind != rewritten {
			e.kind = mapped
		}
		edits = append(edits, e)
	}
	return edits
}

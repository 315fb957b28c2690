package mask

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/sallyport/sallyport/mask/detect"
)

const (
	maxDepth  = 1000 // of one document
	maxNested = 8    // of JSON text inside strings inside JSON text
)

var errDeep = errors.New("it is nested too deeply")

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

// walk is what the formats share while one answer is masked: where findings go,
// how values are replaced, and the detectors for what no path marks.
type walk struct {
	found *findings
	swap  swapper
	style Style   // of marked members and detections
	scan  scanner // nil: nothing is detected
	// analysis is what the Analyzer says, nil without one.
	analysis *analysis
}

// scanner is a detect.Scanner. Tests of the formats have a simpler one: what they
// ask is which text is shown to it.
type scanner interface {
	Mask(context string, text []byte, replace func(rule string, secret []byte) []byte) ([]byte, []detect.Hit)
	NewStream(replace func(rule string, secret []byte) []byte, keepLength bool) *detect.Stream
}

// mark is how a value is masked.
type mark struct {
	typ   string // shape type, "" where not known
	style Style
}

// marked says whether a value is masked, by the paths that lead to it, and notes
// the finding. A rule's style outranks that of the catalog's members: whoever
// wrote the rule had this value in mind.
func (w *walk) marked(nodes []*node, rules []at, done func(at) bool) (mark, bool) {
	n := marks(nodes)
	var m mark
	if n != nil {
		m = mark{n.typ, w.style}
		w.found.add(n.label, SourceAWS, "")
	}
	hit := false
	for _, r := range rules {
		if !done(r) {
			continue
		}
		if !hit {
			hit, m.style = true, r.rule.style
			if n == nil {
				w.found.add(r.rule.path, SourceRule, "")
			}
			continue
		}
		m.style = Stricter(m.style, r.rule.style)
	}
	return m, hit || n != nil
}

// label is what a text stands under.
type label struct {
	name    string // of the member
	context string // what detectors take for the name: {"Name": "API_KEY", "Value": "..."}
	open    bool   // a rule's unmask gives it to the agent: detectors leave it alone
}

func newLabel(name string) label { return label{name: name, context: name} }

// looks reports that texts which no path marks are looked at.
func (w *walk) looks() bool { return w.scan != nil || w.analysis != nil }

// detect masks what the detectors find in a text that no path marks. changed is
// false where out is text.
func (w *walk) detect(l label, text []byte) (out []byte, changed bool) {
	if !w.looks() || l.open || len(text) == 0 {
		return text, false
	}
	if a := w.analysis; a != nil {
		if a.collecting {
			a.note(text)
			return text, false
		}
		if spans := a.seen[string(text)]; len(spans) > 0 {
			text, changed = w.cut(l, text, spans), true
		}
	}
	if w.scan == nil {
		return text, changed
	}
	out, hits := w.scan.Mask(l.context, text, func(_ string, secret []byte) []byte {
		return []byte(w.swap.word(secret, w.style))
	})
	for _, h := range hits {
		for range h.Count {
			w.found.add(place(l.name), SourceDetector, h.Rule)
		}
	}
	return out, changed || len(hits) > 0
}

// cut replaces the spans of text.
func (w *walk) cut(l label, text []byte, spans []detect.Span) []byte {
	edits := make([]edit, len(spans))
	for i, s := range spans {
		edits[i] = edit{s.Start, s.End, []byte(w.swap.word(text[s.Start:s.End], w.style))}
		w.found.add(place(l.name), SourceDetector, s.Rule)
	}
	return apply(text, edits)
}

// place is a member's name as findings may show it. Names of map elements and
// attributes are data, and may be secrets themselves: only what looks like a name
// is shown.
func place(name string) string {
	if name == "" || len(name) > 40 {
		return "text"
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return "text"
		}
	}
	return name
}

// inText masks JSON text inside a string below which rule paths go on, and says
// what it is now. A string that a rule names as a container and that holds no JSON
// object or array is masked whole: what the rule wants hidden is in there somewhere.
func (w *walk) inText(plain []byte, rules []at, l label, nested int) (edits []edit, whole string) {
	if l.open && w.looks() {
		quiet := *w
		quiet.scan, quiet.analysis = nil, nil
		w = &quiet
	}
	trimmed := bytes.TrimLeft(plain, " \t\r\n")
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && nested < maxNested {
		if inner, err := w.json(plain, nil, rules, nested+1); err == nil {
			return inner, ""
		}
	}
	var style Style
	for _, r := range rules {
		if r.named && len(plain) > 0 {
			if style == "" {
				w.found.add(r.rule.path, SourceRule, "")
				style = r.rule.style
			}
			style = Stricter(style, r.rule.style)
		}
	}
	if style != "" {
		return nil, w.swap.word(plain, style)
	}
	if out, changed := w.detect(l, plain); changed {
		return []edit{{0, len(plain), out}}, ""
	}
	return nil, ""
}

// ordinalToken stands for the key of a map; the ordinal keeps keys apart.
func ordinalToken(ordinal int) string {
	if ordinal == 0 {
		return Token
	}
	return Token + "-" + strconv.Itoa(ordinal+1)
}

// inner is the mark of what lies below: a structure's type is not its members'.
func (m *mark) inner() *mark {
	switch m.typ {
	case "structure", "list", "map":
		return &mark{style: m.style}
	}
	return m
}

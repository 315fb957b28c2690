package mask

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/match"
)

var (
	errNotXML = errors.New("the answer is not one XML document in UTF-8")
	errDTD    = errors.New("the answer has a document type declaration")
)

// element is one open element.
type element struct {
	name     label
	nodes    []*node
	rules    []at
	mask     *mark // everything in it is masked
	drop     bool  // it is taken out
	mute     bool  // inside one that is
	open     int   // offset of the start tag
	inside   int   // offset behind the start tag
	children bool
	text     []byte   // its character data, decoded
	segments [][2]int // where that and comments are
}

// xmlWalk masks one document by its tokens' offsets. Names are compared without
// prefix or namespace: a prefix of another spelling must not hide a secret.
type xmlWalk struct {
	*walk
	src     []byte
	edits   []edit
	wrapped bool // a <...Result> element may stand between root and members
	stack   []*element
}

func (wk *walk) xml(src []byte, nodes []*node, rules []at, wrapped bool) ([]edit, error) {
	if !utf8.Valid(src) {
		return nil, errNotXML
	}
	w := &xmlWalk{walk: wk, src: src, wrapped: wrapped}
	d := xml.NewDecoder(bytes.NewReader(src))
	roots := 0
	for {
		start := int(d.InputOffset())
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errNotXML
		}
		end := int(d.InputOffset())
		switch t := tok.(type) {
		case xml.StartElement:
			if len(w.stack) == 0 {
				if roots++; roots > 1 {
					return nil, errNotXML
				}
				w.root(nodes, rules, start, end)
				continue
			}
			if len(w.stack) > maxDepth {
				return nil, errDeep
			}
			w.start(t.Name.Local, start, end)
		case xml.EndElement:
			w.end(start, end)
		case xml.CharData:
			if len(w.stack) == 0 {
				if len(bytes.TrimSpace(t)) > 0 {
					return nil, errNotXML
				}
				continue
			}
			e := w.stack[len(w.stack)-1]
			e.text = append(e.text, t...)
			e.segments = append(e.segments, [2]int{start, end})
		case xml.Directive:
			return nil, errDTD
		case xml.Comment, xml.ProcInst:
			if len(w.stack) > 0 {
				e := w.stack[len(w.stack)-1]
				e.segments = append(e.segments, [2]int{start, end})
			}
		}
	}
	if roots != 1 {
		return nil, errNotXML
	}
	slices.SortFunc(w.edits, func(a, b edit) int { return a.start - b.start })
	return w.edits, nil
}

// root opens the document element, whose name no path mentions.
func (w *xmlWalk) root(nodes []*node, rules []at, start, end int) {
	w.push(&element{nodes: nodes, rules: rules, open: start, inside: end}, start, end)
}

func (w *xmlWalk) start(name string, start, end int) {
	parent := w.stack[len(w.stack)-1]
	parent.children = true
	e := &element{name: newLabel(name), open: start, inside: end, mute: parent.mute || parent.drop}
	switch {
	case parent.mask != nil:
		e.mask = parent.mask.inner()
	case !e.mute:
		for _, n := range parent.nodes {
			e.nodes = n.next([]byte(name), e.nodes)
		}
		for _, r := range parent.rules {
			e.rules = r.child(name, e.rules)
		}
		if w.wrapped && len(w.stack) == 1 && strings.HasSuffix(name, "Result") {
			e.rules = append(e.rules, parent.rules...)
		}
	}
	w.push(e, start, end)
}

func (w *xmlWalk) push(e *element, start, end int) {
	if e.mask == nil && !e.mute {
		if m, ok := w.marked(e.nodes, e.rules, at.doneXML); ok {
			e.mask = &m
			// The document element cannot go.
			e.drop = m.style == Drop && len(w.stack) > 0
		}
	}
	w.stack = append(w.stack, e)
	if !e.mute && !e.drop {
		w.attributes(e, start, end)
	}
}

// end closes the element whose end tag is src[at:after].
func (w *xmlWalk) end(at, after int) {
	e := w.stack[len(w.stack)-1]
	w.stack = w.stack[:len(w.stack)-1]
	text := bytes.TrimSpace(e.text)
	switch {
	case e.mute:
	case e.drop:
		w.edits = append(w.edits, edit{e.open, after, nil})
	case e.mask != nil && e.children:
		// Text between elements means nothing to an SDK, and may hold anything.
		for _, s := range e.segments {
			if len(bytes.TrimSpace(w.src[s[0]:s[1]])) > 0 {
				w.edits = append(w.edits, edit{s[0], s[1], nil})
			}
		}
	case e.mask != nil && len(e.segments) > 0:
		var repl []byte
		if len(text) > 0 {
			repl = escapeXML(w.swap.scalar(text, e.mask.typ, e.mask.style))
		}
		w.edits = append(w.edits, edit{e.inside, at, repl})
	case len(text) == 0 || e.mask != nil:
	case !e.children && len(e.rules) > 0:
		edits, whole := w.inText(e.text, e.rules, e.name, 0)
		if whole == "" && len(edits) > 0 {
			whole = string(apply(e.text, edits))
		}
		if whole != "" {
			w.edits = append(w.edits, edit{e.inside, at, escapeXML(whole)})
		}
	default:
		w.detectIn(e, at)
	}
}

// detectIn looks for secrets in the text of an element that no path marks. Text,
// references, CDATA sections and comments are joined first: <!-- --> in the middle
// hides nothing.
func (w *xmlWalk) detectIn(e *element, at int) {
	if e.children {
		for _, s := range e.segments {
			if out, changed := w.detect(e.name, w.src[s[0]:s[1]]); changed {
				w.edits = append(w.edits, edit{s[0], s[1], escapeXML(string(out))})
			}
		}
		return
	}
	if out, changed := w.detect(e.name, e.text); changed {
		w.edits = append(w.edits, edit{e.inside, at, escapeXML(string(out))})
	}
}

// attributes masks the attributes of the start tag src[start:end].
func (w *xmlWalk) attributes(e *element, start, end int) {
	if e.mask == nil && len(e.nodes) == 0 && w.scan == nil {
		return
	}
	tag := w.src[start:end]
	for i := bytes.IndexAny(tag, " \t\r\n"); i >= 0 && i < len(tag); {
		eq := bytes.IndexByte(tag[i:], '=')
		if eq < 0 {
			return
		}
		name := strings.TrimSpace(string(tag[i : i+eq]))
		i += eq + 1
		open := bytes.IndexAny(tag[i:], `"'`)
		if open < 0 {
			return
		}
		i += open + 1
		n := bytes.IndexByte(tag[i:], tag[i-1])
		if n < 0 {
			return
		}
		from, to := start+i, start+i+n
		i += n + 1
		prefix, local, ok := strings.Cut(name, ":")
		if !ok {
			prefix, local = "", name
		}
		if local == "xmlns" || prefix == "xmlns" || prefix == "xsi" {
			continue
		}
		style, hit := w.style, e.mask != nil
		if hit {
			style = e.mask.style
		}
		for _, nd := range e.nodes {
			if c := nd.children["@"+local]; c != nil && c.marked && !hit {
				hit = true
				w.found.add(c.label, SourceAWS, "")
			}
		}
		switch out, changed := w.detect(newLabel(local), w.src[from:to]); {
		case to == from:
		case hit:
			w.edits = append(w.edits, edit{from, to, escapeXML(w.swap.scalar(w.src[from:to], "", style))})
		case changed:
			w.edits = append(w.edits, edit{from, to, escapeXML(string(out))})
		}
	}
}

// child appends the places that a child element leads to. XML does not say
// which elements are lists, and a list may or may not have an element around
// its items, so an index, # or query takes any one element or none. All elements
// count: no query is asked.
func (a at) child(name string, out []at) []at {
	for ; !a.done(); a.next++ {
		s := a.rule.steps[a.next]
		n := at{a.rule, a.next + 1, s.kind == nameStep}
		if s.skippable() {
			out = append(out, at{a.rule, a.next + 1, false})
			continue
		}
		if s.kind == nameStep && s.text == name || s.kind == patternStep && match.Match(name, s.text) {
			out = append(out, n)
		}
		return out
	}
	return out
}

func (s step) skippable() bool {
	if s.kind == eachStep || s.kind == queryStep {
		return true
	}
	if s.kind != nameStep {
		return false
	}
	_, err := strconv.Atoi(s.text)
	return err == nil
}

func (a at) doneXML() bool {
	for _, s := range a.rule.steps[a.next:] {
		if !s.skippable() {
			return false
		}
	}
	return true
}

func escapeXML(s string) []byte {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic("mask: " + err.Error())
	}
	return b.Bytes()
}

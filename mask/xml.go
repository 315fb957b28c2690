package mask

import (
	"bytes"
	"encoding/xml"
	"unicode/utf8"
)

// element is one open element.
type element struct {
	name     label
	context  string // the text of its name member, for the value beside that
	nodes    []*node
	rules    []at
	mark     mark
	masked   bool // everything in it is
	drop     bool // it is taken out
	mute     bool // inside one that is
	open     int  // offset of the start tag
	inside   int  // offset behind the start tag
	children bool
}

// xmlWalk masks one document by its tokens' offsets. Names are compared without
// prefix or namespace: a prefix of another spelling must not hide a secret.
type xmlWalk struct {
	*walk
	lex     *xmlLexer
	src     []byte
	edits   []edit
	wrapped bool // a <...Result> element may stand between root and members
	stack   []element
	run     []xmlToken // text, comments and the like since the innermost element's last tag
	buf     []byte
	names   map[string]string // of elements
}

func (wk *walk) xml(src []byte, nodes []*node, rules []at, wrapped bool) ([]edit, error) {
	w := &xmlWalk{walk: wk, lex: newXMLLexer(src), src: src, wrapped: wrapped}
	for {
		t, ok := w.lex.next()
		switch {
		case !ok:
			return w.edits, w.lex.err
		case t.kind == xmlStart:
			if len(w.stack) > maxDepth {
				return nil, errDeep
			}
			w.start(t, nodes, rules)
			if t.empty {
				w.end(t.end, t.end)
			}
		case t.kind == xmlEnd:
			w.end(t.start, t.end)
		case len(w.stack) > 0:
			w.run = append(w.run, t)
		default:
			w.comment(t)
		}
	}
}

// push opens an element in the place of an earlier one, whose slices it takes over.
func (w *xmlWalk) push() *element {
	if n := len(w.stack); n < cap(w.stack) {
		w.stack = w.stack[:n+1]
		e := &w.stack[n]
		*e = element{nodes: e.nodes[:0], rules: e.rules[:0]}
		return e
	}
	w.stack = append(w.stack, element{})
	return &w.stack[len(w.stack)-1]
}

// start opens the element whose start tag is t. No path mentions the document
// element's name: nodes and rules are where they begin.
func (w *xmlWalk) start(t xmlToken, nodes []*node, rules []at) {
	if len(w.stack) > 0 {
		w.between(&w.stack[len(w.stack)-1])
	}
	e := w.push()
	e.open, e.inside = t.start, t.end
	local := w.src[t.local:t.to]
	if w.looks() {
		e.name = newLabel(w.intern(local))
	}
	if len(w.stack) == 1 {
		e.nodes, e.rules = append(e.nodes, nodes...), append(e.rules, rules...)
	} else {
		parent := &w.stack[len(w.stack)-2]
		parent.children = true
		if parent.context != "" && valueName(local) {
			e.name.context = parent.context
		}
		e.mute = parent.mute || parent.drop
		switch {
		case parent.masked:
			e.masked, e.mark = true, *parent.mark.inner()
		case !e.mute:
			for _, n := range parent.nodes {
				e.nodes = n.next(local, e.nodes)
			}
			for _, r := range parent.rules {
				e.rules = r.child(string(local), e.rules)
			}
			if w.wrapped && len(w.stack) == 2 && bytes.HasSuffix(local, []byte("Result")) {
				e.rules = append(e.rules, parent.rules...)
			}
		}
	}
	e.name.open = len(w.stack) > 1 && w.stack[len(w.stack)-2].name.open || opens(e.nodes)
	if !e.masked && !e.mute && (len(e.nodes) > 0 || len(e.rules) > 0) {
		if e.mark, e.masked = w.marked(e.nodes, e.rules, at.doneXML); e.masked {
			// The document element cannot go.
			e.drop = e.mark.style == Drop && len(w.stack) > 1
		}
	}
	if !e.mute && !e.drop {
		w.attributes(e)
	}
}

// end closes the innermost element, whose end tag is src[at:after].
func (w *xmlWalk) end(at, after int) {
	e := &w.stack[len(w.stack)-1]
	w.stack = w.stack[:len(w.stack)-1]
	switch {
	case e.mute:
	case e.drop:
		w.edits = append(w.edits, edit{e.open, after, nil})
	case e.children:
		w.between(e)
	case len(w.run) == 0:
	case e.masked:
		var repl []byte
		if text := bytes.TrimSpace(w.text()); len(text) > 0 {
			repl = escapeXML(w.swap.scalar(text, e.mark.typ, e.mark.style))
		}
		w.edits = append(w.edits, edit{e.inside, at, repl})
	case len(e.rules) > 0:
		w.enter(e, at)
	default:
		w.detectRun(e)
	}
	w.run = w.run[:0]
}

// enter masks in the text of an element into which rule paths go on.
func (w *xmlWalk) enter(e *element, at int) {
	text := w.text()
	if len(bytes.TrimSpace(text)) == 0 {
		w.comments()
		return
	}
	edits, whole := w.inText(text, e.rules, e.name, 0)
	if whole == "" && len(edits) > 0 {
		whole = string(apply(text, edits))
	}
	if whole == "" {
		w.comments()
		return
	}
	w.edits = append(w.edits, edit{e.inside, at, escapeXML(whole)})
}

// between handles what stands between two tags in an element that has children.
func (w *xmlWalk) between(e *element) {
	switch {
	case e.mute || e.drop:
	case e.masked:
		// Text between elements means nothing to an SDK, and may hold anything.
		for _, t := range w.run {
			if len(bytes.TrimSpace(w.src[t.start:t.end])) > 0 {
				w.edits = append(w.edits, edit{t.start, t.end, nil})
			}
		}
	default:
		w.detectRun(e)
	}
	w.run = w.run[:0]
}

// detectRun looks for secrets in the run. Text, references and CDATA sections are
// joined over the comments in between first: <!-- --> hides nothing.
func (w *xmlWalk) detectRun(e *element) {
	if !w.looks() || len(w.run) == 0 {
		return
	}
	text := w.text()
	if len(bytes.TrimSpace(text)) > 0 {
		if !e.children && len(w.stack) > 0 && nameName([]byte(e.name.name)) {
			w.stack[len(w.stack)-1].context = string(text)
		}
		if out, changed := w.detect(e.name, text); changed {
			w.edits = append(w.edits, edit{w.run[0].start, w.run[len(w.run)-1].end, escapeXML(string(out))})
			return
		}
	}
	w.comments()
}

func (w *xmlWalk) comments() {
	for _, t := range w.run {
		w.comment(t)
	}
}

// comment takes out a comment or processing instruction in which there is a secret:
// no client reads it, and not every replacement may stand there.
func (w *xmlWalk) comment(t xmlToken) {
	if !w.looks() || t.kind != xmlComment && t.kind != xmlPI {
		return
	}
	if _, changed := w.detect(newLabel("comment"), w.src[t.from:t.to]); changed {
		w.edits = append(w.edits, edit{t.start, t.end, nil})
	}
}

// text is the character data of the run, good until the next call.
func (w *xmlWalk) text() []byte {
	if len(w.run) == 1 {
		if t := w.run[0]; t.verbatim {
			return w.src[t.from:t.to]
		}
	}
	w.buf = w.buf[:0]
	for _, t := range w.run {
		if t.kind == xmlText || t.kind == xmlCDATA {
			w.buf = appendXML(w.buf, w.src[t.from:t.to], t.kind == xmlCDATA)
		}
	}
	return w.buf
}

// intern is the name as a string, without a new one for each element of a long list.
func (w *xmlWalk) intern(name []byte) string {
	if s, ok := w.names[string(name)]; ok {
		return s
	}
	if w.names == nil {
		w.names = map[string]string{}
	}
	s := string(name)
	w.names[s] = s
	return s
}

// attributes masks the attributes of the element's start tag, which was just read.
func (w *xmlWalk) attributes(e *element) {
	if !e.masked && len(e.nodes) == 0 && !w.looks() {
		return
	}
	for _, a := range w.lex.attrs {
		local := string(w.src[a.local:a.nameEnd])
		prefix := string(w.src[a.name:max(a.name, a.local-1)])
		if local == "xmlns" && prefix == "" || prefix == "xmlns" || prefix == "xsi" || a.from == a.to {
			continue
		}
		style, hit := w.style, e.masked
		if hit {
			style = e.mark.style
		}
		for _, nd := range e.nodes {
			if c := nd.children["@"+local]; c != nil && c.marked && !hit {
				hit = true
				w.found.add(c.label, SourceAWS, "")
			}
		}
		value := w.src[a.from:a.to]
		if !a.verbatim {
			value = appendXML(nil, value, false)
		}
		if hit {
			w.edits = append(w.edits, edit{a.from, a.to, escapeXML(w.swap.scalar(value, "", style))})
		} else if out, changed := w.detect(label{name: local, context: local, open: e.name.open}, value); changed {
			w.edits = append(w.edits, edit{a.from, a.to, escapeXML(string(out))})
		}
	}
}

// escapeXML is s as text or as an attribute's value.
func escapeXML(s string) []byte {
	plain := true
	for _, c := range []byte(s) {
		plain = plain && c < utf8.RuneSelf && xmlClass[c]&(xmlStopText|xmlStopValue) == 0 && (c == ' ' || xmlClass[c]&xmlSpace == 0)
	}
	if plain {
		return []byte(s)
	}
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic("mask: " + err.Error())
	}
	return b.Bytes()
}

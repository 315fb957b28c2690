package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// document is the payload of an event after everything but the texts that go on in
// other events was masked.
type document struct {
	src    []byte
	edits  []edit
	pieces []*piece
}

// piece is a part of a text that events carry on: src[start:end] of its document.
type piece struct {
	start, end int
	key        string // of the text
	text       []byte // decoded
	out        []byte // what stands for it, as far as that is known
	quoted     bool   // a JSON string
	base64     bool   // in it
	inner      *document
}

func (p *piece) ready() bool {
	if p.inner != nil {
		return p.inner.ready()
	}
	return len(p.out) == len(p.text)
}

func (d *document) ready() bool {
	return !slices.ContainsFunc(d.pieces, func(p *piece) bool { return !p.ready() })
}

// each calls f for every piece of text, in order.
func (d *document) each(f func(*piece)) {
	for _, p := range d.pieces {
		if p.inner != nil {
			p.inner.each(f)
		} else {
			f(p)
		}
	}
}

// render is the document with all edits made.
func (d *document) render() []byte {
	edits := d.edits
	for _, p := range d.pieces {
		out := p.out
		if p.inner != nil {
			out = p.inner.render()
			if bytes.Equal(out, p.inner.src) {
				continue
			}
		} else if bytes.Equal(out, p.text) {
			continue
		}
		switch {
		case p.base64:
			out = []byte(`"` + base64.StdEncoding.EncodeToString(out) + `"`)
		case p.quoted:
			// What was masked before it was known whole may have been cut in a character.
			out = quote(strings.ToValidUTF8(string(out), "*"), true)
		}
		edits = append(edits, edit{p.start, p.end, out})
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	return apply(d.src, edits)
}

// text is the payload as one text.
func (v *events) text(src []byte, event string, whole bool) *document {
	switch {
	case v.scan == nil:
		return &document{src: src}
	case whole:
		out, _ := v.detect(label{}, src)
		return &document{src: out}
	case braced(src) && json.Valid(src):
		// A message of its own, such as a line of JSON: its members have names.
		if d, err := v.document(src, &finder{prefix: event, inner: true}); err == nil {
			return d
		}
	}
	return &document{src: src, pieces: []*piece{{end: len(src), key: event, text: src}}}
}

// document runs the detectors over a JSON document, but for the texts that f finds to
// go on in other events: of those a beginning alone would be judged.
func (v *events) document(src []byte, f *finder) (*document, error) {
	d := &document{src: src}
	rest := src
	if f != nil {
		f.src, f.dec = src, json.NewDecoder(bytes.NewReader(src))
		f.dec.UseNumber()
		if err := f.value(); err != nil {
			return nil, errNotJSON
		}
		v.stop(f)
		d.pieces = f.pieces
		rest = bytes.Clone(src)
		for _, p := range d.pieces {
			for i := p.start + 1; i < p.end-1; i++ {
				rest[i] = ' '
			}
		}
	}
	var err error
	if d.edits, err = v.json(rest, nil, nil, 0); err != nil {
		return nil, err
	}
	for _, p := range d.pieces {
		if p.base64 && braced(p.text) && json.Valid(p.text) {
			if inner, err := v.document(p.text, &finder{prefix: p.key, inner: true}); err == nil {
				p.inner = inner
			}
		}
	}
	return d, nil
}

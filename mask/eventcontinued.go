package mask

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/mask/detect"
)

// What an event stream holds back at most while a text may be the beginning of a
// secret. Beyond it that part of the text goes out masked, whatever it was.
const (
	maxHeld      = 64
	maxHeldBytes = 1 << 20
	maxTexts     = 64 // that go on at once
)

// continued is one text that comes in pieces, one an event.
type continued struct {
	stream  *detect.Stream
	waiting []*piece // not yet known whole
	debt    int      // bytes that went out masked before they were known
}

// enqueue takes an event in, and looks at the texts it carries on.
func (v *events) enqueue(e *pending) {
	v.queue = append(v.queue, e)
	v.size += len(e.raw)
	e.doc.each(func(p *piece) {
		if len(p.text) == 0 {
			return
		}
		t := v.continued(p.key)
		t.waiting = append(t.waiting, p)
		t.deliver(t.stream.Write(p.text))
	})
}

// continued is the text of a key. With too many of them the one that is longest
// without a piece has ended.
func (v *events) continued(key string) *continued {
	t := v.texts[key]
	if t == nil {
		if len(v.order) == maxTexts {
			v.end(v.order[0])
		}
		t = &continued{stream: v.scan.NewStream(func(_ string, secret []byte) []byte {
			return fit(v.swap.word(secret, v.style), len(secret))
		}, true)}
		v.texts[key] = t
	}
	v.order = append(slices.DeleteFunc(v.order, func(k string) bool { return k == key }), key)
	return t
}

// deliver gives what has become known to the pieces that wait for it. It is as long
// as what went in.
func (t *continued) deliver(out []byte) {
	n := min(t.debt, len(out))
	t.debt -= n
	out = out[n:]
	for len(t.waiting) > 0 {
		p := t.waiting[0]
		n := min(len(p.text)-len(p.out), len(out))
		p.out = append(p.out, out[:n]...)
		out = out[n:]
		if !p.ready() {
			return
		}
		t.waiting = t.waiting[1:]
	}
}

// end ends a text: nothing follows that could make its end a secret.
func (v *events) end(key string) {
	t := v.texts[key]
	t.deliver(t.stream.Close())
	for _, h := range t.stream.Hits() {
		for range h.Count {
			v.found.add("text", SourceDetector, h.Rule)
		}
	}
	delete(v.texts, key)
	v.order = slices.DeleteFunc(v.order, func(k string) bool { return k == key })
}

func (v *events) finish() {
	for len(v.order) > 0 {
		v.end(v.order[0])
	}
}

// stop ends texts where the event says that their block, or the answer, has ended.
func (v *events) stop(f *finder) {
	kind := f.kind
	if !f.inner {
		kind = f.prefix
	}
	if kind = strings.ToLower(kind); !strings.Contains(kind, "stop") && !strings.Contains(kind, "complete") {
		return
	}
	for _, key := range slices.Clone(v.order) {
		if f.inner && !strings.HasPrefix(key, f.prefix+"/") || f.index != "" && !strings.Contains(key, f.index) {
			continue
		}
		v.end(key)
	}
}

// ready takes the events out of the queue that can go: in the order in which they
// came.
func (v *events) ready() []*pending {
	n := 0
	for n < len(v.queue) {
		e := v.queue[n]
		if !e.doc.ready() {
			if len(v.queue)-n <= maxHeld && v.size <= maxHeldBytes {
				break
			}
			v.force(e)
		}
		v.size -= len(e.raw)
		n++
	}
	out := v.queue[:n:n]
	v.queue = v.queue[n:]
	return out
}

// force masks what is not known of the first event in the queue. What becomes known
// of it later counts for nothing.
func (v *events) force(e *pending) {
	e.doc.each(func(p *piece) {
		missing := len(p.text) - len(p.out)
		if missing == 0 {
			return
		}
		t := v.texts[p.key]
		t.waiting = t.waiting[1:]
		t.debt += missing
		p.out = append(p.out, strings.Repeat("*", missing)...)
		v.found.add("text", SourceDetector, "held")
	})
}

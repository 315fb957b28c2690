package awsapi_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// cborWriter writes CBOR in one of the many forms that it has.
type cborWriter struct {
	b      []byte
	open   bool // of indefinite length
	chunks bool // texts in pieces
	wide   bool // lengths in more bytes than they need
	bytes  bool // keys as bytes
}

func (w *cborWriter) head(major byte, n int) {
	switch {
	case w.wide:
		w.b = binary.BigEndian.AppendUint32(append(w.b, major<<5|26), uint32(n))
	case n < 24:
		w.b = append(w.b, major<<5|byte(n))
	case n < 256:
		w.b = append(w.b, major<<5|24, byte(n))
	default:
		w.b = binary.BigEndian.AppendUint16(append(w.b, major<<5|25), uint16(n))
	}
}

func (w *cborWriter) text(s string, chunks bool) {
	if !chunks {
		w.head(3, len(s))
		w.b = append(w.b, s...)
		return
	}
	w.b = append(w.b, 0x7f)
	w.text(s[:len(s)/2], false)
	w.text(s[len(s)/2:], false)
	w.b = append(w.b, 0xff)
}

func (w *cborWriter) node(n node) {
	switch {
	case n.raw != nil:
		w.b = append(w.b, n.raw...)
		return
	case n.leaf:
		w.text(n.text, w.chunks)
		return
	}
	major := byte(5)
	if n.list {
		major = 4
	}
	if w.open {
		w.b = append(w.b, major<<5|31)
	} else {
		w.head(major, len(n.kids))
	}
	for i, k := range n.kids {
		if !n.list {
			name, marked := unescaped(n.names[i])
			at := len(w.b)
			w.text(name, w.chunks || marked)
			if w.bytes && !w.chunks && !marked {
				w.b[at] ^= 1 << 5 // 3, a text, to 2
			}
		}
		w.node(k)
	}
	if w.open {
		w.b = append(w.b, 0xff)
	}
}

// changeCBOR writes the body again with a change, in the usual form or in w's.
func changeCBOR(m *mutant, rng *rand.Rand, w cborWriter, change func(root, n *node, i int)) bool {
	if m.protocol != "smithy-rpc-v2-cbor" || m.header.Get("Content-Encoding") != "" {
		return false
	}
	root, rest, err := cborNode(m.body, 0)
	if err != nil || len(rest) > 0 || root.leaf {
		return false
	}
	n, i, ok := pickName(rng, &root)
	if !ok {
		return false
	}
	change(&root, n, i)
	w.node(root)
	m.setBody(w.b)
	return true
}

func keep(_, _ *node, _ int) {}

// cborChanges are of CBOR bodies.
var cborChanges = []change{
	{"CBOR as it is", func(m *mutant, rng *rand.Rand) bool { return changeCBOR(m, rng, cborWriter{}, keep) }},
	{"CBOR key twice", func(m *mutant, rng *rand.Rand) bool {
		return changeCBOR(m, rng, cborWriter{open: rng.IntN(2) == 0}, func(_, n *node, i int) {
			insert(rng, n, pickOne(rng, "", escaped)+n.names[i], pickOne(rng, n.kids[i], other(n.kids[i])))
		})
	}},
	{"CBOR key twice, other case", func(m *mutant, rng *rand.Rand) bool {
		return changeCBOR(m, rng, cborWriter{open: rng.IntN(2) == 0}, func(_, n *node, i int) {
			if k := turnCase(rng, n.names[i]); k != n.names[i] {
				insert(rng, n, k, other(n.kids[i]))
			}
		})
	}},
	{"CBOR key in other case", func(m *mutant, rng *rand.Rand) bool {
		return changeCBOR(m, rng, cborWriter{}, func(_, n *node, i int) { n.names[i] = turnCase(rng, n.names[i]) })
	}},
	{"CBOR key added", func(m *mutant, rng *rand.Rand) bool {
		return changeCBOR(m, rng, cborWriter{}, func(_, n *node, i int) {
			insert(rng, n, pickOne(rng, "x", "Name", n.names[i]+" ", n.names[i]+"\x00", n.names[i]+"\xff", n.names[i]+"\u200b"), other(n.kids[i]))
		})
	}},
	{"CBOR of indefinite length", func(m *mutant, rng *rand.Rand) bool {
		return changeCBOR(m, rng, cborWriter{open: rng.IntN(3) > 0, chunks: rng.IntN(2) == 0}, keep)
	}},
	{"CBOR in a longer form", func(m *mutant, rng *rand.Rand) bool {
		return changeCBOR(m, rng, cborWriter{wide: true, open: rng.IntN(2) == 0, chunks: rng.IntN(2) == 0}, keep)
	}},
	{"CBOR key of another type", func(m *mutant, rng *rand.Rand) bool {
		if rng.IntN(2) == 0 {
			return changeCBOR(m, rng, cborWriter{bytes: true}, keep)
		}
		return changeCBOR(m, rng, cborWriter{}, func(_, n *node, _ int) {
			// A list of pairs in place of a map.
			var kids []node
			for i, k := range n.kids {
				kids = append(kids, node{leaf: true, quote: true, text: n.names[i]}, k)
			}
			*n = node{list: true, kids: kids}
		})
	}},
	{"CBOR value of another kind", func(m *mutant, rng *rand.Rand) bool {
		return changeCBOR(m, rng, cborWriter{}, func(_, n *node, i int) {
			raw := func(s string) node { return node{leaf: true, raw: []byte(s)} }
			n.kids[i] = pickOne(rng, raw("\xf6"), raw("\xf7"), raw("\xf5"), raw("\x18\x2a"), raw("\x38\x2a"), raw("\xf9\x7e\x00"), raw("\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00"), raw("\x43abc"), raw("\x63a\xffb"),
				raw("\xc1\x1a\x60\x00\x00\x00"), raw("\xc0\x74"+"2026-01-01T00:00:00Z"), raw("\xc2\x42\x01\x00"), raw("\xf8\x20"), raw("\x5f\x41a\xff"), raw("\x7f\x41a\xff"), raw("\x9f\xff"), raw("\xbf\xff"), raw("\xd8\x18\x41\xa0"),
				node{list: true, kids: []node{n.kids[i], other(n.kids[i])}}, node{names: []string{"x"}, kids: []node{n.kids[i]}})
		})
	}},
	{"CBOR behind its end", func(m *mutant, rng *rand.Rand) bool {
		return changeCBOR(m, rng, cborWriter{open: rng.IntN(2) == 0}, keep) && func() bool {
			rest := pickOne(rng, []byte("\xa0"), []byte("\xf6"), []byte("\xff"), []byte("\x00"), []byte("\n"), m.body)
			m.setBody(slices.Concat(m.body, rest))
			return true
		}()
	}},
	{"CBOR tagged", func(m *mutant, rng *rand.Rand) bool {
		return changeCBOR(m, rng, cborWriter{}, keep) && func() bool {
			m.setBody(slices.Concat(pickOne(rng, []byte("\xd9\xd9\xf7"), []byte("\xc1"), []byte("\xd8\x18"), []byte("\xc6")), m.body))
			return true
		}()
	}},
	{"CBOR lengths that lie", func(m *mutant, rng *rand.Rand) bool {
		if m.protocol != "smithy-rpc-v2-cbor" || len(m.body) < 2 {
			return false
		}
		b := slices.Clone(m.body)
		b[rng.IntN(min(len(b), 40))] += pickOne[byte](rng, 1, 2, 255, 32)
		m.setBody(b)
		return true
	}},
}

package detect

import (
	_ "embed"
	"strings"
)

// sample is text like that of AWS's answers: which pairs of letters are common.
//
//go:embed rules/sample.txt
var sample string

type keyword struct {
	text  string // in lower case if fold
	fold  bool
	off   int // where its rarest pair of bytes is
	rules []*rule
}

// table finds all keywords in one pass: one look-up a byte, by the pair of bytes
// that is rarest in each keyword.
type table struct {
	flag    [1 << 16]bool
	bucket  [1 << 16]uint16 // index into buckets where flag is set
	buckets [][]*keyword
	longest int
	// Beginnings of keywords, in lower case: a stream keeps back what may become one.
	// In bound are those that must stand at a boundary.
	begun, bound map[string]bool
}

func newTable(rules []*rule) *table {
	t := &table{buckets: [][]*keyword{nil}, begun: map[string]bool{}, bound: map[string]bool{}}
	words := map[string]*keyword{}
	var order []*keyword
	for _, r := range rules {
		for _, w := range r.keywords {
			id := w
			if r.fold {
				id = "(?i)" + w
			}
			k := words[id]
			if k == nil {
				k = &keyword{text: w, fold: r.fold}
				words[id], order = k, append(order, k)
			}
			k.rules = append(k.rules, r)
			t.longest = max(t.longest, len(w))
			for i := 1; i < len(w); i++ {
				if r.boundary && r.lead == 0 {
					t.bound[strings.ToLower(w[:i])] = true
				} else {
					t.begun[strings.ToLower(w[:i])] = true
				}
			}
		}
	}
	count := pairs()
	for _, k := range order {
		t.add(k, count)
	}
	return t
}

func pairs() map[string]int {
	count := map[string]int{}
	var single [256]int
	for i := range len(sample) {
		single[sample[i]]++
	}
	for a := range 128 {
		for b := range 128 {
			if single[a] > 0 && single[b] > 0 {
				count[string([]byte{byte(a), byte(b)})] = single[a] * single[b] / len(sample) / 8
			}
		}
	}
	for i := 0; i+1 < len(sample); i++ {
		count[sample[i:i+2]] += 16
	}
	return count
}

func (t *table) add(k *keyword, count map[string]int) {
	best := -1
	for i := 0; i+1 < len(k.text); i++ {
		n := 0
		for _, p := range spellings(k.text[i:i+2], k.fold) {
			n += count[p]
		}
		if best < 0 || n < best {
			best, k.off = n, i
		}
	}
	for _, p := range spellings(k.text[k.off:k.off+2], k.fold) {
		v := uint16(p[0])<<8 | uint16(p[1])
		if !t.flag[v] {
			t.flag[v], t.bucket[v] = true, uint16(len(t.buckets))
			t.buckets = append(t.buckets, nil)
		}
		t.buckets[t.bucket[v]] = append(t.buckets[t.bucket[v]], k)
	}
}

func spellings(pair string, fold bool) []string {
	if !fold {
		return []string{pair}
	}
	var out []string
	for _, a := range cases(pair[0]) {
		for _, b := range cases(pair[1]) {
			out = append(out, string([]byte{a, b}))
		}
	}
	return out
}

func cases(c byte) []byte {
	if isAlpha(c) {
		return []byte{c | 0x20, c &^ 0x20}
	}
	return []byte{c}
}

// at tells whether k stands at b's beginning.
func at[T string | []byte](k *keyword, b T) bool {
	if k.fold {
		return hasPrefixFold(b, k.text)
	}
	return len(b) >= len(k.text) && string(b[:len(k.text)]) == k.text
}

// begins is where the longest end of b begins that may become a keyword, at from or
// behind it; len(b) if none does.
func (t *table) begins(b []byte, from int) int {
	var buf [64]byte
	for p := max(from, len(b)-t.longest+1, 0); p < len(b); p++ {
		low := buf[:0]
		for _, c := range b[p:] {
			low = append(low, lower(c))
		}
		if t.begun[string(low)] || t.bound[string(low)] && boundary(b, p) {
			return p
		}
	}
	return len(b)
}

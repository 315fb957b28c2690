package detect

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// verdict is what is known of a place where a keyword stands.
type verdict int

const (
	no     verdict = iota
	yes            // a secret
	more           // depends on text that has not come yet
	opened         // a secret whose end has not come yet
)

// A matcher judges the keyword at t[p:]. The secret is t[start:end]; for more, start
// is where it may begin; for no, an end other than 0 says that it would say no of
// every keyword before it too. final tells that nothing follows t. What it says must
// depend on a bounded stretch of text around p alone.
type matcher func(t []byte, p int, final bool) (start, end int, v verdict)

// rule is one detector: texts that announce a secret, and either a matcher or a
// regular expression that is tried where one of them stands. ends is of a matcher that
// says opened.
type rule struct {
	name     string
	keywords []string
	fold     bool // the keywords' case does not matter
	boundary bool // no letter, digit or underscore in front
	lead     int  // bytes of a match before the keyword
	assigned bool // the keyword is a name, and a sign must follow that gives it a value
	keyID    bool // an access key id: not masked under a label that asks for one

	matcher matcher
	back    func(t []byte) int // where the end of t begins that may belong to its secret
	ends    func(t []byte, from int, final bool) (end int, ok bool)
	slot    int  // of found.until, from 1; 0 for none
	whole   bool // what begins in its secret ends with it

	*pattern
}

// pattern is a regular expression with what says that its match is a secret.
type pattern struct {
	source  *syntax.Regexp
	max     int // the greatest length of a match
	group   int // 0: the first group that took part, or the whole match
	entropy float64
	allow   []string
	stop    []string
	near    []string // keywords, one of which must stand at most nearby bytes away
	check   func(secret []byte) bool

	once    sync.Once
	regex   *regexp.Regexp
	allowed []*regexp.Regexp
	tail    func() *regexp.Regexp // begun, at the beginning of the text
	anyTail func() *regexp.Regexp // begun, anywhere
	search  func() *regexp.Regexp // the match itself, anywhere behind the first character
	first   func() *regexp.Regexp // the match itself, anywhere
}

// nearby is how far a custom rule's keyword may be from its match.
const nearby = 128

func newPattern(source *syntax.Regexp) *pattern {
	p := &pattern{source: source, max: longest(source)}
	p.tail = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A(?:` + begun(source) + `)\z`) })
	p.anyTail = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?:` + begun(source) + `)\z`) })
	p.search = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A(?s:.)(?s:.*?)(` + source.String() + `)`) })
	p.first = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(` + source.String() + `)`) })
	return p
}

// compile is late: most rules never meet their keyword.
func (p *pattern) compile() {
	p.once.Do(func() {
		p.regex = regexp.MustCompile(`\A(?:` + p.source.String() + `)`)
		for _, a := range p.allow {
			p.allowed = append(p.allowed, regexp.MustCompile(a))
		}
	})
}

// at judges the keyword at t[p:].
func (r *rule) at(t []byte, p int, final bool) (start, end int, v verdict) {
	if r.matcher != nil {
		if r.boundary && !boundary(t, p) {
			return 0, 0, no
		}
		return r.matcher(t, p, final)
	}
	start = p - r.lead
	if start < 0 || r.boundary && !boundary(t, start) {
		return 0, 0, no
	}
	// One byte more than a match can be long: what ends a secret is then seen, and
	// "$" matches at the end of the text alone.
	w := t[start:]
	if r.assigned && !assigns(w, final) {
		return 0, 0, no
	}
	if len(w) > r.max {
		w = w[:r.max+1]
	} else if !final && r.tail().Match(whole(w)) {
		return start, 0, more
	}
	r.compile()
	loc := r.regex.FindSubmatchIndex(w)
	if loc == nil {
		return 0, 0, no
	}
	return r.accept(t, start, loc, final)
}

// assigns tells whether a name at w's beginning is followed by "=", ":" or the like, as
// gitleaks' expressions for names ask, or may be. It spares the expression where a
// name is just a word.
func assigns(w []byte, final bool) bool {
	for i, c := range w {
		if i == 80 {
			return false
		}
		switch {
		case isWord(c), c == ' ', c == '.', c == '-', c == '\'', c == '"', c >= '\t' && c <= '\r':
		default:
			return strings.IndexByte("=>:|?,", c) >= 0
		}
	}
	return !final
}

// accept judges a match of the pattern at t[at:].
func (p *pattern) accept(t []byte, at int, loc []int, final bool) (start, end int, v verdict) {
	g := p.group
	if g == 0 {
		for i := 2; i < len(loc); i += 2 {
			if loc[i] >= 0 {
				g = i / 2
				break
			}
		}
	}
	start, end = at+loc[2*g], at+loc[2*g+1]
	if loc[2*g] < 0 || start == end {
		return 0, 0, no
	}
	secret := t[start:end]
	if ours(secret) || p.entropy > 0 && entropy(secret) < p.entropy || p.check != nil && !p.check(secret) {
		return 0, 0, no
	}
	for _, a := range p.allowed {
		if a.Match(secret) {
			return 0, 0, no
		}
	}
	for _, s := range p.stop {
		if containsFold(secret, s) {
			return 0, 0, no
		}
	}
	if len(p.near) > 0 {
		around := t[max(0, start-nearby):min(len(t), end+nearby)]
		if !slices.ContainsFunc(p.near, func(k string) bool { return containsFold(around, k) }) {
			if !final && len(t) < end+nearby {
				return at, 0, more
			}
			return 0, 0, no
		}
	}
	return start, end, yes
}

// ours tells the replacement text, plain, in a URL, in base64 or cut, from a secret:
// masking what is masked changes nothing.
func ours(secret []byte) bool {
	return bytes.Contains(secret, []byte("sallyport/mask")) || bytes.Contains(secret, []byte("sallyport%2Fmask")) ||
		bytes.Contains(secret, []byte("c2FsbHlwb3J0L21hc2"))
}

// entropy is Shannon's, in bits a byte.
func entropy(b []byte) float64 {
	var count [256]int
	for _, c := range b {
		count[c]++
	}
	e := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(b))
			e -= p * math.Log2(p)
		}
	}
	return e
}

// fromRegex makes a rule of a regular expression, with keywords that every match
// begins with. Without those the rule has no keywords.
func fromRegex(name string, re *syntax.Regexp) (*rule, error) {
	re, b := beginning(re)
	p := newPattern(re)
	if p.max < 0 {
		return nil, fmt.Errorf("unbounded")
	}
	r := &rule{name: name, boundary: b, pattern: p}
	texts, fold, _ := prefixes(re)
	texts = slices.DeleteFunc(texts, func(t string) bool {
		return slices.ContainsFunc(texts, func(u string) bool { return len(u) < len(t) && u != "" && strings.HasPrefix(t, u) })
	})
	if shortest(texts) < 2 {
		return r, nil
	}
	r.fold = fold
	for _, t := range texts {
		if fold {
			t = strings.ToLower(t)
		}
		if !slices.Contains(r.keywords, t) {
			r.keywords = append(r.keywords, t)
		}
	}
	return r, nil
}

// boundary tells that no word goes on at t[p]: no letter, digit or underscore is in
// front, or one that belongs to an escape (\n, %0A, \u000a).
func boundary(t []byte, p int) bool {
	if p == 0 || !isWord(t[p-1]) {
		return true
	}
	c := t[p-1]
	if p >= 2 && t[p-2] == '\\' && strings.IndexByte("nrtbfv0", c) >= 0 {
		return true
	}
	if !isHex(c) || p < 3 || !isHex(t[p-2]) {
		return false
	}
	return t[p-3] == '%' ||
		p >= 6 && t[p-6] == '\\' && t[p-5] == 'u' && isHex(t[p-4]) && isHex(t[p-3])
}

// whole is t without the beginning of a character that is still to come.
func whole(t []byte) []byte {
	for i := len(t) - 1; i >= 0 && i >= len(t)-utf8.UTFMax; i-- {
		if utf8.RuneStart(t[i]) {
			if !utf8.FullRune(t[i:]) {
				return t[:i]
			}
			break
		}
	}
	return t
}

func isDigit(c byte) bool { return c-'0' < 10 }
func isAlpha(c byte) bool { return c|0x20-'a' < 26 }
func isAlnum(c byte) bool { return c-'0' < 10 || c|0x20-'a' < 26 }
func isWord(c byte) bool  { return isAlnum(c) || c == '_' }
func isHex(c byte) bool   { return c-'0' < 10 || c|0x20-'a' < 6 }

func lower(c byte) byte {
	if c-'A' < 26 {
		return c | 0x20
	}
	return c
}

// hasPrefixFold tells whether b begins with s, which is in lower case.
func hasPrefixFold[T string | []byte](b T, s string) bool {
	if len(b) < len(s) {
		return false
	}
	for i := range len(s) {
		if lower(b[i]) != s[i] {
			return false
		}
	}
	return true
}

// containsFold tells whether s, in lower case, is in b.
func containsFold(b []byte, s string) bool {
	for i := 0; i+len(s) <= len(b); i++ {
		if hasPrefixFold(b[i:], s) {
			return true
		}
	}
	return false
}

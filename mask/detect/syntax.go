package detect

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// most is how often a `*` or `+` of a built-in rule repeats at most, and open how
// often `{n,}` does: every rule looks at a bounded stretch of text, so that a
// stream can tell when a decision no longer depends on what is to come.
const (
	most = 255
	open = 1000 // the greatest count that RE2 takes
)

// bound gives every unbounded repetition a greatest count.
func bound(re *syntax.Regexp) {
	for _, sub := range re.Sub {
		bound(sub)
	}
	switch re.Op {
	case syntax.OpStar:
		re.Op, re.Min, re.Max = syntax.OpRepeat, 0, most
	case syntax.OpPlus:
		re.Op, re.Min, re.Max = syntax.OpRepeat, 1, most
	case syntax.OpRepeat:
		if re.Max < 0 {
			re.Max = open
		}
	}
}

// longest is the greatest length of a match in bytes, or -1 if there is none.
func longest(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		n := 0
		for _, r := range re.Rune {
			// The longest of a letter's cases: Kelvin sign and long s.
			if re.Flags&syntax.FoldCase != 0 && (r|0x20 == 'k' || r|0x20 == 's') {
				n += 3
			} else {
				n += utf8.RuneLen(r)
			}
		}
		return n
	case syntax.OpCharClass:
		if len(re.Rune) == 0 {
			return 0
		}
		return utf8.RuneLen(re.Rune[len(re.Rune)-1])
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return utf8.UTFMax
	case syntax.OpStar, syntax.OpPlus:
		if longest(re.Sub[0]) == 0 {
			return 0
		}
		return -1
	case syntax.OpQuest, syntax.OpCapture:
		return longest(re.Sub[0])
	case syntax.OpRepeat:
		n := longest(re.Sub[0])
		if n == 0 {
			return 0
		}
		if n < 0 || re.Max < 0 {
			return -1
		}
		return n * re.Max
	case syntax.OpConcat:
		n := 0
		for _, sub := range re.Sub {
			l := longest(sub)
			if l < 0 {
				return -1
			}
			n += l
		}
		return n
	case syntax.OpAlternate:
		n := 0
		for _, sub := range re.Sub {
			l := longest(sub)
			if l < 0 {
				return -1
			}
			n = max(n, l)
		}
		return n
	}
	return 0
}

// beginning takes a word boundary off the front of re and tells whether there was one.
func beginning(re *syntax.Regexp) (rest *syntax.Regexp, boundary bool) {
	switch re.Op {
	case syntax.OpWordBoundary:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}, true
	case syntax.OpConcat:
		first, b := beginning(re.Sub[0])
		if b {
			re.Sub[0] = first
		}
		return re, b
	case syntax.OpCapture:
		sub, b := beginning(re.Sub[0])
		if b {
			re.Sub[0] = sub
		}
		return re, b
	}
	return re, false
}

// What prefixes gives at most, and how long.
const (
	maxPrefixes = 32
	longPrefix  = 12
)

// prefixes lists texts one of which every match of re begins with; fold tells that
// upper and lower case are alike. whole tells that the texts are all that re
// matches. Without such texts the list holds "".
func prefixes(re *syntax.Regexp) (texts []string, fold, whole bool) {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpWordBoundary, syntax.OpNoWordBoundary,
		syntax.OpBeginLine, syntax.OpBeginText, syntax.OpEndLine, syntax.OpEndText:
		return []string{""}, false, true
	case syntax.OpLiteral:
		s := string(re.Rune)
		for i := range len(s) {
			if s[i] >= utf8.RuneSelf {
				return []string{s[:i]}, re.Flags&syntax.FoldCase != 0, false
			}
		}
		return []string{s}, re.Flags&syntax.FoldCase != 0, true
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if r >= utf8.RuneSelf || len(texts) == 8 {
					return []string{""}, false, false
				}
				texts = append(texts, string(r))
			}
		}
		return texts, false, true
	case syntax.OpCapture:
		return prefixes(re.Sub[0])
	case syntax.OpQuest:
		texts, fold, whole = prefixes(re.Sub[0])
		return append(texts, ""), fold, whole
	case syntax.OpRepeat:
		if re.Min == 1 && re.Max == 1 {
			return prefixes(re.Sub[0])
		}
		if re.Min > 0 {
			texts, fold, _ = prefixes(re.Sub[0])
			return texts, fold, false
		}
	case syntax.OpPlus:
		texts, fold, _ = prefixes(re.Sub[0])
		return texts, fold, false
	case syntax.OpAlternate:
		whole = true
		for _, sub := range re.Sub {
			t, f, w := prefixes(sub)
			texts, fold, whole = append(texts, t...), fold || f, whole && w
		}
		return texts, fold, whole
	case syntax.OpConcat:
		texts = []string{""}
		for _, sub := range re.Sub {
			t, f, w := prefixes(sub)
			if len(t)*len(texts) > maxPrefixes || shortest(texts) >= longPrefix {
				return texts, fold, false
			}
			var both []string
			for _, a := range texts {
				for _, b := range t {
					both = append(both, a+b)
				}
			}
			texts, fold = both, fold || f
			if !w {
				return texts, fold, false
			}
		}
		return texts, fold, true
	}
	return []string{""}, false, false
}

func shortest(texts []string) int {
	n := len(texts[0])
	for _, t := range texts {
		n = min(n, len(t))
	}
	return n
}

// begun writes an expression for every beginning of a text that re matches, or for
// more: what matches it up to the end of a text may become a match of re when more
// text comes. Assertions about what follows cannot be judged at that end, so
// they hold.
func begun(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		var subs []*syntax.Regexp
		for _, r := range re.Rune {
			subs = append(subs, &syntax.Regexp{Op: syntax.OpLiteral, Flags: re.Flags, Rune: []rune{r}})
		}
		if len(subs) == 1 {
			return "(?:" + re.String() + ")?"
		}
		return begunAll(subs)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "(?:" + re.String() + ")?"
	case syntax.OpConcat:
		return begunAll(re.Sub)
	case syntax.OpAlternate:
		var b strings.Builder
		for i, sub := range re.Sub {
			if i > 0 {
				b.WriteByte('|')
			}
			b.WriteString(begun(sub))
		}
		return "(?:" + b.String() + ")"
	case syntax.OpCapture, syntax.OpQuest:
		return begun(re.Sub[0])
	case syntax.OpRepeat:
		c := *re
		c.Min = 0
		if single(re.Sub[0]) {
			return "(?:" + c.String() + ")"
		}
		return "(?:" + c.String() + ")(?:" + begun(re.Sub[0]) + ")"
	case syntax.OpStar, syntax.OpPlus:
		c := *re
		c.Op = syntax.OpStar
		return "(?:" + c.String() + ")(?:" + begun(re.Sub[0]) + ")"
	}
	return ""
}

func begunAll(subs []*syntax.Regexp) string {
	out := begun(subs[len(subs)-1])
	for i := len(subs) - 2; i >= 0; i-- {
		out = "(?:" + begun(subs[i]) + "|(?:" + subs[i].String() + ")" + out + ")"
	}
	return out
}

func single(re *syntax.Regexp) bool {
	return re.Op == syntax.OpCharClass || re.Op == syntax.OpAnyChar || re.Op == syntax.OpAnyCharNotNL ||
		re.Op == syntax.OpLiteral && len(re.Rune) == 1
}

package policy

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// oracle is the pattern as a regular expression of Go's linear-time engine.
func oracle(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for _, r := range pattern {
		switch r {
		case '*':
			b.WriteString(`.*`)
		case '?':
			b.WriteString(`.`)
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return regexp.MustCompile(b.String() + `\z`)
}

func random(rng *rand.Rand, alphabet string, limit int) string {
	rs := []rune(alphabet)
	out := make([]rune, rng.IntN(limit+1))
	for i := range out {
		out[i] = rs[rng.IntN(len(rs))]
	}
	return string(out)
}

func TestMatchAgainstRegexp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50000 {
		p, s := random(rng, "aé*?*", 8), random(rng, "aé*?", 8)
		if got, want := Match(p, s), oracle(p).MatchString(s); got != want {
			t.Fatalf("Match(%q, %q) = %v, a regular expression says %v", p, s, got, want)
		}
	}
}

// words lists all texts that partial stands for with each `*` at most two
// characters of the alphabet long.
func words(partial string) []string {
	out := []string{""}
	for _, r := range partial {
		tails := []string{string(r)}
		if r == '*' {
			tails = []string{"", "a", "b", "z", "aa", "ab", "ba", "zz", "zzz"}
		}
		var next []string
		for _, o := range out {
			for _, tail := range tails {
				next = append(next, o+tail)
			}
		}
		out = next
	}
	return out
}

func TestCoversAndOverlapsAgainstEnumeration(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		p, s := random(rng, "ab*?*", 6), random(rng, "ab**?", 4)
		re := oracle(p)
		all, some := true, false
		for _, w := range words(s) {
			m := re.MatchString(w)
			all, some = all && m, some || m
		}
		covers, overlaps := Covers(p, s), Overlaps(p, s)
		if covers && !all {
			t.Fatalf("Covers(%q, %q), but not all that it may be matches", p, s)
		}
		// z is in no pattern, so three of them tell "anything" from "a few things".
		if !covers && all && !strings.Contains(p, "?") {
			t.Fatalf("Covers(%q, %q) is false, but all matches", p, s)
		}
		if some && !overlaps {
			t.Fatalf("Overlaps(%q, %q) is false, but something matches", p, s)
		}
		if covers && !overlaps {
			t.Fatalf("%q covers %q but does not overlap it", p, s)
		}
		if !strings.ContainsRune(s, '*') {
			if m := Match(p, s); covers != m || overlaps != m && !strings.ContainsRune(s, '?') {
				t.Fatalf("%q, %q without a wildcard: match %v, covers %v, overlaps %v", p, s, m, covers, overlaps)
			}
		}
	}
	for _, c := range []struct {
		p, s             string
		covers, overlaps bool
	}{
		{"table/*", "table/*", true, true},
		{"table/prod-*", "table/*", false, true},
		{"*", "*", true, true},
		{"", "*", false, true},
		{"a*b", "*", false, true},
		{"abc", "a*d", false, false},
		{"a?c", "a*", false, true},
		{"é*", "e*", false, false},
		{"éa", "è*", false, false},
		{"?", "**", false, true},
		{"secret:db-AbCdEf", "secret:db-??????", false, true},
		{"secret:db-*", "secret:db-??????", true, true},
		{"secret:db-??????", "secret:db-??????", true, true},
		{"secret:db-prod-AbCdEf", "secret:db-??????", false, false},
	} {
		if got := Covers(c.p, c.s); got != c.covers {
			t.Errorf("Covers(%q, %q) = %v", c.p, c.s, got)
		}
		if got := Overlaps(c.p, c.s); got != c.overlaps {
			t.Errorf("Overlaps(%q, %q) = %v", c.p, c.s, got)
		}
	}
}

// A pattern of many stars against a text that almost matches makes naive matchers
// exponential. Steps are counted, since time would depend on the machine.
func TestNoBlowUp(t *testing.T) {
	text := strings.Repeat("a", 2000) + "b"
	for _, p := range []string{
		strings.Repeat("a*", 250) + "c", strings.Repeat("*a", 250) + "*c", strings.Repeat("*", 500) + "c",
		strings.Repeat("?*", 250) + "c", strings.Repeat("*a?", 170) + "c", "*" + strings.Repeat("a", 400) + "c",
	} {
		limit := (len(p) + 1) * (len(text) + 1)
		if ok, steps := match(p, text, false); ok || steps > limit {
			t.Errorf("match(%.20q...) = %v in %d steps, at most %d", p, ok, steps, limit)
		}
		if ok, steps := match(p, strings.ReplaceAll(text, "aaaa", "aa*a"), true); ok || steps > limit {
			t.Errorf("Covers(%.20q...) = %v in %d steps, at most %d", p, ok, steps, limit)
		}
		if _, steps := overlaps(p, strings.ReplaceAll(text, "aaaa", "aa*a")); steps > limit {
			t.Errorf("Overlaps(%.20q...) took %d steps, at most %d", p, steps, limit)
		}
	}
}

func FuzzGlob(f *testing.F) {
	for _, c := range [][2]string{{"*", ""}, {"a*b?c", "aXbYc"}, {"?", "é"}, {"*?", "\xff"}, {"**a", "a*"}, {"日?", "日*"}, {"\xe6*", "\xe6\x97"}} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, p, s string) {
		if len(p) > maxPattern || len(s) > 2048 || !utf8.ValidString(p) { // as checkPattern asks
			return
		}
		ok, steps := match(p, s, false)
		if steps > (len(p)+1)*(len(s)+1) {
			t.Fatalf("%d steps for %d by %d", steps, len(p), len(s))
		}
		// U+FFFD is what Go's regexp sees for a byte that is not UTF-8; Match keeps
		// the two apart.
		clean := utf8.ValidString(s) && !strings.ContainsRune(p, utf8.RuneError)
		if clean && ok != oracle(p).MatchString(s) {
			t.Fatalf("Match(%q, %q) = %v", p, s, ok)
		}
		covers, overlap := Covers(p, s), Overlaps(p, s)
		if covers && !ok {
			t.Fatalf("%q covers %q but does not match its text", p, s)
		}
		if (ok || covers) && !overlap {
			t.Fatalf("%q and %q match and do not overlap", p, s)
		}
	})
}

// A `?` is a character, not a byte, also behind a `*`.
func TestCharacters(t *testing.T) {
	for _, c := range []struct {
		p, s string
		want bool
	}{{"*??", "日", false}, {"*?", "日", true}, {"*??", "日本", true}, {"??", "é", false}, {"*???b*", "日xba", false}, {"?", "\xff", true}} {
		if got := Match(c.p, c.s); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.p, c.s, got)
		}
	}
}

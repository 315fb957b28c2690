package detect

import (
	"math/rand/v2"
	"regexp/syntax"
	"strings"
	"testing"
)

// Each rule with an expression finds texts made from that expression, alone, in
// words, behind an escape and in markup: its keywords, its lead and its boundary fit.
func TestEveryRuleFindsItsMatches(t *testing.T) {
	sets, err := builtin()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, rules := range sets {
		n += len(rules)
		for _, r := range rules {
			if r.source == nil {
				continue
			}
			s := &Scanner{table: newTable([]*rule{r})}
			random := rand.New(rand.NewPCG(1, 1))
			found := 0
			for range 200 {
				match := example(r.source, random)
				if r.keywords != nil && len(s.Find("", []byte(match))) == 0 {
					continue // too little entropy, an exception, or no end
				}
				found++
				for _, around := range []string{"words %s ", `{"a":"%s"}`, `line\n%s\n`, "<a>%s</a>", "x=1&y=%s&z=2", "(%s)", "%s, and"} {
					text := strings.Replace(around, "%s", match, 1)
					if len(s.Find("", []byte(text))) == 0 {
						t.Errorf("%s: does not find %q in %q", r.name, match, text)
					}
				}
				if found == 5 {
					break
				}
			}
			if found == 0 {
				t.Errorf("%s: finds none of its own matches, as %q", r.name, example(r.source, random))
			}
		}
	}
	if n < 200 {
		t.Errorf("only %d rules", n)
	}
}

// example is a random text that re matches.
func example(re *syntax.Regexp, r *rand.Rand) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		var ascii []byte
		for i := 0; i < len(re.Rune); i += 2 {
			for c := max(re.Rune[i], '!'); c <= min(re.Rune[i+1], '~'); c++ {
				ascii = append(ascii, byte(c))
			}
		}
		if len(ascii) == 0 {
			return string(re.Rune[0])
		}
		return string(ascii[r.IntN(len(ascii))])
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "a"
	case syntax.OpCapture:
		return example(re.Sub[0], r)
	case syntax.OpQuest:
		if r.IntN(2) == 0 {
			return example(re.Sub[0], r)
		}
	case syntax.OpRepeat:
		n := re.Min
		if re.Max > re.Min {
			n += r.IntN(min(re.Max-re.Min, 20))
		}
		var b strings.Builder
		for range n {
			b.WriteString(example(re.Sub[0], r))
		}
		return b.String()
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range re.Sub {
			// What ends a secret is left to the text around it.
			if sub.Op == syntax.OpAlternate && len(sub.Sub) > 0 && sub.Sub[len(sub.Sub)-1].Op == syntax.OpEndText {
				continue
			}
			b.WriteString(example(sub, r))
		}
		return b.String()
	case syntax.OpAlternate:
		return example(re.Sub[r.IntN(len(re.Sub))], r)
	}
	return ""
}

func TestRulesHaveSourceAndLicence(t *testing.T) {
	for _, name := range []string{"own.json", "gitleaks.json"} {
		raw, err := data.ReadFile("rules/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{`"source"`, `"version"`, `"licence"`} {
			if !strings.Contains(string(raw), field) {
				t.Errorf("%s has no %s", name, field)
			}
		}
	}
}

package iameval

import (
	"strings"
	"unicode/utf8"
)

// token is one character of a pattern: a literal, or one of the two wildcards.
type token struct {
	wildcard rune // '*', '?', or 0 for a literal
	char     rune
}

// expand reads a pattern. ${*}, ${?} and ${$} are those characters themselves;
// another variable is the value that the request context has for it, taken
// literally. ok is false where a variable has no single value: such an element
// matches nothing ("Using policy variables": the statement is then not applied).
// `${key, 'default'}` stands for default where key is absent.
func expand(pattern string, context map[string][]string, wildcards bool) (out []token, ok bool) {
	p := []rune(pattern)
	for i := 0; i < len(p); i++ {
		if p[i] == '$' && i+1 < len(p) && p[i+1] == '{' {
			end := i + 2
			for end < len(p) && p[end] != '}' {
				end++
			}
			if end == len(p) {
				return nil, false
			}
			text, found := variable(string(p[i+2:end]), context)
			if !found {
				return nil, false
			}
			for _, c := range text {
				out = append(out, token{char: c})
			}
			i = end
			continue
		}
		if wildcards && (p[i] == '*' || p[i] == '?') {
			out = append(out, token{wildcard: p[i]})
			continue
		}
		out = append(out, token{char: p[i]})
	}
	return out, true
}

func variable(name string, context map[string][]string) (string, bool) {
	if name == "*" || name == "?" || name == "$" {
		return name, true
	}
	key, fallback, hasFallback := strings.Cut(name, ",")
	if v := context[strings.ToLower(strings.TrimSpace(key))]; len(v) == 1 {
		return v[0], true
	}
	fallback = strings.TrimSpace(fallback)
	if hasFallback && len(fallback) >= 2 && fallback[0] == '\'' && fallback[len(fallback)-1] == '\'' {
		return fallback[1 : len(fallback)-1], true
	}
	return "", false
}

// matches is glob matching: `*` is any run of characters, also of none, across
// `:` and `/`; `?` is exactly one.
func matches(pattern []token, text string) bool {
	// reach[i] is true where the pattern so far can end before rune i of text.
	// Most patterns differ from most texts in their first literal characters.
	for len(pattern) > 0 && pattern[0].wildcard == 0 {
		c, size := utf8.DecodeRuneInString(text)
		if size == 0 || c != pattern[0].char {
			return false
		}
		pattern, text = pattern[1:], text[size:]
	}
	runes := []rune(text)
	reach := make([]bool, len(runes)+1)
	reach[0] = true
	for _, t := range pattern {
		if t.wildcard == '*' {
			for i, on := 0, false; i < len(reach); i++ {
				on = on || reach[i]
				reach[i] = on
			}
			continue
		}
		for i := len(runes); i > 0; i-- {
			reach[i] = reach[i-1] && (t.wildcard == '?' || t.char == runes[i-1])
		}
		reach[0] = false
	}
	return reach[len(runes)]
}

// glob is a pattern of an Action or Resource element.
type glob struct {
	text   string
	tokens []token // where it has no variable but the three escapes
	fixed  bool
}

func globs(patterns []string) []glob {
	var out []glob
	for _, p := range patterns {
		tokens, ok := expand(p, nil, true)
		out = append(out, glob{p, tokens, ok && !strings.Contains(p, "'")})
	}
	return out
}

// actionGlobs: no variables in Action, and case does not matter.
func actionGlobs(patterns []string) []glob {
	var out []glob
	for _, p := range patterns {
		out = append(out, globs([]string{strings.ToLower(p)})...)
	}
	return out
}

func (g glob) matches(text string, context map[string][]string) bool {
	tokens, ok := g.tokens, true
	if !g.fixed {
		tokens, ok = expand(g.text, context, true)
	}
	return ok && matches(tokens, text)
}

// Match reports whether text fits a pattern of a Resource element in a request
// context without variables.
func Match(pattern, text string) bool {
	tokens, ok := expand(pattern, nil, true)
	return ok && matches(tokens, text)
}

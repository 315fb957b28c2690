package awsapi

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/refusal"
)

// pair is one decoded key and value of a query string or form.
type pair struct{ key, value string }

const maxPairs = 20000

// parsePairs reads a query string or form strictly: & separates, percent-escapes
// must be whole, text must be UTF-8, no key may come twice. Parsers differ on all
// of these, and a parameter that AWS reads otherwise than we do is a hole. A
// semicolon is refused for the same reason. what names the source in messages.
func parsePairs(raw, what string) ([]pair, error) {
	if raw == "" {
		return nil, nil
	}
	n := strings.Count(raw, "&") + 1
	if n > maxPairs {
		return nil, refusal.New(refusal.Malformed, "the %s has more than %d parameters", what, maxPairs)
	}
	out := make([]pair, 0, n)
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			return nil, refusal.New(refusal.Malformed, "the %s has an empty parameter (&& or a trailing &)", what)
		}
		k, v, _ := strings.Cut(part, "=")
		key, ok1 := unescape(k, true)
		val, ok2 := unescape(v, true)
		if !ok1 || !ok2 || strings.IndexByte(part, ';') >= 0 {
			return nil, refusal.New(refusal.Malformed, "the %s has a parameter that is not plain percent-encoded UTF-8: %q", what, clip(k))
		}
		if key == "" {
			return nil, refusal.New(refusal.Malformed, "the %s has a parameter without a name", what)
		}
		out = append(out, pair{key, val})
	}
	if len(out) < 16 {
		for i := range out {
			for j := range i {
				if out[i].key == out[j].key {
					return nil, duplicate(what, out[i].key)
				}
			}
		}
		return out, nil
	}
	seen := make(map[string]bool, len(out))
	for _, p := range out {
		if seen[p.key] {
			return nil, duplicate(what, p.key)
		}
		seen[p.key] = true
	}
	return out, nil
}

func duplicate(what, key string) error {
	return refusal.New(refusal.Malformed, "the %s has the parameter %q twice; which one counts differs from parser to parser, so send it once", what, clip(key))
}

// parseQueryMulti is parsePairs for REST queries, where a list member repeats
// its key. Other duplicates are found once the operation is known.
func parseQueryMulti(raw string) ([]pair, error) {
	if raw == "" {
		return nil, nil
	}
	var out []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" || len(out) > maxPairs {
			return nil, refusal.New(refusal.Malformed, "the query has an empty parameter or too many")
		}
		k, v, _ := strings.Cut(part, "=")
		key, ok1 := unescape(k, true)
		val, ok2 := unescape(v, true)
		if !ok1 || !ok2 || key == "" || strings.IndexByte(part, ';') >= 0 {
			return nil, refusal.New(refusal.Malformed, "the query has a parameter that is not plain percent-encoded UTF-8: %q", clip(k))
		}
		out = append(out, pair{key, val})
	}
	return out, nil
}

func find(pairs []pair, key string) (string, bool) {
	for _, p := range pairs {
		if p.key == key {
			return p.value, true
		}
	}
	return "", false
}

// unescape decodes percent-escapes, and + as a space where plus says so. It
// fails on a broken escape, NUL or text that is not UTF-8.
func unescape(s string, plus bool) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && (!plus || strings.IndexByte(s, '+') < 0) {
		return s, utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			b = append(b, byte(hi<<4|lo))
			i += 2
		case c == '+' && plus:
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	t := string(b)
	return t, utf8.ValidString(t) && strings.IndexByte(t, 0) < 0
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

const maxFormDepth = 32

// formDocument builds the document that the dotted keys of a query-protocol form
// stand for: A.B=1 is {"A":{"B":"1"}}, A.1=x and A.member.1=x are {"A":["x"]}.
func formDocument(pairs []pair) (map[string]any, error) {
	root := map[string]any{}
	for _, p := range pairs {
		if p.key == "Action" || p.key == "Version" {
			continue
		}
		node := root
		parts := strings.Split(p.key, ".")
		if len(parts) > maxFormDepth {
			return nil, refusal.New(refusal.Malformed, "the form's parameter %q is nested more than %d deep", clip(p.key), maxFormDepth)
		}
		for i, part := range parts {
			if i == len(parts)-1 {
				if _, ok := node[part]; ok {
					return nil, refusal.New(refusal.Malformed, "the form's parameter %q is both a value and a structure", clip(p.key))
				}
				node[part] = p.value
				break
			}
			next, ok := node[part]
			if !ok {
				m := map[string]any{}
				node[part] = m
				node = m
				continue
			}
			m, ok := next.(map[string]any)
			if !ok {
				return nil, refusal.New(refusal.Malformed, "the form's parameter %q is both a value and a structure", clip(p.key))
			}
			node = m
		}
	}
	for k, v := range root {
		root[k] = foldLists(v, k)
	}
	return root, nil
}

// foldLists makes lists of what is numbered. name is the name of v.
func foldLists(v any, name string) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for k, e := range m {
		m[k] = foldLists(e, k)
	}
	if len(m) == 1 {
		for k, e := range m {
			// Lists have a "member", maps an "entry" element; some lists are named
			// after their element (Filters.Filter.1).
			if l, ok := e.([]any); ok && (k == "member" || k == "entry" || isElementOf(k, name)) {
				return l
			}
		}
	}
	if len(m) == 0 {
		return m
	}
	keys := make([]int, 0, len(m))
	for k := range m {
		if !isNumber(k) {
			return m
		}
		n, err := strconv.Atoi(k)
		if err != nil {
			return m
		}
		keys = append(keys, n)
	}
	slices.Sort(keys)
	out := make([]any, 0, len(keys))
	for _, n := range keys {
		out = append(out, m[strconv.Itoa(n)])
	}
	return out
}

// isElementOf: a list that is named after its element (Filters.Filter.1). Any other
// name between is a member's, and stays: what is recorded is masked by it.
func isElementOf(element, list string) bool {
	return !isNumber(element) && (strings.EqualFold(element+"s", list) || strings.EqualFold(element, list))
}

// isNumber accepts a list index as clients write it: no leading zero.
func isNumber(s string) bool {
	if s == "" || len(s) > 6 || (s[0] == '0' && len(s) > 1) {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

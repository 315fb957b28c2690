package awsapi

import (
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
	if key, ok := twice(out); ok {
		return nil, duplicate(what, key)
	}
	return out, nil
}

// twice gives a key that comes twice. A map is dear for the few that there usually are,
// and comparing each with each for the thousands that there may be.
func twice(pairs []pair) (string, bool) {
	if len(pairs) < 16 {
		for i := range pairs {
			for j := range i {
				if pairs[i].key == pairs[j].key {
					return pairs[i].key, true
				}
			}
		}
		return "", false
	}
	seen := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		if seen[p.key] {
			return p.key, true
		}
		seen[p.key] = true
	}
	return "", false
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
		if strings.IndexByte(part, '+') >= 0 {
			return nil, refusal.New(refusal.Malformed, "the query has a bare plus, which is a space to some readers and a plus to others: write %%20 or %%2B")
		}
		k, v, _ := strings.Cut(part, "=")
		key, ok1 := unescape(k, false)
		val, ok2 := unescape(v, false)
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

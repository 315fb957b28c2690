package approvals

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/terminal"
)

// parameters tells each parameter in a line, sorted by name.
func parameters(r Request) []Fact {
	names := slices.Sorted(maps.Keys(r.Parameters))
	out := make([]Fact, 0, min(len(names), maxShown)+1)
	for _, n := range names[:min(len(names), maxShown)] {
		p := printer{left: maxShownParam}
		p.value(r.Parameters[n], 0)
		if p.cut {
			p.b.WriteString(" …[cut]")
		}
		out = append(out, Fact{member(n), p.b.String()})
	}
	if more := len(names) - len(out); more > 0 {
		out = append(out, Fact{"…", fmt.Sprintf("%d more parameters that are not shown", more)})
	}
	if o := r.ParametersOmitted; o != nil {
		out = append(out, Fact{"…", fmt.Sprintf("left out, too large: %d bytes, SHA-256 %s", o.Size, ours(o.SHA256))})
	}
	return out
}

// member is a name as AWS's models have them; any other is quoted, as names in a
// map (tags, attributes of an item) are the agent's.
func member(s string) string {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '_')
		if !letter || i >= 64 {
			return name(s)
		}
	}
	if s == "" {
		return name(s)
	}
	return s
}

// printer writes a JSON-like value on one line. Texts stand in quotes that they
// cannot leave, in contrast to JSON, which lets most of Unicode through.
type printer struct {
	b    strings.Builder
	left int // bytes that may still be written
	cut  bool
}

const maxNesting = 16

func (p *printer) write(s string) {
	p.b.WriteString(s)
	p.left -= len(s)
}

func (p *printer) value(v any, depth int) {
	if p.left <= 0 || depth > maxNesting {
		p.cut = true
		return
	}
	switch v := v.(type) {
	case string:
		p.write(terminal.QuoteEnds(v, min(maxValue, p.left)))
	case json.Number:
		if json.Valid([]byte(v)) && len(v) <= 64 {
			p.write(v.String())
		} else {
			p.write(name(v.String()))
		}
	case []any:
		p.list("[", "]", len(v), func(i int) { p.value(v[i], depth+1) })
	case []string:
		p.list("[", "]", len(v), func(i int) { p.value(v[i], depth+1) })
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		p.list("{", "}", len(keys), func(i int) {
			p.write(member(keys[i]) + ": ")
			p.value(v[keys[i]], depth+1)
		})
	default: // numbers, booleans, null, and by their JSON what else a gateway has
		text, err := json.Marshal(v)
		if err != nil {
			p.write(fmt.Sprintf("[%T]", v))
			return
		}
		var again any
		dec := json.NewDecoder(strings.NewReader(string(text)))
		dec.UseNumber()
		if dec.Decode(&again) != nil {
			p.cut = true
			return
		}
		switch again.(type) {
		case nil, bool:
			p.write(string(text))
		default:
			p.value(again, depth+1)
		}
	}
}

func (p *printer) list(open, end string, n int, element func(int)) {
	p.write(open)
	for i := range n {
		if p.left <= 0 {
			p.cut = true
			break
		}
		if i > 0 {
			p.write(", ")
		}
		element(i)
	}
	p.write(end)
}

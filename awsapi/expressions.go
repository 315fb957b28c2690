package awsapi

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// arnExpression evaluates an expression of the operation map that gives ARNs:
//
//	${Member}  *  arn:...${Member}...  arn:...{label}...
//	%%iftruthy%A%B%C%%   %%iftemplatematch%A%%   %%many%A%B%%   ...%%regex%A%/re/g%%
//
// It returns nothing where the request does not tell.
func (r *resolver) arnExpression(e, template, typ string) []Resource {
	switch {
	case e == "*":
		return []Resource{{ARN: "*", Type: typ}}
	case strings.HasPrefix(e, "%%iftemplatematch%") && strings.HasSuffix(e, "%%"):
		var out []Resource
		for _, v := range r.expression(e[len("%%iftemplatematch%") : len(e)-2]) {
			if fitsTemplate(template, v) {
				out = append(out, r.resource(v, typ, false))
			}
		}
		return out
	case strings.HasPrefix(e, "%%iftruthy%") && strings.HasSuffix(e, "%%"):
		f := strings.SplitN(e[len("%%iftruthy%"):len(e)-2], "%", 3)
		if len(f) == 1 {
			return r.arns(r.expression(f[0]), typ)
		}
		if len(r.expression(f[0])) > 0 {
			return r.arnExpression(f[1], template, typ)
		}
		if len(f) == 3 && f[2] != "" {
			return r.arnExpression(f[2], template, typ)
		}
		return nil
	case strings.HasPrefix(e, "%%many%"):
		var out []Resource
		for part := range strings.SplitSeq(strings.TrimSuffix(e[len("%%many%"):], "%%"), "%") {
			out = append(out, r.arnExpression(part, template, typ)...)
		}
		return out
	}
	return r.arns(r.substitute(e), typ)
}

// arns keeps the values that are ARNs.
func (r *resolver) arns(values []string, typ string) []Resource {
	var out []Resource
	for _, v := range values {
		if strings.HasPrefix(v, "arn:") {
			out = append(out, r.resource(v, typ, false))
		}
	}
	return out
}

var (
	regexCall = regexp.MustCompile(`%%regex%(\$\{[^}]+\})%/(.+)/g%%`)
	labelName = regexp.MustCompile(`\{([A-Za-z0-9_-]+)\}`)
)

// substitute fills an expression's members and labels; nothing if one is not
// there.
func (r *resolver) substitute(e string) []string {
	if m := regexCall.FindStringSubmatchIndex(e); m != nil {
		re, err := regexp.Compile(e[m[4]:m[5]])
		if err != nil {
			return nil
		}
		var out []string
		for _, v := range r.expression(e[m[2]:m[3]]) {
			sub := re.FindStringSubmatch(v)
			if len(sub) < 2 {
				return nil
			}
			for _, p := range r.substitute(e[:m[0]]) {
				out = append(out, p+sub[1]+e[m[1]:])
			}
		}
		return out
	}
	out := []string{""}
	last := 0
	for _, loc := range variable.FindAllStringSubmatchIndex(e, -1) {
		values, ok := r.standard(e[loc[2]:loc[3]])
		if !ok {
			values = r.values(e[loc[2]:loc[3]])
		}
		if len(values) == 0 || len(out)*len(values) > 1000 {
			return nil
		}
		var next []string
		for _, p := range out {
			for _, v := range values {
				next = append(next, p+e[last:loc[0]]+v)
			}
		}
		out, last = next, loc[1]
	}
	for i := range out {
		out[i] += e[last:]
	}
	if strings.HasPrefix(e, "arn:") && strings.IndexByte(e, '{') >= 0 {
		missing := false
		tail := labelName.ReplaceAllStringFunc(e[last:], func(m string) string {
			v, ok := r.labels[m[1:len(m)-1]]
			missing = missing || !ok
			return v
		})
		if missing {
			return nil
		}
		for i := range out {
			out[i] = strings.TrimSuffix(out[i], e[last:]) + tail
		}
	}
	return out
}

// expression evaluates a binding such as ${A.B[].C}, ${A}* or a literal.
func (r *resolver) expression(e string) []string {
	if e == "" || strings.Contains(e, "%") {
		return nil
	}
	if strings.HasPrefix(e, "${") && strings.HasSuffix(e, "}") && strings.Count(e, "${") == 1 {
		return r.values(e[2 : len(e)-1])
	}
	return r.substitute(e)
}

// values are the strings at a member path. A path through a list goes through
// each element.
func (r *resolver) values(path string) []string {
	nodes := []any{any(r.call.params)}
	for part := range strings.SplitSeq(path, ".") {
		name := strings.TrimSuffix(part, "[]")
		var next []any
		for _, n := range nodes {
			m, ok := n.(map[string]any)
			if !ok {
				continue
			}
			v, ok := r.lookup(m, name)
			if !ok {
				continue
			}
			if l, ok := v.([]any); ok {
				next = append(next, l...)
			} else {
				next = append(next, v)
			}
		}
		nodes = next
	}
	var out []string
	for _, n := range nodes {
		switch v := n.(type) {
		case string:
			if v != "" {
				out = append(out, v)
			}
		case json.Number:
			out = append(out, v.String())
		}
	}
	return out
}

// lookup finds a member. The query protocols name lists after their element
// (InstanceIds is InstanceId.1 on the wire), EC2 in upper case. Where a request
// brings more than one of these spellings, AWS acts on one and takes no notice of
// the others, and which is not for us to guess: Call refuses it.
func (r *resolver) lookup(m map[string]any, name string) (any, bool) {
	p := r.call.Protocol
	if p != Query && p != EC2 {
		v, ok := m[name]
		return v, ok
	}
	spellings := []string{name}
	if p == EC2 && name != "" {
		spellings = append(spellings, strings.ToUpper(name[:1])+name[1:])
	}
	for _, s := range slices.Clone(spellings) {
		if one, ok := strings.CutSuffix(s, "s"); ok {
			spellings = append(spellings, one)
		}
	}
	slices.Sort(spellings)
	var found any
	first := ""
	for _, s := range slices.Compact(spellings) {
		v, ok := m[s]
		_, list := v.([]any)
		switch {
		case !ok:
		case s == strings.TrimSuffix(name, "s") && s != name && !list && m[name] != nil:
			// A member of its own beside the list: PreferredOutpostArn and
			// PreferredOutpostArns.
		case first != "":
			r.twoSpellings = first + " and " + s
		default:
			found, first = v, s
		}
	}
	return found, first != ""
}

// holds evaluates a row's condition on the input.
func (r *resolver) holds(c *catalog.Condition) bool {
	if c.And != nil && !r.holds(c.And) {
		return false
	}
	switch c.Op {
	case "Exists":
		return r.exists(c.LHS)
	case "NotExists":
		return !r.exists(c.LHS)
	case "IContains", "INotContains":
		found := false
		for _, v := range r.values(c.LHS) {
			found = found || strings.Contains(strings.ToUpper(v)+" ", strings.ToUpper(c.RHS))
		}
		return found == (c.Op == "IContains")
	}
	// A condition that is not known holds: one action too many is asked for, not
	// one too few.
	return true
}

// exists reports that the member is there, whatever its type.
func (r *resolver) exists(path string) bool {
	nodes := []any{any(r.call.params)}
	for part := range strings.SplitSeq(path, ".") {
		var next []any
		for _, n := range nodes {
			if m, ok := n.(map[string]any); ok {
				if v, ok := r.lookup(m, strings.TrimSuffix(part, "[]")); ok {
					if l, ok := v.([]any); ok {
						next = append(next, l...)
					} else {
						next = append(next, v)
					}
				}
			}
		}
		nodes = next
	}
	return len(nodes) > 0
}

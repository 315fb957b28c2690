package awsapi

import (
	"regexp"
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
		tpl := templateOf(template)
		for _, v := range r.expression(e[len("%%iftemplatematch%") : len(e)-2]) {
			if tpl.fits(v) {
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
	if m := regexCallIn(e); m != nil {
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
	t := templateOf(e)
	out := []string{""}
	for _, p := range t.parts {
		var values []string
		if !isStandard(p.name) {
			values = r.values(p.name)
		} else if v := r.standard(p.name); v != "" || p.name == "Region" {
			values = []string{v}
		}
		if len(values) == 0 || len(out)*len(values) > 1000 {
			return nil
		}
		next := make([]string, 0, len(out)*len(values))
		for _, o := range out {
			for _, v := range values {
				next = append(next, o+p.literal+v)
			}
		}
		out = next
	}
	for i := range out {
		out[i] += t.tail
	}
	if strings.HasPrefix(e, "arn:") && strings.IndexByte(t.tail, '{') >= 0 {
		missing := false
		tail := labelName.ReplaceAllStringFunc(t.tail, func(m string) string {
			name := m[1 : len(m)-1]
			v := r.text(member(r.match.op.Labels.Get(name), name))
			missing = missing || v == ""
			return v
		})
		if missing {
			return nil
		}
		for i := range out {
			out[i] = strings.TrimSuffix(out[i], t.tail) + tail
		}
	}
	return out
}

// regexCallIn finds a call of the map's regex function.
func regexCallIn(e string) []int {
	if !strings.Contains(e, "%%regex%") {
		return nil
	}
	return regexCall.FindStringSubmatchIndex(e)
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
// each element; `*` is any element or value.
func (r *resolver) values(path string) []string {
	var out []string
	r.each(0, path, func(n *node) {
		if (n.kind == textNode || n.kind == numberNode) && n.text != "" {
			out = append(out, n.text)
		}
	})
	return out
}

// text is the one string at a top-level member, "" for none.
func (r *resolver) text(name string) string {
	if i := r.doc.child(0, name); i != 0 && r.doc.nodes[i].kind == textNode {
		return r.doc.nodes[i].text
	}
	return ""
}

// each calls f for the nodes at a path below node at.
func (r *resolver) each(at int32, path string, f func(*node)) {
	if r.doc.nodes[at].kind == listNode {
		for c := r.doc.nodes[at].first; c != 0; c = r.doc.nodes[c].next {
			r.each(c, path, f)
		}
		return
	}
	if path == "" {
		f(&r.doc.nodes[at])
		return
	}
	name, rest, _ := strings.Cut(path, ".")
	name = strings.TrimSuffix(name, "[]")
	if name == "*" {
		if r.doc.nodes[at].kind != objectNode { // an element of a list, which each went through
			r.each(at, rest, f)
			return
		}
		for c := r.doc.nodes[at].first; c != 0; c = r.doc.nodes[c].next {
			r.each(c, rest, f)
		}
		return
	}
	if c := r.lookup(at, name); c != 0 {
		r.each(c, rest, f)
	}
}

// lookup finds a member. The operation map calls some lists of the query protocols
// by their names on the wire (InstanceId for InstanceIds).
func (r *resolver) lookup(at int32, name string) int32 {
	if c := r.doc.child(at, name); c != 0 || name == "" {
		return c
	}
	if p := r.call.Protocol; p != Query && p != EC2 {
		return 0
	}
	upper := strings.ToUpper(name[:1]) + name[1:]
	for _, s := range []string{upper, upper + "s", strings.TrimSuffix(upper, "s"), name + "s"} {
		if c := r.doc.child(at, s); c != 0 {
			return c
		}
	}
	return 0
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
	found := false
	r.each(0, path, func(*node) { found = true })
	return found
}

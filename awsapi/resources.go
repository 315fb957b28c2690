package awsapi

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// resolver finds what a call's actions are done to.
type resolver struct {
	head  *Head
	match match
	call  *Call
	doc   *document
	facts *facts

	stray   string // see wildcard
	scratch []byte
}

// actions resolves the catalog's rows whose condition holds, primary first.
func (r *resolver) actions(d *catalog.Detail) []Action {
	out := make([]Action, 0, len(d.IAM))
	all := !slices.ContainsFunc(d.IAM, func(row catalog.Action) bool {
		return row.When == nil || r.holds(row.When) || r.versioned(row.Action)
	})
	// Where no condition holds (an empty transaction), every action is asked for.
	for i := range d.IAM {
		row := &d.IAM[i]
		if !all && row.When != nil && !r.holds(row.When) && !r.versioned(row.Action) {
			continue
		}
		a := Action{Name: r.actionName(row.Action), Level: AccessLevel(row.Level), Dependent: row.Also && i > 0 && !r.primaryToo(row.Action)}
		if a.Dependent && r.unneeded(row) {
			continue
		}
		a.Resources = r.resources(row, &r.facts.rows[i], d)
		if j := slices.IndexFunc(out, func(o Action) bool { return o.Name == a.Name }); j >= 0 {
			out[j].Resources = unite(out[j].Resources, a.Resources)
			continue
		}
		out = append(out, a)
	}
	return append(r.beside(out), r.inside()...)
}

// unneeded: a dependent action on what a member names is not needed where the
// member is absent (PassRole without a role). An instance profile is a role by
// another name.
func (r *resolver) unneeded(row *catalog.Action) bool {
	if row.Action != "iam:PassRole" || r.exists("IamInstanceProfile") {
		return false
	}
	return len(r.roles()) == 0 && (row.ARN == "" || len(r.arnExpression(row.ARN, "", "")) == 0)
}

// primaryToo: actions that a call performs itself on what it names, whatever the
// map says: the source of a copy, each statement of a transaction.
func (r *resolver) primaryToo(action string) bool {
	return (r.call.Service == "s3" || r.call.Service == "dynamodb") && strings.HasPrefix(action, r.call.Service+":")
}

// resources resolves one row: by the expressions that are ARNs, else by filling
// the templates of its resource types. What the request does not tell is `*`.
func (r *resolver) resources(row *catalog.Action, known *rowFacts, d *catalog.Detail) []Resource {
	if special := r.special(row); special != nil {
		return special
	}
	if row.ARN != "" && (len(row.Resources) < 2 || !slices.ContainsFunc(row.Resources, func(t catalog.ResourceType) bool { return t.Required })) {
		if got := r.arnExpression(row.ARN, "", typeName(row)); len(got) > 0 && documented(row.ARN, got, row.Resources...) {
			return got
		}
	}
	if row.Action == "iam:PassRole" {
		// The map's member may lie elsewhere in this protocol; a role ARN does not hide.
		if got := r.roles(); len(got) > 0 {
			return got
		}
	}
	if len(row.Resources) == 0 {
		return []Resource{{ARN: "*"}}
	}
	var full, required, rest []Resource
	for i := range row.Resources {
		t := &row.Resources[i]
		got := r.ofType(row, t, &known.types[i], d)
		if len(got) > 0 && !got[0].Partial {
			full = append(full, got...)
			continue
		}
		if t.Required {
			required = append(required, got...)
		} else {
			rest = append(rest, got...)
		}
	}
	out := append(full, required...)
	if len(out) == 0 {
		out = r.knownest(rest)
	}
	return out
}

// documented reports that the ARNs of an expression fit the reference's templates.
// The operation map is older than the reference, and where it puts an ARN together
// itself, that may be a form which AWS no longer looks at. What a member gives as
// an ARN is taken as it is.
func documented(expression string, got []Resource, types ...catalog.ResourceType) bool {
	if len(types) == 0 || !strings.Contains(expression, "arn:") && !strings.Contains(expression, "}/") {
		return true
	}
	for _, res := range got {
		if res.ARN != "*" && !slices.ContainsFunc(types, func(t catalog.ResourceType) bool { return templateOf(t.ARN).fits(res.ARN) }) {
			return false
		}
	}
	return true
}

func typeName(row *catalog.Action) string {
	if len(row.Resources) == 1 {
		return row.Resources[0].Name
	}
	return ""
}

// knownest is for rows where no type is required and none is known whole: all of
// them, or "*" where they are many.
func (r *resolver) knownest(rest []Resource) []Resource {
	if len(rest) == 0 || len(rest) > 6 {
		return []Resource{{ARN: "*", Partial: true}}
	}
	return rest
}

// ofType resolves one resource type.
func (r *resolver) ofType(row *catalog.Action, t *catalog.ResourceType, known *typeFacts, d *catalog.Detail) []Resource {
	if e := row.ARNs.Get(t.Name); e != "" {
		if got := r.arnExpression(e, t.ARN, t.Name); len(got) > 0 && documented(e, got, *t) {
			return got
		}
	}
	var out []Resource
	if len(d.ArnMembers) > 0 {
		tpl := templateOf(t.ARN)
		for _, m := range d.ArnMembers {
			for _, v := range r.values(m) {
				if tpl.fits(v) {
					out = append(out, r.resource(v, t.Name, false))
				}
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	for i := range known.forms {
		got := r.fill(t, &known.forms[i])
		if out == nil {
			out = got
		} else {
			out = append(out, got...)
		}
	}
	return out
}

// fill puts values into a template. A variable with several values gives several
// ARNs; one without a value gives `*`.
func (r *resolver) fill(t *catalog.ResourceType, f *form) []Resource {
	parts := f.template.parts
	var room [8][]string
	values := room[:0] // by part; an own variable without one is not known
	var whole []Resource
	own, count := 0, 1
	for _, p := range parts {
		if isStandard(p.name) {
			values = append(values, nil)
			continue
		}
		src := &f.variables[own]
		own++
		got := r.sourced(src)
		// Many name members take a whole ARN.
		var odd bool
		if whole, got, odd = r.split(got, t, f.template); odd {
			return []Resource{{ARN: "*", Type: t.Name, Partial: true}}
		} else if len(whole) > 0 && len(got) == 0 {
			return whole
		}
		got = asStored(r.call.Service, p.name, got)
		// An ARN of another kind is no name: what it stands for is not known.
		if slices.ContainsFunc(got, func(v string) bool { return strings.HasPrefix(v, "arn:") }) {
			got = nil
		}
		values = append(values, got)
		if count *= max(1, len(got)); count > 1000 {
			return []Resource{{ARN: "*", Partial: true}}
		}
	}
	out := make([]Resource, 0, count+len(whole))
	for n := range count {
		out = append(out, r.one(t, f.template, values, n))
	}
	return append(out, whole...)
}

// one is the n-th combination of values in a template; the last variable changes
// fastest.
func (r *resolver) one(t *catalog.ResourceType, tpl *template, values [][]string, n int) Resource {
	buf, missing := r.scratch[:0], false
	for i, p := range tpl.parts {
		buf = append(buf, p.literal...)
		v := ""
		if isStandard(p.name) {
			v = r.standard(p.name)
		} else if len(values[i]) > 0 {
			each := 1
			for _, later := range values[i+1:] {
				each *= max(1, len(later))
			}
			v = values[i][n/each%len(values[i])]
		}
		if v == "" && (p.name == "Account" || !isStandard(p.name)) {
			v, missing = "*", true
		}
		buf = append(buf, v...)
	}
	if missing {
		for _, list := range values {
			for _, v := range list {
				r.wildcard(v)
			}
		}
	}
	buf = append(buf, tpl.tail...)
	r.scratch = buf[:0]
	return r.resource(string(buf), t.Name, missing)
}

// sourced are the values of a template's variable.
func (r *resolver) sourced(s *source) []string {
	if s.prefix {
		return nil
	}
	if s.bound != "" {
		if values := r.expression(s.bound); len(values) > 0 {
			return values
		}
	}
	var out []string
	for _, m := range s.members {
		out = unite(out, r.values(m))
	}
	return out
}

// unite appends to out what of more is not in it. A map is dear for the few that there
// usually are, and comparing each with each for the thousands that there may be.
func unite[T comparable](out, more []T) []T {
	if len(out)+len(more) < 16 {
		for _, v := range more {
			if !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
		return out
	}
	seen := make(map[T]bool, len(out)+len(more))
	for _, v := range out {
		seen[v] = true
	}
	for _, v := range more {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// split takes the values that are whole ARNs of the type apart from the names. A
// list with an ARN of another kind beside one that fits is odd: it could be read
// two ways.
func (r *resolver) split(values []string, t *catalog.ResourceType, tpl *template) (whole []Resource, names []string, odd bool) {
	if !slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, "arn:") }) {
		return nil, values, false
	}
	for _, v := range values {
		if tpl.fits(v) {
			whole = append(whole, r.resource(v, t.Name, false))
			continue
		}
		names = append(names, v)
	}
	foreign := slices.ContainsFunc(names, func(v string) bool { return strings.HasPrefix(v, "arn:") })
	return whole, names, len(whole) > 0 && foreign
}

// standard are the variables of every template. Without a target account the
// account is unknown, and the ARN Partial.
func (r *resolver) standard(name string) string {
	switch name {
	case "Partition":
		return r.call.Partition
	case "Region":
		return r.call.Region
	}
	return r.account()
}

func (r *resolver) account() string {
	if r.head.host.Account != "" {
		return r.head.host.Account
	}
	return r.head.req.Account
}

func (r *resolver) resource(arn, typ string, missing bool) Resource {
	res := Resource{ARN: arn, Type: typ, Partial: missing}
	if a, ok := arnField(arn, 4); ok && isAccount(a) {
		res.Account = a
	} else if r.head.host.Account != "" {
		res.Account = r.head.host.Account
	}
	return res
}

// wildcard notes a request's text with a `*` or `?` in a resource that is known
// only in part. Behind us it could not be told from the `*` that stands for what
// is not known, and the session policy would be as wide as the request likes; no
// AWS name has either where such resources come from. Whole ARNs and S3 keys,
// where they are ordinary characters, are escaped instead.
func (r *resolver) wildcard(v string) {
	if strings.ContainsAny(v, "*?") {
		r.stray = v
	}
}

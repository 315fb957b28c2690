package awsapi

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// resolver finds what a call's actions are done to.
type resolver struct {
	head   *Head
	match  match
	call   *Call
	labels map[string]string

	twoSpellings string // of one member, in the same request; see lookup
	stray        string // see wildcard
}

// actions resolves the catalog's rows whose condition holds, primary first.
func (r *resolver) actions(d *catalog.Detail) []Action {
	var out []Action
	all := !slices.ContainsFunc(d.IAM, func(row catalog.Action) bool {
		return row.When == nil || r.holds(row.When) || r.versioned(row.Action)
	})
	// Where no condition holds (an empty transaction), every action is asked for.
	for i, row := range d.IAM {
		if !all && row.When != nil && !r.holds(row.When) && !r.versioned(row.Action) {
			continue
		}
		a := Action{Name: r.actionName(row.Action), Level: AccessLevel(row.Level), Dependent: row.Also && i > 0 && !r.primaryToo(row.Action)}
		if a.Dependent && r.unneeded(row) {
			continue
		}
		a.Resources = r.resources(row, d)
		if j := slices.IndexFunc(out, func(o Action) bool { return o.Name == a.Name }); j >= 0 {
			for _, res := range a.Resources {
				if !slices.Contains(out[j].Resources, res) {
					out[j].Resources = append(out[j].Resources, res)
				}
			}
			continue
		}
		out = append(out, a)
	}
	return append(out, r.inside()...)
}

// unneeded: a dependent action on what a member names is not needed where the
// member is absent (PassRole without a role). An instance profile is a role by
// another name.
func (r *resolver) unneeded(row catalog.Action) bool {
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
func (r *resolver) resources(row catalog.Action, d *catalog.Detail) []Resource {
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
	for _, t := range row.Resources {
		got := r.ofType(row, t, d)
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
		if res.ARN != "*" && !slices.ContainsFunc(types, func(t catalog.ResourceType) bool { return fitsTemplate(t.ARN, res.ARN) }) {
			return false
		}
	}
	return true
}

func typeName(row catalog.Action) string {
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
func (r *resolver) ofType(row catalog.Action, t catalog.ResourceType, d *catalog.Detail) []Resource {
	if e := row.ARNs[t.Name]; e != "" {
		if got := r.arnExpression(e, t.ARN, t.Name); len(got) > 0 && documented(e, got, t) {
			return got
		}
	}
	var out []Resource
	for _, m := range d.ArnMembers {
		for _, v := range r.values(strings.ReplaceAll(m, ".*", "[]")) {
			if fitsTemplate(t.ARN, v) {
				out = append(out, r.resource(v, t.Name, false))
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	// Some entries of AWS's reference hold two forms of the ARN.
	for _, form := range strings.Split(t.ARN, ", ") {
		one := t
		one.ARN = form
		out = append(out, r.fill(one, row)...)
	}
	return out
}

var variable = regexp.MustCompile(`\$\{([A-Za-z0-9_.:\[\]-]+)\}`)

// fill puts values into a template. A variable with several values gives several
// ARNs; one without a value gives `*`.
func (r *resolver) fill(t catalog.ResourceType, row catalog.Action) []Resource {
	type partial struct {
		arn     string
		missing bool
		values  string // what the request brought
	}
	done := []partial{{}}
	last := 0
	var whole []Resource
	for _, loc := range variable.FindAllStringSubmatchIndex(t.ARN, -1) {
		lit, name := t.ARN[last:loc[0]], t.ARN[loc[2]:loc[3]]
		last = loc[1]
		values, ok := r.standard(name)
		if !ok {
			expr := row.Bind[name]
			if expr == "" {
				expr = row.GuessedBind[name]
			}
			// The map's ${Prefix}* is a name that AWS completes: behind the request's
			// text its `*` could not be told from the request's own, so the whole name
			// counts as unknown.
			if !strings.HasSuffix(expr, "}*") {
				if values = r.expression(expr); len(values) == 0 {
					values = r.named(name, t, row)
				}
			}
			// Many name members take a whole ARN.
			var err bool
			if whole, values, err = r.split(values, t); err {
				return []Resource{{ARN: "*", Type: t.Name, Partial: true}}
			} else if len(whole) > 0 && len(values) == 0 {
				return whole
			}
			values = asStored(r.call.Service, name, values)
			// An ARN of another kind is no name: what it stands for is not known.
			if slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, "arn:") }) {
				values = nil
			}
		}
		var next []partial
		for _, p := range done {
			if len(values) == 0 {
				next = append(next, partial{p.arn + lit + "*", true, p.values})
			}
			for _, v := range values {
				next = append(next, partial{p.arn + lit + v, p.missing, p.values + v})
			}
		}
		if done = next; len(done) > 1000 {
			return []Resource{{ARN: "*", Partial: true}}
		}
	}
	out := make([]Resource, 0, len(done))
	for _, p := range done {
		if p.missing {
			r.wildcard(p.values)
		}
		out = append(out, r.resource(p.arn+t.ARN[last:], t.Name, p.missing))
	}
	return append(out, whole...)
}

// split takes the values that are whole ARNs of the type apart from the names. A
// list with an ARN of another kind beside one that fits is odd: it could be read
// two ways.
func (r *resolver) split(values []string, t catalog.ResourceType) (whole []Resource, names []string, odd bool) {
	for _, v := range values {
		if fitsTemplate(t.ARN, v) {
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
func (r *resolver) standard(name string) ([]string, bool) {
	switch name {
	case "Partition":
		return []string{r.call.Partition}, true
	case "Region":
		return []string{r.call.Region}, true
	case "Account":
		if a := r.account(); a != "" {
			return []string{a}, true
		}
		return nil, true
	}
	return nil, false
}

func (r *resolver) account() string {
	if r.head.host.Account != "" {
		return r.head.host.Account
	}
	return r.head.req.Account
}

func (r *resolver) resource(arn, typ string, missing bool) Resource {
	res := Resource{ARN: arn, Type: typ, Partial: missing}
	if f := strings.SplitN(arn, ":", 6); len(f) == 6 && isAccount(f[4]) {
		res.Account = f[4]
	} else if r.head.host.Account != "" {
		res.Account = r.head.host.Account
	}
	return res
}

// fitsTemplate reports that v is an ARN of the template's service and kind.
func fitsTemplate(template, v string) bool {
	if !strings.HasPrefix(v, "arn:") {
		return false
	}
	t, f := strings.SplitN(template, ":", 6), strings.SplitN(v, ":", 6)
	if len(t) != 6 || len(f) != 6 || t[2] != f[2] || f[5] == "" {
		return false
	}
	kind, _, _ := strings.Cut(t[5], "$")
	return strings.HasPrefix(f[5], kind)
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

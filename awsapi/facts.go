package awsapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// facts are what is worked out about an operation once: it does not change with
// the request.
type facts struct {
	classes     []Class // sorted; not to be changed
	eventSource string
	owners      []string // see ownerHeaders
	headers     []string // of the operation's HeaderMembers in turn, as net/http writes them; "" for one that is not read
	rows        []rowFacts
}

// rowFacts are of one IAM action.
type rowFacts struct{ types []typeFacts }

// typeFacts are of one resource type of an action.
type typeFacts struct{ forms []form }

// form is one form of a type's ARN.
type form struct {
	template *template
	// members are, for each of the template's own variables in turn, where the request
	// may have it: paths, the first that has a value counts ("A.B[].C").
	variables []source
}

// source says where the value of a variable may stand.
type source struct {
	bound   string   // by the operation map; "" for none
	prefix  bool     // bound is only the beginning of the name: nothing is known for certain
	members []string // by their names; all of them count
}

// factsOf finds or makes the facts of a match.
func (id *Identifier) factsOf(m match, d *catalog.Detail) *facts {
	id.mu.RLock()
	f := id.facts[m.op]
	id.mu.RUnlock()
	if f != nil {
		return f
	}
	f = &facts{classes: slices.Clip(classesOf(m.svc.ID, m.op.Name)), owners: ownerNames(m.op)}
	for _, b := range m.op.HeaderMembers {
		name := http.CanonicalHeaderKey(b.Wire)
		if never[strings.ToLower(b.Wire)] {
			name = ""
		}
		f.headers = append(f.headers, name)
	}
	shapes, err := m.svc.Shapes()
	var members []catalog.ShapeMember
	if err == nil && m.op.Input != nil {
		members = shapes.Members(shapes.At(*m.op.Input))
	}
	f.rows = make([]rowFacts, len(d.IAM))
	for i := range d.IAM {
		row := &d.IAM[i]
		f.rows[i].types = make([]typeFacts, len(row.Resources))
		for j := range row.Resources {
			f.rows[i].types[j].forms = formsOf(m, row, &row.Resources[j], members)
		}
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	if old := id.facts[m.op]; old != nil {
		return old
	}
	if id.source[m.svc.ID] == "" {
		id.source[m.svc.ID] = eventSource(m)
	}
	f.eventSource = id.source[m.svc.ID]
	id.facts[m.op] = f
	return f
}

func formsOf(m match, row *catalog.Action, t *catalog.ResourceType, members []catalog.ShapeMember) []form {
	var out []form
	// Some entries of AWS's reference hold two forms of the ARN.
	for text := range strings.SplitSeq(t.ARN, ", ") {
		f := form{template: templateOf(text)}
		for _, p := range f.template.parts {
			if p.name == "" || isStandard(p.name) {
				continue
			}
			bound := row.Bind.Get(p.name)
			if bound == "" {
				bound = row.GuessedBind.Get(p.name)
			}
			// The map's ${Prefix}* is a name that AWS completes: behind the request's text
			// its `*` could not be told from the request's own.
			s := source{bound: bound, prefix: strings.HasSuffix(bound, "}*")}
			if !s.prefix {
				s.members = membersNamed(m, p.name, text, t.Name, len(row.Resources) == 1, members)
			}
			f.variables = append(f.variables, s)
		}
		out = append(out, f)
	}
	return out
}

func isStandard(variable string) bool {
	return variable == "Partition" || variable == "Region" || variable == "Account"
}

// Package class sorts AWS operations by what they can do beyond their access
// level: hand out credentials, widen rights, destroy, move data out. AWS has no
// such list, so each class is a reviewed table in a file of its own; Suspects
// names the operations of the catalog that look as if they belonged to one.
package class

import (
	"slices"
	"strings"
)

// Class is a property of an operation that matters beyond its access level.
type Class string

// The classes. The zero value is none.
const (
	// HandsOutCredentials: the answer carries, or the request plants, something
	// that works outside the gateway. One such answer ends all control, so these
	// are refused unless a rule says allow_credentials. What Terraform and its like
	// call every day and whose secret can be masked is ReadsSecrets instead.
	HandsOutCredentials Class = "hands-out-credentials" //nolint:gosec // a name
	// EscalatesPrivileges: changes who may do what (IAM, identity providers,
	// organizations, access entries).
	EscalatesPrivileges Class = "escalates-privileges"
	// PassesRole: makes a service act with a role that the request names.
	PassesRole Class = "passes-role"
	// ExposesPublicly: lets others in: resource policies, ACLs, sharing, ingress.
	ExposesPublicly Class = "exposes-publicly"
	// Destroys: ends what holds data, runs or serves; see destroys.go for the rule.
	Destroys Class = "destroys"
	// MovesDataOut: carries data to a place that the answer does not show.
	MovesDataOut Class = "moves-data-out"
	// DisablesAudit: ends, narrows or redirects what watches the account.
	DisablesAudit Class = "disables-audit"
	// ReadsSecrets: answers with secrets that masking covers.
	ReadsSecrets Class = "reads-secrets"
	// OpensSession: opens a shell or another channel whose contents nobody judges,
	// or runs commands that the request carries.
	OpensSession Class = "opens-session"
)

// All are the classes, sorted.
func All() []Class {
	out := make([]Class, 0, len(tables))
	for c := range tables {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}

// Entry is one line of a class's table.
type Entry struct {
	Class     Class
	Service   string // catalog id; "*" in a rule over all services
	Operation string // a name, or a glob in which `*` is any text
	Reason    string
}

// row is how tables are written: operations of one service with one reason.
type row struct{ service, reason, operations string }

type table []row

var tables = map[Class]table{
	HandsOutCredentials: handsOutCredentials,
	EscalatesPrivileges: escalatesPrivileges,
	PassesRole:          passesRole,
	ExposesPublicly:     exposesPublicly,
	Destroys:            destroys,
	MovesDataOut:        movesDataOut,
	DisablesAudit:       disablesAudit,
	ReadsSecrets:        readsSecrets,
	OpensSession:        opensSession,
}

var index = newLookup(tables)

// Of returns the classes of an operation, sorted; nil where it has none. An
// operation that is not in the catalog may still match a rule over names.
func Of(service, operation string) []Class {
	out := index.of(service, operation)
	if i := slices.Index(out, Destroys); i >= 0 && Harmless(service, operation) != "" {
		out = slices.Delete(out, i, i+1)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Harmless is why an operation that the rule of Destroys meets is not of that
// class; "" where it is.
func Harmless(service, operation string) string {
	// What a table of its own names destroys, whatever a glob excuses.
	if destroysByName.reason(service, operation) != "" {
		return ""
	}
	return harmless.reason(service, operation)
}

// Table returns every entry of every class, sorted by class.
func Table() []Entry {
	var out []Entry
	for _, c := range All() {
		for _, r := range tables[c] {
			for op := range strings.FieldsSeq(r.operations) {
				out = append(out, Entry{c, r.service, op, r.reason})
			}
		}
	}
	return out
}

// reason is the reason of the first row that names the operation.
func (t table) reason(service, operation string) string {
	for _, r := range t {
		if r.service != service && r.service != "*" {
			continue
		}
		for op := range strings.FieldsSeq(r.operations) {
			if matches(op, operation) {
				return r.reason
			}
		}
	}
	return ""
}

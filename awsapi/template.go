package awsapi

import (
	"regexp"
	"strings"
	"sync"
)

// template is a text with variables, `${Name}`, taken apart: an ARN of AWS's
// reference, or an expression of the operation map.
type template struct {
	parts []part
	tail  string // behind the last variable
	kind  string // of an ARN: what its last field begins with, up to a variable
	owner string // of an ARN: its service
}

// part is a variable with the text before it.
type part struct{ literal, name string }

var variable = regexp.MustCompile(`\$\{([A-Za-z0-9_.:\[\]-]+)\}`)

// templates are by their text: a few thousand, all from the catalog.
var templates sync.Map

func templateOf(text string) *template {
	if v, ok := templates.Load(text); ok {
		if t, ok := v.(*template); ok {
			return t
		}
	}
	t := &template{}
	last := 0
	for _, loc := range variable.FindAllStringSubmatchIndex(text, -1) {
		t.parts = append(t.parts, part{text[last:loc[0]], text[loc[2]:loc[3]]})
		last = loc[1]
	}
	t.tail = text[last:]
	if f := strings.SplitN(text, ":", 6); len(f) == 6 {
		t.owner = f[2]
		t.kind, _, _ = strings.Cut(f[5], "$")
	}
	templates.Store(text, t)
	return t
}

// fits reports that v is an ARN of the template's service and kind.
func (t *template) fits(v string) bool {
	if t.owner == "" || !strings.HasPrefix(v, "arn:") {
		return false
	}
	rest, ok := arnField(v, 5)
	if !ok || rest == "" || !strings.HasPrefix(rest, t.kind) {
		return false
	}
	owner, _ := arnField(v, 2)
	return owner == t.owner
}

// arnField is the n-th field of an ARN, from 0; the last, 5, is all the rest.
func arnField(arn string, n int) (string, bool) {
	for range n {
		i := strings.IndexByte(arn, ':')
		if i < 0 {
			return "", false
		}
		arn = arn[i+1:]
	}
	if n == 5 {
		return arn, true
	}
	field, _, ok := strings.Cut(arn, ":")
	return field, ok
}

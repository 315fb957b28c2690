package awsapi_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

var templateVariable = regexp.MustCompile(`\\\$\\\{([A-Za-z0-9_.:\\\[\]-]+)\\\}`)

// templatePattern is a catalog template as the ARNs it stands for.
func templatePattern(template, partition string) *regexp.Regexp {
	q := templateVariable.ReplaceAllStringFunc(regexp.QuoteMeta(template), func(m string) string {
		switch name := templateVariable.FindStringSubmatch(m)[1]; name {
		case "Partition":
			return regexp.QuoteMeta(partition)
		case "Region":
			return `[a-z0-9-]*`
		case "Account":
			return `(\d{12}|\*|aws|)`
		}
		return `[\s\S]+`
	})
	// A few templates have a `*` of their own where a name stands.
	return regexp.MustCompile("^" + strings.ReplaceAll(q, `:\*`, `:.+`) + "$")
}

// Every resource of every call is in a form that AWS documents for the action: a
// policy for any other form would be judged, and mean nothing to AWS.
func TestResourcesFitTheirTemplates(t *testing.T) {
	id := identifier(t)
	cat, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	checked, shown := 0, 0
	cache := map[string]*regexp.Regexp{}
	for _, s := range samples(t) {
		req, body := s.request(t)
		call, err := identify(id, req, body)
		if err != nil {
			continue
		}
		svc, err := cat.Lookup(call.Service)
		if err != nil {
			t.Fatal(err)
		}
		d, err := svc.Detail(call.Operation)
		if err != nil {
			t.Fatal(err)
		}
		// The generator makes ARNs up; what the request itself calls the resource's
		// ARN is what AWS looks at, whatever the reference says.
		given := map[string]bool{}
		texts(call.Params(), func(v string) { given[v] = true })
		for _, a := range call.Actions {
			if a.Dependent {
				continue // what a role or key is, is another service's template
			}
			var templates []string
			for _, row := range d.IAM {
				for _, rt := range row.Resources {
					// Some entries of AWS's reference hold two forms.
					templates = append(templates, strings.Split(rt.ARN, ", ")...)
				}
			}
			for _, r := range a.Resources {
				if r.ARN == "*" || len(templates) == 0 {
					continue
				}
				checked++
				fits := false
				for _, tpl := range templates {
					key := call.Partition + tpl
					if cache[key] == nil {
						cache[key] = templatePattern(tpl, call.Partition)
					}
					fits = fits || cache[key].MatchString(r.ARN)
				}
				if !fits && !given[r.ARN] && !strings.HasPrefix(r.Type, "accesspoint") {
					if shown++; shown < 40 {
						t.Errorf("%s:%s %s: %s fits none of %v", call.Service, call.Operation, a.Name, r.ARN, templates)
					}
				}
				if strings.Count(r.ARN, "arn:") > 1 && call.Service != "s3" {
					t.Errorf("%s:%s: %s has an ARN inside", call.Service, call.Operation, r.ARN)
				}
			}
		}
	}
	if checked == 0 {
		t.Fatal("no resource was checked")
	}
	t.Logf("%d resources checked, %d fit no template", checked, shown)
}

// texts calls f for every text in a tree.
func texts(n any, f func(string)) {
	switch v := n.(type) {
	case string:
		f(v)
	case []any:
		for _, e := range v {
			texts(e, f)
		}
	case map[string]any:
		for _, e := range v {
			texts(e, f)
		}
	}
}

package awsapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// Every action of a call that some request is identified as has its name here, and
// every resource its service. The oracle makes up ARNs with the names of botocore's
// services in them, which AWS has not.
func TestActionNamesHaveThoseOfCalls(t *testing.T) {
	id := identifier(t)
	names := id.ActionNames()
	all := map[string]bool{}
	if found, err := names.Find("", func(a string) bool { all[a] = true; return false }); found || err != nil {
		t.Fatal(found, err)
	}
	services, err := names.ARNServices()
	if err != nil {
		t.Fatal(err)
	}
	cat, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	madeUp := map[string]bool{}
	for _, s := range cat.Services {
		madeUp[s.ID] = true
	}
	missing := map[string]bool{}
	calls := 0
	for _, s := range samples(t) {
		req, body := s.request(t)
		c, err := identify(id, req, body)
		if err != nil {
			continue
		}
		calls++
		if len(c.Actions) == 0 && !all[c.Service+":"+c.Operation] {
			missing[c.Service+":"+c.Operation] = true
		}
		for _, a := range c.Actions {
			if !all[a.Name] {
				missing[a.Name] = true
			}
			for _, r := range a.Resources {
				f := strings.SplitN(r.ARN, ":", 6)
				if len(f) == 6 && f[2] != "" && f[2] != "*" && !slices.Contains(services, f[2]) && !madeUp[f[2]] {
					missing[r.ARN] = true
				}
				if len(f) == 6 && f[1] != "" && !slices.Contains(names.Partitions(), f[1]) {
					missing[r.ARN] = true
				}
			}
		}
		for _, twin := range c.Twins {
			if !all[twin] {
				missing[twin] = true
			}
		}
	}
	for name := range missing {
		t.Errorf("%s is not among the names", name)
	}
	if calls < 1000 || len(all) < 17000 {
		t.Errorf("%d calls, %d names", calls, len(all))
	}
}

// A search that ends reads no more of the catalog than it must; what an operation
// needs is told by its name.
func TestActionNames(t *testing.T) {
	names := identifier(t).ActionNames()
	seen := 0
	if found, err := names.Find("s3", func(a string) bool { seen++; return a == "s3:GetObjectVersion" }); !found || err != nil || seen > 2000 {
		t.Errorf("%v %v after %d names", found, err, seen)
	}
	for operation, want := range map[string]string{"s3:listobjectsv2": "s3:ListBucket", "s3:GetObject": "s3:GetObject", "s3:Nonsense": "", "nonsense": ""} {
		if got, err := names.OfOperation(operation); got != want || err != nil {
			t.Errorf("%s needs %q (%v), want %q", operation, got, err, want)
		}
	}
}

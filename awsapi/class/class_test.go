package class_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/awsapi/class"
)

// each calls f for every operation of the catalog.
func each(t *testing.T, f func(s *catalog.Service, op string, d *catalog.Detail)) {
	t.Helper()
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Services {
		s, err := c.Service(i)
		if err != nil {
			t.Fatal(err)
		}
		names := make([]string, 0, len(s.Operations))
		for op := range s.Operations {
			names = append(names, op)
		}
		slices.Sort(names)
		for _, op := range names {
			d, err := s.Detail(op)
			if err != nil {
				t.Fatal(err)
			}
			f(s, op, d)
		}
	}
}

// Every entry names something, with a reason: a typing error would leave its
// operation without its class.
func TestEntriesNameOperations(t *testing.T) {
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, e := range slices.Concat(class.Table(), class.Excuses()) {
		if e.Reason == "" {
			t.Errorf("%s %s:%s has no reason", e.Class, e.Service, e.Operation)
		}
		if e.Service == "*" {
			if strings.HasPrefix(e.Operation, "*") {
				t.Errorf("%s *:%s has no verb to bound it", e.Class, e.Operation)
			}
			continue
		}
		s, err := c.Lookup(e.Service)
		if err != nil {
			t.Errorf("%s: %v", e.Class, err)
			continue
		}
		found := false
		for op := range s.Operations {
			found = found || class.Matches(e.Operation, op)
		}
		if !found {
			t.Errorf("%s %s:%s meets no operation", e.Class, e.Service, e.Operation)
		}
		all[e.Service+":"+e.Operation] = true
	}
	if len(all) < 1000 {
		t.Errorf("only %d entries", len(all))
	}
}

// Counts prints how many operations each class has.
func TestCounts(t *testing.T) {
	n, total := map[class.Class]int{}, 0
	each(t, func(s *catalog.Service, op string, _ *catalog.Detail) {
		got := class.Of(s.ID, op)
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("%s:%s: %v is not sorted or has a class twice", s.ID, op, got)
		}
		for _, c := range got {
			n[c]++
		}
		if len(got) > 0 {
			total++
		}
	})
	for _, c := range class.All() {
		t.Logf("%-24s %5d", c, n[c])
		if n[c] == 0 {
			t.Errorf("%s has no operation", c)
		}
	}
	t.Logf("%-24s %5d", "any", total)
}

// An operation that looks as if it were of a class is classed, or reviewed.
func TestSuspectsAreReviewed(t *testing.T) {
	each(t, func(s *catalog.Service, op string, d *catalog.Detail) {
		for _, sus := range class.Suspects(s.ID, op, d) {
			t.Error(sus)
		}
	})
}

// A new operation that looks dangerous is suspected before anyone reviews it.
func TestSuspectsSeesNewOperations(t *testing.T) {
	write := &catalog.Detail{IAM: []catalog.Action{{Level: "Write"}}}
	token := &catalog.Detail{SecretOutput: map[string][]catalog.Member{"json": {{Kind: "token"}}}}
	role := &catalog.Detail{IAM: []catalog.Action{{Level: "Write"}, {Action: "iam:PassRole"}}}
	for op, d := range map[string]*catalog.Detail{
		"FrobnicateThing": token, "CreateFrobAccessToken": write, "RunFrob": role, "PutFrobPolicy": write, "ExportFrobs": write,
		"DisableFrobLogging": write, "StartFrobTunnel": write, "ScheduleFrobDeletion": write,
	} {
		if len(class.Suspects("frob", op, d)) == 0 {
			t.Errorf("%s is not suspected", op)
		}
	}
	if got := class.Suspects("frob", "ListFrobs", &catalog.Detail{IAM: []catalog.Action{{Level: "List"}}}); len(got) > 0 {
		t.Error(got)
	}
	if !slices.Contains(class.Of("frob", "DeleteFrob"), class.Destroys) || slices.Contains(class.Of("frob", "DeleteTags"), class.Destroys) {
		t.Error("the rule of destroys does not hold for new services")
	}
}

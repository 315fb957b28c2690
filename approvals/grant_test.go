package approvals

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
)

// What may not be given with a request, and that it refuses the vote.
func TestGrantMustFit(t *testing.T) {
	known, unknown := ec2Call("TerminateInstances", instanceARN+"i-1"), ec2Call("RunInstances", instanceARN+"* partial")
	with := func(change func(*Grant)) Grant {
		g := plan
		g.Actions, g.Resources = slices.Clone(plan.Actions), slices.Clone(plan.Resources)
		change(&g)
		return g
	}
	for want, tt := range map[string]struct {
		call *awsapi.Call
		g    Grant
	}{
		"does not name everything": {unknown, Grant{For: "15m", Count: 2}},
		"needs ec2:RunInstances":   {unknown, plan},
		"is on " + instanceARN:     {known, with(func(g *Grant) { g.Resources = []string{instanceARN + "j*"} })},
		"one action and one":       {known, with(func(g *Grant) { g.Resources = nil })},
		"one resource at least":    {known, with(func(g *Grant) { g.Actions = nil })},
		"names no service":         {known, with(func(g *Grant) { g.Actions = append(g.Actions, "*") })},
		"6 parts":                  {known, with(func(g *Grant) { g.Resources = append(g.Resources, "*") })},
		"is for up to":             {known, with(func(g *Grant) { g.For = "2h" })},
	} {
		r := requestOf(tt.call)
		if err := tt.g.Fits(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
		if l, err := tt.g.leave(epoch); err == nil {
			rec := NewRecord(r)
			if err := rec.Vote(allowOf("ann"), l, epoch); err == nil || rec.State != StatePending || len(rec.Votes) > 0 {
				t.Errorf("%q: the vote counts: %v", want, err)
			}
		}
	}
	many := requestOf(known)
	one := many.Resources
	for _, n := range []int{maxShown + 1, event.MaxResources + 1} {
		many.Resources = slices.Repeat(one, n)
		cut := many.Bounded()
		cut.Resources = cut.Resources[:min(n, maxShown+1)]
		for _, g := range []Grant{plan, {For: "15m", Count: 2}} {
			if g.Fits(cut) == nil || g.Fits(many) == nil {
				t.Errorf("%+v is given for what is not shown", g)
			}
		}
	}
	cut := requestOf(known)
	cut.ResourcesOmitted = 1
	if plan.Fits(cut) == nil || DefaultGrant.Fits(cut) == nil {
		t.Error("a grant is given for what was left out")
	}
	if err := plan.Fits(requestOf(known)); err != nil {
		t.Error(err)
	}
	wide := with(func(g *Grant) { g.Actions = append(g.Actions, "ec2:RunInstances") })
	if err := wide.Fits(requestOf(unknown)); err != nil {
		t.Error(err)
	}
}

// Two calls have one extent if they do the same to the same, and none where a
// resource is not told.
func TestExtent(t *testing.T) {
	a, b := instanceARN+"i-1", instanceARN+"i-2"
	base := Extent(ec2Call("StopInstances", a, b))
	if len(base) != 64 || base != Extent(ec2Call("StopInstances", b, a, b)) {
		t.Error("the order of resources counts")
	}
	other := ec2Call("StopInstances", a, b)
	other.Operation = "StopInstance"
	service := ec2Call("StopInstances", a, b)
	service.Service = "ec3"
	more := ec2Call("StopInstances", a, b)
	more.Actions = append(more.Actions, awsapi.Action{Name: "iam:PassRole", Resources: more.Actions[0].Resources})
	for _, c := range []*awsapi.Call{ec2Call("StopInstances", a), ec2Call("StartInstances", a, b), ec2Call("StopInstances", a, b+"2"), other, service, more} {
		if Extent(c) == base || Extent(c) == "" {
			t.Errorf("%+v has the same", c)
		}
	}
	none := ec2Call("StopInstances", a)
	none.Actions = append(none.Actions, awsapi.Action{Name: "iam:PassRole"})
	for _, c := range []*awsapi.Call{nil, {}, ec2Call("StopInstances"), ec2Call("StopInstances", "*"), ec2Call("StopInstances", a, instanceARN+"* partial"), ec2Call("StopInstances", a+"\xff"), none} {
		if e := Extent(c); e != "" {
			t.Errorf("%+v has %s", c, e)
		}
	}
}

func TestGrantWords(t *testing.T) {
	r := requestOf(ec2Call("TerminateInstances", instanceARN+"i-1"))
	r.Resources[0].Type = "instance"
	for want, g := range map[string]Grant{
		`for 15 minutes, at most 20 calls of this session, this one among them, none riskier than it: the same operation on the same resources (terminate instance "i-1" in account 111122223333 (dev), eu-west-1); other parameters may differ`: DefaultGrant,
		`for 1m30s, only this call: the same operation on the same resources (terminate instance "i-1" in account 111122223333 (dev), eu-west-1); other parameters may differ`:                                                                   {For: "90s", Count: 1},
		`for 1 hour, at most 2 calls of this session, this one among them, none riskier than it: any operation in account 111122223333 (dev), eu-west-1, that needs no more than "ec2:Stop*", "ec2:Run*" on "arn:x\"\n"; all parameters may differ`: {For: "60m", Count: 2,
			Actions: []string{"ec2:Stop*", "ec2:Run*"}, Resources: []string{"arn:x\"\n"}},
		`nothing: "x" is no duration`: {For: "x"},
	} {
		if got := g.Words(r); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Of what several approvers leave, the narrowest holds.
func TestNarrowestGrant(t *testing.T) {
	wide, short := &Leave{Until: epoch.Add(time.Hour), Left: 5}, &Leave{Until: epoch.Add(time.Minute), Left: 9}
	for name, test := range map[string]struct{ first, second, want *Leave }{
		"both":    {wide, short, &Leave{Until: short.Until, Left: 5}},
		"one":     {wide, nil, nil},
		"another": {nil, wide, nil},
		"none":    {},
	} {
		r := NewRecord(modelRequest(Needed{Groups: []string{"sre"}, Count: 2}))
		v := people["ann"]
		v.Decision = Allow
		if err := r.Vote(v, test.first, epoch); err != nil {
			t.Fatal(err)
		}
		v = people["bob"]
		v.Decision = Allow
		if err := r.Vote(v, test.second, epoch); err != nil || r.State != StateApproved {
			t.Fatal(err, r.State)
		}
		if (r.Grant == nil) != (test.want == nil) || r.Grant != nil && !reflect.DeepEqual(r.Grant, test.want) {
			t.Errorf("%s: %+v, want %+v", name, r.Grant, test.want)
		}
	}
}

func TestGrantBounds(t *testing.T) {
	for _, g := range []Grant{{}, {For: "15m"}, {For: "15m", Count: 101}, {For: "-1m", Count: 1}, {For: "61m", Count: 1}, {For: "x", Count: 1}, {For: "0s", Count: 1}} {
		if l, err := g.leave(epoch); err == nil {
			t.Errorf("%+v leaves %+v", g, l)
		}
	}
	l, err := (&Grant{For: "15m", Count: 3}).leave(epoch)
	if err != nil || l.Left != 3 || !l.Until.Equal(epoch.Add(15*time.Minute)) {
		t.Errorf("%+v %v", l, err)
	}
}

// Of two approvers' globs the same ones stay, in whatever order and case; of different
// ones the same again is left, or nothing where that cannot be.
func TestNarrowerGlobs(t *testing.T) {
	known := requestOf(ec2Call("TerminateInstances", instanceARN+"i-1"))
	unknown := requestOf(ec2Call("TerminateInstances", instanceARN+"* partial"))
	leave := func(actions, resources []string) *Leave {
		return &Leave{Until: epoch, Left: 2, Actions: actions, Resources: resources}
	}
	a, b := []string{"ec2:Term*", "ec2:Stop*"}, []string{instanceARN + "*"}
	both := leave(a, b)
	for name, test := range map[string]struct {
		r    Request
		b    *Leave
		want *Leave
	}{
		"the same":           {unknown, leave(a, b), both},
		"in another order":   {unknown, leave([]string{"EC2:stop*", "ec2:term*"}, b), both},
		"fewer actions":      {known, leave(a[:1], b), leave(nil, nil)},
		"other resources":    {known, leave(a, []string{instanceARN + "i-*"}), leave(nil, nil)},
		"resources' case":    {known, leave(a, []string{strings.ToUpper(b[0])}), leave(nil, nil)},
		"the same again":     {known, leave(nil, nil), leave(nil, nil)},
		"nothing in common":  {unknown, leave(a[:1], b), nil},
		"nothing from one":   {known, nil, nil},
		"the same, not told": {unknown, leave(nil, nil), nil},
	} {
		for _, got := range []*Leave{test.r.narrower(both, test.b), test.r.narrower(test.b, both)} {
			if got != nil && len(got.Actions) > 0 {
				got.Actions, got.Resources = a, b // written otherwise
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("%s: %+v, want %+v", name, got, test.want)
			}
		}
	}
}

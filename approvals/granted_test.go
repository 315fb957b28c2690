package approvals

import (
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
)

const instanceARN = "arn:aws:ec2:eu-west-1:111122223333:instance/"

func ec2Call(operation string, arns ...string) *awsapi.Call {
	c := &awsapi.Call{Service: "ec2", Operation: operation, Region: "eu-west-1"}
	a := awsapi.Action{Name: "ec2:" + operation, Level: awsapi.Write}
	for _, arn := range arns {
		arn, partial := strings.CutSuffix(arn, " partial")
		a.Resources = append(a.Resources, awsapi.Resource{ARN: arn, Partial: partial})
	}
	c.Actions = []awsapi.Action{a}
	return c
}

// requestOf is what asks for a call, as a gateway makes it.
func requestOf(c *awsapi.Call) Request {
	r := Request{
		Approval: "01J0000000000000000000000A", Digest: strings.Repeat("ab", 32), RequestID: "01J0000000000000000000000X", SessionID: "01J0000000000000000000000S",
		Who: event.UserIdentity{Issuer: "https://idp", Subject: "bot"}, Email: "owner@acme.example", Target: "dev", RoleARN: "arn:aws:iam::111122223333:role/agent-dev",
		Account: "111122223333", Region: c.Region, Service: c.Service, Operation: c.Operation, PolicyVersion: "v1", Extent: Extent(c),
		Risk:      event.Risk{Score: 60, Reasons: []string{"destroys: +40", "access level Write: +20"}},
		Approvers: []Needed{{Groups: []string{"sre"}, Count: 1}}, Created: epoch, Expires: epoch.Add(15 * time.Minute),
	}
	for _, a := range c.Actions {
		r.Actions = append(r.Actions, a.Name)
		for _, res := range a.Resources {
			r.Resources = append(r.Resources, event.Resource{ARN: res.ARN})
		}
	}
	return r
}

func allowOf(name string) Vote {
	v := people[name]
	v.Decision, v.At = Allow, epoch
	return v
}

// granted is a grant that ann gave with a call, after that call.
func granted(t *testing.T, c *awsapi.Call, g Grant) GrantRecord {
	t.Helper()
	r := NewRecord(requestOf(c))
	l, err := g.leave(epoch)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Vote(allowOf("ann"), l, epoch); err != nil {
		t.Fatal(err)
	}
	if err := r.Claim(r.Request.RequestID, epoch); err != nil {
		t.Fatal(err)
	}
	return newGrantRecord(r)
}

var plan = Grant{For: "15m", Count: 5, Actions: []string{"ec2:TerminateInstances", "ec2:Create*"}, Resources: []string{instanceARN + "*", "arn:aws:ec2:eu-west-1:111122223333:volume/*"}}

// Each thing that a later call must not differ in, with the reason why it is asked
// for anew, under a grant for the same again and under one by globs.
func TestTakeRefuses(t *testing.T) {
	c := ec2Call("TerminateInstances", instanceARN+"i-1", instanceARN+"i-2")
	for name, g := range map[string]Grant{"same": {For: "15m", Count: 5}, "globs": plan} {
		for want, change := range map[string]func(g *GrantRecord, r *Request, c **awsapi.Call, now *time.Time){
			"":                         func(*GrantRecord, *Request, **awsapi.Call, *time.Time) {},
			"grant has ended: time":    func(_ *GrantRecord, _ *Request, _ **awsapi.Call, now *time.Time) { *now = epoch.Add(15 * time.Minute) },
			"grant has ended: count":   func(g *GrantRecord, _ *Request, _ **awsapi.Call, _ *time.Time) { g.Leave.Left = 0 },
			"grant has ended: revoked": func(g *GrantRecord, _ *Request, _ **awsapi.Call, _ *time.Time) { g.Revoked = &Vote{} },
			"another session": func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) {
				r.SessionID = "01J0000000000000000000000T"
			},
			"another session's: none": func(g *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) {
				r.SessionID, g.Request.SessionID = "", ""
			},
			"another agent":           func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) { r.Who.Subject = "other" },
			"another agent's: issuer": func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) { r.Who.Issuer = "https://other" },
			"another target":          func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) { r.Target = "prod" },
			"another target: role":    func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) { r.RoleARN += "2" },
			"another target: account": func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) { r.Account = "444455556666" },
			"another region":          func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) { r.Region = "us-east-1" },
			"another region: of none": func(g *GrantRecord, _ *Request, _ **awsapi.Call, _ *time.Time) { g.Request.Region = "" },
			"policy has changed":      func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) { r.PolicyVersion = "v2" },
			"needs others: group": func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) {
				r.Approvers[0].Groups = []string{"security"}
			},
			"needs others: count": func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) { r.Approvers[0].Count = 2 },
			"needs others: one more": func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) {
				r.Approvers = append(r.Approvers, Needed{[]string{"security"}, 1})
			},
			"needs others: nobody":      func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) { r.Approvers = nil },
			"nobody approves their own": func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) { r.Email = "ANN@acme.example" },
			"its risk is 61":            func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) { r.Risk.Score = 61 },
			"hands-out-credentials": func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) {
				r.Risk = event.Risk{Score: 50, Reasons: []string{"hands-out-credentials: +50"}}
			},
			"exposes-publicly": func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) {
				r.Risk = event.Risk{Score: 60, Reasons: []string{"destroys: +40", "exposes-publicly too: +5"}}
			},
			"opens something to everybody": func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) {
				r.Risk = event.Risk{Score: 25, Reasons: []string{"opens something to everybody: +25"}}
			},
			"access level Permissions manag": func(_ *GrantRecord, r *Request, _ **awsapi.Call, _ *time.Time) {
				r.Risk = event.Risk{Score: 35, Reasons: []string{"access level Permissions management: +35"}}
			},
			"something else|not within": func(_ *GrantRecord, r *Request, c **awsapi.Call, _ *time.Time) {
				*c = ec2Call("StopInstances", instanceARN+"i-1", instanceARN+"i-2")
				r.Extent = Extent(*c)
			},
			"something else|not within: any": func(g *GrantRecord, r *Request, c **awsapi.Call, _ *time.Time) {
				*c = ec2Call("TerminateInstances", "*")
				r.Extent, g.Request.Extent = "", ""
			},
			"something else|not within: none": func(_ *GrantRecord, _ *Request, c **awsapi.Call, _ *time.Time) { *c = nil },
			"something else|not within: another account": func(_ *GrantRecord, r *Request, c **awsapi.Call, _ *time.Time) {
				*c = ec2Call("TerminateInstances", "arn:aws:ec2:eu-west-1:444455556666:instance/i-1")
				r.Extent = Extent(*c)
			},
		} {
			record, later, call, now := granted(t, c, g), requestOf(c), c, epoch.Add(time.Minute)
			later.Approvers = []Needed{{Groups: []string{"sre"}, Count: 1}}
			change(&record, &later, &call, &now)
			before := record
			err := record.Take(later, call, now)
			reasons := strings.Split(strings.SplitN(want, ": ", 2)[0], "|")
			if want == "" {
				if err != nil || record.Leave.Left != 3 || record.LastUse != later.RequestID {
					t.Errorf("%s: the same again: %v, %+v", name, err, record.Leave)
				}
				continue
			}
			if err == nil || !slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(err.Error(), r) }) {
				t.Errorf("%s: %q: %v", name, want, err)
			}
			if record.Leave.Left != before.Leave.Left || record.LastUse != "" {
				t.Errorf("%s: %q: a refused call was counted", name, want)
			}
		}
	}
}

// A resource that people see masked is no extent for the gateway, though it is one for
// the call: two that look alike may be two.
func TestTakeMasked(t *testing.T) {
	c := ec2Call("TerminateInstances", instanceARN+"i-1")
	g, r := granted(t, c, DefaultGrant), requestOf(c)
	r.Extent = ""
	if err := g.Take(r, c, epoch); err == nil {
		t.Error("it is the same again")
	}
}

// Calls that a grant by globs lets through, and one for the same again does not.
func TestTakeByGlobs(t *testing.T) {
	c := ec2Call("TerminateInstances", instanceARN+"i-1")
	less := event.Risk{Score: 15, Reasons: []string{"access level Tagging: +15"}}
	for _, later := range []*awsapi.Call{
		ec2Call("TerminateInstances", instanceARN+"i-9"),
		ec2Call("TerminateInstances", instanceARN+"i-1", instanceARN+"i-2"),
		ec2Call("CreateTags", instanceARN+"i-1"),
		ec2Call("CreateVolume", "arn:aws:ec2:eu-west-1:111122223333:volume/* partial"),
	} {
		r := requestOf(later)
		r.Risk = less
		same, globs := granted(t, c, Grant{For: "15m", Count: 5}), granted(t, c, plan)
		if err := same.Take(r, later, epoch); err == nil {
			t.Errorf("%s is the same again", later.Operation)
		}
		if err := globs.Take(r, later, epoch); err != nil {
			t.Errorf("%s: %v", later.Operation, err)
		}
	}
}

// Random calls under random grants of two approvers: what is let through is what the
// sentence of each of them says, by a matcher that shares nothing with ours; and what
// both leave is within what each leaves.
func TestNothingBeyondTheSentence(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	some := func(f func() string) (out []string) {
		for range 1 + rng.IntN(2) {
			out = append(out, f())
		}
		return out
	}
	randomCall := func() *awsapi.Call {
		return ec2Call(pick("StopInstances", "StopThings", "StartInstances"), some(func() string {
			return instanceARN + pick("i-1", "i-1", "i-2", "j-1", "* partial")
		})...)
	}
	randomGrant := func() Grant {
		g := Grant{For: pick("5m", "10m"), Count: 2 + rng.IntN(3)}
		if rng.IntN(3) > 0 {
			g.Actions = some(func() string { return pick("ec2:StopInstances", "ec2:Stop*", "EC2:Sto?Things", "ec2:Start*") })
			g.Resources = some(func() string { return instanceARN + pick("i-*", "i-1", "?-1", "i*", "j-1") })
		}
		return g
	}
	says := func(g Grant, asked, later *awsapi.Call) bool { // names here have no slash but the one behind instance
		flat := func(c *awsapi.Call) []string {
			var out []string
			for _, res := range c.Actions[0].Resources {
				out = append(out, res.ARN)
			}
			slices.Sort(out)
			return slices.Compact(out)
		}
		if len(g.Actions) == 0 {
			return asked.Operation == later.Operation && slices.Equal(flat(asked), flat(later)) && !strings.Contains(strings.Join(flat(later), ""), "*")
		}
		matches := func(globs []string, text string) bool {
			return slices.ContainsFunc(globs, func(glob string) bool {
				ok, err := path.Match(strings.ToLower(glob), strings.ToLower(text))
				return ok && err == nil
			})
		}
		for _, arn := range flat(later) {
			for _, is := range []string{"", "x", "1"} {
				if !matches(g.Resources, strings.Replace(arn, "*", is, 1)) {
					return false
				}
			}
		}
		return matches(g.Actions, later.Actions[0].Name)
	}
	taken, both := 0, 0
	for range 30000 {
		asked, later := randomCall(), randomCall()
		rec := NewRecord(requestOf(asked))
		rec.Request.Approvers[0].Count = 1 + rng.IntN(2)
		grants := []Grant{randomGrant(), randomGrant()}[:rec.Request.Approvers[0].Count]
		if rng.IntN(3) == 0 && len(grants) == 2 {
			grants[1].Actions, grants[1].Resources = grants[0].Actions, grants[0].Resources
		}
		ok := true
		for i, g := range grants {
			l, err := g.leave(epoch)
			if err != nil {
				t.Fatal(err)
			}
			ok = ok && rec.Vote(allowOf([]string{"ann", "bob"}[i]), l, epoch) == nil
		}
		if !ok || rec.Grant == nil {
			continue
		}
		g := newGrantRecord(rec)
		at := epoch.Add(time.Duration(rng.IntN(12)) * time.Minute)
		r := requestOf(later)
		r.Approvers = rec.Request.Approvers
		uses := 0
		for range 6 {
			if g.Take(r, later, at) == nil {
				uses++
			}
		}
		if uses == 0 {
			continue
		}
		taken++
		both += len(grants) - 1
		for _, given := range grants {
			d, _ := time.ParseDuration(given.For)
			if !says(given, asked, later) || uses+1 > given.Count || !at.Before(epoch.Add(d)) {
				t.Fatalf("asked %+v, granted %+v, let %d more through at %s: %+v", asked, given, uses, at, later)
			}
		}
	}
	if taken < 500 || both < 100 {
		t.Errorf("only %d, %d of them of two", taken, both)
	}
}

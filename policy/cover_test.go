package policy

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/awsapi/class"
)

const ourAccount = "111122223333"

// What a person may not write, each with a part of the reason.
func TestNewCoverRefuses(t *testing.T) {
	good, arn := "ec2:TerminateInstances", "arn:aws:ec2:us-east-1:111122223333:instance/*"
	for _, tt := range []struct {
		action, resource, want string
	}{
		{"", arn, "empty"},
		{"*", arn, "names no service"},
		{"*:Get*", arn, "names no service"},
		{"ec?:Get*", arn, "names no service"},
		{"ec2:*", arn, "leaves open what is done"},
		{"ec2:**", arn, "leaves open what is done"},
		{"ec2:?*", arn, "leaves open what is done"},
		{"ec2:*Instances", arn, "leaves open what is done"},
		{"ec2:Te*", arn, "leaves open what is done"},
		{"ec2", arn, "not an IAM action"},
		{"ec2:Get*\u202e", arn, "printed"},
		{"ec2:" + strings.Repeat("G", maxPattern), arn, "longer"},
		{good, "", "empty"},
		{good, "*", "6 parts"},
		{good, "arn:aws:ec2:*", "6 parts"},
		{good, "arn:aws:ec2:us-east-1:*", "6 parts"},
		{good, "i-0abc", "not an ARN"},
		{good, "arn:*:ec2:us-east-1:111122223333:instance/*", "partition and service"},
		{good, "arn:aws:e*:us-east-1:111122223333:instance/*", "partition and service"},
		{good, "arn:aws::us-east-1:111122223333:instance/*", "partition and service"},
		{good, "arn:aws:ec2:us-east-1:*:instance/*", "not in account"},
		{good, "arn:aws:ec2:us-east-1:11112222333?:instance/*", "not in account"},
		{good, "arn:aws:ec2:us-east-1:444455556666:instance/*", "not in account"},
		{good, "arn:aws:ec2:us-east-1:111122223333:*", "any resource"},
		{good, "arn:aws:ec2:us-east-1:111122223333:?*", "any resource"},
		{good, "arn:aws:s3:::*", "any resource"},
		{good, "arn:aws:s3:::", "any resource"},
		{good, "arn:aws:s3:::" + strings.Repeat("b", maxPattern), "longer"},
	} {
		c, err := NewCover(ourAccount, []string{good, tt.action}, []string{arn, tt.resource})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s on %s: %v, want %q", tt.action, tt.resource, err, tt.want)
		}
		if c.Covers(call(awsapi.Write, good, instance)) {
			t.Errorf("%s on %s: what is refused covers", tt.action, tt.resource)
		}
	}
	many := slices.Repeat([]string{good}, MaxCover+1)
	for _, tt := range [][2][]string{{nil, {arn}}, {{good}, nil}, {many, {arn}}, {{good}, slices.Repeat([]string{arn}, MaxCover+1)}} {
		if _, err := NewCover(ourAccount, tt[0], tt[1]); err == nil {
			t.Errorf("%d actions on %d resources are taken", len(tt[0]), len(tt[1]))
		}
	}
	if _, err := NewCover("", []string{good}, []string{arn}); err == nil {
		t.Error("without an account any is taken")
	}
}

func TestCover(t *testing.T) {
	c, err := NewCover(ourAccount, []string{"ec2:terminateinstances", "ec2:Run*", "iam:PassRole"},
		[]string{"arn:aws:ec2:us-east-1:111122223333:instance/*", "arn:aws:ec2:*::image/ami-1", "arn:aws:iam::111122223333:role/app-*"})
	if err != nil {
		t.Fatal(err)
	}
	with := func(c *awsapi.Call, more ...awsapi.Action) *awsapi.Call {
		c.Actions = append(c.Actions, more...)
		return c
	}
	pass := func(role string) awsapi.Action {
		return awsapi.Action{Name: "iam:PassRole", Level: awsapi.Write, Dependent: true, Resources: res(role)}
	}
	const role = "arn:aws:iam::111122223333:role/"
	for name, tt := range map[string]struct {
		call *awsapi.Call
		want bool
	}{
		"none":                        {nil, false},
		"without actions":             {&awsapi.Call{Service: "sts", Operation: "GetCallerIdentity", Permissionless: true}, false},
		"without resources":           {call(awsapi.Write, "ec2:TerminateInstances"), false},
		"an instance":                 {call(awsapi.Write, "ec2:TerminateInstances", instance), true},
		"one of two":                  {call(awsapi.Write, "ec2:TerminateInstances", instance, "arn:aws:ec2:us-east-1:111122223333:volume/v-1"), false},
		"another account":             {call(awsapi.Write, "ec2:TerminateInstances", "arn:aws:ec2:us-east-1:444455556666:instance/i-0abc"), false},
		"another action":              {call(awsapi.Write, "ec2:StopInstances", instance), false},
		"any instance":                {call(awsapi.Write, "ec2:RunInstances", "arn:aws:ec2:us-east-1:111122223333:instance/* partial"), true},
		"an instance of any region":   {call(awsapi.Write, "ec2:RunInstances", "arn:aws:ec2:*:111122223333:instance/i-1 partial"), false},
		"any image":                   {call(awsapi.Write, "ec2:RunInstances", instance, "arn:aws:ec2:us-east-1::image/* partial"), false},
		"anything":                    {call(awsapi.Write, "ec2:RunInstances", "* partial"), false},
		"no resource types":           {call(awsapi.Write, "ec2:RunInstances", "*"), false},
		"no ARN":                      {call(awsapi.Write, "ec2:RunInstances", "instance/i-0abc"), false},
		"with a role":                 {with(call(awsapi.Write, "ec2:RunInstances", instance), pass(role+"app-1")), true},
		"with another role":           {with(call(awsapi.Write, "ec2:RunInstances", instance), pass(role+"admin")), false},
		"with any role":               {with(call(awsapi.Write, "ec2:RunInstances", instance), pass(role+"* partial")), false},
		"with another dependent one":  {with(call(awsapi.Write, "ec2:RunInstances", instance), awsapi.Action{Name: "ssm:GetParameters", Dependent: true, Resources: res(instance)}), false},
		"dependent without resources": {with(call(awsapi.Write, "ec2:RunInstances", instance), awsapi.Action{Name: "iam:PassRole"}), false},
	} {
		if got := c.Covers(tt.call); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
		if (Cover{}).Covers(tt.call) {
			t.Errorf("%s: the zero value covers it", name)
		}
	}
	for _, tt := range []struct {
		actions, arns []string
		want          string
	}{
		{[]string{"ec2:TerminateInstances"}, []string{instance}, ""},
		{[]string{"ec2:RunInstances", "iam:PassRole"}, []string{instance, role + "app-1"}, ""},
		{[]string{"ec2:RunInstances"}, []string{"arn:aws:ec2:us-east-1:111122223333:instance/*"}, ""},
		{nil, []string{instance}, "does not say"},
		{[]string{"ec2:RunInstances"}, nil, "does not say"},
		{[]string{"ec2:RunInstances", "ec2:CreateTags"}, []string{instance}, "needs ec2:CreateTags"},
		{[]string{"ec2:RunInstances"}, []string{instance, role + "a*"}, "is on " + role + "a*"},
		{[]string{"ec2:RunInstances"}, []string{"*"}, "is on *"},
	} {
		if err := c.CoversShown(tt.actions, tt.arns); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v on %v: %v", tt.actions, tt.arns, err)
		}
	}
}

// naive is what a person reads in globs, by regular expressions.
func naive(globs []string, text string, fold bool) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		parts, texts := strings.SplitN(g, ":", 6), strings.SplitN(text, ":", 6)
		if len(parts) != len(texts) {
			return false
		}
		for i, p := range parts {
			re := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(p))
			if fold {
				re = "(?i)" + re
			}
			if !regexp.MustCompile("(?s)^(?:" + re + ")$").MatchString(texts[i]) {
				return false
			}
		}
		return true
	})
}

// What a cover covers, and what CoversShown agrees to, is what its globs say to
// whoever reads them, for whatever the `*` of a resource that is known in part may be.
func TestCoverIsWhatItSays(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	some := func(n int, f func() string) []string {
		out := make([]string, 1+rng.IntN(n))
		for i := range out {
			out[i] = f()
		}
		return out
	}
	globAction := func() string {
		return "ec2:" + pick("Run", "Get") + pick("*", "?ole", "Role", "I*s")
	}
	globARN := func() string {
		return "arn:aws:" + pick("ec2", "ec2", "iam") + ":" + pick("*", "us-east-1", "us-*-?") + ":" + pick("", ourAccount) + ":" +
			pick("i", "instance/") + pick("", "*", "*", "?", "a*", "*b", "a?b")
	}
	realARN := func() string {
		return "arn:aws:" + pick("ec2", "ec2", "iam") + ":" + pick("", "us-east-1", "us-east-1", "us-west-2") + ":" + pick("", ourAccount, ourAccount, "444455556666") + ":" +
			pick("i", "instance/") + pick("", "a", "b", "ab", "axb", "?", "a*b", "a:b", "a/b\nb")
	}
	covered, shown := 0, 0
	for range 20000 {
		actions, globs := some(3, globAction), some(3, globARN)
		cover, err := NewCover(ourAccount, actions, globs)
		if err != nil {
			t.Fatal(err)
		}
		c := &awsapi.Call{}
		var names, arns []string
		for range 1 + rng.IntN(6)/5 {
			a := awsapi.Action{Name: "ec2:" + pick("RunInstances", "getRole", "GetRole", "RunX")}
			names = append(names, a.Name)
			for range 1 + rng.IntN(4)/3 {
				r := awsapi.Resource{ARN: realARN()}
				if rng.IntN(4) == 0 {
					r.ARN, r.Partial = r.ARN+"*", true
				}
				arns = append(arns, r.ARN)
				a.Resources = append(a.Resources, r)
			}
			c.Actions = append(c.Actions, a)
		}
		says := true
		for _, a := range c.Actions {
			says = says && naive(actions, a.Name, true)
			for _, r := range a.Resources {
				if !r.Partial {
					says = says && naive(globs, r.ARN, false)
					continue
				}
				for _, tail := range []string{"", "a", "b", "zz", ":", "a*b", "/x:y"} {
					says = says && naive(globs, strings.TrimSuffix(r.ARN, "*")+tail, false)
				}
			}
		}
		if cover.Covers(c) {
			covered++
			if !says {
				t.Fatalf("%q on %q covers %+v", actions, globs, c.Actions)
			}
		} else if says && !slices.ContainsFunc(c.Actions, func(a awsapi.Action) bool {
			return slices.ContainsFunc(a.Resources, func(r awsapi.Resource) bool { return r.Partial })
		}) {
			t.Fatalf("%q on %q does not cover %+v", actions, globs, c.Actions)
		}
		if cover.CoversShown(names, arns) == nil {
			shown++
			if !cover.Covers(c) {
				t.Fatalf("%q on %q: shown as covered, but %+v is not", actions, globs, c.Actions)
			}
		}
	}
	if covered < 100 || shown < 100 {
		t.Errorf("only %d covered, %d shown", covered, shown)
	}
}

// Every class, and everything else that is found, is a kind; how much it weighed and
// whether it was the worst is not part of it.
func TestRiskKinds(t *testing.T) {
	for k := range classRisk {
		first := riskOf(&awsapi.Call{Classes: []awsapi.Class{k}, Actions: call(awsapi.Write, "x:Y", instance).Actions})
		if got := RiskKinds(first.Reasons); !slices.Equal(got, []string{string(k)}) {
			t.Errorf("%s: %q of %q", k, got, first.Reasons)
		}
		for other := range classRisk {
			both := riskOf(&awsapi.Call{Classes: []awsapi.Class{k, other}, Actions: call(awsapi.Tagging, "x:Y", instance).Actions})
			if got := RiskKinds(both.Reasons); !slices.Contains(got, string(k)) || !slices.Contains(got, string(other)) || len(got) > 2 {
				t.Errorf("%s and %s: %q of %q", k, other, got, both.Reasons)
			}
		}
	}
	arns := slices.Repeat([]string{instance}, manyResources+1)
	arns[0] = "arn:aws:ec2:us-east-1:111122223333:instance/* partial"
	wide := riskOf((&awsapi.Call{Classes: []awsapi.Class{class.Destroys}, Actions: call(awsapi.Permissions, "x:Y", arns...).Actions}).WithParams(map[string]any{"Cidr": "0.0.0.0/0"}))
	want := []string{"destroys", "access level Permissions management", "what it destroys is known only in part", "more than 10 resources", "opens something to everybody"}
	if got := RiskKinds(wide.Reasons); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, level := range []awsapi.AccessLevel{awsapi.List, awsapi.Read, awsapi.Tagging, awsapi.Write} {
		if got := RiskKinds(riskOf(call(level, "x:Y", instance)).Reasons); got != nil {
			t.Errorf("%s: %q", level, got)
		}
	}
	if got := RiskKinds(riskOf(call("", "x:Y", instance)).Reasons); !slices.Equal(got, []string{"access level unknown"}) {
		t.Errorf("%q", got)
	}
}

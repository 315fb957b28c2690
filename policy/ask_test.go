package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/awsapi/class"
)

func TestDenyBeatsAskBeatsAllow(t *testing.T) {
	allow := rule("a", "allow", `actions: ["ec2:*"]`)
	asks := rule("b", "ask", `actions: ["ec2:Start*"], approvers: {groups: [sre], count: 2}`)
	deny := rule("c", "deny", `actions: ["ec2:StartInstances"]`)
	start := ask(call(awsapi.Write, "ec2:StartInstances", instance))
	for name, tt := range map[string]struct {
		rules string
		want  Effect
	}{
		"allow":                 {allow, Allow},
		"ask":                   {asks, Ask},
		"ask and allow":         {allow + asks, Ask},
		"in the other order":    {asks + allow, Ask},
		"all three":             {allow + asks + deny, Deny},
		"deny first":            {deny + asks + allow, Deny},
		"ask for other things":  {allow + rule("b", "ask", `actions: ["ec2:Stop*"], approvers: {groups: [sre]}`), Allow},
		"ask for other targets": {allow + strings.Replace(asks, "[dev]", "[prod]", 1), Allow},
	} {
		d := engine(t, tt.rules).Decide(start)
		if d.Effect != tt.want {
			t.Errorf("%s: %s, want %s: %s", name, d.Effect, tt.want, d.Reason)
		}
		if d.Effect == Ask && (len(d.Approvers) == 0 || !strings.Contains(d.Reason, "approval")) {
			t.Errorf("%s: approvers %v: %s", name, d.Approvers, d.Reason)
		}
	}
	// Where the request tells its resource only in part, an ask for some of what it
	// may be asks, and does not allow the rest.
	some := rule("b", "ask", `actions: ["ec2:*"], resources: ["`+instance+`"], approvers: {groups: [sre]}`)
	partial := ask(call(awsapi.Write, "ec2:StartInstances", "arn:aws:ec2:us-east-1:111122223333:instance/* partial"))
	if d := engine(t, some).Decide(partial); d.Effect != Deny {
		t.Errorf("an ask for one instance lets %s all", d.Effect)
	}
	if d := engine(t, allow+some).Decide(partial); d.Effect != Ask {
		t.Errorf("%s: an ask for one instance does not ask for all", d.Effect)
	}
}

func TestIssuersKeepGroupsApart(t *testing.T) {
	e := engine(t, `  - {name: a, who: {issuers: ["https://idp"], groups: [ai-agents]}, targets: [dev], actions: ["s3:Get*"], effect: allow}`)
	in := ask(call(awsapi.Read, "s3:GetObject", bucket))
	if d := e.Decide(in); d.Effect != Allow {
		t.Error(d.Reason)
	}
	in.Issuer = "https://other"
	if d := e.Decide(in); d.Effect != Deny {
		t.Error("a group of another issuer counts")
	}
}

func TestScopeIsTheNarrowest(t *testing.T) {
	one := rule("a", "allow", `actions: ["s3:Get*"], scope: service`)
	two := rule("b", "allow", `actions: ["s3:*"], scope: action`)
	in := ask(call(awsapi.Read, "s3:GetObject", bucket))
	for rules, want := range map[string]Scope{one: ScopeService, one + two: ScopeAction, rule("c", "allow", `actions: ["s3:*"]`) + one: ScopeRequest} {
		if d := engine(t, rules).Decide(in); d.Scope != want {
			t.Errorf("%s, want %s", d.Scope, want)
		}
	}
}

func TestWhen(t *testing.T) {
	in := ask(call(awsapi.Write, "ec2:RunInstances", instance).WithParams(map[string]any{"InstanceType": "t3.micro", "MaxCount": "3", "Tags": []any{map[string]any{"Key": "env"}}}))
	in.Now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	for expr, want := range map[string]Effect{
		`params.InstanceType == "t3.micro"`:                                     Allow,
		`params.InstanceType == "m5.large"`:                                     Deny,
		`int(params.MaxCount) <= 3 && params.Tags.exists(x, x.Key == "env")`:    Allow,
		`who.subject == "bot" && "ai-agents" in who.groups && target == "dev"`:  Allow,
		`now.getHours() >= 8 && now.getHours() < 18`:                            Allow,
		`action == "ec2:RunInstances" && access == "Write" && service == "ec2"`: Allow,
		`risk < 60 && resources.all(r, r.startsWith("arn:aws:ec2:"))`:           Allow,
		`params.Nope == "x"`:                     Deny, // fails: that is not "does not hold", and says so
		`has(params.Nope) && params.Nope == "x"`: Deny,
		`params.?Nope.orValue("y") == "y"`:       Allow,
		`params.MaxCount < 4`:                    Deny, // a text
	} {
		e := engine(t, rule("a", "allow", "actions: ['ec2:*'], when: '"+expr+"'"))
		d := e.Decide(in)
		if d.Effect != want {
			t.Errorf("%s: %s: %s", expr, d.Effect, d.Reason)
		}
		if strings.HasPrefix(expr, "params.Nope") && !(strings.Contains(d.Reason, "rule a") && strings.Contains(d.Reason, "has(params.NAME)")) {
			t.Errorf("%s: %s", expr, d.Reason)
		}
	}
}

// A condition that cannot be evaluated denies, whatever its rule's effect and
// whatever other rules allow.
func TestWhenThatFailsDenies(t *testing.T) {
	in := ask(call(awsapi.Write, "ec2:RunInstances", instance))
	for _, r := range []string{
		rule("b", "allow", `actions: ["ec2:*"], when: "params.X == 1"`),
		rule("b", "ask", `actions: ["ec2:*"], when: "params.X == 1", approvers: {groups: [sre]}`),
		rule("b", "deny", `actions: ["ec2:*"], when: "params.X == 1"`),
	} {
		if d := engine(t, everything+r).Decide(in); d.Effect != Deny || len(d.Rules) != 1 || d.Rules[0] != "b" {
			t.Errorf("%s by %v: %s", d.Effect, d.Rules, d.Reason)
		}
	}
}

func TestWhenIsCheckedAtLoad(t *testing.T) {
	for expr, want := range map[string]string{
		`params.X = 1`:              "1:10",
		`who.subjct == "a"`:         "undeclared reference",
		`risk + 1`:                  "not true or false",
		`service == 3`:              "no matching overload",
		``:                          "empty",
		strings.Repeat("(", 200):    "",
		strings.Repeat("a||", 2000): "longer than",
	} {
		_, err := Parse([]File{{"p.yaml", []byte("rules:\n" + rule("a", "allow", "actions: ['ec2:*'], when: '"+expr+"'"))}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "p.yaml:2:") {
			t.Errorf("%.40s: %v, want %q", expr, err, want)
		}
	}
}

// However long a request makes its lists, an expression ends.
func TestWhenIsBounded(t *testing.T) {
	long := make([]any, 3000)
	for i := range long {
		long[i] = "x"
	}
	in := ask(call(awsapi.Write, "ec2:RunInstances", instance).WithParams(map[string]any{"L": long}))
	d := engine(t, rule("a", "allow", `actions: ["ec2:*"], when: "params.L.all(a, params.L.all(b, a == b))"`)).Decide(in)
	if d.Effect != Deny || !strings.Contains(d.Reason, "too many steps") {
		t.Errorf("%s: %s", d.Effect, d.Reason)
	}
}

func TestRisk(t *testing.T) {
	classed := func(c *awsapi.Call, k ...awsapi.Class) *awsapi.Call { c.Classes = k; return c }
	for name, tt := range map[string]struct {
		call *awsapi.Call
		want Effect
	}{
		"reading":          {call(awsapi.Read, "s3:GetObject", bucket), Allow},
		"reading a secret": {classed(call(awsapi.Read, "secretsmanager:GetSecretValue", table), class.ReadsSecrets), Allow},
		"writing":          {call(awsapi.Write, "s3:PutObject", bucket), Allow},
		"deleting an item": {classed(call(awsapi.Write, "dynamodb:DeleteItem", table), class.Destroys), Allow},
		"ending instances": {classed(call(awsapi.Write, "ec2:TerminateInstances", instance), class.Destroys), Ask},
		"ending the audit": {classed(call(awsapi.Write, "cloudtrail:StopLogging", table), class.DisablesAudit), Ask},
		"a public policy": {classed(call(awsapi.Permissions, "s3:PutBucketPolicy", bucket), class.ExposesPublicly, class.EscalatesPrivileges).
			WithParams(map[string]any{"Policy": "{\"Statement\":[{\"Principal\" : \"*\"}]}"}), Deny},
		"an open port": {call(awsapi.Write, "ec2:AuthorizeSecurityGroupIngress", table).WithParams(map[string]any{"CidrIp": "0.0.0.0/0"}), Allow},
		"nobody knows": {classed(call("", "new:Thing", "*"), class.Destroys), Ask},
	} {
		d := engine(t, everything).Decide(ask(tt.call))
		if d.Effect != tt.want {
			t.Errorf("%s: %s with %d %v, want %s", name, d.Effect, d.Risk.Score, d.Risk.Reasons, tt.want)
		}
		if d.Risk.Score > 0 && len(d.Risk.Reasons) == 0 {
			t.Errorf("%s: %d without a reason", name, d.Risk.Score)
		}
	}
	off := engine(t, everything+"risk: {ask_at: 101, deny_at: 101}\n")
	if d := off.Decide(ask(classed(call(awsapi.Write, "ec2:TerminateInstances", instance), class.Destroys))); d.Effect != Allow {
		t.Errorf("turned off, and %s", d.Effect)
	}
	// Risk never lowers anything.
	if d := engine(t, everything+rule("no", "deny", `actions: ["s3:*"]`)).Decide(ask(call(awsapi.Read, "s3:GetObject", bucket))); d.Effect != Deny {
		t.Error("a small risk allows what a rule denies")
	}
}

func TestTestsRunAtLoad(t *testing.T) {
	const rules = "rules:\n" + everything
	for tests, want := range map[string]string{
		`{who: {groups: [ai-agents]}, target: dev, call: "s3:GetObject", resource: "` + bucket + `", expect: allow, rule: all}`:  "",
		`{who: {groups: [ai-agents]}, target: dev, call: "ec2:TerminateInstances", resource: "*", expect: ask}`:                  "",
		`{who: {groups: [strangers]}, target: dev, call: "s3:ListObjectsV2", expect: deny}`:                                      "",
		`{who: {groups: [ai-agents]}, target: dev, call: "s3:GetObject", resource: "` + bucket + `", expect: deny}`:              "expected deny, got allow",
		`{who: {groups: [ai-agents]}, target: dev, call: "s3:GetObject", resource: "` + bucket + `", expect: allow, rule: none}`: "expected rule none",
		`{who: {groups: [ai-agents]}, target: dev, call: "s3:GetObjekt", expect: deny}`:                                          "no AWS operation",
		`{target: dev, expect: deny}`:                                     "a test needs",
		`{target: dev, call: "s3:GetObject", params: "[]", expect: deny}`: "one JSON object",
	} {
		_, err := Parse([]File{{"p.yaml", []byte(rules + "tests:\n  - " + tests + "\n")}})
		if want == "" && err != nil {
			t.Errorf("%s: %v", tests, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "p.yaml:5:")) {
			t.Errorf("%s: %v, want %q with its place", tests, err, want)
		}
	}
}

package jit

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/iameval"
	"github.com/sallyport/sallyport/refusal"
)

func scoped(t *testing.T, c *awsapi.Call, s Scope) (*iameval.Policy, Policy) {
	t.Helper()
	made, err := SessionPolicy(c, testTarget, s, testNow)
	if err != nil {
		t.Fatal(err)
	}
	p, err := iameval.Parse(made.Text)
	if err != nil {
		t.Fatalf("%v\n%s", err, made.Text)
	}
	return p, made
}

func ask(action, resource, account string, after time.Duration) iameval.Request {
	r := iameval.Request{Action: action, Resource: resource, Now: testNow.Add(after), Context: map[string][]string{}}
	if account != "" {
		r.Context["aws:ResourceAccount"] = []string{account}
	}
	return r
}

func TestScopes(t *testing.T) {
	const key, role = "arn:aws:s3:::b/k", "arn:aws:iam::" + awstest.Account + ":role/r"
	call := callOn("s3:PutObject", key)
	call.Service = "s3"
	call.Actions = append(call.Actions, awsapi.Action{Name: "iam:PassRole", Dependent: true, Resources: []awsapi.Resource{{ARN: role, Type: "role"}}})
	all := []Scope{ScopeRequest, ScopeAction, ScopeService, ScopeRole}
	tests := []struct {
		what string
		q    iameval.Request
		from Scope // narrowest scope that allows it; "" none
	}{
		{"the call", ask("s3:PutObject", key, awstest.Account, 0), ScopeRequest},
		{"its dependent action", ask("iam:PassRole", role, awstest.Account, 0), ScopeRequest},
		{"another resource", ask("s3:PutObject", key+"2", awstest.Account, 0), ScopeAction},
		{"another role", ask("iam:PassRole", role+"2", awstest.Account, 0), ScopeRole},
		{"another action", ask("s3:GetObject", key, awstest.Account, 0), ScopeService},
		{"another service", ask("ec2:DescribeVpcs", "*", "", 0), ScopeRole},
		{"a foreign account's bucket", ask("s3:PutObject", key, foreign, 0), ""},
		{"a bucket whose owner AWS does not tell", ask("s3:PutObject", key, "", 0), ""},
		{"another service in a foreign account", ask("sqs:SendMessage", "arn:aws:sqs:us-east-1:"+foreign+":q", foreign, 0), ""},
		{"after the deadline", ask("s3:PutObject", key, awstest.Account, testTarget.TTL), ""},
		{"another key", ask("iam:CreateAccessKey", "arn:aws:iam::"+awstest.Account+":user/u", awstest.Account, 0), ""},
		{"another role's credential", ask("sts:AssumeRole", role, awstest.Account, 0), ""},
		{"more rights", ask("iam:AttachRolePolicy", role, awstest.Account, 0), ""},
	}
	for i, s := range all {
		p, made := scoped(t, call, s)
		if made.Scope != s || made.Detail != Full {
			t.Errorf("%s: %+v", s, made)
		}
		for _, tt := range tests {
			want := false
			for _, narrower := range all[:i+1] {
				want = want || narrower == tt.from
			}
			if got := p.Evaluate(tt.q) == iameval.Allowed; got != want {
				t.Errorf("scope %s, %s: allowed %t by %s", s, tt.what, got, made.Text)
			}
		}
	}
	for _, s := range []Scope{"", "Request", "any"} {
		if made, err := SessionPolicy(call, testTarget, s, testNow); err == nil || made.Text != "" {
			t.Errorf("scope %q is taken", s)
		}
	}
}

// Of every operation that awsapi says hands out credentials: a wide scope of its
// service denies it, and its own call gets no wide credential.
func TestWideScopesDenyWhatHandsOutCredentials(t *testing.T) {
	n := 0
	eachOracle(t, func(call *awsapi.Call) {
		if !slices.Contains(call.Classes, awsapi.HandsOutCredentials) || len(call.Actions) == 0 {
			return
		}
		n++
		name := call.Actions[0].Name
		if _, err := SessionPolicy(call, targetOf(call), ScopeService, testNow); err == nil {
			t.Errorf("%s got a credential of scope service", name)
		}
		if _, err := SessionPolicy(call, targetOf(call), ScopeRequest, testNow); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		prefix, _, _ := strings.Cut(name, ":")
		neighbour := callOn(prefix+":SomethingElse", "*")
		if _, err := SessionPolicy(neighbour, testTarget, ScopeService, testNow); err != nil {
			return // nothing of this service is had widely
		}
		p, _ := scoped(t, neighbour, ScopeService)
		if p.Evaluate(ask(name, "*", awstest.Account, 0)) == iameval.Allowed {
			t.Errorf("scope service of %s allows %s", prefix, name)
		}
	})
	if n == 0 {
		t.Error("no operation was asked about")
	}
}

// In every scope every operation of the sample is allowed, in time and in the
// target's accounts alone; or refused where its own action is guarded.
func TestEveryScopeHoldsDeadlineAndPerimeter(t *testing.T) {
	made, refused := map[Scope]int{}, map[Scope]int{}
	eachOracle(t, func(call *awsapi.Call) {
		if len(call.Actions) == 0 || tooLarge[call.Service+":"+call.Operation] {
			return
		}
		a := call.Actions[0]
		r := a.Resources[0]
		for _, s := range []Scope{ScopeAction, ScopeService, ScopeRole} {
			policy, err := SessionPolicy(call, targetOf(call), s, testNow)
			if err != nil {
				refused[s]++
				if !strings.Contains(err.Error(), "is never done with a credential of scope") && actsAsCaller[call.Service][call.Operation] == "" {
					t.Errorf("%s:%s, scope %s: %v", call.Service, call.Operation, s, err)
				}
				continue
			}
			made[s]++
			p, err := iameval.Parse(policy.Text)
			if err != nil {
				t.Fatalf("%v\n%s", err, policy.Text)
			}
			q := questionOf(a.Name, r)
			if answerable(a, r) && p.Evaluate(q) != iameval.Allowed {
				t.Errorf("%s:%s, scope %s: denied by %s", call.Service, call.Operation, s, policy.Text)
			}
			late, abroad := q, questionOf(a.Name, r)
			late.Now = testNow.Add(testTarget.TTL)
			abroad.Context["aws:ResourceAccount"] = []string{foreign}
			if p.Evaluate(late) == iameval.Allowed {
				t.Errorf("%s:%s, scope %s: allowed after the deadline by %s", call.Service, call.Operation, s, policy.Text)
			}
			if strings.Count(q.Resource, ":aws:") == 0 && q.Context["ec2:Owner"] == nil && p.Evaluate(abroad) == iameval.Allowed {
				t.Errorf("%s:%s, scope %s: allowed in a foreign account by %s", call.Service, call.Operation, s, policy.Text)
			}
		}
	})
	t.Logf("made %v, refused %v", made, refused)
}

func TestKMSOnlyThroughTheService(t *testing.T) {
	call := callOn("s3:GetObject", "arn:aws:s3:::b/k")
	p, _ := scoped(t, call, ScopeRequest)
	const key = "arn:aws:kms:us-east-1:" + awstest.Account + ":key/1"
	via := func(service, account string) iameval.Request {
		q := ask("kms:Decrypt", key, account, 0)
		if service != "" {
			q.Context["kms:ViaService"] = []string{service}
		}
		return q
	}
	if p.Evaluate(via("s3.us-east-1.amazonaws.com", awstest.Account)) != iameval.Allowed {
		t.Error("S3 may not decrypt")
	}
	encrypt := via("s3.us-east-1.amazonaws.com", awstest.Account)
	encrypt.Action = "kms:GenerateDataKey"
	for what, q := range map[string]iameval.Request{
		"by itself": via("", awstest.Account), "through another service": via("secretsmanager.us-east-1.amazonaws.com", awstest.Account),
		"a foreign key": via("s3.us-east-1.amazonaws.com", foreign), "a look-alike": via("s3.evil.example", awstest.Account), "encrypts while reading": encrypt,
	} {
		if p.Evaluate(q) == iameval.Allowed {
			t.Errorf("kms is allowed %s", what)
		}
	}
	if p, _ = scoped(t, callOn("s3:DeleteObject", "arn:aws:s3:::b/k"), ScopeRequest); p.Evaluate(via("s3.us-east-1.amazonaws.com", awstest.Account)) == iameval.Allowed {
		t.Error("DeleteObject may decrypt")
	}
}

func TestServiceExceptions(t *testing.T) {
	const image = "arn:aws:ec2:us-east-1::image/ami-1"
	p, _ := scoped(t, callOn("ec2:RunInstances", image), ScopeRequest)
	for owner, want := range map[string]bool{"amazon": true, awstest.Account: true, foreign: false, "": false} {
		q := ask("ec2:RunInstances", image, "137112412989", 0)
		if owner != "" {
			q.Context["ec2:Owner"] = []string{owner}
		}
		if got := p.Evaluate(q) == iameval.Allowed; got != want {
			t.Errorf("an image of %q: %t", owner, got)
		}
	}

	p, _ = scoped(t, callOn("iam:GetPolicy", "arn:aws:iam::aws:policy/ReadOnlyAccess"), ScopeRequest)
	if p.Evaluate(ask("iam:GetPolicy", "arn:aws:iam::aws:policy/ReadOnlyAccess", "aws", 0)) != iameval.Allowed {
		t.Error("AWS's own policy cannot be read")
	}

	call := callOn("lambda:CreateFunction", "arn:aws:lambda:us-east-1:"+awstest.Account+":function:f")
	call.Service = "lambda"
	role := awsapi.Resource{ARN: "arn:aws:iam::" + awstest.Account + ":role/r", Type: "role"}
	call.Actions = append(call.Actions, awsapi.Action{Name: "iam:PassRole", Dependent: true, Resources: []awsapi.Resource{role}})
	p, _ = scoped(t, call, ScopeRequest)
	for service, want := range map[string]bool{"lambda.amazonaws.com": true, "ec2.amazonaws.com": false} {
		q := ask("iam:PassRole", role.ARN, awstest.Account, 0)
		q.Context["iam:PassedToService"] = []string{service}
		if got := p.Evaluate(q) == iameval.Allowed; got != want {
			t.Errorf("a role passed to %s: %t", service, got)
		}
	}
	call = callOn("appsync:CreateGraphqlApi", "*")
	call.Actions = append(call.Actions, awsapi.Action{Name: "iam:CreateServiceLinkedRole", Dependent: true, Resources: []awsapi.Resource{{ARN: "*", Type: "role"}}})
	p, _ = scoped(t, call, ScopeRequest)
	for arn, want := range map[string]bool{"arn:aws:iam::" + awstest.Account + ":role/aws-service-role/x.amazonaws.com/X": true, role.ARN: false} {
		if got := p.Evaluate(ask("iam:CreateServiceLinkedRole", arn, awstest.Account, 0)) == iameval.Allowed; got != want {
			t.Errorf("a service-linked role at %s: %t", arn, got)
		}
	}
	if _, err := SessionPolicy(callOn("sqs:SendMessage", "*", "not-an-arn"), testTarget, ScopeRequest, testNow); err == nil {
		t.Error("a resource that is no ARN is taken")
	}
	call = callOn("cloudformation:CreateStack", "*")
	call.Service, call.Operation = "cloudformation", "CreateStack"
	for _, s := range []Scope{ScopeRequest, ScopeAction, ScopeService} {
		if _, err := SessionPolicy(call, testTarget, s, testNow); err == nil || !strings.Contains(refusal.Of(err).Message, "RoleARN") {
			t.Errorf("CreateStack without a service role, scope %s: %v", s, err)
		}
	}
	scoped(t, call, ScopeRole)
}

// What a resource policy grants to the session's own ARN is bound by our Denies.
func TestDeniesBindResourcePoliciesThatNameTheSession(t *testing.T) {
	const key = "arn:aws:s3:::b/k"
	p, made := scoped(t, callOn("s3:GetObject", key), ScopeRequest)
	for what, q := range map[string]iameval.Request{
		"another action": ask("s3:PutObject", key, awstest.Account, 0), "another resource": ask("s3:GetObject", key+"2", awstest.Account, 0),
		"after the deadline": ask("s3:GetObject", key, awstest.Account, testTarget.TTL),
	} {
		if p.Evaluate(q) != iameval.ExplicitDeny {
			t.Errorf("%s is not denied explicitly by %s", what, made.Text)
		}
	}
}

// The bucket behind an access point is not denied: its policy delegates.
func TestAccessPointsLeaveTheirBucket(t *testing.T) {
	p, _ := scoped(t, callOn("s3:GetObject", "arn:aws:s3:us-east-1:"+awstest.Account+":accesspoint/ap/object/k"), ScopeRequest)
	if got := p.Evaluate(ask("s3:GetObject", "arn:aws:s3:::b/k", awstest.Account, 0)); got != iameval.ImplicitDeny {
		t.Errorf("the bucket: %d", got)
	}
}

// FuzzSessionPolicy: whatever a resource is called, its policy is one that AWS
// takes, allows it, and allows no other name.
func FuzzSessionPolicy(f *testing.F) {
	for _, s := range [][2]string{{"a*b", "aXb"}, {"${aws:username}", "root"}, {"a?", "ab"}, {"${*}", "*"}, {"$", "${$}"}, {"a${", "a"}, {`"],"`, "x"}, {"a/../b", "b"}, {"ä", "a"}, {"x-??????", "x-123456"}, {"-*", "-x"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, name, other string) {
		const bucket = "arn:aws:s3:::b/"
		// Characters that STS takes in no policy become a wildcard on purpose.
		for _, c := range name + " " + other {
			if c < 0x20 || c > 0xFF {
				return
			}
		}
		made, err := SessionPolicy(callOn("s3:GetObject", bucket+name), testTarget, ScopeRequest, testNow)
		if err != nil {
			return // too long
		}
		p, err := iameval.Parse(made.Text)
		if err != nil {
			t.Fatalf("%q: %v\n%s", name, err, made.Text)
		}
		if p.Evaluate(ask("s3:GetObject", bucket+name, awstest.Account, 0)) != iameval.Allowed {
			t.Errorf("%q is denied by %s", name, made.Text)
		}
		if other != name && made.Detail != Prefixes && made.Detail != Types && p.Evaluate(ask("s3:GetObject", bucket+other, awstest.Account, 0)) == iameval.Allowed {
			t.Errorf("%q is allowed by the policy of %q: %s", other, name, made.Text)
		}
	})
}

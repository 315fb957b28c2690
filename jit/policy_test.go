package jit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/refusal"
)

var (
	testNow    = time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)
	testTarget = Target{Name: "dev", RoleARN: awstest.RoleARN, Regions: []string{"us-east-1"}, TTL: time.Minute}
)

func callOn(action string, arns ...string) *awsapi.Call {
	a := awsapi.Action{Name: action}
	for _, arn := range arns {
		r := awsapi.Resource{ARN: arn, Type: "thing"}
		if arn == "*" {
			r.Type = ""
		}
		a.Resources = append(a.Resources, r)
	}
	return &awsapi.Call{Partition: "aws", Region: "us-east-1", Actions: []awsapi.Action{a}}
}

func parsed(t *testing.T, c *awsapi.Call) (*awstest.Policy, string) {
	t.Helper()
	made, err := SessionPolicy(c, testTarget, ScopeRequest, testNow)
	if err != nil {
		t.Fatal(err)
	}
	text := made.Text
	if utf8.RuneCountInString(text) > maxPolicy {
		t.Fatalf("%d characters", utf8.RuneCountInString(text))
	}
	p, err := awstest.ParsePolicy(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p, text
}

func TestSessionPolicyAllowsTheCallAndNoNeighbour(t *testing.T) {
	const arn = "arn:aws:s3:::acme-dev-reports/2026/a*b?${aws:username}.csv"
	p, text := parsed(t, callOn("s3:GetObject", arn))
	q := awstest.Question{Action: "s3:GetObject", Resource: arn, Account: awstest.Account, Now: testNow}
	if !p.Allows(q) {
		t.Fatalf("the call itself is denied by %s", text)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		n := q
		switch random.IntN(5) {
		case 0:
			n.Action = []string{"s3:GetObjectAcl", "s3:PutObject", "s3:*", "kms:Decrypt", "s3:GetObjec"}[random.IntN(5)]
		case 1:
			b := []byte(arn)
			at := random.IntN(len(b))
			b[at] = b[at]%90 + 33
			if n.Resource = string(b); n.Resource == arn {
				continue
			}
		case 2:
			at := random.IntN(len(arn))
			n.Resource = arn[:at] + string(rune('a'+random.IntN(26))) + arn[at:]
		case 3:
			n.Account = []string{awstest.ForeignAccount, ""}[random.IntN(2)]
		case 4:
			n.Now = testNow.Add(time.Minute + time.Duration(random.Int64N(int64(time.Hour))))
		}
		if p.Allows(n) {
			t.Fatalf("a neighbour is allowed: %+v by %s", n, text)
		}
	}
}

func TestSessionPolicyResources(t *testing.T) {
	tests := []struct {
		name            string
		resource        awsapi.Resource
		allowed, denied string
	}{
		{"no resource types", awsapi.Resource{ARN: "*"}, "arn:aws:x:::anything", ""},
		{"a key that is a star", awsapi.Resource{ARN: "arn:aws:s3:::b/*", Type: "object"}, "arn:aws:s3:::b/*", "arn:aws:s3:::b/other"},
		{"our star", awsapi.Resource{ARN: "arn:aws:logs:us-east-1:111122223333:log-group:g:*", Type: "log", Partial: true}, "arn:aws:logs:us-east-1:111122223333:log-group:g:s", "arn:aws:logs:us-east-1:111122223333:log-group:h:s"},
		{"a star inside a partial resource", awsapi.Resource{ARN: "arn:aws:logs:us-east-1:111122223333:log-group:g*:*", Type: "log", Partial: true}, "arn:aws:logs:us-east-1:111122223333:log-group:g*:s", "arn:aws:logs:us-east-1:111122223333:log-group:gx:s"},
		{"a secret's suffix", awsapi.Resource{ARN: "arn:aws:secretsmanager:us-east-1:111122223333:secret:p?-??????", Type: "secret", Partial: true}, "arn:aws:secretsmanager:us-east-1:111122223333:secret:p?-Ab3dE6", "arn:aws:secretsmanager:us-east-1:111122223333:secret:px-Ab3dE6"},
		{"characters STS does not take", awsapi.Resource{ARN: "arn:aws:s3:::b/отчёт.txt", Type: "object"}, "arn:aws:s3:::b/отчёт.txt", "arn:aws:s3:::c/отчёт.txt"},
		{"Latin-1", awsapi.Resource{ARN: "arn:aws:s3:::b/größe", Type: "object"}, "arn:aws:s3:::b/größe", "arn:aws:s3:::b/grösse"},
		{"quotes and backslash", awsapi.Resource{ARN: `arn:aws:s3:::b/"],"Effect":"\`, Type: "object"}, `arn:aws:s3:::b/"],"Effect":"\`, "arn:aws:s3:::b/x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := callOn("x:Do")
			c.Actions[0].Resources = []awsapi.Resource{tt.resource}
			p, text := parsed(t, c)
			q := awstest.Question{Action: "x:Do", Resource: tt.allowed, Account: awstest.Account, Now: testNow}
			if !p.Allows(q) {
				t.Errorf("%s is denied by %s", tt.allowed, text)
			}
			if q.Resource = tt.denied; tt.denied != "" && p.Allows(q) {
				t.Errorf("%s is allowed by %s", tt.denied, text)
			}
		})
	}
}

func TestSessionPolicyTooLongGetsCoarserNeverBroaderThanTheBucket(t *testing.T) {
	var arns []string
	for i := range 200 {
		arns = append(arns, fmt.Sprintf("arn:aws:s3:::acme-dev-reports/logs/%04d/file.txt", i))
	}
	p, text := parsed(t, callOn("s3:DeleteObject", arns...))
	q := awstest.Question{Action: "s3:DeleteObject", Account: awstest.Account, Now: testNow}
	for _, q.Resource = range arns {
		if !p.Allows(q) {
			t.Fatalf("%s is denied by %s", q.Resource, text)
		}
	}
	for _, q.Resource = range []string{"arn:aws:s3:::acme-dev-reports/other", "arn:aws:s3:::acme-dev-reports2/logs/0001/file.txt"} {
		if p.Allows(q) {
			t.Errorf("%s is allowed by %s", q.Resource, text)
		}
	}
	parsed(t, callOn("s3:GetObject", "arn:aws:s3:::b/"+strings.Repeat("*", 1024)))
	for i := range arns {
		arns[i] = fmt.Sprintf("arn:aws:s3:::some-bucket-with-a-name-%d/x", i)
	}
	if _, err := SessionPolicy(callOn("s3:GetObject", arns...), testTarget, ScopeRequest, testNow); refusal.Of(err).Reason != refusal.Credentials {
		t.Errorf("200 buckets: %v", err)
	}
}

func TestSessionPolicyRefuses(t *testing.T) {
	for name, c := range map[string]*awsapi.Call{
		"nil": nil, "no actions": {}, "wildcard action": callOn("s3:*", "*"), "no resources": callOn("s3:GetObject"),
	} {
		var e *refusal.Error
		if text, err := SessionPolicy(c, testTarget, ScopeRequest, testNow); !errors.As(err, &e) || text.Text != "" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, err := SessionPolicy(callOn("s3:GetObject", "arn:aws:s3:::b/k"), Target{}, ScopeRequest, testNow); err == nil {
		t.Error("the zero target got a policy")
	}
	p, _ := parsed(t, &awsapi.Call{Permissionless: true})
	if p.Allows(awstest.Question{Action: "s3:GetObject", Resource: "*", Now: testNow}) {
		t.Error("a permissionless call's policy allows something")
	}
}

func BenchmarkSessionPolicy(b *testing.B) {
	call := callOn("s3:GetObject", "arn:aws:s3:::acme-dev-reports/2026/q3.csv")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := SessionPolicy(call, testTarget, ScopeRequest, testNow); err != nil {
			b.Fatal(err)
		}
	}
}

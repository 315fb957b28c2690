package iameval

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func one(effect, action, resource, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Action":"` + action + `","Resource":"` + resource + `"` + condition + `}]}`
}

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, text string
		want          bool
	}{
		{"arn:aws:s3:::b/*", "arn:aws:s3:::b/a/b:c", true}, {"arn:aws:s3:::b/*", "arn:aws:s3:::b/", true}, {"arn:aws:s3:::b/*", "arn:aws:s3:::bb/", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"a?c", "aöc", true}, {"*a*b*", "xxaxxb", true}, {"*a*b*", "ba", false}, {"", "", true}, {"", "a", false},
		{"a${*}", "a*", true}, {"a${*}", "ab", false}, {"a${?}", "a?", true}, {"a${?}", "ab", false}, {"${$}{x}", "${x}", true}, {"${x:y}", "${x:y}", false},
		{"${*}*", "*abc", true}, {"${*}*", "abc", false}, {"A", "a", false}, {"${", "${", false},
	}
	for _, tt := range tests {
		if got := Match(tt.pattern, tt.text); got != tt.want {
			t.Errorf("Match(%q, %q) = %t", tt.pattern, tt.text, got)
		}
	}
}

func TestConditions(t *testing.T) {
	in := func(values ...string) map[string][]string { return map[string][]string{"aws:ResourceAccount": values} }
	tests := []struct {
		condition string
		context   map[string][]string
		want      bool
	}{
		{`{"StringEquals":{"aws:resourceaccount":["1","2"]}}`, in("2"), true},
		{`{"StringEquals":{"aws:ResourceAccount":"1"}}`, in("2"), false},
		{`{"StringEquals":{"aws:ResourceAccount":"1"}}`, nil, false},
		{`{"StringEqualsIfExists":{"aws:ResourceAccount":"1"}}`, nil, true},
		{`{"StringEqualsIfExists":{"aws:ResourceAccount":"1"}}`, in("2"), false},
		{`{"StringNotEquals":{"aws:ResourceAccount":["1","2"]}}`, in("2"), false},
		{`{"StringNotEquals":{"aws:ResourceAccount":["1","2"]}}`, in("3"), true},
		{`{"StringNotEquals":{"aws:ResourceAccount":"1"}}`, nil, true},
		{`{"StringEquals":{"aws:ResourceAccount":"*"}}`, in("2"), false},
		{`{"StringLike":{"aws:ResourceAccount":"1*"}}`, in("123"), true},
		{`{"StringLike":{"aws:ResourceAccount":"${a:b}"}}`, map[string][]string{"aws:ResourceAccount": {"xy"}, "A:B": {"*"}}, false},
		{`{"StringEquals":{"aws:ResourceAccount":"${a:b}"}}`, map[string][]string{"aws:ResourceAccount": {"xy"}, "A:B": {"xy"}}, true},
		{`{"ForAnyValue:StringEquals":{"aws:ResourceAccount":"1"}}`, in("0", "1"), true},
		{`{"ForAnyValue:StringEquals":{"aws:ResourceAccount":"1"}}`, nil, false},
		{`{"ForAllValues:StringEquals":{"aws:ResourceAccount":"1"}}`, in("0", "1"), false},
		{`{"ForAllValues:StringEquals":{"aws:ResourceAccount":"1"}}`, nil, true},
		{`{"StringEquals":{"aws:ResourceAccount":"1"}}`, in("1", "2"), false},
		{`{"Null":{"aws:ResourceAccount":"true"}}`, nil, true}, {`{"Null":{"aws:ResourceAccount":"true"}}`, in("1"), false},
		{`{"Bool":{"aws:ViaAWSService":"false"}}`, map[string][]string{"aws:viaawsservice": {"false"}}, true},
		{`{"DateLessThan":{"aws:CurrentTime":"2026-03-01T12:00:01Z"}}`, nil, true},
		{`{"DateLessThan":{"aws:CurrentTime":"2026-03-01T12:00:00Z"}}`, nil, false},
		{`{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-03-01T12:00:00Z"}}`, nil, true},
		{`{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-03-01T12:00:01Z"}}`, nil, false},
		{`{"DateLessThan":{"aws:EpochTime":"1772366401"}}`, nil, true},
	}
	for _, tt := range tests {
		p, err := Parse(one("Allow", "x:Do", "*", tt.condition))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Evaluate(Request{Action: "x:Do", Resource: "*", Now: noon, Context: tt.context}) == Allowed; got != tt.want {
			t.Errorf("%s in %v: %t", tt.condition, tt.context, got)
		}
	}
}

func TestEvaluationLogic(t *testing.T) {
	p, err := Parse(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/*"},` +
		`{"Effect":"Deny","NotAction":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"*","NotResource":["arn:aws:s3:::b/*"]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	everything, err := Parse(one("Allow", "*", "*", ""))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		action, resource string
		want             Effect
		named            bool // when a resource policy names the session
	}{
		{"S3:getobject", "arn:aws:s3:::b/k", Allowed, true}, {"s3:PutObject", "arn:aws:s3:::b/k", ImplicitDeny, true},
		{"kms:Decrypt", "arn:aws:s3:::b/k", ExplicitDeny, false}, {"s3:GetObject", "arn:aws:s3:::c/k", ExplicitDeny, false},
	}
	for _, tt := range tests {
		r := Request{Action: tt.action, Resource: tt.resource, Now: noon}
		if got := p.Evaluate(r); got != tt.want {
			t.Errorf("%s on %s: %d", tt.action, tt.resource, got)
		}
		if got := Session(everything, p, true, r); got != tt.named {
			t.Errorf("%s on %s with a resource policy: %t", tt.action, tt.resource, got)
		}
		if Session(everything, p, false, r) != (tt.want == Allowed) || Session(&Policy{}, p, false, r) {
			t.Errorf("%s on %s: not the intersection", tt.action, tt.resource)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "{}", `{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
		one("allow", "x:Do", "*", ""), one("Allow", "*:Do", "*", ""), one("Allow", "x*:Do", "*", ""), one("Allow", "x:Do", "b/k", ""),
		one("Allow", "x:Do", "*", `{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), one("Allow", "x:Do", "*", `{"DateLessThan":{"aws:CurrentTime":"soon"}}`),
		one("Allow", "x:Do", "*", `{"DateLessThan":{"aws:CurrentTime":"${a:b}"}}`), one("Allow", "x:Do", "*", `{"StringEquals":{"aws:ResourceAccount":[]}}`),
		one("Allow", "x:Do", "*", "") + "{}", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}]}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}]}`,
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

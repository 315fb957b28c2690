package policy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/strictyaml"
)

// Test is one entry of `tests`: a call, and what must be decided about it by all
// rules together. It is run whenever the files are loaded.
type Test struct {
	Who    Caller `yaml:"who"`
	Target string `yaml:"target"` // required
	// Call is an IAM action or an API operation: ec2:TerminateInstances. Required.
	Call     string `yaml:"call"`
	Resource string `yaml:"resource"` // ARN; empty and "*" are a resource that is not known
	Region   string `yaml:"region"`
	// Params are the call's parameters as JSON text: '{"InstanceType": "t3.micro"}'.
	Params string     `yaml:"params"`
	Expect EffectName `yaml:"expect"` // required
	// Rule must be among the rules that decide; empty: any.
	Rule string `yaml:"rule"`

	file     string
	position strictyaml.Position
	path     string
	params   map[string]any
}

// Caller is who calls in a test. Empty is somebody whom only
// {subjects: ["*"]} fits.
type Caller struct {
	Issuer  string   `yaml:"issuer"`
	Subject string   `yaml:"subject"`
	Groups  []string `yaml:"groups"`
}

// TestResult is what came of a test.
type TestResult struct {
	File     string
	Line     int
	Name     string // "ec2:TerminateInstances on * for groups ai-agents, target dev"
	Expect   string
	Decision Decision
	Problem  string // why it failed; "" when it passed
}

var catalogOfCalls = sync.OnceValues(func() (*awsapi.Identifier, error) { return awsapi.New() })

func (t *Test) validate(d *strictyaml.Document, path string) {
	for key, missing := range map[string]bool{"target": t.Target == "", "call": t.Call == "", "expect": t.Expect == ""} {
		if missing {
			d.Errorf(path+"."+key, "a test needs target, call and expect, such as {who: {groups: [ai-agents]}, target: dev, call: \"ec2:TerminateInstances\", resource: \"*\", expect: ask}")
			return
		}
	}
	if t.Params != "" {
		dec := json.NewDecoder(bytes.NewReader([]byte(t.Params)))
		dec.UseNumber()
		if err := dec.Decode(&t.params); err != nil || dec.More() {
			d.Errorf(path+".params", "expected one JSON object in quotes, such as '{\"InstanceType\": \"t3.micro\"}'")
		}
	}
	if t.Resource != "" && t.Resource != "*" && !strings.HasPrefix(t.Resource, "arn:") {
		d.Errorf(path+".resource", "%q is not an ARN, nor \"*\"", t.Resource)
	}
}

// Test runs the tests of all files.
func (e *Engine) Test() []TestResult {
	if e == nil {
		return nil
	}
	out := make([]TestResult, 0, len(e.tests))
	for _, t := range e.tests {
		out = append(out, e.run(t))
	}
	return out
}

func (e *Engine) run(t *Test) TestResult {
	resource := cmp.Or(t.Resource, "*")
	r := TestResult{File: t.file, Line: t.position.Line, Expect: string(t.Expect), Name: t.Call + " on " + resource + " for " + t.Who.String() + ", target " + t.Target}
	partition := "aws"
	if f := strings.SplitN(resource, ":", 3); len(f) == 3 && f[0] == "arn" {
		partition = f[1]
	}
	ids, err := catalogOfCalls()
	if err != nil {
		r.Problem = err.Error()
		return r
	}
	call, err := ids.CallByName(t.Call, resource, partition, t.Region)
	if err != nil {
		r.Problem = err.Error()
		return r
	}
	if t.params != nil {
		call = call.WithParams(t.params)
	}
	r.Decision = e.Decide(Input{Issuer: t.Who.Issuer, Subject: cmp.Or(t.Who.Subject, "nobody"), Groups: t.Who.Groups, Target: t.Target, Call: call})
	switch got := r.Decision.Effect.String(); {
	case got != r.Expect:
		r.Problem = fmt.Sprintf("expected %s, got %s: %s", t.Expect, got, r.Decision.Reason)
	case t.Rule != "" && !strings.Contains(","+strings.Join(r.Decision.Rules, ",")+",", ","+t.Rule+","):
		r.Problem = fmt.Sprintf("expected rule %s to decide, it was %s", t.Rule, cmp.Or(strings.Join(r.Decision.Rules, ", "), "none"))
	}
	return r
}

// String names the caller for a person.
func (w Caller) String() string {
	var parts []string
	if w.Subject != "" {
		parts = append(parts, "subject "+w.Subject)
	}
	if len(w.Groups) > 0 {
		parts = append(parts, "groups "+strings.Join(w.Groups, ","))
	}
	if w.Issuer != "" {
		parts = append(parts, "of "+w.Issuer)
	}
	return cmp.Or(strings.Join(parts, " "), "anybody")
}

package jit

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
)

// manySecrets is a call that names each of n secrets twice.
func manySecrets(n int) *awsapi.Call {
	many := make([]awsapi.Resource, n)
	for i := range many {
		many[i] = awsapi.Resource{ARN: fmt.Sprintf("arn:aws:secretsmanager:us-east-1:111122223333:secret:s%d-??????", i), Type: "Secret", Account: "111122223333", Partial: true}
	}
	return &awsapi.Call{Service: "secretsmanager", Operation: "BatchGetSecretValue", Actions: []awsapi.Action{{Name: "secretsmanager:GetSecretValue", Resources: append(many, many...)}}}
}

var manyTarget = Target{Name: "dev", RoleARN: "arn:aws:iam::111122223333:role/dev", TTL: time.Minute}

// The names of thousands of resources become prefixes.
func TestManyResources(t *testing.T) {
	p, err := SessionPolicy(manySecrets(4096), manyTarget, ScopeRequest, time.Now())
	if err != nil || p.Detail != Prefixes {
		t.Fatal(p.Detail, err)
	}
}

// BenchmarkManyResources is the session policy of as many resources as a call may name: it
// costs as much as there are, and not their square, which was more than a second.
func BenchmarkManyResources(b *testing.B) {
	call := manySecrets(4096)
	for b.Loop() {
		if _, err := SessionPolicy(call, manyTarget, ScopeRequest, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

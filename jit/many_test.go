package jit

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
)

// Thousands of resources cost a policy as much as there are, not their square: a list of
// 4,000 names took more than a second.
func TestManyResources(t *testing.T) {
	many := make([]awsapi.Resource, 4096)
	for i := range many {
		many[i] = awsapi.Resource{ARN: fmt.Sprintf("arn:aws:secretsmanager:us-east-1:111122223333:secret:s%d-??????", i), Type: "Secret", Account: "111122223333", Partial: true}
	}
	call := &awsapi.Call{Service: "secretsmanager", Operation: "BatchGetSecretValue", Actions: []awsapi.Action{{Name: "secretsmanager:GetSecretValue", Resources: append(many, many...)}}}
	least := time.Hour
	for range 3 {
		begin := time.Now()
		p, err := SessionPolicy(call, Target{Name: "dev", RoleARN: "arn:aws:iam::111122223333:role/dev", TTL: time.Minute}, ScopeRequest, begin)
		if err != nil || p.Detail != Prefixes {
			t.Fatal(p.Detail, err)
		}
		least = min(least, time.Since(begin))
	}
	if least > 600*time.Millisecond { // a tenth of it is usual
		t.Error(least)
	}
}

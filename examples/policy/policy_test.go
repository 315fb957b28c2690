// Package policy_test holds the example policies to what their comments say.
package policy_test

import (
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/policy"
)

// asked is a call, and what becomes of it.
type asked struct {
	action, resource, region string
	want                     policy.Effect
	rule                     string // that decides; "" when none does
}

func TestExamples(t *testing.T) {
	ids, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	const allow, deny = policy.Allow, policy.Deny
	tested := map[string]bool{}
	for _, x := range []struct {
		file, group, target string
		calls               []asked
	}{
		{"analyst.yaml", "analysts", "analytics", []asked{
			{"s3:GetObject", "arn:aws:s3:::acme-lake-sales/2026/q3.parquet", "", allow, "read-the-lake"},
			{"s3:ListBucket", "arn:aws:s3:::acme-athena-results", "", allow, "read-the-lake"},
			{"s3:GetObject", "arn:aws:s3:::acme-lake-raw/2026/export.csv", "", deny, "no-raw-exports"},
			{"s3:PutObject", "arn:aws:s3:::acme-lake-sales/x", "", deny, ""},
			{"s3:GetObject", "arn:aws:s3:::acme-payroll/x", "", deny, ""},
			{"glue:GetTables", "*", "", allow, "read-the-catalog"},
			{"glue:DeleteTable", "*", "", deny, ""},
			{"athena:StartQueryExecution", "arn:aws:athena:us-east-1:111122223333:workgroup/agents", "", allow, "query"},
			{"athena:StartQueryExecution", "arn:aws:athena:us-east-1:111122223333:workgroup/primary", "", deny, ""},
			{"dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:111122223333:table/customers", "", allow, "look-up-customers"},
			{"dynamodb:Scan", "arn:aws:dynamodb:us-east-1:111122223333:table/customers", "", deny, ""},
		}},
		{"terraform-dev.yaml", "builders", "dev", []asked{
			{"ec2:DescribeVpcs", "*", "", allow, "plan"},
			{"iam:ListRoles", "*", "", allow, "plan"},
			{"sts:GetCallerIdentity", "*", "", allow, "whoami"},
			{"lambda:UpdateFunctionCode", "arn:aws:lambda:us-east-1:111122223333:function:api", "", allow, "apply"},
			{"lambda:UpdateFunctionCode", "arn:aws:lambda:ap-south-1:111122223333:function:api", "ap-south-1", deny, ""},
			{"s3:PutObject", "arn:aws:s3:::acme-terraform-dev/network.tfstate", "", allow, "terraform-state"},
			{"s3:PutObject", "arn:aws:s3:::acme-other/x", "", deny, ""},
			{"iam:CreateUser", "arn:aws:iam::111122223333:user/x", "", deny, "no-identities"},
			{"iam:AttachRolePolicy", "arn:aws:iam::111122223333:role/x", "", deny, "no-identities"},
			{"dynamodb:DeleteTable", "arn:aws:dynamodb:us-east-1:111122223333:table/x", "", deny, "keep-data"},
			{"dynamodb:CreateTable", "arn:aws:dynamodb:us-east-1:111122223333:table/x", "", allow, "apply"},
			{"kms:ScheduleKeyDeletion", "*", "", deny, "keep-data"},
			{"rds:CreateDBInstance", "*", "", deny, ""},
		}},
		{"incident.yaml", "on-call-agents", "prod", []asked{
			{"cloudwatch:GetMetricData", "*", "", allow, "look"},
			{"logs:StartQuery", "*", "", allow, "look"},
			{"logs:DeleteLogGroup", "*", "", deny, ""},
			{"ecs:DescribeServices", "arn:aws:ecs:us-east-1:111122223333:service/shop/api", "", allow, "look"},
			{"ecs:UpdateService", "arn:aws:ecs:us-east-1:111122223333:service/shop/api", "", allow, "runbook"},
			{"ecs:UpdateService", "arn:aws:ecs:us-east-1:111122223333:service/bank/api", "", deny, ""},
			{"ecs:DeleteService", "arn:aws:ecs:us-east-1:111122223333:service/shop/api", "", deny, ""},
			{"dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:111122223333:table/orders", "", deny, "no-customer-data"},
			{"secretsmanager:GetSecretValue", "*", "", deny, "no-customer-data"},
			{"s3:GetObject", "arn:aws:s3:::acme-uploads/x", "", deny, "no-customer-data"},
		}},
	} {
		tested[x.file] = true
		engine, err := policy.Load([]string{x.file})
		if err != nil {
			t.Errorf("%s: %v", x.file, err)
			continue
		}
		if err := engine.CheckTargets([]string{x.target}); err != nil {
			t.Errorf("%s: %v", x.file, err)
		}
		for _, a := range x.calls {
			region := a.region
			if region == "" {
				region = "us-east-1"
			}
			call, err := ids.CallByAction(a.action, a.resource, "aws", region)
			if err != nil {
				t.Errorf("%s: %v", x.file, err)
				continue
			}
			in := policy.Input{Issuer: "https://idp.example.com/", Subject: "agent", Groups: []string{x.group}, Target: x.target, Call: call}
			d := engine.Decide(in)
			if d.Effect != a.want || (a.rule == "") != (len(d.Rules) == 0) || a.rule != "" && d.Rules[0] != a.rule {
				t.Errorf("%s: %s on %s is %v by %v, want %v by %q", x.file, a.action, a.resource, d.Effect, d.Rules, a.want, a.rule)
			}
			in.Groups = []string{"others"}
			if d := engine.Decide(in); d.Effect != deny {
				t.Errorf("%s: %s is for others too", x.file, a.action)
			}
		}
	}
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) != len(tested) {
		t.Errorf("%v are the examples, %v are tested (%v)", files, tested, err)
	}
}

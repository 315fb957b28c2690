package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/policy"
)

func TestInit(t *testing.T) {
	for _, role := range []string{"", "arn:aws:iam::444455556666:role/x/agents"} {
		dir := filepath.Join(t.TempDir(), "new")
		next, err := Init(Options{Dir: dir, RoleARN: role})
		if err != nil {
			t.Fatal(err)
		}
		c, err := Load(filepath.Join(dir, "sallyport.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Check(); err != nil {
			t.Error(err)
		}
		want := role
		if role == "" {
			want = PlaceholderRole
		}
		if dev := c.Targets["dev"]; dev.RoleARN != want || dev.Accounts[0] != dev.Account() || !c.Identity.Local || c.DefaultTarget() != "dev" {
			t.Errorf("%+v", dev)
		}
		if strings.Contains(next, "role_arn") != (role == "") || !strings.Contains(next, "sallyport serve --config "+c.Path()) {
			t.Errorf("next steps:\n%s", next)
		}
		e, err := policy.Load(c.Policy.Files)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.CheckTargets([]string{"dev"}); err != nil {
			t.Error(err)
		}
		checkExamplePolicy(t, e)

		before, _ := os.ReadFile(c.Path())
		if _, err := Init(Options{Dir: dir}); err == nil {
			t.Error("wrote over what was there")
		}
		if after, _ := os.ReadFile(c.Path()); string(after) != string(before) {
			t.Error("changed what was there")
		}
		for _, name := range []string{"sallyport.yaml", "policy.yaml"} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
	}
}

// What the example policy says about itself.
func checkExamplePolicy(t *testing.T, e *policy.Engine) {
	t.Helper()
	for _, x := range []struct {
		service, operation string
		level              awsapi.AccessLevel
		want               policy.Effect
	}{
		{"s3", "GetObject", awsapi.Read, policy.Allow},
		{"s3", "ListBucket", awsapi.List, policy.Allow},
		{"s3", "PutObject", awsapi.Write, policy.Deny},
		{"dynamodb", "GetItem", awsapi.Read, policy.Allow},
		{"dynamodb", "PutItem", awsapi.Write, policy.Deny},
		{"ec2", "DescribeInstances", awsapi.List, policy.Allow},
		{"ec2", "TerminateInstances", awsapi.Write, policy.Deny},
		{"s3", "DeleteObject", awsapi.Write, policy.Deny},
		{"sts", "GetCallerIdentity", "", policy.Allow},
		{"sts", "AssumeRole", awsapi.Write, policy.Deny},
		{"secretsmanager", "GetSecretValue", awsapi.Read, policy.Allow},
	} {
		c := &awsapi.Call{Service: x.service, Operation: x.operation, Region: "us-east-1", Permissionless: x.level == "",
			Actions: []awsapi.Action{{Name: x.service + ":" + x.operation, Level: x.level, Resources: []awsapi.Resource{{ARN: "*"}}}}}
		in := policy.Input{Subject: "bot", Groups: []string{"ai-agents"}, Target: "dev", Call: c}
		d := e.Decide(in)
		if d.Effect != x.want {
			t.Errorf("%s:%s is %v: %s", x.service, x.operation, d.Effect, d.Reason)
		}
		if x.operation == "GetSecretValue" && len(d.Unmask) != 0 { // mask.aws_sensitive does the rest
			t.Errorf("secrets are not masked: %+v", d)
		}
		in.Groups = []string{"others"}
		if d := e.Decide(in); d.Effect != policy.Deny {
			t.Errorf("%s:%s is %v for others", x.service, x.operation, d.Effect)
		}
		if strings.HasPrefix(x.operation, "Terminate") || strings.HasPrefix(x.operation, "Delete") {
			if d := e.Decide(in); len(d.Rules) != 1 || d.Rules[0] != "protect-from-deletion" {
				t.Errorf("%s is denied by %v", x.operation, d.Rules)
			}
		}
	}
}

func TestInitRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, o := range []Options{
		{Dir: dir, RoleARN: "role"},
		{Dir: dir, RoleARN: "arn:aws:iam::111122223333:role/x\"\nproxy: {}"},
		{Dir: dir, Region: "cn-north-1"},
		{Dir: dir, Region: "us-east-1]\nx: ["},
	} {
		if _, err := Init(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	// One of the two files is there: the other is not written either.
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Init(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "policy.yaml is there already") {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

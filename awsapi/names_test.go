package awsapi_test

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
)

// The many ways in which a request may call one thing end in the ARN that AWS
// checks: a rule that denies it would else be got round by another spelling.
func TestNames(t *testing.T) {
	id := identifier(t)
	post := func(service, target, kind string) awsapi.Request {
		return request("POST", service+".us-east-1.amazonaws.com", "/", "Content-Type", "application/x-amz-json-"+kind, "X-Amz-Target", target)
	}
	form := func(service string) awsapi.Request {
		return request("POST", service+".us-east-1.amazonaws.com", "/", "Content-Type", formType)
	}
	lambda := func(method, path string) awsapi.Request {
		return request(method, "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions/"+path)
	}
	const (
		fn     = "arn:aws:lambda:us-east-1:111122223333:function:f"
		secret = "arn:aws:secretsmanager:us-east-1:111122223333:secret:"
	)
	for name, c := range map[string]struct {
		r      awsapi.Request
		body   string
		action string
		want   []string
	}{
		"function":                {lambda("POST", "f/invocations"), "{}", "lambda:InvokeFunction", []string{fn}},
		"function, alias":         {lambda("POST", "f:prod/invocations"), "{}", "lambda:InvokeFunction", []string{fn, fn + ":prod"}},
		"function, qualifier":     {lambda("GET", "f?Qualifier=3"), "", "lambda:GetFunction", []string{fn, fn + ":3"}},
		"function, short ARN":     {lambda("DELETE", "444455556666:function:f"), "", "lambda:DeleteFunction", []string{"arn:aws:lambda:us-east-1:444455556666:function:f"}},
		"function, ARN":           {lambda("DELETE", "arn:aws:lambda:us-east-1:111122223333:function:f"), "", "lambda:DeleteFunction", []string{fn}},
		"function, qualified ARN": {lambda("DELETE", "arn:aws:lambda:us-east-1:111122223333:function:f:1"), "", "lambda:DeleteFunction", []string{fn, fn + ":1"}},
		"database, upper case":    {form("rds"), "Action=DeleteDBInstance&Version=2014-10-31&DBInstanceIdentifier=PROD", "rds:DeleteDBInstance", []string{"arn:aws:rds:us-east-1:111122223333:db:prod"}},
		"copy of a snapshot": {form("rds"), "Action=CopyDBSnapshot&Version=2014-10-31&SourceDBSnapshotIdentifier=arn:aws:rds:us-east-1:444455556666:snapshot:theirs&TargetDBSnapshotIdentifier=Mine", "rds:CopyDBSnapshot",
			[]string{"arn:aws:rds:us-east-1:111122223333:snapshot:mine", "arn:aws:rds:us-east-1:444455556666:snapshot:theirs"}},
		"role of a replication":   {request("PUT", "b1b.s3.us-east-1.amazonaws.com", "/?replication"), `<ReplicationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Role>arn:aws:iam::111122223333:role/r</Role><Rule><Status>Enabled</Status><Destination><Bucket>arn:aws:s3:::x</Bucket></Destination></Rule></ReplicationConfiguration>`, "iam:PassRole", []string{"arn:aws:iam::111122223333:role/r"}},
		"secret":                  {post("secretsmanager", "secretsmanager.GetSecretValue", "1.1"), `{"SecretId":"db"}`, "secretsmanager:GetSecretValue", []string{secret + "db-??????"}},
		"secrets":                 {post("secretsmanager", "secretsmanager.BatchGetSecretValue", "1.1"), `{"SecretIdList":["a","b"]}`, "secretsmanager:GetSecretValue", []string{secret + "a-??????", secret + "b-??????"}},
		"secrets by filter":       {post("secretsmanager", "secretsmanager.BatchGetSecretValue", "1.1"), `{"Filters":[{"Key":"name","Values":["a"]}]}`, "secretsmanager:GetSecretValue", []string{secret + "*"}},
		"zone with its path":      {request("GET", "route53.amazonaws.com", "/2013-04-01/hostedzone/Z1"), "", "route53:GetHostedZone", []string{"arn:aws:route53:::hostedzone/Z1"}},
		"service, no cluster":     {post("ecs", "AmazonEC2ContainerServiceV20141113.UpdateService", "1.1"), `{"service":"s"}`, "ecs:UpdateService", []string{"arn:aws:ecs:us-east-1:111122223333:service/default/s"}},
		"newest task definition":  {post("ecs", "AmazonEC2ContainerServiceV20141113.RunTask", "1.1"), `{"taskDefinition":"web"}`, "ecs:RunTask", []string{"arn:aws:ecs:us-east-1:111122223333:task-definition/web:*"}},
		"task definition":         {post("ecs", "AmazonEC2ContainerServiceV20141113.RunTask", "1.1"), `{"taskDefinition":"web:3"}`, "ecs:RunTask", []string{"arn:aws:ecs:us-east-1:111122223333:task-definition/web:3"}},
		"rule, default bus":       {post("events", "AWSEvents.DeleteRule", "1.1"), `{"Name":"r","EventBusName":"default"}`, "events:DeleteRule", []string{"arn:aws:events:us-east-1:111122223333:rule/r"}},
		"rule, bus by ARN":        {post("events", "AWSEvents.PutTargets", "1.1"), `{"Rule":"r","EventBusName":"arn:aws:events:us-east-1:444455556666:event-bus/b","Targets":[]}`, "events:PutTargets", []string{"arn:aws:events:us-east-1:444455556666:rule/b/r"}},
		"security group":          {form("ec2"), "Action=AuthorizeSecurityGroupIngress&Version=2016-11-15&GroupId=sg-1", "ec2:AuthorizeSecurityGroupIngress", []string{"arn:aws:ec2:us-east-1:111122223333:security-group/sg-1"}},
		"instances":               {form("ec2"), "Action=TerminateInstances&Version=2016-11-15&InstanceId.1=i-1&InstanceId.2=i-2", "ec2:TerminateInstances", []string{"arn:aws:ec2:us-east-1:111122223333:instance/i-1", "arn:aws:ec2:us-east-1:111122223333:instance/i-2"}},
		"queue owner, no account": {post("sqs", "AmazonSQS.GetQueueUrl", "1.0"), `{"QueueName":"q","QueueOwnerAWSAccountId":"x"}`, "sqs:GetQueueUrl", []string{"arn:aws:sqs:us-east-1:*:q"}},
		"log group":               {post("logs", "Logs_20140328.DeleteLogGroup", "1.1"), `{"logGroupName":"/app/x"}`, "logs:DeleteLogGroup", []string{"arn:aws:logs:us-east-1:111122223333:log-group:/app/x"}},
	} {
		call, err := identify(id, c.r, []byte(c.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		i := slices.IndexFunc(call.Actions, func(a awsapi.Action) bool { return a.Name == c.action })
		if i < 0 {
			t.Errorf("%s: no %s in %v", name, c.action, call.Actions)
			continue
		}
		var got []string
		for _, r := range call.Actions[i].Resources {
			got = append(got, r.ARN)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}

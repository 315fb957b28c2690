package jit

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/refusal"
)

// Where AWS needs more, or says less, than "this action on this resource in this
// account". Each table gives its reason; code below only applies them.

// kmsUse: the service decrypts or encrypts with the caller's permission (a forward
// access session), so a customer's key works only if the session policy allows it.
// kms:ViaService makes the permission useless to any but that service.
type kmsUse struct {
	action string   // the primary IAM action
	needs  []string // kms: words
}

// kmsUses are by the service's label in kms:ViaService (KMS Developer Guide,
// "kms:ViaService", and each service's page on encryption).
var kmsUses = map[string][]kmsUse{
	"s3": {
		{"s3:GetObject", []string{"Decrypt"}}, {"s3:GetObjectVersion", []string{"Decrypt"}},
		{"s3:PutObject", []string{"Decrypt", "GenerateDataKey"}}, // Decrypt: the parts of a multipart upload
	},
	"secretsmanager": {
		{"secretsmanager:GetSecretValue", []string{"Decrypt"}}, {"secretsmanager:PutSecretValue", []string{"Decrypt", "GenerateDataKey"}},
		{"secretsmanager:CreateSecret", []string{"Decrypt", "GenerateDataKey"}}, {"secretsmanager:UpdateSecret", []string{"Decrypt", "GenerateDataKey"}},
	},
	"ssm": { // SecureString; Encrypt for standard, GenerateDataKey for advanced parameters
		{"ssm:GetParameter", []string{"Decrypt"}}, {"ssm:GetParameters", []string{"Decrypt"}}, {"ssm:GetParametersByPath", []string{"Decrypt"}},
		{"ssm:GetParameterHistory", []string{"Decrypt"}}, {"ssm:PutParameter", []string{"Decrypt", "Encrypt", "GenerateDataKey"}},
	},
	"dynamodb": {
		{"dynamodb:GetItem", []string{"Decrypt"}}, {"dynamodb:BatchGetItem", []string{"Decrypt"}}, {"dynamodb:Query", []string{"Decrypt"}},
		{"dynamodb:Scan", []string{"Decrypt"}}, {"dynamodb:PutItem", []string{"Decrypt"}}, {"dynamodb:UpdateItem", []string{"Decrypt"}},
		{"dynamodb:DeleteItem", []string{"Decrypt"}}, {"dynamodb:BatchWriteItem", []string{"Decrypt"}},
		{"dynamodb:CreateTable", []string{"CreateGrant", "Decrypt", "DescribeKey"}}, {"dynamodb:UpdateTable", []string{"CreateGrant", "Decrypt", "DescribeKey"}},
	},
	"sqs": {{"sqs:SendMessage", []string{"Decrypt", "GenerateDataKey"}}, {"sqs:ReceiveMessage", []string{"Decrypt"}}},
	"sns": {{"sns:Publish", []string{"Decrypt", "GenerateDataKey"}}},
	"kinesis": {
		{"kinesis:PutRecord", []string{"GenerateDataKey"}}, {"kinesis:PutRecords", []string{"GenerateDataKey"}}, {"kinesis:GetRecords", []string{"Decrypt"}},
	},
	"lambda": { // environment variables
		{"lambda:GetFunction", []string{"Decrypt"}}, {"lambda:GetFunctionConfiguration", []string{"Decrypt"}},
		{"lambda:CreateFunction", []string{"CreateGrant", "Decrypt", "Encrypt"}}, {"lambda:UpdateFunctionConfiguration", []string{"CreateGrant", "Decrypt", "Encrypt"}},
	},
	"ec2": { // EBS volumes
		{"ec2:RunInstances", []string{"CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo"}},
		{"ec2:CreateVolume", []string{"CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo"}},
		{"ec2:StartInstances", []string{"CreateGrant"}}, {"ec2:AttachVolume", []string{"CreateGrant"}},
	},
}

// kmsAllow is the statement for the call's use of KMS, if its service has one.
func kmsAllow(call *awsapi.Call, own []string, role role, accounts []string) (allow, bool) {
	for _, label := range prefixes(own) {
		var words []string
		for _, u := range kmsUses[label] {
			if slices.Contains(own, u.action) {
				words = append(words, u.needs...)
			}
		}
		if len(words) == 0 {
			continue
		}
		slices.Sort(words)
		condition := map[string]map[string][]string{}
		region, operator := call.Region, strict
		if label == "s3" || region == "" {
			region, operator = "*", "StringLike" // S3's global endpoint serves buckets of every region
		}
		put(condition, operator, "kms:ViaService", label+"."+region+dnsSuffix(role.partition))
		put(condition, strict, "aws:ResourceAccount", accounts...)
		out := allow{condition: condition}
		for _, w := range slices.Compact(words) {
			out.actions = append(out.actions, "kms:"+w)
		}
		for _, a := range accounts {
			out.resources = append(out.resources, []string{"arn:" + role.partition + ":kms:" + region + ":" + a + ":key/*"})
		}
		return out, true
	}
	return allow{}, false
}

// dnsSuffix is what follows the region in kms:ViaService.
func dnsSuffix(partition string) string {
	if partition == "aws-cn" {
		return ".amazonaws.com.cn"
	}
	return ".amazonaws.com"
}

// passedTo are the services that a role may be passed to by a call (by catalog id),
// as iam:PassedToService: without it a role named in a Lambda call could be passed
// to whatever service reads the name. Services that are not here pass roles to
// principals that AWS does not list for certain; there the role's ARN is the limit.
var passedTo = map[string][]string{
	"lambda": {"lambda"}, "glue": {"glue"}, "stepfunctions": {"states"}, "codebuild": {"codebuild"}, "codepipeline": {"codepipeline"},
	"sagemaker": {"sagemaker"}, "cloudformation": {"cloudformation"}, "events": {"events"}, "scheduler": {"scheduler"}, "pipes": {"pipes"},
	"firehose": {"firehose"}, "ecs": {"ecs", "ecs-tasks"}, "eks": {"ec2", "eks", "eks-fargate-pods"},
	"ec2": {"ec2", "spotfleet", "vmie", "vpc-flow-logs"},
}

func passedToService(service, partition string) []string {
	var out []string
	for _, name := range passedTo[service] {
		out = append(out, name+".amazonaws.com")
		if partition == "aws-cn" {
			out = append(out, name+".amazonaws.com.cn")
		}
	}
	return out
}

// actsAsCaller are operations that go on with the caller's credential, on what a
// template names and long after the answer, unless the call names a service role
// in the member. A credential made for the one call would only make them fail half
// way, so they are refused with the remedy.
var actsAsCaller = map[string]map[string]string{
	"cloudformation": {"CreateStack": "RoleARN"},
	"cloudcontrol":   {"CreateResource": "RoleArn", "UpdateResource": "RoleArn", "DeleteResource": "RoleArn"},
}

func unscoped(call *awsapi.Call, scope Scope) *refusal.Error {
	member, ok := actsAsCaller[call.Service][call.Operation]
	if !ok || scope == ScopeRole {
		return nil
	}
	if v, _ := call.Params()[member].(string); v != "" {
		return nil
	}
	return refusal.New(refusal.Credentials, "%s:%s acts with the caller's credential on everything its template names, which a credential of scope %s cannot do; name a service role (%s), or the rule must say scope: role", call.Service, call.Operation, scope, member)
}

// owned says how the owner of a resource is asked for. aws:ResourceAccount is
// wrong for what belongs to AWS: managed policies (account `aws` in the ARN) and
// the images that instances are started from, which have their own key.
func (p perimeter) owned(action string, r awsapi.Resource) map[string]map[string][]string {
	f := strings.SplitN(r.ARN, ":", 6)
	switch {
	case len(f) == 6 && f[4] == "aws" && f[2] != "s3":
		return map[string]map[string][]string{} // AWS is not a third party
	case len(f) == 6 && f[2] == "ec2" && f[4] == "" && usesImages[action] && (strings.HasPrefix(f[5], "image/") || strings.HasPrefix(f[5], "snapshot/")):
		out := map[string]map[string][]string{}
		put(out, strict, "ec2:Owner", append([]string{"amazon", "aws-marketplace"}, p.accounts...)...)
		return out
	}
	return p.asked(perimeterOperator(r))
}

// usesImages are the actions that read an AMI and its snapshots without changing
// them; ec2:Owner is in their context (Service Authorization Reference, EC2).
var usesImages = map[string]bool{"ec2:RunInstances": true}

// serviceLinked narrows iam:CreateServiceLinkedRole, which AWS documents on any
// resource: such roles are all below one path.
func serviceLinked(action string, r awsapi.Resource, in role) awsapi.Resource {
	if action != "iam:CreateServiceLinkedRole" || r.ARN != "*" {
		return r
	}
	return awsapi.Resource{ARN: "arn:" + in.partition + ":iam::" + in.account + ":role/aws-service-role/*", Type: "role", Account: in.account, Partial: true}
}

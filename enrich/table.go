package enrich

import (
	"regexp"
	"strconv"
	"strings"
)

// row says which operation tells the tags of one kind of resource.
type row struct {
	prefix    string   // the service in the resource's ARN
	service   string   // the catalog's id
	operation string   // in the service's API reference
	action    string   // the IAM action
	hosts     []string // names below the partition's DNS suffix; the first that is known counts
	many      bool     // one call is for all resources in a region
	// subject is the resource to ask about; false where the row is not for it.
	subject func(arn) (arn, bool)
	request func(host string, of []arn) message
	parse   func(body []byte, of []arn) ([]described, error)
}

// table is by the services' API references; the actions and access levels are checked
// against the catalog by each read and by the tests.
var table = []row{
	{
		prefix: "ec2", service: "ec2", operation: "DescribeTags", action: "ec2:DescribeTags", hosts: []string{"ec2.{region}"}, many: true,
		subject: identified, request: ec2Tags, parse: ec2Answer,
	},
	{
		prefix: "s3", service: "s3", operation: "GetBucketTagging", action: "s3:GetBucketTagging", hosts: []string{"s3.{region}"},
		subject: bucket, request: func(_ string, of []arn) message { return get("/" + of[0].resource + "?tagging") },
		parse: xmlTags("Tagging", "TagSet>Tag"),
	},
	{
		prefix: "rds", service: "rds", operation: "ListTagsForResource", action: "rds:ListTagsForResource", hosts: []string{"rds.{region}"},
		subject: itself, request: form("ListTagsForResource", "2014-10-31", "ResourceName"),
		parse: xmlTags("ListTagsForResourceResponse", "ListTagsForResourceResult>TagList>Tag"),
	},
	{
		prefix: "lambda", service: "lambda", operation: "ListTags", action: "lambda:ListTags", hosts: []string{"lambda.{region}"},
		subject: parts("function:", ":"), request: func(_ string, of []arn) message { return get("/2017-03-31/tags/" + escape(of[0].text)) },
		parse: jsonTags,
	},
	{
		prefix: "dynamodb", service: "dynamodb", operation: "ListTagsOfResource", action: "dynamodb:ListTagsOfResource", hosts: []string{"dynamodb.{region}"},
		subject: parts("table/", "/"), request: jsonCall("1.0", "DynamoDB_20120810.ListTagsOfResource", "ResourceArn"), parse: jsonTags,
	},
	iam("role/", "ListRoleTags", "RoleName"),
	iam("user/", "ListUserTags", "UserName"),
	iam("policy/", "ListPolicyTags", "PolicyArn"),
	iam("instance-profile/", "ListInstanceProfileTags", "InstanceProfileName"),
	{
		prefix: "sns", service: "sns", operation: "ListTagsForResource", action: "sns:ListTagsForResource", hosts: []string{"sns.{region}"},
		subject: parts("", ":"), request: form("ListTagsForResource", "2010-03-31", "ResourceArn"),
		parse: xmlTags("ListTagsForResourceResponse", "ListTagsForResourceResult>Tags>member"),
	},
	{
		prefix: "sqs", service: "sqs", operation: "ListQueueTags", action: "sqs:ListQueueTags", hosts: []string{"sqs.{region}"},
		subject: itself, request: func(host string, of []arn) message {
			return jsonMessage("1.0", "AmazonSQS.ListQueueTags", "QueueUrl", "https://"+host+"/"+of[0].account+"/"+of[0].resource)
		}, parse: jsonTags,
	},
	{
		prefix: "kms", service: "kms", operation: "ListResourceTags", action: "kms:ListResourceTags", hosts: []string{"kms.{region}"},
		subject: parts("key/", "/"), request: jsonCall("1.1", "TrentService.ListResourceTags", "KeyId"), parse: jsonTags,
	},
	{
		prefix: "secretsmanager", service: "secretsmanager", operation: "DescribeSecret", action: "secretsmanager:DescribeSecret", hosts: []string{"secretsmanager.{region}"},
		subject: itself, request: func(_ string, of []arn) message {
			id := of[0].text
			if name, ok := strings.CutSuffix(of[0].resource, unknownSuffix); ok {
				id = strings.TrimPrefix(name, "secret:")
			}
			return jsonMessage("1.1", "secretsmanager.DescribeSecret", "SecretId", id)
		}, parse: jsonTags,
	},
	{ // awsapi takes the default cluster for a resource of what names none, so only clusters are certain
		prefix: "ecs", service: "ecs", operation: "ListTagsForResource", action: "ecs:ListTagsForResource", hosts: []string{"ecs.{region}"},
		subject: parts("cluster/", "/"), request: jsonCall("1.1", "AmazonEC2ContainerServiceV20141113.ListTagsForResource", "resourceArn"), parse: jsonTags,
	},
	{
		prefix: "ecr", service: "ecr", operation: "ListTagsForResource", action: "ecr:ListTagsForResource", hosts: []string{"api.ecr.{region}"},
		subject: itself, request: jsonCall("1.1", "AmazonEC2ContainerRegistry_V20150921.ListTagsForResource", "resourceArn"), parse: jsonTags,
	},
	{
		prefix: "eks", service: "eks", operation: "ListTagsForResource", action: "eks:ListTagsForResource", hosts: []string{"eks.{region}"},
		subject: itself, request: func(_ string, of []arn) message { return get("/tags/" + escape(of[0].text)) }, parse: jsonTags,
	},
	{
		prefix: "logs", service: "logs", operation: "ListTagsForResource", action: "logs:ListTagsForResource", hosts: []string{"logs.{region}"},
		subject: logGroup, request: jsonCall("1.1", "Logs_20140328.ListTagsForResource", "resourceArn"), parse: jsonTags,
	},
}

// iam's operations take the last part of a name with a path, and policies their ARN.
func iam(kind, operation, member string) row {
	return row{
		prefix: "iam", service: "iam", operation: operation, action: "iam:" + operation, hosts: []string{"iam", "iam.us-gov", "iam.cn-north-1", "iam.{region}"},
		subject: parts(kind, ""), request: func(_ string, of []arn) message {
			value := of[0].text
			if member != "PolicyArn" {
				value = of[0].resource[strings.LastIndexByte(of[0].resource, '/')+1:]
			}
			return formMessage("Action", operation, "Version", "2010-05-08", member, value)
		},
		parse: xmlTags(operation+"Response", operation+"Result>Tags>member"),
	}
}

// unknownSuffix stands for the random end of a secret's ARN that its name does not tell.
const unknownSuffix = "-??????"

func itself(a arn) (arn, bool) { return a, true }

// parts takes resources whose ARN begins with kind, and leaves out what follows end
// behind the name: a version, an index.
func parts(kind, end string) func(arn) (arn, bool) {
	return func(a arn) (arn, bool) {
		name, ok := strings.CutPrefix(a.resource, kind)
		if !ok || name == "" {
			return arn{}, false
		}
		if end != "" {
			name, _, _ = strings.Cut(name, end)
		}
		return a.with(kind + name), name != ""
	}
}

// ec2ID is the form of EC2's ids.
var ec2ID = regexp.MustCompile(`^[a-z][a-z-]{0,30}-[0-9a-f]{8,17}$`)

func identified(a arn) (arn, bool) {
	_, id, ok := strings.Cut(a.resource, "/")
	return a, ok && ec2ID.MatchString(id)
}

// bucketName is that of buckets of today (S3 User Guide, "Bucket naming rules").
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// bucket is that of an object, too; access points have a region in their ARN.
func bucket(a arn) (arn, bool) {
	name, _, _ := strings.Cut(a.resource, "/")
	return a.with(name), a.region == "" && a.account == "" && bucketName.MatchString(name)
}

// logGroup leaves out the `:*` and the stream that ARNs of log groups may end in.
func logGroup(a arn) (arn, bool) {
	f := strings.Split(a.resource, ":")
	if len(f) < 2 || f[0] != "log-group" || f[1] == "" {
		return arn{}, false
	}
	return a.with("log-group:" + f[1]), true
}

func ec2Tags(_ string, of []arn) message {
	pairs := []string{"Action", "DescribeTags", "Version", "2016-11-15", "Filter.1.Name", "resource-id"}
	for i, a := range of {
		_, id, _ := strings.Cut(a.resource, "/")
		pairs = append(pairs, "Filter.1.Value."+strconv.Itoa(i+1), id)
	}
	return formMessage(pairs...)
}

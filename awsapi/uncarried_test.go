package awsapi_test

import (
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/refusal"
)

// What is understood and cannot be sent yet is a Call with everything but a
// Canonical, so that it can be explained and recorded and never signed.
func TestUncarried(t *testing.T) {
	id, err := awsapi.New(awsapi.CustomEndpoint{Host: "bucket.vpce-0a1b2c3d.s3.us-east-1.vpce.amazonaws.com", Service: "s3", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	const v4a = "AWS4-ECDSA-P256-SHA256 Credential=dev/20260101/s3/aws4_request, SignedHeaders=host, Signature=00"
	object := func(host, target string, kv ...string) awsapi.Request { return request("GET", host, target, kv...) }
	for name, c := range map[string]struct {
		r          awsapi.Request
		body       string
		action, on string
		carried    bool
	}{
		"presigned":                  {r: object("b23.s3.us-east-1.amazonaws.com", "/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=dev%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=0"), action: "s3:GetObject", on: "arn:aws:s3:::b23/k", carried: true},
		"presigned v2":               {r: object("b23.s3.amazonaws.com", "/k?AWSAccessKeyId=dev&Signature=x&Expires=1"), action: "s3:GetObject", on: "arn:aws:s3:::b23/k", carried: true},
		"SigV4A chunks":              {r: chunked(request("PUT", "b23.s3.us-east-1.amazonaws.com", "/k", "X-Amz-Content-Sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")), action: "s3:PutObject", on: "arn:aws:s3:::b23/k"},
		"chunks of others":           {r: chunked(request("PUT", "data.mediastore.us-east-1.amazonaws.com", "/k", "X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")), action: "mediastore:PutObject", on: "arn:aws:mediastore:us-east-1:111122223333:container/*/*"},
		"signature v2 in a form":     {r: request("POST", "sdb.us-east-1.amazonaws.com", "/", "Content-Type", formType), body: "Action=Select&Version=2009-04-15&SelectExpression=x&AWSAccessKeyId=dev&SignatureVersion=2&Signature=x&SignatureMethod=HmacSHA256&Timestamp=2026-01-01T00%3A00%3A00Z", action: "sdb:Select", on: "arn:aws:sdb:us-east-1:111122223333:domain/*"},
		"signature v2":               {r: object("b23.s3.amazonaws.com", "/k", "Authorization", "AWS dev:x"), action: "s3:GetObject", on: "arn:aws:s3:::b23/k", carried: true},
		"bearer":                     {r: request("POST", "dynamodb.us-east-1.amazonaws.com", "/", "X-Amz-Target", "DynamoDB_20120810.GetItem", "Content-Type", "application/x-amz-json-1.0", "Authorization", "Bearer x"), body: `{"TableName":"T"}`, action: "dynamodb:GetItem", on: "arn:aws:dynamodb:us-east-1:111122223333:table/T", carried: true},
		"multi-region":               {r: object("mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com", "/k", "Authorization", v4a, "X-Amz-Region-Set", "*"), action: "s3:GetObject", on: "arn:aws:s3::111122223333:accesspoint/mfzwi23gnjvgw.mrap/object/k", carried: true},
		"object lambda":              {r: object("olap-111122223333.s3-object-lambda.us-east-1.amazonaws.com", "/k"), action: "s3-object-lambda:GetObject", on: "arn:aws:s3-object-lambda:us-east-1:111122223333:accesspoint/olap/object/k"},
		"outposts":                   {r: object("my-ap-111122223333.op-01234567890123456.s3-outposts.us-east-1.amazonaws.com", "/k"), action: "s3-outposts:GetObject", on: "arn:aws:s3-outposts:us-east-1:111122223333:outpost/op-01234567890123456/accesspoint/my-ap/object/k"},
		"VPC endpoint":               {r: object("bucket.vpce-0a1b2c3d.s3.us-east-1.vpce.amazonaws.com", "/my-bucket/k"), action: "s3:GetObject", on: "arn:aws:s3:::my-bucket/k", carried: true},
		"its bucket":                 {r: object("my-bucket.bucket.vpce-0a1b2c3d.s3.us-east-1.vpce.amazonaws.com", "/k"), action: "s3:GetObject", on: "arn:aws:s3:::my-bucket/k", carried: true},
		"session token in the query": {r: object("b23.s3.us-east-1.amazonaws.com", "/k?X-Amz-S3session-Token=x"), action: "s3:GetObject", on: "arn:aws:s3:::b23/k", carried: true},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := identify(id, c.r, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if a := call.Actions[0]; a.Name != c.action || a.Resources[0].ARN != c.on {
				t.Errorf("%s on %s", a.Name, a.Resources[0].ARN)
			}
			if c.carried {
				if call.Uncarried() != nil || call.Canonical().IsZero() {
					t.Errorf("not carried: %v", call.Uncarried())
				}
				return
			}
			if e := call.Uncarried(); e == nil || e.Reason != refusal.Unidentified || !call.Canonical().IsZero() {
				t.Errorf("uncarried %v, with a canonical request %t", e, !call.Canonical().IsZero())
			}
		})
	}
}

// An operator vouches for names of customers' making; for anything else nothing
// is signed.
func TestCustomEndpoints(t *testing.T) {
	for _, e := range []awsapi.CustomEndpoint{
		{Host: "vpce-1.sqs.us-east-1.vpce.amazonaws.com", Service: "sqs", Region: "us-east-9"},
		{Host: "vpce-1.sqs.us-east-1.vpce.amazonaws.com", Service: "queue"},
		{Host: "sqs.example.com", Service: "sqs"},
		{Host: "SQS.us-east-1.vpce.amazonaws.com", Service: "sqs"},
		{},
	} {
		if _, err := awsapi.New(e); err == nil {
			t.Errorf("%+v is taken", e)
		}
	}
	id, err := awsapi.New(awsapi.CustomEndpoint{Host: "vpce-1.sqs.us-east-1.vpce.amazonaws.com", Service: "sqs", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	for host, known := range map[string]bool{
		"vpce-1.sqs.us-east-1.vpce.amazonaws.com":   true,
		"vpce-2.sqs.us-east-1.vpce.amazonaws.com":   false,
		"x.vpce-1.sqs.us-east-1.vpce.amazonaws.com": false,
		"vpce-1.sqs.us-east-1.vpce.amazonaws.co":    false,
	} {
		if _, err := id.Classify(host); (err == nil) != known {
			t.Errorf("%s: %v", host, err)
		}
	}
}

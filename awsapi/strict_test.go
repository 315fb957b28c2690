package awsapi_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/refusal"
)

func auth(region, service string) string {
	return "AWS4-HMAC-SHA256 Credential=dev/20260101/" + region + "/" + service + "/aws4_request, SignedHeaders=host, Signature=00"
}

func request(method, host, target string, header ...string) awsapi.Request {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return awsapi.Request{Method: method, Host: host, Target: target, Header: h, Account: "111122223333"}
}

const formType = "application/x-www-form-urlencoded"

func TestRefused(t *testing.T) {
	id := identifier(t)
	ddb := func(h ...string) awsapi.Request {
		return request("POST", "dynamodb.us-east-1.amazonaws.com", "/", append([]string{"Content-Type", "application/x-amz-json-1.0"}, h...)...)
	}
	get := "X-Amz-Target"
	ec2 := func(h ...string) awsapi.Request {
		return request("POST", "ec2.us-east-1.amazonaws.com", "/", append([]string{"Content-Type", formType}, h...)...)
	}
	s3 := func(method, target string, h ...string) awsapi.Request {
		return request(method, "b1b.s3.us-east-1.amazonaws.com", target, h...)
	}
	for name, c := range map[string]struct {
		r    awsapi.Request
		body string
		want refusal.Reason
	}{
		"encoded slash, bucket":   {request("GET", "s3.us-east-1.amazonaws.com", "/b1b%2Fk"), "", refusal.Malformed},
		"encoded dots, bucket":    {request("GET", "s3.us-east-1.amazonaws.com", "/%2e%2e/b1b/k"), "", refusal.Malformed},
		"sibling's query twice":   {request("POST", "apigateway.us-east-1.amazonaws.com", "/restapis?mode=x&mode=import"), "{}", refusal.Malformed},
		"sibling's query, case":   {request("POST", "apigateway.us-east-1.amazonaws.com", "/restapis?Mode=import"), "{}", refusal.Malformed},
		"two spellings":           {ec2(), "Action=TerminateInstances&Version=2016-11-15&InstanceId.1=i-0a&InstanceIds.1=i-0b", refusal.Malformed},
		"bom before xml":          {s3("POST", "/?delete"), "\ufeff<Delete><Object><Key>x</Key></Object></Delete>", refusal.Malformed},
		"utf-16 xml":              {s3("POST", "/?delete"), "<\x00D\x00e\x00", refusal.Malformed},
		"wildcard in a name":      {request("POST", "secretsmanager.us-east-1.amazonaws.com", "/", "X-Amz-Target", "secretsmanager.GetSecretValue", "Content-Type", "application/x-amz-json-1.1"), `{"SecretId":"x/*/y"}`, refusal.Malformed},
		"wildcard, question mark": {request("POST", "secretsmanager.us-east-1.amazonaws.com", "/", "X-Amz-Target", "secretsmanager.GetSecretValue", "Content-Type", "application/x-amz-json-1.1"), `{"SecretId":"db-?"}`, refusal.Malformed},
		"two targets":             {ddb(get, "DynamoDB_20120810.GetItem", get, "DynamoDB_20120810.PutItem"), "{}", refusal.Malformed},
		"unknown target":          {ddb(get, "DynamoDB_20120810.DropAll"), "{}", refusal.Unidentified},
		"target of another":       {ddb(get, "AmazonSQS.ListQueues"), "{}", refusal.Unidentified},
		"duplicate key":           {ddb(get, "DynamoDB_20120810.GetItem"), `{"TableName":"a","TableName":"b"}`, refusal.Malformed},
		"escaped duplicate key":   {ddb(get, "DynamoDB_20120810.GetItem"), `{"TableName":"a","Table\u004eame":"b"}`, refusal.Malformed},
		"trailing data":           {ddb(get, "DynamoDB_20120810.GetItem"), `{}{}`, refusal.Malformed},
		"bom":                     {ddb(get, "DynamoDB_20120810.GetItem"), "\ufeff{}", refusal.Malformed},
		"not utf-8":               {ddb(get, "DynamoDB_20120810.GetItem"), "{\"a\":\"\xff\"}", refusal.Malformed},
		"lone surrogate":          {ddb(get, "DynamoDB_20120810.GetItem"), `{"a":"\ud800"}`, refusal.Malformed},
		"gzip body":               {ddb(get, "DynamoDB_20120810.GetItem", "Content-Encoding", "gzip"), "{}", refusal.Unidentified},
		"wrong scope region":      {ddb(get, "DynamoDB_20120810.GetItem", "Authorization", auth("eu-west-1", "dynamodb")), "{}", refusal.Malformed},
		"wrong scope service":     {ddb(get, "DynamoDB_20120810.GetItem", "Authorization", auth("us-east-1", "sts")), "{}", refusal.Malformed},
		"two authorizations":      {ddb(get, "DynamoDB_20120810.GetItem", "Authorization", auth("us-east-1", "dynamodb"), "Authorization", "x"), "{}", refusal.Malformed},
		"sigv4a without a set":    {ddb(get, "DynamoDB_20120810.GetItem", "Authorization", "AWS4-ECDSA-P256-SHA256 Credential=a/20260101/dynamodb/aws4_request"), "{}", refusal.Malformed},
		"sigv4a scope for sigv4":  {ddb(get, "DynamoDB_20120810.GetItem", "Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/dynamodb/aws4_request"), "{}", refusal.Malformed},
		"presigned twice":         {s3("GET", "/k?X-Amz-Signature=0&x-amz-signature=1"), "", refusal.Malformed},
		"presigned for another":   {s3("GET", "/k?X-Amz-Signature=0&X-Amz-Credential=a/20260101/us-east-1/sts/aws4_request"), "", refusal.Malformed},
		"connection token":        {ddb(get, "DynamoDB_20120810.GetItem", "Connection", "x-amz-target"), "{}", refusal.Malformed},
		"underscore header":       {ddb(get, "DynamoDB_20120810.GetItem", "X_Amz_Target", "a"), "{}", refusal.Malformed},
		"crlf in header":          {ddb(get, "DynamoDB_20120810.GetItem", "X-Amz-User-Agent", "a\r\nb"), "{}", refusal.Malformed},
		"two actions":             {ec2(), "Action=DescribeInstances&Action=TerminateInstances&Version=2016-11-15", refusal.Malformed},
		"two actions by case":     {ec2(), "Action=DescribeInstances&action=TerminateInstances&Version=2016-11-15", refusal.Malformed},
		"encoded second action":   {ec2(), "Action=DescribeInstances&%41ction=TerminateInstances&Version=2016-11-15", refusal.Malformed},
		"action in query too":     {request("POST", "ec2.us-east-1.amazonaws.com", "/?Action=DescribeInstances", "Content-Type", formType), "Action=DescribeInstances", refusal.Malformed},
		"semicolon":               {ec2(), "Action=DescribeInstances;Action=TerminateInstances", refusal.Malformed},
		"unknown action":          {ec2(), "Action=LaunchMissiles&Version=2016-11-15", refusal.Unidentified},
		"utf-16 form":             {request("POST", "ec2.us-east-1.amazonaws.com", "/", "Content-Type", formType+"; charset=utf-16"), "Action=DescribeInstances", refusal.Malformed},
		"signed twice":            {s3("GET", "/k?X-Amz-Signature=0", "Authorization", auth("us-east-1", "s3")), "", refusal.Malformed},
		"two sub-resources":       {s3("GET", "/?acl&policy"), "", refusal.Malformed},
		"unknown sub-resource":    {s3("GET", "/k?torrent2"), "", refusal.Malformed},
		"x-id lies":               {s3("GET", "/k?x-id=PutObject"), "", refusal.Malformed},
		"form upload":             {s3("POST", "/", "Content-Type", "multipart/form-data; boundary=x"), "", refusal.Unidentified},
		"copy header on get":      {s3("GET", "/k", "X-Amz-Copy-Source", "/a/b"), "", refusal.Malformed},
		"dot segment":             {request("GET", "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions/../x"), "", refusal.Malformed},
		"encoded dot segment":     {request("GET", "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions/%2e%2e"), "", refusal.Malformed},
		"encoded letter":          {request("GET", "lambda.us-east-1.amazonaws.com", "/2015-03-31/f%75nctions/x"), "", refusal.Unidentified},
		"empty segment":           {request("GET", "lambda.us-east-1.amazonaws.com", "/2015-03-31//functions"), "", refusal.Malformed},
		"backslash":               {request("GET", "lambda.us-east-1.amazonaws.com", `/2015-03-31\functions`), "", refusal.Malformed},
		"unknown method":          {request("TRACE", "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions"), "", refusal.Malformed},
		"lower-case method":       {request("get", "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions"), "", refusal.Malformed},
		"absolute form":           {request("GET", "lambda.us-east-1.amazonaws.com", "https://evil/"), "", refusal.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := identify(id, c.r, []byte(c.body))
			if err == nil {
				t.Fatalf("accepted as %s:%s", call.Service, call.Operation)
			}
			if r := refusal.Of(err); r.Reason != c.want {
				t.Fatalf("%s, want %s: %v", r.Reason, c.want, err)
			}
		})
	}
}

func TestCalls(t *testing.T) {
	id := identifier(t)
	for _, c := range []struct {
		name     string
		r        awsapi.Request
		body     string
		action   string
		resource string
	}{
		{"ec2", request("POST", "ec2.us-east-1.amazonaws.com", "/", "Content-Type", formType), "Action=TerminateInstances&InstanceId.1=i-1&InstanceId.2=i-2&Version=2016-11-15",
			"ec2:TerminateInstances", "arn:aws:ec2:us-east-1:111122223333:instance/i-2"},
		{"object", request("GET", "b1b.s3.us-east-1.amazonaws.com", "/a%20b/../c?x-id=GetObject"), "", "s3:GetObject", "arn:aws:s3:::b1b/a b/../c"},
		{"object version", request("GET", "s3.us-east-1.amazonaws.com", "/b1b/k?versionId=3"), "", "s3:GetObjectVersion", "arn:aws:s3:::b1b/k"},
		{"copy source", request("PUT", "s3.us-east-1.amazonaws.com", "/b1b/k", "X-Amz-Copy-Source", "/other/s%2Fk"), "", "s3:GetObject", "arn:aws:s3:::other/s/k"},
		{"secret", request("POST", "secretsmanager.us-east-1.amazonaws.com", "/", "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "secretsmanager.GetSecretValue"),
			`{"SecretId":"db"}`, "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:111122223333:secret:db-??????"},
		{"table", request("POST", "dynamodb.us-east-1.amazonaws.com", "/", "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.GetItem"),
			`{"TableName":"t"}`, "dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:111122223333:table/t"},
		{"queue", request("POST", "sqs.us-east-1.amazonaws.com", "/", "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS.SendMessage"),
			`{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/999988887777/q"}`, "sqs:SendMessage", "arn:aws:sqs:us-east-1:999988887777:q"},
		{"list", request("POST", "ec2.us-east-1.amazonaws.com", "/", "Content-Type", formType), "Action=DescribeInstances&Version=2016-11-15", "ec2:DescribeInstances", "*"},
		{"delete objects", request("POST", "b1b.s3.us-east-1.amazonaws.com", "/?delete"), "<Delete><Object><Key>x</Key></Object><Object><Key>y</Key></Object></Delete>",
			"s3:DeleteObject", "arn:aws:s3:::b1b/y"},
		{"api gateway", request("GET", "apigateway.us-east-1.amazonaws.com", "/restapis/abc"), "", "apigateway:GET", "arn:aws:apigateway:us-east-1::/restapis/abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			call, err := identify(id, c.r, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range call.Actions {
				if a.Name == c.action && slices.ContainsFunc(a.Resources, func(r awsapi.Resource) bool { return r.ARN == c.resource }) {
					return
				}
			}
			t.Errorf("actions %+v", call.Actions)
		})
	}
}

// PassRole is asked for where a role is passed, and only there.
func TestPassRole(t *testing.T) {
	id := identifier(t)
	r := request("POST", "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions", "Content-Type", "application/json")
	for body, want := range map[string]string{
		`{"FunctionName":"f","Role":"arn:aws:iam::111122223333:role/r"}`: "arn:aws:iam::111122223333:role/r",
		`{"FunctionName":"f"}`: "",
	} {
		call, err := identify(id, r, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, a := range call.Actions {
			if a.Name == "iam:PassRole" && a.Dependent {
				got = a.Resources[0].ARN
			}
		}
		if got != want {
			t.Errorf("%s: passes %q", body, got)
		}
	}
}

// What is signed holds no authentication of the client and no header of a hop.
func TestCanonicalHeaders(t *testing.T) {
	id := identifier(t)
	call, err := identify(id, request("GET", "b1b.s3.us-east-1.amazonaws.com", "/k", "Authorization", auth("us-east-1", "s3"), "X-Amz-Security-Token", "t",
		"X-Amz-Date", "d", "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD", "Cookie", "c", "X-Forwarded-For", "1", "Via", "v", "X-Amzn-Trace-Id", "i",
		"Proxy-Authorization", "p", "X-Http-Method-Override", "DELETE", "Range", "bytes=0-1", "X-Amz-Expected-Bucket-Owner", "111122223333"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := call.Canonical()
	h := c.Header()
	if len(h) != 2 || h.Get("Range") == "" || h.Get("X-Amz-Expected-Bucket-Owner") == "" {
		t.Errorf("headers that go on: %v", h)
	}
	if c.Payload() != awsapi.PayloadUnsigned || c.DoubleEncodePath() || c.RawPath() != "/k" || c.IsZero() {
		t.Errorf("canonical %+v", c)
	}
}

func TestSensitive(t *testing.T) {
	id := identifier(t)
	call, err := identify(id, request("POST", "sts.amazonaws.com", "/", "Content-Type", formType), []byte("Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::111122223333:role/r"))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, m := range call.Sensitive() {
		paths = append(paths, m.Path)
	}
	if want := []string{"Credentials.AccessKeyId", "Credentials.SecretAccessKey", "Credentials.SessionToken"}; !slices.Equal(paths, want) {
		t.Errorf("got %v", paths)
	}
	if !slices.Contains(call.Classes, awsapi.HandsOutCredentials) {
		t.Error("AssumeRole is not classed")
	}
}

func FuzzHead(f *testing.F) {
	id := identifier(f)
	f.Add("GET", "b1b.s3.us-east-1.amazonaws.com", "/a?acl", "", "", []byte(""))
	f.Add("POST", "ec2.us-east-1.amazonaws.com", "/", formType, "", []byte("Action=RunInstances&Version=2016-11-15&ImageId=ami-1"))
	f.Add("POST", "dynamodb.us-east-1.amazonaws.com", "/", "application/x-amz-json-1.0", "DynamoDB_20120810.GetItem", []byte(`{"TableName":"t"}`))
	f.Add("PUT", "s3control.us-east-1.amazonaws.com", "/v20180820/tags/arn", "application/xml", "", []byte("<a/>"))
	f.Fuzz(func(t *testing.T, method, host, target, ct, tgt string, body []byte) {
		r := request(method, host, target)
		if ct != "" {
			r.Header.Set("Content-Type", ct)
		}
		if tgt != "" {
			r.Header.Set("X-Amz-Target", tgt)
		}
		id.ShapeOf(r)
		call, err := identify(id, r, body)
		if err != nil {
			return
		}
		c := call.Canonical()
		if c.Host() != host || c.Method() != method || (!call.Permissionless && len(call.Actions) == 0) {
			t.Fatalf("%+v", call)
		}
		if got := c.RawPath(); got != target && got+"?"+c.RawQuery() != target {
			t.Fatalf("path %q of %q", got, target)
		}
		for _, a := range call.Actions {
			if a.Name == "" || len(a.Resources) == 0 {
				t.Fatalf("%+v", a)
			}
		}
	})
}

func BenchmarkIdentify(b *testing.B) {
	id := identifier(b)
	r := request("POST", "dynamodb.us-east-1.amazonaws.com", "/", "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.GetItem",
		"Authorization", auth("us-east-1", "dynamodb"))
	body := []byte(`{"TableName":"t","Key":{"id":{"S":"1"}}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := identify(id, r, body); err != nil {
			b.Fatal(err)
		}
	}
}

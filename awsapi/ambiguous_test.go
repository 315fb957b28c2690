package awsapi_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// TestAmbiguous holds what can be read in two ways, or hides what it is: it is
// refused whatever policy says, with this reason.
func TestAmbiguous(t *testing.T) {
	id := identifier(t)
	const (
		malformed, unidentified = refusal.Malformed, refusal.Unidentified
		json10, json11          = "application/x-amz-json-1.0", "application/x-amz-json-1.1"
	)
	form := func(host string, h ...string) awsapi.Request {
		return request("POST", host, "/", append([]string{"Content-Type", formType}, h...)...)
	}
	ec2, email := "ec2.us-east-1.amazonaws.com", "email.us-east-1.amazonaws.com"
	secret := func(h ...string) awsapi.Request {
		return request("POST", "secretsmanager.us-east-1.amazonaws.com", "/", append([]string{"Content-Type", json11, "X-Amz-Target", "secretsmanager.GetSecretValue"}, h...)...)
	}
	sqs := func(h ...string) awsapi.Request {
		return request("POST", "sqs.us-east-1.amazonaws.com", "/", h...)
	}
	cbor := func(h ...string) awsapi.Request {
		return request("POST", "monitoring.us-east-1.amazonaws.com", "/service/GraniteServiceVersion20100801/operation/DeleteAlarms", append([]string{"Smithy-Protocol", "rpc-v2-cbor", "Content-Type", "application/cbor"}, h...)...)
	}
	s3 := func(method, target string, h ...string) awsapi.Request {
		return request(method, "b1b.s3.us-east-1.amazonaws.com", target, h...)
	}
	lambda := func(method, path string, h ...string) awsapi.Request {
		return request(method, "lambda.us-east-1.amazonaws.com", path, h...)
	}
	imagebuilder := func(target string) awsapi.Request {
		return request("DELETE", "imagebuilder.us-east-1.amazonaws.com", target)
	}
	at := func(r awsapi.Request, target string) awsapi.Request { r.Target = target; return r }
	by := func(r awsapi.Request, method string) awsapi.Request { r.Method = method; return r }
	long := func(r awsapi.Request, n int64) awsapi.Request { r.ContentLength = n; return r }
	const terminate = "Action=TerminateInstances&Version=2016-11-15&InstanceId.1=i-1"
	for _, c := range []struct {
		name string
		r    awsapi.Request
		body string
		want refusal.Reason
	}{
		// Which operation it is: the query protocols.
		{"no action", form(ec2), "Version=2016-11-15", malformed},
		{"empty action", form(ec2), "Action=&Version=2016-11-15", malformed},
		{"empty form", form(ec2), "", malformed},
		{"action in lower case", form(ec2), "action=DescribeInstances&Version=2016-11-15", malformed},
		{"action with a space", form(ec2), "Action%20=DescribeInstances&Version=2016-11-15", malformed},
		{"action's value with a space", form(ec2), "Action=DescribeInstances+&Version=2016-11-15", unidentified},
		{"action's value in lower case", form(ec2), "Action=describeinstances&Version=2016-11-15", unidentified},
		{"version twice", form("elasticloadbalancing.us-east-1.amazonaws.com"), "Action=DescribeLoadBalancers&Version=2012-06-01&Version=2015-12-01", malformed},
		{"version twice, by case", form("elasticloadbalancing.us-east-1.amazonaws.com"), "Action=DescribeLoadBalancers&Version=2012-06-01&version=2015-12-01", malformed},
		{"no version where two APIs have the action", form("elasticloadbalancing.us-east-1.amazonaws.com"), "Action=DescribeLoadBalancers", malformed},
		{"version of no API", form("sts.amazonaws.com"), "Action=GetCallerIdentity&Version=1999-01-01", unidentified},
		{"second action, NUL in its name", form(ec2), terminate + "&Action%00=x", malformed},
		{"second action behind a semicolon", form(ec2), "Version=2016-11-15&Action=DescribeInstances;Action=TerminateInstances", malformed},
		{"second action in a value's newline", form(ec2), "Version=2016-11-15&Action=DescribeInstances%0aAction=TerminateInstances", unidentified},
		{"form as text", request("POST", ec2, "/", "Content-Type", "text/plain"), terminate, unidentified},
		{"form without a type", request("POST", ec2, "/"), terminate, unidentified},
		{"form as multipart", request("POST", ec2, "/", "Content-Type", "multipart/form-data; boundary=x"), terminate, unidentified},
		{"form as JSON", request("POST", ec2, "/", "Content-Type", "application/json"), terminate, unidentified},
		{"utf-7 form", form(ec2, "X-Ignored", "1"), "Action=Describe\x80Instances", malformed},
		{"charset twice", request("POST", ec2, "/", "Content-Type", formType+"; charset=utf-8; charset=utf-16"), terminate, malformed},
		{"two content types", request("POST", ec2, "/", "Content-Type", formType, "Content-Type", "text/plain"), terminate, malformed},
		{"action in both", at(form(ec2), "/?Action=DescribeInstances"), terminate, malformed},
		{"action in the query of a POST", request("POST", ec2, "/?"+terminate), "", malformed},
		{"action in the query of a DELETE", request("DELETE", ec2, "/?"+terminate), "", malformed},
		{"action in the query, with a body", long(request("GET", ec2, "/?"+terminate), 3), "x=y", malformed},
		{"action in the query, chunked", long(request("GET", ec2, "/?"+terminate), -1), "x=y", malformed},
		{"action twice in the query", request("GET", ec2, "/?"+terminate+"&Action=DescribeInstances"), "", malformed},
		{"action twice in the query, by case", request("GET", ec2, "/?"+terminate+"&action=DescribeInstances"), "", malformed},
		{"action of another API of the host", request("DELETE", email, "/v2/email/identities/x?Action=DeleteIdentity&Identity=y"), "", malformed},
		{"the same, by case", request("DELETE", email, "/v2/email/identities/x?action=DeleteIdentity&Identity=y"), "", malformed},
		{"form in a path", at(form(ec2), "/x"), terminate, unidentified},
		{"form of a path and its dot", at(form(ec2), "/."), terminate, malformed},
		{"double slash", at(form(ec2), "//"), terminate, malformed},
		// Which operation it is: JSON and CBOR.
		{"no target", sqs("Content-Type", json10), `{"QueueUrl":"x"}`, unidentified},
		{"target and form", sqs("Content-Type", formType, "X-Amz-Target", "AmazonSQS.DeleteQueue"), "Action=ListQueues&Version=2012-11-05", malformed},
		{"target and query", at(sqs("Content-Type", json10, "X-Amz-Target", "AmazonSQS.ListQueues"), "/?Action=DeleteQueue"), "{}", malformed},
		{"target in a GET", by(secret(), "GET"), "", malformed},
		{"target with a path", at(secret(), "/x"), "{}", malformed},
		{"target in other case", secret("x-amz-target", "SecretsManager.DeleteSecret"), "{}", malformed},
		{"target's prefix in other case", request("POST", "secretsmanager.us-east-1.amazonaws.com", "/", "Content-Type", json11, "X-Amz-Target", "SecretsManager.GetSecretValue"), "{}", unidentified},
		{"target's operation in other case", request("POST", "secretsmanager.us-east-1.amazonaws.com", "/", "Content-Type", json11, "X-Amz-Target", "secretsmanager.getsecretvalue"), "{}", unidentified},
		{"two targets in one", request("POST", "secretsmanager.us-east-1.amazonaws.com", "/", "Content-Type", json11, "X-Amz-Target", "secretsmanager.ListSecrets, secretsmanager.GetSecretValue"), "{}", unidentified},
		{"target without a prefix", request("POST", "secretsmanager.us-east-1.amazonaws.com", "/", "Content-Type", json11, "X-Amz-Target", "GetSecretValue"), "{}", malformed},
		{"target with an empty prefix", request("POST", "secretsmanager.us-east-1.amazonaws.com", "/", "Content-Type", json11, "X-Amz-Target", ".GetSecretValue"), "{}", unidentified},
		{"empty target", request("POST", "secretsmanager.us-east-1.amazonaws.com", "/", "Content-Type", json11, "X-Amz-Target", ""), "{}", malformed},
		{"target on REST", lambda("GET", "/2015-03-31/functions", "X-Amz-Target", "AWSLambda.DeleteFunction"), "", malformed},
		{"target on S3", s3("GET", "/k", "X-Amz-Target", "x.y"), "", malformed},
		{"smithy on S3", s3("GET", "/k", "Smithy-Protocol", "rpc-v2-cbor"), "", malformed},
		{"target and smithy", cbor("X-Amz-Target", "GraniteServiceVersion20100801.DescribeAlarms"), "\xa0", malformed},
		{"smithy twice", cbor("Smithy-Protocol", "rpc-v2-cbor"), "\xa0", malformed},
		{"unknown smithy protocol", request("POST", "monitoring.us-east-1.amazonaws.com", "/", "Smithy-Protocol", "rpc-v2-json"), "{}", malformed},
		{"cbor with a query", at(cbor(), "/service/GraniteServiceVersion20100801/operation/DeleteAlarms?x"), "\xa0", malformed},
		{"cbor's operation, encoded", at(cbor(), "/service/GraniteServiceVersion20100801/operation/%44eleteAlarms"), "\xa0", unidentified},
		{"cbor's path, one more", at(cbor(), "/x/service/GraniteServiceVersion20100801/operation/DeleteAlarms"), "\xa0", malformed},
		{"cbor's path without its header", request("POST", "monitoring.us-east-1.amazonaws.com", "/service/GraniteServiceVersion20100801/operation/DeleteAlarms", "Content-Type", "application/cbor"), "\xa0", unidentified},
		{"cbor as JSON", cbor("Content-Type", json10), "{}", malformed},
		{"cbor key twice", cbor(), "\xa2jAlarmNames\x81aajAlarmNames\x81ab", malformed},
		{"cbor, data behind", cbor(), "\xa1jAlarmNames\x81aa\xa0", malformed},
		{"cbor, ends early", cbor(), "\xa1jAlarmNames\x82aa", malformed},
		{"cbor, bytes for a text", cbor(), "\xa1jAlarmNames\x81Aa", malformed},
		{"cbor, a time for a text", cbor(), "\xa1jAlarmNames\x81\xc1\x1a\x60\x00\x00\x00", malformed},
		{"cbor, a number for a text", cbor(), "\xa1jAlarmNames\x81\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00", malformed},
		{"cbor, a big integer for a text", cbor(), "\xa1jAlarmNames\x81\xc2Aa", malformed},
		{"cbor key as bytes", cbor(), "\xa1JAlarmNames\x81aa", malformed},
		// What it is done to: documents.
		{"key twice", secret(), `{"SecretId":"ok","SecretId":"prod"}`, malformed},
		{"key twice, alike", secret(), `{"SecretId":"ok","SecretId":"ok"}`, malformed},
		{"key twice, escaped", secret(), `{"SecretId":"ok","\u0053ecretId":"prod"}`, malformed},
		{"key twice, by case", secret(), `{"SecretId":"ok","secretid":"prod"}`, malformed},
		{"key twice, below", secret(), `{"SecretId":"ok","x":[{"a":1,"a":2}]}`, malformed},
		{"a list for a document", secret(), `[{"SecretId":"ok"}]`, malformed},
		{"a text for a document", secret(), `"SecretId"`, malformed},
		{"comment", secret(), `{"SecretId":"ok"/*,"SecretId":"prod"*/}`, malformed},
		{"line comment", secret(), "{\"SecretId\":\"ok\"}//\n", malformed},
		{"trailing comma", secret(), `{"SecretId":"ok",}`, malformed},
		{"single quotes", secret(), `{'SecretId':'ok'}`, malformed},
		{"bare key", secret(), `{SecretId:"ok"}`, malformed},
		{"not a number", secret(), `{"SecretId":"ok","x":NaN}`, malformed},
		{"hexadecimal", secret(), `{"SecretId":"ok","x":0x10}`, malformed},
		{"leading zero", secret(), `{"SecretId":"ok","x":010}`, malformed},
		{"plus sign", secret(), `{"SecretId":"ok","x":+1}`, malformed},
		{"raw newline in a text", secret(), "{\"SecretId\":\"o\nk\"}", malformed},
		{"NUL behind", secret(), "{\"SecretId\":\"ok\"}\x00", malformed},
		{"form feed", secret(), "{\"SecretId\":\"ok\"}\f", malformed},
		{"unknown escape", secret(), `{"SecretId":"o\k"}`, malformed},
		{"low surrogate alone", secret(), `{"SecretId":"\udc00"}`, malformed},
		{"surrogates turned round", secret(), `{"SecretId":"\udc00\ud800"}`, malformed},
		{"utf-16", secret(), "\xff\xfe{\x00}\x00", malformed},
		{"ends early", secret(), `{"SecretId":"ok"`, malformed},
		{"too deep", secret(), `{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", malformed},
		{"form for JSON", secret(), "Action=GetSecretValue", malformed},
		{"gzip", secret("Content-Encoding", "deflate"), `{"SecretId":"ok"}`, unidentified},
		{"two encodings", secret("Content-Encoding", "gzip, identity"), `{"SecretId":"ok"}`, unidentified},
		{"chunks where there are none", secret("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), "{}", malformed},
		{"signed chunks where there are none", secret("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), "{}", malformed},
		{"role behind a key twice, no content type", request("PUT", "pinpoint.us-east-1.amazonaws.com", "/v1/recommenders/r"), `{"RecommendationProviderRoleArn":"arn:aws:iam::111122223333:role/admin","x":1,"x":2}`, malformed},
		{"role before trailing data, as text", request("PUT", "pinpoint.us-east-1.amazonaws.com", "/v1/recommenders/r", "Content-Type", "text/plain"), `{"RecommendationProviderRoleArn":"arn:aws:iam::111122223333:role/admin"}{}`, malformed},
		{"list with two numberings", form(ec2), terminate + "&InstanceId.01=i-2", malformed},
		{"list with a name beside its numbers", form(ec2), terminate + "&InstanceId.x=i-2", malformed},
		{"list and value", form(ec2), terminate + "&InstanceId=i-2", malformed},
		{"list's element by case", form(ec2), terminate + "&instanceid.1=i-2", malformed},
		{"parameter by case", form("rds.us-east-1.amazonaws.com"), "Action=DeleteDBInstance&Version=2014-10-31&DBInstanceIdentifier=ok&dbinstanceidentifier=prod", malformed},
		// What it is done to: paths and queries.
		{"dot segments", lambda("DELETE", "/2015-03-31/functions/ok/../prod"), "", malformed},
		{"one dot", lambda("DELETE", "/2015-03-31/functions/./prod"), "", malformed},
		{"encoded dots", lambda("DELETE", "/2015-03-31/functions/%2E%2E"), "", malformed},
		{"half encoded dots", lambda("DELETE", "/2015-03-31/functions/.%2e/x"), "", malformed},
		{"fragment", lambda("DELETE", "/2015-03-31/functions/ok#x"), "", malformed},
		{"space", lambda("DELETE", "/2015-03-31/functions/o k"), "", malformed},
		{"raw utf-8", lambda("DELETE", "/2015-03-31/functions/é"), "", malformed},
		{"not utf-8", lambda("DELETE", "/2015-03-31/functions/%ff"), "", malformed},
		{"overlong dots", lambda("DELETE", "/2015-03-31/functions/%c0%ae%c0%ae/x"), "", malformed},
		{"encoded NUL", lambda("DELETE", "/2015-03-31/functions/ok%00"), "", malformed},
		{"half an escape", lambda("DELETE", "/2015-03-31/functions/ok%2"), "", malformed},
		{"literal in other case", lambda("DELETE", "/2015-03-31/Functions/ok"), "", unidentified},
		{"literal, encoded", lambda("DELETE", "/2015-03-31/%66unctions/ok"), "", unidentified},
		{"literal, encoded, where a name may stand", request("GET", "111122223333.s3-control.us-east-1.amazonaws.com", "/v20180820/mrap/instances/ok/policy%73tatus", "X-Amz-Account-Id", "111122223333"), "", malformed},
		{"encoded slash between literals", lambda("DELETE", "/2015-03-31%2Ffunctions/ok"), "", unidentified},
		{"path without a slash", lambda("GET", "2015-03-31/functions"), "", malformed},
		{"asterisk form", by(lambda("GET", "*"), "GET"), "", malformed},
		{"method with a space", by(lambda("GET", "/2015-03-31/functions"), "GET "), "", malformed},
		{"OPTIONS", by(lambda("GET", "/2015-03-31/functions"), "OPTIONS"), "", malformed},
		{"CONNECT", by(lambda("GET", "/2015-03-31/functions"), "CONNECT"), "", malformed},
		{"query by case", imagebuilder("/DeleteContainerRecipe?containerRecipeArn=arn:aws:imagebuilder:us-east-1:111122223333:container-recipe/ok/1&containerrecipearn=arn:aws:imagebuilder:us-east-1:111122223333:container-recipe/prod/1"), "", malformed},
		{"query by case alone", imagebuilder("/DeleteContainerRecipe?containerrecipearn=arn:aws:imagebuilder:us-east-1:111122223333:container-recipe/prod/1"), "", malformed},
		{"plus in a query", imagebuilder("/DeleteContainerRecipe?containerRecipeArn=arn:aws:imagebuilder:us-east-1:111122223333:container-recipe/o+k/1"), "", malformed},
		{"empty parameter", imagebuilder("/DeleteContainerRecipe?&containerRecipeArn=x"), "", malformed},
		{"parameter without a name", imagebuilder("/DeleteContainerRecipe?=x"), "", malformed},
		{"semicolon in a query", imagebuilder("/DeleteContainerRecipe?containerRecipeArn=a;containerRecipeArn=b"), "", malformed},
		{"second question mark's parameter", s3("GET", "/k??acl"), "", malformed},
		// S3.
		{"acl and an object's read", s3("GET", "/k?acl&x-id=GetObject"), "", malformed},
		{"acl by case", s3("GET", "/k?ACL"), "", malformed},
		{"encoded acl and another", s3("GET", "/k?%61cl&tagging"), "", malformed},
		{"acl twice", s3("GET", "/k?acl&acl"), "", malformed},
		{"uploads and uploadId", s3("POST", "/k?uploads&uploadId=x"), "", malformed},
		{"upload's part without its upload", s3("PUT", "/k?partNumber=1"), "", malformed},
		{"version of a write", s3("PUT", "/k?versionId=1"), "", malformed},
		{"an answer's header for a write", s3("PUT", "/k?response-content-type=x"), "", malformed},
		{"website", s3("GET", "/k?website"), "", malformed},
		{"delete by a GET", s3("GET", "/?delete"), "", malformed},
		{"x-id by case", s3("GET", "/k?X-Id=GetObject"), "", malformed},
		{"copy source, empty", s3("PUT", "/k", "X-Amz-Copy-Source", ""), "", malformed},
		{"copy source twice", s3("PUT", "/k", "X-Amz-Copy-Source", "/a/b", "X-Amz-Copy-Source", "/c/d"), "", malformed},
		{"copy source with an underscore", s3("PUT", "/k", "X_Amz_Copy_Source", "/a/b"), "", malformed},
		{"copy source for a tag", s3("PUT", "/k?tagging", "X-Amz-Copy-Source", "/a/b"), "<Tagging/>", malformed},
		{"copy source with a plus", s3("PUT", "/k", "X-Amz-Copy-Source", "/aaa/o+k"), "", malformed},
		{"double slash before a bucket", request("GET", "s3.us-east-1.amazonaws.com", "//b1b/k"), "", malformed},
		{"bucket behind dots", request("GET", "s3.us-east-1.amazonaws.com", "/../b1b/k"), "", malformed},
		{"encoded bucket", request("GET", "s3.us-east-1.amazonaws.com", "/b%31b/k"), "", malformed},
		{"DTD", s3("POST", "/?delete"), `<!DOCTYPE x [<!ENTITY k "prod">]><Delete><Object><Key>&k;</Key></Object></Delete>`, malformed},
		{"unknown entity", s3("POST", "/?delete"), `<Delete><Object><Key>&k;</Key></Object></Delete>`, malformed},
		{"processing instruction", s3("POST", "/?delete"), `<Delete><Object><Key><?x y?>ok</Key></Object></Delete>`, malformed},
		{"comment in a text", s3("POST", "/?delete"), `<Delete><Object><Key>ok<!-- -->.bak</Key></Object></Delete>`, malformed},
		{"CDATA in a text", s3("POST", "/?delete"), `<Delete><Object><Key>ok<![CDATA[.bak]]></Key></Object></Delete>`, malformed},
		{"elements in a text", s3("POST", "/?delete"), `<Delete><Object><Key>ok<x/>.bak</Key></Object></Delete>`, malformed},
		{"elements in one text of two", s3("POST", "/?delete"), `<Delete><Object><Key>ok</Key></Object><Object><Key>prod<x/></Key></Object></Delete>`, malformed},
		{"two roots", s3("POST", "/?delete"), `<Delete><Object><Key>ok</Key></Object></Delete><Delete/>`, malformed},
		{"latin-1", s3("POST", "/?delete"), `<?xml version="1.0" encoding="ISO-8859-1"?><Delete><Object><Key>ok</Key></Object></Delete>`, malformed},
		// Who asks, and headers.
		{"token in the query of a signed call", s3("GET", "/k?X-Amz-Security-Token=x", "Authorization", auth("us-east-1", "s3")), "", malformed},
		{"signature in the query of a signed call", lambda("GET", "/2015-03-31/functions?X-Amz-Signature=x", "Authorization", auth("us-east-1", "lambda")), "", malformed},
		{"session token in the query of a signed call", lambda("GET", "/2015-03-31/functions?X-Amz-S3session-Token=x", "Authorization", auth("us-east-1", "lambda")), "", malformed},
		{"two regions", secret("Authorization", auth("eu-west-1", "secretsmanager")), `{"SecretId":"ok"}`, malformed},
		{"two services", secret("Authorization", auth("us-east-1", "s3")), `{"SecretId":"ok"}`, malformed},
		{"two credentials", secret("Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/secretsmanager/aws4_request, Credential=b/20260101/us-east-1/secretsmanager/aws4_request"), "{}", malformed},
		{"unknown algorithm", secret("Authorization", "AWS5 Credential=x"), "{}", malformed},
		{"basic", secret("Authorization", "Basic eA=="), "{}", malformed},
		{"two payload hashes", secret("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD", "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), "{}", malformed},
		{"payload hash in upper case", secret("X-Amz-Content-Sha256", strings.Repeat("A", 64)), "{}", malformed},
		{"hop that removes the owner", s3("GET", "/k", "Connection", "close, X-Amz-Expected-Bucket-Owner"), "", malformed},
		{"hop that upgrades", s3("GET", "/k", "Connection", "Upgrade", "Upgrade", "h2c"), "", malformed},
		{"owner twice", s3("GET", "/k", "X-Amz-Expected-Bucket-Owner", "1", "X-Amz-Expected-Bucket-Owner", "2"), "", malformed},
		{"space behind a value", s3("PUT", "/k", "X-Amz-Acl", "private "), "", malformed},
		{"8-bit value", s3("PUT", "/k", "X-Amz-Meta-X", "\xe9"), "", malformed},
		{"NUL in a value", s3("PUT", "/k", "X-Amz-Meta-X", "a\x00b"), "", malformed},
		{"colon in a name", func() awsapi.Request { r := s3("GET", "/k"); r.Header["X-Amz-Acl:"] = []string{"x"}; return r }(), "", malformed},
		{"space in a name", func() awsapi.Request { r := s3("GET", "/k"); r.Header["X-Amz-Acl "] = []string{"x"}; return r }(), "", malformed},
		{"two spellings of a header", func() awsapi.Request {
			r := s3("PUT", "/k")
			r.Header["X-Amz-Acl"] = []string{"private"}
			r.Header["x-amz-acl"] = []string{"public-read"}
			return r
		}(), "", malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			call, err := identify(id, c.r, []byte(c.body))
			switch {
			case err == nil && call.Uncarried() != nil:
				t.Fatalf("known as %s:%s and not carried: %v", call.Service, call.Operation, call.Uncarried())
			case err == nil:
				t.Fatalf("accepted as %s:%s %+v", call.Service, call.Operation, call.Actions)
			}
			if r := refusal.Of(err); r.Reason != c.want {
				t.Errorf("%s, want %s: %v", r.Reason, c.want, err)
			}
		})
	}
}

// TestTargetGoesOn: an accepted path and query are sent byte for byte, however odd.
func TestTargetGoesOn(t *testing.T) {
	id := identifier(t)
	for _, target := range []string{
		"/", "//", "/k//", "//k", "/a//b", "/a/../b", "/./a", "/..", "/%2e%2e/a", "/a%2Fb", "/a%2fb", "/%61", "/a+b", "/a%20b", "/a%2Bb", "/a%252Fb", "/a;b", "/a=b&c", "/*", "/%3Facl", "/k/", "/%E2%82%AC", "/~!$'()*,:@-._",
		"/k?acl", "/k?acl=", "/k?versionId=%33", "/k?versionId=a%2Fb", "/k?%76ersionId=3", "/k?x-id=GetObject", "/k?response-content-type=text%2Fplain&versionId=3",
	} {
		call, err := identify(id, request("GET", "b1b.s3.us-east-1.amazonaws.com", target), nil)
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		c := call.Canonical()
		got := c.RawPath()
		if c.RawQuery() != "" {
			got += "?" + c.RawQuery()
		}
		if got != target {
			t.Errorf("%s goes on as %s", target, got)
		}
	}
}

// TestOneAnswer: one request is one Call, resource for resource, however often it
// is asked about: approvals and session policies are compared by their text.
func TestOneAnswer(t *testing.T) {
	id := identifier(t)
	r := request("POST", "sagemaker.us-east-1.amazonaws.com", "/", "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "SageMaker.CreateEdgePackagingJob")
	r.Host = "api.sagemaker.us-east-1.amazonaws.com"
	body := `{"EdgePackagingJobName":"j","RoleArn":"arn:aws:iam::111122223333:role/a","x":{"y":"arn:aws:iam::111122223333:role/b"},"z":"arn:aws:iam::111122223333:role/c"}`
	first, err := identify(id, r, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		again, err := identify(id, r, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(first.Actions, again.Actions) {
			t.Fatalf("%+v, then %+v", first.Actions, again.Actions)
		}
	}
}

// TestEncodedLiterals encodes one byte of each fixed part of each operation's path, and
// the slash before it where the part before it may hold one. A
// server that decodes before it looks takes it for the operation that it was; to
// another it may be a name in the path of a second one.
func TestEncodedLiterals(t *testing.T) {
	id := identifier(t)
	cat, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, s := range samples(t) {
		svc, err := cat.Lookup(s.Expect.Service)
		if err != nil {
			t.Fatal(err)
		}
		op := svc.Operations[s.Expect.Operation]
		if !strings.HasPrefix(s.Expect.Protocol, "rest-") || op == nil {
			continue
		}
		r, body := s.request(t)
		path, query, _ := strings.Cut(r.Target, "?")
		greedy := false
		for _, p := range op.Parsed {
			greedy = greedy || p.Greedy
			at := strings.Index(path+"/", "/"+p.Text+"/")
			if p.Label || p.Text == "" || at < 0 {
				continue
			}
			encoded := []int{at + 1}
			if greedy {
				encoded = append(encoded, at) // the slash, which such a label may hold
			}
			for _, at := range encoded {
				tried++
				r.Target = fmt.Sprintf("%s%%%02x%s?%s", path[:at], path[at], path[at+1:], query)
				if call, err := identify(id, r, body); err == nil {
					t.Errorf("%s:%s as %s is %s:%s", s.Expect.Service, s.Expect.Operation, r.Target, call.Service, call.Operation)
				}
			}
		}
	}
	if tried == 0 {
		t.Error("nothing was tried")
	}
	t.Logf("%d tried", tried)
}

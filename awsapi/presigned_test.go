package awsapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/refusal"
)

const presignedBy = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=dev%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00"

// A presigned URL is the request without what signs it; headers that the client put
// into the query are headers again.
func TestPresigned(t *testing.T) {
	id := identifier(t)
	call, err := identify(id, request("PUT", "b1b.s3.us-east-1.amazonaws.com", "/a%20b?x-id=PutObject&"+presignedBy+
		"&x-amz-acl=public-read&x-amz-meta-owner=me&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&X-Amz-Security-Token=secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := call.Canonical()
	if c.RawPath() != "/a%20b" || c.RawQuery() != "x-id=PutObject" || c.Payload() != awsapi.PayloadUnsigned {
		t.Errorf("%s?%s %v", c.RawPath(), c.RawQuery(), c.Payload())
	}
	h := c.Header()
	if h.Get("X-Amz-Acl") != "public-read" || h.Get("X-Amz-Meta-Owner") != "me" || len(h) != 2 {
		t.Errorf("headers %v", h)
	}
	if call.Params()["ACL"] != "public-read" {
		t.Errorf("parameters %v", call.Params())
	}
	for name, target := range map[string]string{
		"sts":    "/?Action=GetCallerIdentity&Version=2011-06-15&" + strings.ReplaceAll(presignedBy, "s3", "sts"),
		"lambda": "/2015-03-31/functions?MaxItems=3&" + strings.ReplaceAll(presignedBy, "s3", "lambda"),
	} {
		call, err := identify(id, request("GET", name+".us-east-1.amazonaws.com", target), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if q := call.Canonical().RawQuery(); strings.Contains(strings.ToLower(q), "x-amz-") || q == "" {
			t.Errorf("%s: the query goes on as %q", name, q)
		}
	}
}

func TestPresignedRefused(t *testing.T) {
	id := identifier(t)
	s3 := func(query string, header ...string) awsapi.Request {
		return request("PUT", "b1b.s3.us-east-1.amazonaws.com", "/k?"+query, header...)
	}
	for name, r := range map[string]awsapi.Request{
		"signed twice":               s3(presignedBy, "Authorization", auth("us-east-1", "s3")),
		"signature twice":            s3(presignedBy + "&X-Amz-Signature=11"),
		"signature twice, case":      s3(presignedBy + "&x-amz-signature=11"),
		"header in both":             s3(presignedBy+"&x-amz-acl=private", "X-Amz-Acl", "public-read"),
		"hash in both":               s3(presignedBy+"&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"),
		"header twice":               s3(presignedBy + "&x-amz-acl=private&X-Amz-Acl=public-read"),
		"line break in a header":     s3(presignedBy + "&x-amz-acl=private%0d%0ax"),
		"unknown header":             s3(presignedBy + "&x-amz-foo=1"),
		"another service":            s3(strings.ReplaceAll(presignedBy, "s3", "sts")),
		"another region":             s3(strings.ReplaceAll(presignedBy, "us-east-1", "eu-west-1")),
		"SigV4A scope for SigV4":     s3(strings.ReplaceAll(presignedBy, "us-east-1%2F", "")),
		"unknown x-amz, not S3":      request("GET", "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions?X-Amz-Foo=1&"+strings.ReplaceAll(presignedBy, "s3", "lambda")),
		"session token, not presign": request("GET", "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions?X-Amz-Security-Token=1", "Authorization", auth("us-east-1", "lambda")),
	} {
		if call, err := identify(id, r, nil); err == nil {
			t.Errorf("%s: accepted as %s", name, call.Canonical().RawQuery())
		} else if refusal.Of(err).Reason != refusal.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The target's name is where clients put the access key id.
func TestAccessKeyID(t *testing.T) {
	const v4 = "AWS4-HMAC-SHA256 Credential="
	for _, c := range []struct {
		authorization []string
		target, want  string
	}{
		{[]string{v4 + "dev/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"}, "/", "dev"},
		{[]string{"AWS dev:c2ln"}, "/", "dev"},
		{nil, "/k?" + presignedBy, "dev"},
		{nil, "/k?AWSAccessKeyId=dev&Signature=x&Expires=1", "dev"},
		{nil, "/k?" + presignedBy + "&AWSAccessKeyId=prod", ""},
		{[]string{"Bearer x"}, "/k?" + presignedBy, ""},
		{[]string{v4 + "dev/b", v4 + "dev/b"}, "/", ""},
		{[]string{v4 + strings.Repeat("d", 129) + "/20260101/us-east-1/s3/aws4_request"}, "/", ""},
		{[]string{"Basic ZGV2Og=="}, "/", ""},
		{nil, "/", ""},
	} {
		if got := awsapi.AccessKeyID(http.Header{"Authorization": c.authorization}, c.target); got != c.want {
			t.Errorf("%q %s: %q, want %q", c.authorization, c.target, got, c.want)
		}
	}
}

package awsapi_test

import (
	"maps"
	"net/http"
	"reflect"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
)

// WithRange changes Range, where there is one, and nothing else.
func TestWithRange(t *testing.T) {
	call := func(h http.Header) awsapi.Canonical {
		h.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0")
		h.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		c, err := identify(identifier(t), awsapi.Request{Method: http.MethodGet, Host: "s3.us-east-1.amazonaws.com", Target: "/bucket/key?versionId=1", Header: h}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Canonical()
	}
	before := call(http.Header{"Range": {"bytes=5-6"}, "If-Match": {"e"}, "X-Amz-Request-Payer": {"requester"}})
	header := before.Header()
	after := before.WithRange("bytes=0-70000")
	want := maps.Clone(header)
	want["Range"] = []string{"bytes=0-70000"}
	if !reflect.DeepEqual(after.Header(), want) || !reflect.DeepEqual(before.Header(), header) {
		t.Errorf("%v became %v", before.Header(), after.Header())
	}
	if !reflect.DeepEqual(after.WithRange("bytes=5-6"), before) {
		t.Error("more than Range was changed")
	}
	none := call(http.Header{"If-Match": {"e"}})
	if !reflect.DeepEqual(none.WithRange("bytes=0-1").Header(), none.Header()) {
		t.Error("a Range was added")
	}
}

// WithoutPart takes partNumber=1 from a GET, and nothing else.
func TestWithoutPart(t *testing.T) {
	for _, c := range []struct{ method, query, want string }{
		{http.MethodGet, "partNumber=1", ""},
		{http.MethodGet, "versionId=3&partNumber=1", "versionId=3"},
		{http.MethodGet, "partNumber=2", "partNumber=2"},
		{http.MethodGet, "versionId=partNumber", "versionId=partNumber"},
		{http.MethodHead, "partNumber=1", "partNumber=1"},
	} {
		h := http.Header{
			"Authorization":        {"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"},
			"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"},
		}
		call, err := identify(identifier(t), awsapi.Request{Method: c.method, Host: "s3.us-east-1.amazonaws.com", Target: "/bucket/key?" + c.query, Header: h}, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := call.Canonical()
		after := before.WithoutPart()
		if after.RawQuery() != c.want || before.RawQuery() != c.query || after.RawPath() != before.RawPath() || !reflect.DeepEqual(after.Header(), before.Header()) {
			t.Errorf("%s %s became %q", c.method, c.query, after.RawQuery())
		}
	}
}

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

package awsapi_test

import (
	"net/http"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
)

// Older models have a slash behind Lambda's collections. It is taken there, and
// nowhere else.
func TestLambdaCollectionsWithASlash(t *testing.T) {
	id, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, host, target, operation string }{
		{"GET", "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions/", "ListFunctions"},
		{"GET", "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions", "ListFunctions"},
		{"GET", "lambda.us-east-1.amazonaws.com", "/2015-03-31/event-source-mappings/?MaxItems=3", "ListEventSourceMappings"},
		{"GET", "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions//", ""},
		{"GET", "lambda.us-east-1.amazonaws.com", "/2015-03-31/functions/f/", ""},
		{"GET", "eks.us-east-1.amazonaws.com", "/clusters/", ""},
	} {
		head, err := id.Head(awsapi.Request{Method: c.method, Host: c.host, Target: c.target, Header: http.Header{"Authorization": {
			"AWS4-HMAC-SHA256 Credential=dev/20260101/us-east-1/" + c.host[:len(c.host)-len(".us-east-1.amazonaws.com")] + "/aws4_request, SignedHeaders=host, Signature=x"}}, Account: "111122223333"})
		var call *awsapi.Call
		if err == nil {
			call, err = head.Call(nil)
		}
		switch {
		case c.operation == "" && err == nil:
			t.Errorf("%s %s is %s", c.method, c.target, call.Operation)
		case c.operation != "" && (err != nil || call.Operation != c.operation):
			t.Errorf("%s %s: %+v, %v", c.method, c.target, call, err)
		}
	}
}

package gateway_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
)

// Hosts below an AWS suffix that are not AWS's to sign belong to anybody: an API
// Gateway stage is a place to send data to.
func TestUnknownAWSHosts(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, host := range []string{
		"abc123.execute-api.us-east-1.amazonaws.com", "my-alb-1.us-east-1.elb.amazonaws.com", "amazonaws.com",
		"ec2-203-0-113-7.compute-1.amazonaws.com", "no-such-service.us-east-1.amazonaws.com",
	} {
		resp, nc, _ := r.connect(t, host+":443", basic(r.token()))
		_ = nc.Close()
		if resp.StatusCode == http.StatusForbidden {
			continue // not below a suffix at all
		}
		a := r.tunnel(t, host, r.token()).do(t, http.MethodPost, "/", "loot")
		refused(t, a, http.StatusForbidden, "unidentified")
		list := r.wantKinds(t, a.id(), event.KindRefused)
		if d := data[*event.Refused](t, list); d.Host != host || d.ErrorCode != "unidentified" || d.UserIdentity.Subject != "agent-1" || d.SessionID == "" {
			t.Errorf("%+v", d)
		}
	}
	r.nothingSent(t)
}

func TestOtherHosts(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, authority := range []string{
		"example.com:443", "amazonaws.com.evil.example:443", "evilamazonaws.com:443", s3Host + ":80", s3Host + ":8443",
		"169.254.169.254:80", "127.0.0.1:443", "localhost:443", "[::1]:443", s3Host + ".:443", "0x7f000001:443",
		// AWS's names, which it gives to anybody, and for which our CA cannot vouch.
		"abc.lambda-url.us-east-1.on.aws:443", "d111111abcdef8.cloudfront.net:443", "x.awsapprunner.com:443",
	} {
		resp, _, _ := r.connect(t, authority, basic(r.token()))
		if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusBadRequest {
			t.Errorf("CONNECT %s: %s", authority, resp.Status)
		}
	}
	r.nothingSent(t)
	// What an agent tried to reach is on record, with who it was.
	for _, e := range r.stored(t, "sallyport.events.none.>") {
		if d, ok := e.Data.(*event.Refused); ok && d.Host == "example.com" && d.Status == http.StatusForbidden && d.UserIdentity.Subject == "agent-1" {
			return
		}
	}
	t.Error("the refused CONNECT to example.com is not on record")
}

// What is allowed by "*" is still not everything: answers that are credentials
// need the rule to say so.
func TestCredentialsAreNotHandedOut(t *testing.T) {
	const everything = `rules:
  - {name: all, who: {groups: [ai-agents]}, targets: ["*"], actions: ["*"], effect: allow}
`
	r := newRig(t, rigOptions{policy: everything})
	token := r.token()
	role := "arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fagent-dev"
	for name, call := range map[string]func() answer{
		"sts:AssumeRole": func() answer {
			return r.tunnel(t, stsHost, token).form(t, "Action=AssumeRole&Version=2011-06-15&RoleSessionName=me-me&RoleArn="+role)
		},
		"sts:GetSessionToken": func() answer {
			return r.tunnel(t, stsHost, token).form(t, "Action=GetSessionToken&Version=2011-06-15")
		},
		"iam:CreateAccessKey": func() answer {
			return r.tunnel(t, "iam.amazonaws.com", token).do(t, http.MethodPost, "/", "Action=CreateAccessKey&Version=2010-05-08&UserName=bob",
				"Authorization: AWS4-HMAC-SHA256 Credential=dev/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature="+clientSignature,
				"Content-Type: application/x-www-form-urlencoded")
		},
		"ecr:GetAuthorizationToken": func() answer {
			c := r.tunnel(t, "api.ecr.us-east-1.amazonaws.com", token)
			return c.do(t, http.MethodPost, "/", "{}", append(jsonCall("AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"),
				"Authorization: AWS4-HMAC-SHA256 Credential=dev/20260101/us-east-1/ecr/aws4_request, SignedHeaders=host, Signature="+clientSignature)...)
		},
	} {
		a := call()
		refused(t, a, http.StatusForbidden, "denied")
		if !strings.Contains(string(a.body), "allow_credentials") {
			t.Errorf("%s: %s", name, a.body)
		}
		r.wantKinds(t, a.id(), event.KindRequest, event.KindDecision)
	}
	r.nothingSent(t)
	passed(t, r.tunnel(t, dynamoHost, token).getItem(t), http.StatusOK)
}

func TestPerimeter(t *testing.T) {
	const everything = `rules:
  - {name: all, who: {groups: [ai-agents]}, targets: ["*"], actions: ["*"], effect: allow}
`
	r := newRig(t, rigOptions{policy: everything, targets: `
  dev: {role_arn: "arn:aws:iam::111122223333:role/agent-dev", regions: [us-east-1], default: true}
  wide: {role_arn: "arn:aws:iam::111122223333:role/agent-wide", accounts: ["111122223333", "444455556666"]}
`})
	token := r.token()
	foreign := `{"TableName":"arn:aws:dynamodb:us-east-1:999988887777:table/Customers","Key":{"id":{"S":"c-1001"}}}`
	for name, call := range map[string]func() answer{
		"region": func() answer { return r.tunnel(t, "dynamodb.eu-west-1.amazonaws.com", token).getItem(t) },
		"account": func() answer {
			return r.tunnel(t, dynamoHost, token).do(t, http.MethodPost, "/", foreign, jsonCall("DynamoDB_20120810.GetItem")...)
		},
		"account of a wider target": func() answer {
			c := r.tunnel(t, dynamoHost, token)
			return c.do(t, http.MethodPost, "/", foreign, append(jsonCall("DynamoDB_20120810.GetItem"), c.signature("wide"))...)
		},
		"partition": func() answer {
			c := r.tunnel(t, "dynamodb.cn-north-1.amazonaws.com.cn", token)
			return c.do(t, http.MethodPost, "/", getItem, append(jsonCall("DynamoDB_20120810.GetItem"),
				"Authorization: AWS4-HMAC-SHA256 Credential=wide/20260101/cn-north-1/dynamodb/aws4_request, SignedHeaders=host, Signature="+clientSignature)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := call()
			refused(t, a, http.StatusForbidden, "denied")
			if !strings.Contains(string(a.body), "target ") {
				t.Errorf("%s", a.body)
			}
			d := data[*event.Refused](t, r.wantKinds(t, a.id(), event.KindRefused))
			if d.EventName != "GetItem" || d.Target == "" {
				t.Errorf("%+v", d)
			}
		})
	}
	r.nothingSent(t)
}

func TestUnknownOperationsAndMalformedRequests(t *testing.T) {
	r := newRig(t, rigOptions{})
	token := r.token()
	long := strings.Repeat("x", 1<<20)
	for _, test := range []struct {
		name   string
		call   func() answer
		status int
		reason string
	}{
		{"unknown operation", func() answer {
			return r.tunnel(t, dynamoHost, token).do(t, "POST", "/", "{}", jsonCall("DynamoDB_20120810.DropEverything")...)
		}, 403, "unidentified"},
		{"another service's target", func() answer {
			return r.tunnel(t, dynamoHost, token).do(t, "POST", "/", "{}", jsonCall("secretsmanager.GetSecretValue")...)
		}, 403, "unidentified"},
		{"unknown action", func() answer {
			return r.tunnel(t, ec2Host, token).form(t, "Action=DropEverything&Version=2016-11-15")
		}, 403, "unidentified"},
		{"two keys of one name", func() answer {
			return r.tunnel(t, dynamoHost, token).do(t, "POST", "/", `{"TableName":"Customers","TableName":"Other","Key":{"id":{"S":"c"}}}`, jsonCall("DynamoDB_20120810.GetItem")...)
		}, 400, "malformed"},
		{"not JSON", func() answer {
			return r.tunnel(t, dynamoHost, token).do(t, "POST", "/", `{"TableName":`, jsonCall("DynamoDB_20120810.GetItem")...)
		}, 400, "malformed"},
		{"two actions", func() answer {
			return r.tunnel(t, ec2Host, token).form(t, "Action=DescribeInstances&Action=TerminateInstances&Version=2016-11-15")
		}, 400, "malformed"},
		{"a declared body over the limit", func() answer {
			c := r.tunnel(t, dynamoHost, token)
			head := fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: %d\r\n%s\r\n", dynamoHost, c.signature("dev"), awsapi.MaxBody+1,
				lines(jsonCall("DynamoDB_20120810.GetItem")))
			return c.raw(t, "POST", head)
		}, 400, "malformed"},
		{"an announced body over the limit", func() answer {
			c := r.tunnel(t, dynamoHost, token)
			return c.raw(t, "POST", fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\n%s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n%s\r\n", dynamoHost, c.signature("dev"),
				awsapi.MaxBody+1, lines(jsonCall("DynamoDB_20120810.GetItem"))))
		}, 400, "malformed"},
		{"a chunked body over the limit", func() answer {
			c := r.tunnel(t, dynamoHost, token)
			go func() { // until the gateway has had enough
				head := fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\n%s\r\nTransfer-Encoding: chunked\r\n%s\r\n", dynamoHost, c.signature("dev"),
					lines(jsonCall("DynamoDB_20120810.GetItem")))
				_, err := fmt.Fprint(c, head)
				for i := 0; err == nil && i < awsapi.MaxBody>>20+1; i++ {
					_, err = fmt.Fprintf(c, "%x\r\n%s\r\n", len(long), long)
				}
			}()
			return c.read(t, "POST")
		}, 400, "malformed"},
		{"a body that is badly chunked", func() answer {
			c := r.tunnel(t, dynamoHost, token)
			return c.raw(t, "POST", fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\n%s\r\nTransfer-Encoding: chunked\r\n%s\r\nzz\r\n{}\r\n0\r\n\r\n", dynamoHost, c.signature("dev"),
				lines(jsonCall("DynamoDB_20120810.GetItem"))))
		}, 400, "malformed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := test.call()
			refused(t, a, test.status, test.reason)
			r.wantKinds(t, a.id(), event.KindRefused)
			r.nothingSent(t)
		})
	}
}

// The host that was pinned by CONNECT is the only one.
func TestHostMismatch(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, request := range []string{
		"GET /acme-dev-reports/2026/q3.csv HTTP/1.1\r\nHost: s3.eu-west-1.amazonaws.com\r\n\r\n",
		"GET /acme-dev-reports/2026/q3.csv HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"GET https://evil.example/x HTTP/1.1\r\nHost: " + s3Host + "\r\n\r\n",
		"GET foo:@evil.example/x HTTP/1.1\r\nHost: " + s3Host + "\r\n\r\n",
		"GET /acme-dev-reports/2026/q3.csv HTTP/1.1\r\n\r\n",
		"GET /acme-dev-reports/2026/q3.csv HTTP/1.1\r\nHost: " + s3Host + "\r\nHost: evil.example\r\n\r\n",
		"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
	} {
		c := r.tunnel(t, s3Host, r.token())
		a := c.raw(t, http.MethodGet, request)
		if a.StatusCode < 400 || a.StatusCode >= 500 {
			t.Errorf("%q got %d", request, a.StatusCode)
		}
	}
	// net/http answers this one by itself; it must not reach a handler without a path.
	r.tunnel(t, s3Host, r.token()).raw(t, http.MethodOptions, "OPTIONS * HTTP/1.1\r\nHost: "+s3Host+"\r\n\r\n")
	r.nothingSent(t)
}

// Each protocol's own error shape: an SDK raises its ordinary exception.
func TestShapes(t *testing.T) {
	r := newRig(t, rigOptions{})
	token := r.token()
	cfg := r.sdk(r.tokenOf("x", "humans"), "dev")
	_, err := dynamodb.NewFromConfig(cfg).GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("Customers"), Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "c-1001"}}})
	wantAPIError(t, err, "AccessDeniedException", "no rule")
	_, err = s3.NewFromConfig(cfg).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("acme-dev-reports"), Key: aws.String("a")})
	wantAPIError(t, err, "AccessDenied", "no rule")
	_, err = s3.NewFromConfig(r.sdk("garbage", "dev")).ListBuckets(t.Context(), &s3.ListBucketsInput{})
	wantAPIError(t, err, "", "sallyport: ")

	for name, test := range map[string]struct {
		a    answer
		path []string
	}{
		"s3": {r.tunnel(t, s3Host, token).do(t, "DELETE", "/acme-dev-reports", ""), []string{"Error", "Code"}},
		"query": {r.tunnel(t, "sqs.us-east-1.amazonaws.com", token).form(t,
			"Action=DeleteQueue&Version=2012-11-05&QueueUrl=https%3A%2F%2Fsqs.us-east-1.amazonaws.com%2F111122223333%2Fq"), []string{"ErrorResponse", "Error", "Code"}},
		"ec2": {r.tunnel(t, ec2Host, token).form(t, "Action=TerminateInstances&Version=2016-11-15&InstanceId.1=i-0abc1234567890def"), []string{"Response", "Errors", "Error", "Code"}},
	} {
		refused(t, test.a, http.StatusForbidden, "denied")
		if got := xmlPath(t, test.a.body); !strings.HasPrefix(got, strings.Join(test.path, "/")) && !strings.Contains(got, " "+strings.Join(test.path, "/")) {
			t.Errorf("%s: %s in %s", name, got, test.a.body)
		}
	}
	a := r.tunnel(t, lambdaHost, token).do(t, "DELETE", "/2015-03-31/functions/f", "")
	refused(t, a, http.StatusForbidden, "denied")
	var doc map[string]any
	if err := json.Unmarshal(a.body, &doc); err != nil || a.Header.Get("X-Amzn-Errortype") == "" {
		t.Errorf("rest-json: %s %v", a.body, a.Header)
	}
	a = r.tunnel(t, s3Host, r.tokenOf("x", "humans")).do(t, "HEAD", "/acme-dev-reports/2026/q3.csv", "")
	refused(t, a, http.StatusForbidden, "denied")
	if len(a.body) != 0 {
		t.Errorf("an answer to HEAD has the body %q", a.body)
	}
	r.nothingSent(t)
}

func wantAPIError(t *testing.T, err error, code, text string) {
	t.Helper()
	api, ok := errorAs[smithy.APIError](err)
	if !ok || (code != "" && api.ErrorCode() != code) || !strings.HasPrefix(api.ErrorMessage(), "sallyport: ") || !strings.Contains(api.ErrorMessage(), text) {
		t.Errorf("%v, want %s %q", err, code, text)
	}
}

// xmlPath is the paths of all elements of a document.
func xmlPath(t *testing.T, doc []byte) string {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(string(doc)))
	var stack, out []string
	for {
		token, err := dec.Token()
		if err != nil {
			if len(stack) > 0 || len(out) == 0 {
				t.Errorf("not XML: %v: %s", err, doc)
			}
			return strings.Join(out, " ")
		}
		switch e := token.(type) {
		case xml.StartElement:
			stack = append(stack, e.Name.Local)
			out = append(out, strings.Join(stack, "/"))
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		}
	}
}

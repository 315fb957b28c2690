package refusal

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const requestID = "01JCZX3V7K8QW5N2R4T6Y8B0CD"

var shapes = map[string]Shape{
	"query":      {Protocol: "query", XMLNamespace: "https://sts.amazonaws.com/doc/2011-06-15/"},
	"ec2":        {Protocol: "ec2"},
	"s3":         {Protocol: "rest-xml", S3: true},
	"rest-xml":   {Protocol: "rest-xml", XMLNamespace: "https://route53.amazonaws.com/doc/2013-04-01/"},
	"json 1.0":   {Protocol: "json", JSONVersion: "1.0", Namespace: "com.amazonaws.dynamodb.v20120810"},
	"json 1.1":   {Protocol: "json", JSONVersion: "1.1"},
	"json query": {Protocol: "json", JSONVersion: "1.0", QueryCompatible: true},
	"rest-json":  {Protocol: "rest-json"},
	"cbor":       {Protocol: "smithy-rpc-v2-cbor", Namespace: "com.amazonaws.cloudwatch"},
	"unknown":    {},
}

var messages = map[string]string{
	"plain":   "ec2:TerminateInstances on arn:aws:ec2:eu-west-1:111122223333:instance/i-0abc is denied by rule protect-prod",
	"markup":  `</Message></Error><x a="]]>&lt;` + "`'\\\"\\u0041",
	"unicode": "schlüssel \u2028 \U0001f511 \u202egnp.exe",
	"control": "a\x00b\x1b[31mred\r\nX-Evil: 1\x7f\u0085",
	"broken":  "ok \xff\xfe \xed\xa0\x80 \uffff end",
	"empty":   "",
	"long":    strings.Repeat("é", 5000),
}

var wantStatus = map[Reason]int{
	Denied: 403, Pending: 403, Unidentified: 403, Identity: 403, Credentials: 403,
	Malformed: 400, Unavailable: 503, Masking: 502, "": 503, "made up": 503,
}

// TestBotocoreReadsEveryRefusal feeds each rendered answer to botocore's own
// parsers: what the AWS CLI and boto3 would raise and print.
func TestBotocoreReadsEveryRefusal(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "python3", "-c", "import botocore.parsers").Run(); err != nil {
		t.Skip("python3 with botocore is not installed here; it is the referee of this test")
	}
	type answer struct {
		Protocol string            `json:"protocol"`
		Status   int               `json:"status"`
		Headers  map[string]string `json:"headers"`
		Body     []byte            `json:"body"`
	}
	type expectation struct{ name, code, message string }
	var answers []answer
	var want []expectation
	for sn, s := range shapes {
		for mn, m := range messages {
			for r := range wantStatus {
				status, h, body := Render(s, New(r, "%s", m), requestID)
				p := s.Protocol
				if p == "" {
					p = "rest-json"
				}
				flat := map[string]string{}
				for k := range h {
					flat[k] = h.Get(k)
				}
				answers = append(answers, answer{p, status, flat, body})
				c := code(s.family(), r)
				if s.QueryCompatible {
					c = queryCode(r)
				}
				want = append(want, expectation{fmt.Sprintf("%s/%s/%s", sn, mn, r), c, sentence(m, requestID)})
			}
		}
	}
	in, err := json.Marshal(answers)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/parse.py")
	cmd.Stdin = bytes.NewReader(in)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("botocore could not parse: %v\n%s", err, stderr.String())
	}
	var got []struct{ Code, Message string }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d answers parsed, want %d", len(got), len(want))
	}
	for i, w := range want {
		if got[i].Code != w.code || got[i].Message != w.message {
			t.Errorf("%s: botocore read %q %q\nwant %q %q", w.name, got[i].Code, got[i].Message, w.code, w.message)
		}
	}
}

func TestHeaders(t *testing.T) {
	for sn, s := range shapes {
		for r, wantS := range wantStatus {
			status, h, body := Render(s, New(r, "no"), requestID)
			if status != wantS {
				t.Errorf("%s %q: status %d, want %d", sn, r, status, wantS)
			}
			reason := string(r)
			if r == "" || r == "made up" {
				reason = "unavailable"
			}
			if g := h.Get("x-sallyport-reason"); g != reason {
				t.Errorf("%s: reason %q, want %q", sn, g, reason)
			}
			if g := h.Get("x-sallyport-request-id"); g != requestID {
				t.Errorf("%s: request id %q", sn, g)
			}
			if g := h.Get("Content-Length"); g != strconv.Itoa(len(body)) || len(body) == 0 {
				t.Errorf("%s: Content-Length %q for %d bytes", sn, g, len(body))
			}
			id := "x-amzn-requestid"
			if s.S3 {
				id = "x-amz-request-id"
			}
			if h.Get(id) != requestID {
				t.Errorf("%s: no %s", sn, id)
			}
		}
	}
}

// A code on an SDK's retry list would turn one refusal into three to five
// requests and a generic message.
func TestNoRetryableCodes(t *testing.T) {
	for f := unknownFamily; f <= cborFamily; f++ {
		for r := range wantStatus {
			c := code(f, r)
			if status(r) >= 500 {
				continue
			}
			for _, bad := range []string{"Throttl", "SlowDown", "RequestTimeout", "TimeTooSkewed", "Expired", "LimitExceeded", "TooMany", "BandwidthLimit", "PriorRequestNotComplete", "Unavailable", "Internal"} {
				if strings.Contains(c, bad) {
					t.Errorf("%s is retried by SDKs", c)
				}
			}
		}
	}
}

func TestHeadHasNoBody(t *testing.T) {
	status, h, body := Render(Shape{Protocol: "rest-xml", S3: true, Head: true}, New(Denied, "no"), requestID)
	if status != 403 || body != nil || h.Get("Content-Length") != "" || h.Get("Content-Type") != "" {
		t.Errorf("HEAD answer: %d %v %q", status, h, body)
	}
}

func TestNilAndCauseAreNotShown(t *testing.T) {
	if status, _, body := Render(Shape{}, nil, ""); status != 503 || !json.Valid(body) {
		t.Errorf("nil error: %d %s", status, body)
	}
	e := Wrap(Unavailable, errors.New("dial tcp 10.0.0.7: hunter2"), "STS is away")
	for sn, s := range shapes {
		_, h, body := Render(s, e, requestID)
		if strings.Contains(string(body)+fmt.Sprint(h), "hunter2") {
			t.Errorf("%s: the cause reached the agent", sn)
		}
	}
}

// FuzzRender: whatever the message and the shape's texts are, the body parses
// as its format and headers stay single printable lines.
func FuzzRender(f *testing.F) {
	for _, m := range messages {
		f.Add(m, requestID, "ns")
	}
	f.Add("]]>", "id\r\nSet-Cookie: a=b", `"><x xmlns="`)
	f.Fuzz(func(t *testing.T, message, id, ns string) {
		for sn, s := range shapes {
			s.Namespace, s.XMLNamespace = ns, clean(ns)
			_, h, body := Render(s, New(Denied, "%s", message), id)
			for k, vs := range h {
				for _, v := range vs {
					if strings.ContainsFunc(v, unicode.IsControl) {
						t.Fatalf("%s: control character in header %s: %q", sn, k, v)
					}
				}
			}
			ct := h.Get("Content-Type")
			switch {
			case strings.Contains(ct, "json"):
				var v struct{ Message string }
				if err := json.Unmarshal(body, &v); err != nil || !strings.HasPrefix(v.Message, "sallyport: ") {
					t.Fatalf("%s: %v %s", sn, err, body)
				}
			case strings.Contains(ct, "xml"):
				d := xml.NewDecoder(bytes.NewReader(body))
				n := 0
				for {
					tok, err := d.Token()
					if err != nil {
						if err.Error() != "EOF" {
							t.Fatalf("%s: %v %s", sn, err, body)
						}
						break
					}
					if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "Message" {
						n++
					}
				}
				if n != 1 {
					t.Fatalf("%s: %d Message elements in %s", sn, n, body)
				}
			}
		}
	})
}

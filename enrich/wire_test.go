package enrich

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
)

const account = "111122223333"

// sample is a request of botocore's and its answer, see testdata/README.md.
type sample struct {
	Service, Operation string
	ARNs               []string
	Method, URL, Body  string
	Header             map[string]string
	Status             int
	AnswerHeader       map[string]string
	Answer             string
}

func samples(t testing.TB) []sample {
	t.Helper()
	f, err := os.Open("testdata/wire.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []sample
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var s sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if len(out) < len(table) {
		t.Fatalf("%d samples for %d rows", len(out), len(table))
	}
	return out
}

func identifier(t testing.TB) *awsapi.Identifier {
	t.Helper()
	ids, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// on is some call on resources; those with a `?` are known in part.
func on(arns ...string) *awsapi.Call {
	c := &awsapi.Call{Partition: "aws", Region: "us-east-1", Actions: []awsapi.Action{{Name: "x:Y"}}}
	for _, a := range arns {
		c.Actions[0].Resources = append(c.Actions[0].Resources, awsapi.Resource{ARN: a, Partial: strings.ContainsAny(a, "?*")})
	}
	return c
}

// What is sent is what botocore sends, and what botocore reads of an answer is what
// approvers are shown.
func TestWire(t *testing.T) {
	ids := identifier(t)
	rows := map[string]bool{}
	for _, s := range samples(t) {
		t.Run(s.Operation+" "+s.ARNs[0], func(t *testing.T) {
			reads, unread := Reads(ids, on(s.ARNs...), account)
			if len(reads) != 1 || unread != 0 {
				t.Fatalf("%d reads, %d unread", len(reads), unread)
			}
			r := reads[0]
			rows[r.row.service+r.row.operation+r.row.prefix] = true
			c := r.Call.Canonical()
			want, err := url.Parse(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			if c.Method() != s.Method || c.Host() != want.Host || c.RawPath() != want.EscapedPath() || c.RawQuery() != want.RawQuery {
				t.Errorf("%s %s%s?%s, botocore has %s %s", c.Method(), c.Host(), c.RawPath(), c.RawQuery(), s.Method, s.URL)
			}
			for name, v := range s.Header {
				if !strings.EqualFold(c.Header().Get(name), v) {
					t.Errorf("%s: %s, botocore has %s", name, c.Header().Get(name), v)
				}
			}
			if !sameBody(t, string(c.Body()), s.Body) {
				t.Errorf("body %s, botocore has %s", c.Body(), s.Body)
			}
			header := http.Header{}
			for name, v := range s.AnswerHeader {
				header.Set(name, v)
			}
			got, err := r.Answer(s.Status, header, []byte(s.Answer))
			if err != nil || len(got) != len(s.ARNs) {
				t.Fatalf("%v %v", got, err)
			}
			first := event.Described{ARN: s.ARNs[0], Name: "web-1", Tags: []event.Tag{{Key: "env", Value: "prod"}, {Key: "team", Value: "pay<&>\"'ments é\U0001f511"}}}
			if !reflect.DeepEqual(got[0], first) {
				t.Errorf("%+v", got[0])
			}
			if len(got) > 1 && !reflect.DeepEqual(got[1], event.Described{ARN: s.ARNs[1], Name: "db-1"}) {
				t.Errorf("%+v", got[1])
			}
		})
	}
	for _, r := range table {
		if !rows[r.service+r.operation+r.prefix] {
			t.Errorf("no sample is of %s", r.operation)
		}
	}
}

func sameBody(t *testing.T, got, want string) bool {
	t.Helper()
	if strings.HasPrefix(want, "{") {
		var a, b any
		return json.Unmarshal([]byte(got), &a) == nil && json.Unmarshal([]byte(want), &b) == nil && reflect.DeepEqual(a, b)
	}
	a, err := url.ParseQuery(got)
	b, err2 := url.ParseQuery(want)
	return err == nil && err2 == nil && reflect.DeepEqual(a, b)
}

// Untagged is told from unknown.
func TestAnswersWithoutTags(t *testing.T) {
	ids := identifier(t)
	for _, s := range samples(t) {
		reads, _ := Reads(ids, on(s.ARNs...), account)
		r := reads[0]
		root, none := s.Operation+"Response", "{}"
		if s.Service == "s3" {
			root = "Tagging"
		}
		if strings.HasPrefix(s.Answer, "<") {
			none = "<" + root + "/>"
		}
		if got, err := r.Answer(200, nil, []byte(none)); err != nil || len(got) != len(s.ARNs) || got[0].Name != "" || got[0].Tags != nil {
			t.Errorf("%s %s: %v %v", s.Operation, none, got, err)
		}
		for _, bad := range []string{"", "null", "[]", `"x"`, "<html><body>It works</body></html>", "{", "<" + root, `{"Tags":7}`, `{"Tags":"x"}`, strings.Repeat(" ", MaxAnswer) + none, "\x00\xff"} {
			if got, err := r.Answer(200, nil, []byte(bad)); err == nil {
				t.Errorf("%s: %.40q is read as %v", s.Operation, bad, got)
			}
		}
		for _, status := range []int{201, 204, 301, 400, 403, 404, 500} {
			if _, err := r.Answer(status, nil, []byte(s.Answer)); err == nil {
				t.Errorf("%s: an answer of status %d counts", s.Operation, status)
			}
		}
	}
	reads, _ := Reads(ids, on("arn:aws:s3:::acme"), account)
	const noTags = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchTagSet</Code><Message>The TagSet does not exist</Message><BucketName>acme</BucketName></Error>`
	if got, err := reads[0].Answer(404, nil, []byte(noTags)); err != nil || len(got) != 1 || got[0].Tags != nil {
		t.Errorf("a bucket without tags: %v %v", got, err)
	}
}

func TestErrorCode(t *testing.T) {
	for body, want := range map[string]string{
		`<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized</Message></Error></Errors><RequestID>x</RequestID></Response>`:            "UnauthorizedOperation",
		`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User</Message></Error></ErrorResponse>`: "AccessDenied",
		`{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"User"}`:                                                                                        "AccessDeniedException",
		`{"__type":"AccessDeniedException\u001b[31m"}`:          "",
		`<Error><Code>Access Denied, says alice</Code></Error>`: "",
		`<Error><Code><b>x</b></Code></Error>`:                  "",
		"":                                                      "", "<": "", "{": "",
	} {
		if got := ErrorCode(nil, []byte(body)); got != want {
			t.Errorf("%s: %q", body, got)
		}
	}
	if got := ErrorCode(http.Header{"X-Amzn-Errortype": {"ResourceNotFoundException:http://internal.amazon.com/coral/x/"}}, nil); got != "ResourceNotFoundException" {
		t.Error(got)
	}
}

// Whatever the answer: no panic, no more than was asked about, in bounds that can be
// cut to what an approval holds.
func FuzzAnswer(f *testing.F) {
	for i, s := range samples(f) {
		f.Add(uint8(i), 200, []byte(s.Answer))
	}
	f.Add(uint8(1), 404, []byte("<Error><Code>NoSuchTagSet</Code></Error>"))
	ids := identifier(f)
	var reads []Read
	for _, s := range samples(f) {
		r, _ := Reads(ids, on(s.ARNs...), account)
		reads = append(reads, r...)
	}
	f.Fuzz(func(t *testing.T, n uint8, status int, body []byte) {
		r := reads[int(n)%len(reads)]
		got, err := r.Answer(status, http.Header{}, body)
		if err != nil {
			return
		}
		if len(got) != len(r.subjects) {
			t.Fatalf("%d resources, %d were asked about", len(got), len(r.subjects))
		}
		for i, d := range got {
			if d.ARN != r.subjects[i].text || !slices.IsSortedFunc(d.Tags, func(a, b event.Tag) int { return strings.Compare(a.Key, b.Key) }) {
				t.Errorf("%+v", d)
			}
		}
		ErrorCode(http.Header{}, body)
	})
}

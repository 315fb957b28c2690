package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/awstest"
)

// Whatever goes wrong with a read, people are asked all the same, in time, and are told
// what is not known. The agent sees nothing of it.
func TestEnrichmentFails(t *testing.T) {
	for name, test := range map[string]struct {
		faults awstest.Faults
		note   string
	}{
		"STS is down":       {awstest.Faults{STSDown: true}, "no credential from STS"},
		"STS denies":        {awstest.Faults{STSDenied: true}, "no credential from STS"},
		"another account's": {awstest.Faults{WrongAccount: true}, "no credential from STS"},
		"broken off":        {awstest.Faults{Before: func(x *awstest.Received) { panicUnlessSTS(x) }}, "AWS could not be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, pending := asking(t, enrichPolicy)
			r.aws.SetFaults(test.faults)
			a, p := r.askTerminate(t, pending, web1)
			if len(p.Enrichment.Resources) != 0 || !slices.Equal(p.Enrichment.Notes, []string{"ec2:DescribeTags: " + test.note}) {
				t.Errorf("%+v", p.Enrichment)
			}
			if strings.Contains(string(a.body), "DescribeTags") {
				t.Errorf("the agent learns of it: %s", a.body)
			}
			r.aws.SetFaults(awstest.Faults{})
		})
	}
}

func panicUnlessSTS(x *awstest.Received) {
	if !strings.HasPrefix(x.Host, "sts.") {
		panic(http.ErrAbortHandler)
	}
}

// Answers that AWS would not give, or that hold what should deceive.
func TestEnrichmentOfAnswers(t *testing.T) {
	tag := func(key, value string) string {
		return "<item><key>" + key + "</key><value>" + value + "</value><resourceId>" + web1 + "</resourceId></item>"
	}
	xml := func(items string) string {
		return whole("200 OK", "text/xml", `<DescribeTagsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><tagSet>`+items+"</tagSet></DescribeTagsResponse>")
	}
	var many strings.Builder
	for i := range 60 {
		many.WriteString(tag(fmt.Sprintf("k%02d", i), strings.Repeat("v", 400)))
	}
	for name, test := range map[string]struct {
		answer string
		check  func(e *event.Enrichment) bool
	}{
		"denied": {whole("403 Forbidden", "text/xml", "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>secret of arn:aws:sts::1:x</Message></Error></Errors></Response>"),
			func(e *event.Enrichment) bool { return e.Notes[0] == "ec2:DescribeTags: UnauthorizedOperation" }},
		"throttled": {whole("503 Service Unavailable", "text/xml", "<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>"),
			func(e *event.Enrichment) bool { return e.Notes[0] == "ec2:DescribeTags: RequestLimitExceeded" }},
		"an error that is none": {whole("500 Internal Server Error", "text/html", "<html>\x1b[2J approved by alice"),
			func(e *event.Enrichment) bool { return e.Notes[0] == "ec2:DescribeTags: status 500" }},
		"redirected": {"HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n",
			func(e *event.Enrichment) bool { return e.Notes[0] == "ec2:DescribeTags: status 302" }},
		"garbage": {whole("200 OK", "text/xml", "\x00\xff<<<"), func(e *event.Enrichment) bool {
			return strings.HasPrefix(e.Notes[0], "ec2:DescribeTags: an answer that")
		}},
		"no HTTP": {"garbage", func(e *event.Enrichment) bool { return e.Notes[0] == "ec2:DescribeTags: AWS could not be reached" }},
		"another page": {whole("200 OK", "text/xml", "<html><body/></html>"), func(e *event.Enrichment) bool {
			return e.Notes[0] == "ec2:DescribeTags: an answer that is not understood"
		}},
		"a megabyte": {xml(tag("Name", strings.Repeat("x", 1<<20))), func(e *event.Enrichment) bool { return e.Notes[0] == "ec2:DescribeTags: an answer that cannot be read" }},
		"nothing": {xml(""), func(e *event.Enrichment) bool {
			return len(e.Notes) == 0 && e.Resources[0].Name == "" && e.Resources[0].Tags == nil
		}},
		"of others too": {xml(tag("Name", "web-1") + strings.ReplaceAll(tag("Name", "other"), web1, "i-0fff")), func(e *event.Enrichment) bool { return len(e.Resources) == 1 && e.Resources[0].Name == "web-1" }},
		"hostile":       {xml(tag("Name", "&#27;&#10;\"x\u202e&lt;b&gt;") + tag("a", "\u009b31m")), func(e *event.Enrichment) bool { return len(e.Resources) == 1 || len(e.Notes) == 1 }},
		"very many": {xml(many.String()), func(e *event.Enrichment) bool {
			d := e.Resources[0]
			return len(d.Tags) == event.MaxTags && d.TagsOmitted == 40 && len([]rune(d.Tags[0].Value)) == event.MaxTagText
		}},
		"a key": {xml(tag("Name", "web-1") + tag("deploy-key", "AKIAIOSFODNN7EXAMPLQ")), func(e *event.Enrichment) bool {
			return len(e.Resources[0].Tags) == 1 && !strings.Contains(fmt.Sprint(e), "AKIAIOSFODNN7EXAMPLQ")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := newScripted(t, rigOptions{policy: enrichPolicy, approvals: "hold: 1ms"}, say(test.answer, false))
			pending := newApprover(t, r).messages("pending")
			a, p := r.askTerminate(t, pending, web1)
			if p.Enrichment == nil || !test.check(p.Enrichment) || len(p.Enrichment.Resources) > 0 == (len(p.Enrichment.Notes) > 0) {
				t.Fatalf("%+v", p.Enrichment)
			}
			for _, word := range []string{"DescribeTags", "alice", "web-1", "UnauthorizedOperation"} {
				if strings.Contains(string(a.body), word) {
					t.Errorf("the agent learns of it: %s", a.body)
				}
			}
			lines := strings.Join(approvals.Summarize(requestOf(t, p)).Lines(100), "\n")
			if strings.ContainsAny(lines, "\x1b\u009b\u202e") {
				t.Errorf("a terminal would obey: %q", lines)
			}
		})
	}
}

// requestOf is what a pending event is to approvers.
func requestOf(t *testing.T, p *event.ApprovalPending) approvals.Request {
	t.Helper()
	text, err := json.Marshal(p)
	must(t, err)
	var r approvals.Request
	must(t, json.Unmarshal(text, &r))
	return r
}

// What is late is not waited for, and comes to nothing: the agent waits two seconds
// and not as long as AWS likes.
func TestEnrichmentIsLate(t *testing.T) {
	for name, host := range map[string]string{"AWS": "ec2.", "STS": "sts."} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, pending := asking(t, enrichPolicy)
			gate := make(chan struct{})
			t.Cleanup(func() { close(gate) })
			r.aws.SetFaults(awstest.Faults{Before: func(x *awstest.Received) {
				if strings.HasPrefix(x.Host, host) {
					<-gate
				}
			}})
			_, p := r.askTerminate(t, pending, web1)
			if !slices.Equal(p.Enrichment.Notes, []string{"ec2:DescribeTags: no answer in time"}) {
				t.Errorf("%+v", p.Enrichment)
			}
		})
	}
}

// A read stays within the target as any call does: here its region.
func TestEnrichmentOutsideOfTheTarget(t *testing.T) {
	r, pending := asking(t, enrichPolicy)
	_, p := r.ask(t, pending, lambdaHost, http.MethodDelete, "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A111122223333%3Afunction%3Aimport", "")
	if !slices.Equal(p.Enrichment.Notes, []string{"lambda:ListTags: outside of the target"}) {
		t.Errorf("%+v", p.Enrichment)
	}
	r.nothingSent(t)
}

// An agent that asks for much at once has no more than a few read at once.
func TestEnrichmentsOfOneIdentity(t *testing.T) {
	r, pending := asking(t, enrichPolicy)
	gate := make(chan struct{})
	t.Cleanup(func() { close(gate) })
	var sts atomic.Int32
	r.aws.SetFaults(awstest.Faults{Before: func(*awstest.Received) {
		sts.Add(1)
		<-gate
	}})
	const calls = 8
	tunnels := make([]*tunnel, calls)
	for i := range tunnels {
		tunnels[i] = r.tunnel(t, ec2Host, r.token())
	}
	var all sync.WaitGroup
	for i, c := range tunnels {
		all.Go(func() {
			c.do(t, http.MethodPost, "/", terminate(fmt.Sprintf("i-0abc12345678900%02d", i)), formCall()...)
		})
	}
	all.Wait()
	for range calls { // people are asked about each all the same
		if p := pendingOf(t, pending()); len(p.Enrichment.Notes) != 1 {
			t.Errorf("%+v", p.Enrichment)
		}
	}
	if n := sts.Load(); n == calls {
		t.Errorf("%d reads of %d calls began", n, calls)
	}
}

// Of many resources the first are read, side by side.
func TestEnrichmentOfManyResources(t *testing.T) {
	r, pending := asking(t, strings.Replace(enrichPolicy, `"s3:DeleteObject"`, `"s3:*"`, 1))
	var ids []string
	for i := range 50 {
		ids = append(ids, fmt.Sprintf("i-0abc1234567%05x", i))
	}
	_, p := r.askTerminate(t, pending, ids...)
	if len(p.Enrichment.Resources) != event.MaxDescribed || p.Enrichment.Unread != 40 || len(p.Enrichment.Notes) != 0 || r.sent(t) != 1 {
		t.Errorf("%d resources, %d unread, %d reads", len(p.Enrichment.Resources), p.Enrichment.Unread, r.sent(t))
	}
	if form, _ := url.ParseQuery(string(r.aws.Requests()[1].Body)); len(form) != 3+event.MaxDescribed {
		t.Errorf("%v", form)
	}
}

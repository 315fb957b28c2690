package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// enrichPolicy asks for everything, and says that names and tags may be read.
const enrichPolicy = `rules:
  - name: asks
    who: {groups: [ai-agents]}
    targets: ["*"]
    actions: ["ec2:Terminate*", "s3:DeleteObject", "rds:Delete*", "lambda:DeleteFunction", "dynamodb:DeleteTable", "iam:Delete*"]
    effect: ask
    approvers: {groups: [sre]}
    enrich: true
risk: {ask_at: 101, deny_at: 101}
`

const (
	rdsHost = "rds.us-east-1.amazonaws.com"
	iamHost = "iam.amazonaws.com"
	web1    = "i-0abc1234567890def"
	web1ARN = "arn:aws:ec2:us-east-1:111122223333:instance/" + web1
)

func formCall() []string { return []string{"Content-Type: application/x-www-form-urlencoded"} }

func terminate(ids ...string) string {
	body := "Action=TerminateInstances&Version=2016-11-15"
	for i, id := range ids {
		body += fmt.Sprintf("&InstanceId.%d=%s", i+1, id)
	}
	return body
}

// asking is a rig in which every call of the agent's is told to come back at once.
func asking(t *testing.T, policy string) (*rig, func() event.Event) {
	t.Helper()
	r := newRig(t, rigOptions{policy: policy, approvals: "hold: 1ms, max_pending_per_identity: 10"})
	return r, newApprover(t, r).messages("pending")
}

// ask sends what asks, and gives what the agent got and what people were told.
func (r *rig) ask(t *testing.T, pending func() event.Event, host, method, target, body string, header ...string) (answer, *event.ApprovalPending) {
	t.Helper()
	a := r.tunnel(t, host, r.token()).do(t, method, target, body, header...)
	refused(t, a, http.StatusForbidden, "pending")
	return a, pendingOf(t, pending())
}

func (r *rig) askTerminate(t *testing.T, pending func() event.Event, ids ...string) (answer, *event.ApprovalPending) {
	t.Helper()
	return r.ask(t, pending, ec2Host, http.MethodPost, "/", terminate(ids...), formCall()...)
}

// Each service's own read, with its own format: signed, under a session policy for it
// alone, on record as what it is.
func TestEnrichment(t *testing.T) {
	t.Parallel()
	tags := map[string]string{"Name": "billing", "env": "prod", "team": "payments"}
	r, pending := asking(t, enrichPolicy)
	for _, test := range []struct {
		name, host, method, target, body string
		header                           []string
		arn                              string // of what is read
		action, on                       string
		sent                             string // method, host, target and body of the read
	}{
		{"ec2", ec2Host, http.MethodPost, "/", terminate(web1), formCall(), web1ARN, "ec2:DescribeTags", "*",
			"POST ec2.us-east-1.amazonaws.com/ Action=DescribeTags&Version=2016-11-15&Filter.1.Name=resource-id&Filter.1.Value.1=" + web1},
		{"s3", s3Host, http.MethodDelete, "/acme-dev-reports/2026/q3.csv", "", nil, "arn:aws:s3:::acme-dev-reports", "s3:GetBucketTagging", "arn:aws:s3:::acme-dev-reports",
			"GET s3.us-east-1.amazonaws.com/acme-dev-reports?tagging "},
		{"rds", rdsHost, http.MethodPost, "/", "Action=DeleteDBInstance&Version=2014-10-31&DBInstanceIdentifier=orders", formCall(),
			"arn:aws:rds:us-east-1:111122223333:db:orders", "rds:ListTagsForResource", "arn:aws:rds:us-east-1:111122223333:db:orders",
			"POST rds.us-east-1.amazonaws.com/ Action=ListTagsForResource&Version=2014-10-31&ResourceName=arn%3Aaws%3Ards%3Aus-east-1%3A111122223333%3Adb%3Aorders"},
		{"lambda", lambdaHost, http.MethodDelete, "/2015-03-31/functions/import", "", nil, "arn:aws:lambda:us-east-1:111122223333:function:import",
			"lambda:ListTags", "arn:aws:lambda:us-east-1:111122223333:function:import",
			"GET lambda.us-east-1.amazonaws.com/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A111122223333%3Afunction%3Aimport "},
		{"dynamodb", dynamoHost, http.MethodPost, "/", `{"TableName":"Customers"}`, jsonCall("DynamoDB_20120810.DeleteTable"),
			"arn:aws:dynamodb:us-east-1:111122223333:table/Customers", "dynamodb:ListTagsOfResource", "arn:aws:dynamodb:us-east-1:111122223333:table/Customers",
			`POST dynamodb.us-east-1.amazonaws.com/ {"ResourceArn":"arn:aws:dynamodb:us-east-1:111122223333:table/Customers"}`},
		{"iam", iamHost, http.MethodPost, "/", "Action=DeleteRole&Version=2010-05-08&RoleName=deploy",
			append(formCall(), "Authorization: AWS4-HMAC-SHA256 Credential=dev/20261126/us-east-1/iam/aws4_request, SignedHeaders=host, Signature="+clientSignature),
			"arn:aws:iam::111122223333:role/deploy", "iam:ListRoleTags", "arn:aws:iam::111122223333:role/deploy",
			"POST iam.amazonaws.com/ Action=ListRoleTags&Version=2010-05-08&RoleName=deploy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.aws.Forget()
			r.aws.SetTags(test.arn, tags)
			a, p := r.ask(t, pending, test.host, test.method, test.target, test.body, test.header...)
			want := &event.Enrichment{Resources: []event.Described{{ARN: test.arn, Name: "billing", Tags: []event.Tag{{Key: "env", Value: "prod"}, {Key: "team", Value: "payments"}}}}}
			if !reflect.DeepEqual(p.Enrichment, want) {
				t.Fatalf("%+v", p.Enrichment)
			}
			if strings.Contains(string(a.body), "billing") || strings.Contains(fmt.Sprint(a.Header), "billing") {
				t.Errorf("the agent sees what was read: %s", a.body)
			}
			sts, calls := r.upstream()
			if len(sts) != 1 || len(calls) != 1 {
				t.Fatalf("%d credentials for %d calls", len(sts), len(calls))
			}
			c := calls[0]
			if got := c.Method + " " + c.Host + c.Target + " " + string(c.Body); got != test.sent || c.KeyID == "" || c.Action != test.action || c.Status != 200 {
				t.Errorf("sent %s (%s, %d)\nwant %s (%s)", got, c.Action, c.Status, test.sent, test.action)
			}
			if c.Header.Get("User-Agent") != "sallyport-enrichment" {
				t.Errorf("user agent %q", c.Header.Get("User-Agent"))
			}
			k, _ := r.aws.Key(c.KeyID)
			var doc struct {
				Statement []struct {
					Effect           string
					Action, Resource []string
				}
			}
			must(t, json.Unmarshal([]byte(k.Policy), &doc))
			if s := doc.Statement[0]; s.Effect != "Allow" || !slices.Equal(s.Action, []string{test.action}) || !slices.Equal(s.Resource, []string{test.on}) || len(doc.Statement) > 1 && doc.Statement[1].Effect == "Allow" {
				t.Errorf("the credential of the read may do %s", k.Policy)
			}
			r.readOf(t, a.id(), p, test.action)
		})
	}
}

// readOf checks the record of the one read for an exchange.
func (r *rig) readOf(t *testing.T, id string, p *event.ApprovalPending, action string) []event.Event {
	t.Helper()
	var reads []event.Event
	for _, e := range r.stored(t, "sallyport.events."+p.SessionID+".>") {
		if e.Data.Head().Enriches == "" {
			continue
		}
		if e.Data.Head().Enriches == id {
			reads = append(reads, e)
		}
	}
	if got, want := kinds(reads), []event.Kind{event.KindRequest, event.KindDecision, event.KindCredential, event.KindResponse}; !slices.Equal(got, want) {
		t.Fatalf("on record are %v of the read, want %v", got, want)
	}
	for _, e := range reads {
		h := e.Data.Head()
		if h.RequestID == id || h.RequestID != reads[0].Data.Head().RequestID || h.SessionID != p.SessionID || h.UserIdentity.Subject != "agent-1" || h.SourceIPAddress != "" {
			t.Errorf("%+v", h)
		}
	}
	if d := data[*event.Decision](t, reads); d.Effect != "allow" || len(d.Rules) != 0 {
		t.Errorf("%+v", d)
	}
	if d := data[*event.Request](t, reads); !slices.Equal(d.Actions, []string{action}) {
		t.Errorf("%+v", d)
	}
	return reads
}

// In the words of who approves, and of who reads the record: end to end.
func TestHeadlineNamesWhatIsMeant(t *testing.T) {
	r := newRig(t, rigOptions{policy: enrichPolicy, approvals: "hold: 20s"})
	r.aws.SetTags(web1ARN, map[string]string{"env": "prod", "team": "payments"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	got := make(chan answer, 1)
	c := r.tunnel(t, ec2Host, r.token())
	go func() { got <- c.do(t, http.MethodPost, "/", terminate(web1), formCall()...) }()
	p := pendingOf(t, pending())
	want := `terminate instance "web-1" ("` + web1 + `"), tags "env=prod" "team=payments", in account 111122223333 (dev), us-east-1`
	if h := approvals.Summarize(requestOf(t, p)).Headline; h != want {
		t.Errorf("got  %s\nwant %s", h, want)
	}
	a.accepted(p, approvals.Allow)
	x := <-got
	passed(t, x, http.StatusOK)
	if strings.Contains(string(x.body), "web-1") {
		t.Errorf("the agent sees what was read: %s", x.body)
	}
	sts, calls := r.upstream()
	if len(sts) != 2 || len(calls) != 2 || calls[0].KeyID == calls[1].KeyID || calls[1].Action != "ec2:TerminateInstances" {
		t.Errorf("%d credentials for %d calls", len(sts), len(calls))
	}
	own := kinds(r.exchange(t, x.id())) // the outcome may be on record a moment after the decision
	if slices.Sort(own); !slices.Equal(own, []event.Kind{event.KindApprovalOutcome, event.KindApprovalPending, event.KindApprovalVote, event.KindBody, event.KindCredential, event.KindDecision, event.KindRequest, event.KindResponse}) {
		t.Errorf("the request has the events %v", own)
	}
	reads := r.readOf(t, x.id(), p, "ec2:DescribeTags")
	r.close()
	records := recorder.Records{Dir: filepath.Join(r.state, "records")}
	s, err := records.Read(p.SessionID)
	must(t, err)
	var story strings.Builder
	must(t, recorder.WriteStory(&story, s))
	for _, line := range []string{"the approvers of request " + x.id() + ": read by the gateway, the agent does not see it", web1ARN + ` is "web-1", env=prod, team=payments`} {
		if !strings.Contains(story.String(), line) {
			t.Errorf("the record does not tell %q:\n%s", line, story.String())
		}
	}
	var tail strings.Builder
	must(t, recorder.WriteLine(&tail, reads[0]))
	if !strings.Contains(tail.String(), "read for the approvers of request "+x.id()) {
		t.Error(tail.String())
	}
	list, _, err := records.List()
	must(t, err)
	if len(list) != 1 || list[0].Calls != 1 || list[0].Allowed != 1 {
		t.Errorf("a read is counted as the agent's: %+v", list)
	}
}

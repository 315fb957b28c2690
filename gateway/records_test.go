package gateway_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/recorder"
)

// The four events of a request that went through, with CloudTrail's names.
func TestEventsOfAnAllowedRequest(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := r.tunnel(t, dynamoHost, r.token())
	a := c.do(t, http.MethodPost, "/", getItem, append(jsonCall("DynamoDB_20120810.GetItem"), "User-Agent: Boto3/1.2")...)
	passed(t, a, http.StatusOK)
	list := r.wantKinds(t, a.id(), event.KindRequest, event.KindDecision, event.KindCredential, event.KindResponse)
	req := data[*event.Request](t, list)
	if req.EventSource != "dynamodb.amazonaws.com" || req.EventName != "GetItem" || req.AWSRegion != "us-east-1" || req.Target != "dev" ||
		req.RecipientAccountID != awstest.Account || req.UserIdentity.Subject != "agent-1" || req.UserIdentity.Label != label || req.UserAgent != "Boto3/1.2" ||
		req.UserIdentity.Issuer != r.idp.URL || req.SourceIPAddress != "127.0.0.1" || req.RequestParameters["TableName"] != "Customers" || req.AccessLevel != "Read" ||
		!slices.Equal(req.Actions, []string{"dynamodb:GetItem"}) || len(req.Resources) != 1 || req.Resources[0].ARN != "arn:aws:dynamodb:us-east-1:111122223333:table/Customers" {
		t.Errorf("%+v", req)
	}
	dec := data[*event.Decision](t, list)
	if dec.Effect != "allow" || !slices.Equal(dec.Rules, []string{"tables"}) || dec.PolicyVersion == "" || !slices.Equal(dec.Mask, []string{"Item.ssn.S"}) {
		t.Errorf("%+v", dec)
	}
	cred := data[*event.Credential](t, list)
	sts, calls := r.upstream()
	if len(sts) != 1 || len(calls) != 1 || cred.AccessKeyID != calls[0].KeyID || cred.RoleARN != awstest.RoleARN || !strings.Contains(cred.SessionPolicy, "DateLessThan") ||
		!strings.Contains(cred.RoleSessionName, "01") || cred.Expires.IsZero() {
		t.Errorf("%+v", cred)
	}
	resp := data[*event.Response](t, list)
	if resp.Status != 200 || resp.AWSRequestID != a.Header.Get("X-Amzn-Requestid") || resp.ResponseBody.Size != int64(len(a.body)) ||
		len(resp.Findings) != 1 || resp.Findings[0].Rule != "tables" || resp.Findings[0].Path != "Item.ssn.S" {
		t.Errorf("%+v", resp)
	}
	opened := data[*event.SessionOpened](t, []event.Event{r.session(t, req.SessionID, event.KindSessionOpened)})
	if opened.UserIdentity.Subject != "agent-1" || opened.TokenID == "" || opened.Expires.IsZero() {
		t.Errorf("%+v", opened)
	}
	for _, e := range list {
		if !strings.HasPrefix(e.Source, "sallyport/") || e.Data.Head().SessionID != req.SessionID {
			t.Errorf("%+v", e)
		}
	}
}

// A denial has its request and decision; AWS's own refusal has a response.
func TestEventsOfRefusals(t *testing.T) {
	r := newRig(t, rigOptions{})
	token := r.token()
	a := r.tunnel(t, s3Host, token).do(t, http.MethodDelete, "/acme-dev-reports", "")
	refused(t, a, http.StatusForbidden, "denied")
	d := data[*event.Decision](t, r.wantKinds(t, a.id(), event.KindRequest, event.KindDecision))
	if d.Effect != "deny" || !slices.Contains(d.Rules, "no-bucket-deletion") || d.ErrorMessage == "" || !strings.Contains(string(a.body), d.ErrorMessage) {
		t.Errorf("%+v", d)
	}
	a = r.tunnel(t, secretsHost, token).do(t, http.MethodPost, "/", `{"SecretId":"prod/none"}`, jsonCall("secretsmanager.GetSecretValue")...)
	passed(t, a, http.StatusBadRequest)
	if d := data[*event.Response](t, r.exchange(t, a.id())); d.Status != 400 {
		t.Errorf("%+v", d)
	}
}

// The recorder's files tell the whole session, from its opening to its end.
func TestRecordsOfASession(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := r.tunnel(t, dynamoHost, r.token())
	a := c.getItem(t)
	passed(t, a, http.StatusOK)
	refused(t, c.do(t, http.MethodPost, "/", "{}", jsonCall("DynamoDB_20120810.Nothing")...), http.StatusForbidden, "unidentified")
	id := r.exchange(t, a.id())[0].Session()
	r.close()
	s, err := recorder.Records{Dir: filepath.Join(r.state, "records")}.Read(id)
	must(t, err)
	want := []event.Kind{event.KindSessionOpened, event.KindRequest, event.KindDecision, event.KindCredential, event.KindResponse, event.KindRefused, event.KindSessionClosed}
	if got := kinds(withoutBodies(s.Events)); !slices.Equal(got, want) || len(s.Problems) > 0 {
		t.Errorf("recorded %v, want %v, problems %v", got, want, s.Problems)
	}
}

// proxy.tunnel is for callers with a token, and for the exact host and port.
func TestTunnelledHosts(t *testing.T) {
	r := newRig(t, rigOptions{proxy: `, tunnel: ["localhost.example:443"]`})
	for name, test := range map[string]struct {
		header []string
		status int
	}{
		"no token":  {nil, http.StatusProxyAuthRequired},
		"bad token": {[]string{basic("garbage")}, http.StatusForbidden},
	} {
		resp, _, _ := r.connect(t, "localhost.example:443", test.header...)
		if resp.StatusCode != test.status {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	resp, _, _ := r.connect(t, "other.example:443", basic(r.token()))
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("another host: %s", resp.Status)
	}
	resp, _, _ = r.connect(t, "localhost.example:8443", basic(r.token()))
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("another port: %s", resp.Status)
	}
}

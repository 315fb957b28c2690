package approvals_test

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/revocation"
)

// schema is what the test reads of a schema.
type schema struct {
	Type       string            `yaml:"type"`
	Format     string            `yaml:"format"`
	Const      string            `yaml:"const"`
	Ref        string            `yaml:"$ref"`
	Required   []string          `yaml:"required"`
	Properties map[string]schema `yaml:"properties"`
	Items      *schema           `yaml:"items"`
	AllOf      []schema          `yaml:"allOf"`
}

type description struct {
	AsyncAPI string `yaml:"asyncapi"`
	Channels map[string]struct {
		Address  string            `yaml:"address"`
		Messages map[string]schema `yaml:"messages"`
	} `yaml:"channels"`
	Components struct {
		Messages map[string]struct {
			Name    string `yaml:"name"`
			Payload schema `yaml:"payload"`
		} `yaml:"messages"`
		Schemas map[string]schema `yaml:"schemas"`
	} `yaml:"components"`
}

func readAsyncAPI(t *testing.T) (text string, d description) {
	t.Helper()
	b, err := os.ReadFile("../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return string(b), d
}

// described are the types on the wire. Data of events come first.
var described = []any{
	event.SessionOpened{}, event.Request{}, event.Decision{}, event.ApprovalPending{}, event.ApprovalVote{}, event.ApprovalOutcome{}, event.Credential{},
	event.Response{}, event.Aborted{}, event.Refused{}, event.SessionClosed{}, event.Revoked{}, event.Checkpoint{}, event.Alarm{}, event.Body{},
	event.Common{}, event.Operation{}, event.UserIdentity{}, event.Resource{}, event.Digest{}, event.Finding{}, event.Risk{}, event.Earlier{}, event.Needed{}, event.Vote{}, event.GrantLeft{},
	approvals.Answer{}, approvals.Grant{}, approvals.Look{}, approvals.Reply{}, approvals.Redemption{}, approvals.RedemptionReply{}, revocation.Order{}, revocation.Confirmation{},
	event.Enrichment{}, event.Described{}, event.Tag{}, event.Recorded{}, recorder.Heartbeat{},
}

// docs/asyncapi.yaml describes exactly the members that the types have, which of
// them are always there, and of which type they are.
func TestAsyncAPITypes(t *testing.T) {
	_, d := readAsyncAPI(t)
	if d.AsyncAPI != "3.0.0" {
		t.Errorf("AsyncAPI %s", d.AsyncAPI)
	}
	names := []string{"CloudEvent"}
	for _, v := range described {
		typ := reflect.TypeOf(v)
		names = append(names, typ.Name())
		s, ok := d.Components.Schemas[typ.Name()]
		if !ok {
			t.Errorf("%s is not described", typ)
			continue
		}
		var embedded, want, have []string
		var required []string
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !f.IsExported() {
				continue
			}
			if f.Anonymous {
				embedded = append(embedded, "#/components/schemas/"+f.Type.Name())
				continue
			}
			if !f.IsExported() {
				continue
			}
			tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			want = append(want, tag+" "+wire(f.Type))
			if options == "" {
				required = append(required, tag)
			}
		}
		for name, p := range s.Properties {
			have = append(have, name+" "+p.String())
		}
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("%s: described are\n%q, it has\n%q", typ, have, want)
		}
		if !slices.Equal(slices.Sorted(slices.Values(s.Required)), slices.Sorted(slices.Values(required))) {
			t.Errorf("%s: always there are %q, described %q", typ, required, s.Required)
		}
		var all []string
		for _, e := range s.AllOf {
			all = append(all, e.Ref)
		}
		if !slices.Equal(all, embedded) {
			t.Errorf("%s: has in it %q, described %q", typ, embedded, all)
		}
	}
	slices.Sort(names)
	if have := slices.Sorted(maps.Keys(d.Components.Schemas)); !slices.Equal(have, names) {
		t.Errorf("described are %q, there are %q", have, names)
	}
}

// String is a schema in the words of wire.
func (s schema) String() string {
	switch {
	case s.Ref != "":
		return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	case s.Items != nil:
		return "[]" + s.Items.String()
	case s.Format != "":
		return s.Format
	}
	return s.Type
}

func wire(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "date-time"
	case t.Kind() == reflect.Pointer:
		return wire(t.Elem())
	case t == reflect.TypeFor[[]byte](): // base64
		return "string"
	case t.Kind() == reflect.Slice:
		return "[]" + wire(t.Elem())
	case t.Kind() == reflect.Struct:
		return t.Name()
	case t.Kind() == reflect.Map:
		return "object"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "integer"
	}
	return t.Kind().String()
}

// Every kind of event has a message of its own name, type and data, and stands in
// the channel of events; those of approvals stand in theirs too.
func TestAsyncAPIKinds(t *testing.T) {
	text, d := readAsyncAPI(t)
	source, err := os.ReadFile("../event/event.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\tKind\w+\s+Kind = "([a-z.]+)"`).FindAllSubmatch(source, -1) {
		kinds["dev.sallyport."+string(m[1])+".v1"] = true
	}
	if len(kinds) < 10 {
		t.Fatalf("only %d kinds in event.go", len(kinds))
	}
	told := map[string]bool{}
	for _, v := range described {
		p, ok := reflect.New(reflect.TypeOf(v)).Interface().(event.Data)
		if !ok {
			continue
		}
		typ := event.Event{Data: p}.Type()
		name := reflect.TypeOf(v).Name()
		key := strings.ToLower(name[:1]) + name[1:]
		told[typ] = true
		m := d.Components.Messages[key]
		if m.Name != typ || len(m.Payload.AllOf) != 2 || m.Payload.AllOf[0].String() != "CloudEvent" || m.Payload.AllOf[1].Properties["type"].Const != typ || m.Payload.AllOf[1].Properties["data"].String() != name {
			t.Errorf("message %s is not of %s: %+v", key, typ, m)
		}
		channel := "events"
		if p.Kind() == event.KindAlarm {
			channel = "alarms"
		}
		if d.Channels[channel].Messages[key].Ref != "#/components/messages/"+key {
			t.Errorf("%s is not in the channel of %s", key, channel)
		}
	}
	delete(kinds, event.Event{Data: &event.Removed{}}.Type()) // is in a recorder's own record alone
	delete(kinds, event.Event{Data: &event.Hold{}}.Type())    // and so is this
	if !maps.Equal(kinds, told) {
		t.Errorf("there are %v, described are %v", kinds, told)
	}
	for channel, want := range map[string]string{"pending": "approvalPending", "outcome": "approvalOutcome", "answer": "answer look", "reply": "reply", "link": "redemption", "linkReply": "redemptionReply", "revoke": "order", "confirmation": "confirmation"} {
		messages := strings.Fields(want)
		if m := d.Channels[channel].Messages; len(m) != len(messages) || slices.ContainsFunc(messages, func(s string) bool { return m[s].Ref != "#/components/messages/"+s }) {
			t.Errorf("channel %s has %v", channel, m)
		}
	}
	for channel, want := range map[string]string{"events": "events.{session}.{exchange}.{kind}", "pending": "approvals.pending.{approval}", "outcome": "approvals.outcome.{approval}", "answer": "approvals.answer.{approval}", "link": "approvals.link", "revoke": "control.revoke"} {
		if d.Channels[channel].Address != "sallyport."+want {
			t.Errorf("channel %s is at %s", channel, d.Channels[channel].Address)
		}
	}
	var whole map[string]any
	if err := yaml.Unmarshal([]byte(text), &whole); err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`'#(/[^']+)'`).FindAllStringSubmatch(text, -1) {
		var at any = whole
		for _, part := range strings.Split(m[1][1:], "/") {
			inside, _ := at.(map[string]any)
			at = inside[part]
		}
		if at == nil {
			t.Errorf("there is no %s", m[1])
		}
	}
}

// An event as the gateway encodes it is what an approver reads as a request.
func TestPendingEventIsARequest(t *testing.T) {
	ids := event.NewIDs(nil)
	at := time.Now().UTC()
	d := &event.ApprovalPending{
		Common:    event.Common{RequestID: ids.New(), SessionID: ids.New(), EventTime: at, UserIdentity: event.UserIdentity{Issuer: "i", Subject: "s", Groups: []string{"g"}, Label: "l"}},
		Operation: event.Operation{EventName: "DeleteBucket", AWSRegion: "us-east-1", RecipientAccountID: "111122223333", Service: "s3", Actions: []string{"s3:DeleteBucket"}, AccessLevel: "Write", Target: "dev"},
		Approval:  ids.New(), Digest: strings.Repeat("ab", 32), Email: "e@example.com", RoleARN: "arn", Resources: []event.Resource{{ARN: "arn:aws:s3:::b", AccountID: "1", Type: "bucket"}}, ResourcesOmitted: 3,
		RequestParameters: map[string]any{"Bucket": "b"}, RequestParametersOmitted: &event.Digest{SHA256: "x", Size: 1}, RequestBody: &event.Digest{SHA256: "y", Size: 2},
		Risk: event.Risk{Score: 60, Reasons: []string{"why"}}, Rules: []string{"r"}, Approvers: []event.Needed{{Groups: []string{"sre"}, Count: 2}}, PolicyVersion: "v", Extent: "e", Earlier: &event.Earlier{RequestID: "x", At: at}, Reason: "because", Created: at, Expires: at.Add(time.Hour),
	}
	d.Enrichment = &event.Enrichment{Resources: []event.Described{{ARN: "arn:aws:s3:::b", Name: "n", Tags: []event.Tag{{Key: "k", Value: "v"}}, TagsOmitted: 1}}, Unread: 2, Notes: []string{"why"}}
	body, err := event.Encode(event.Event{ID: ids.New(), Source: "sallyport/test", Time: at, Data: d})
	if err != nil {
		t.Fatal(err)
	}
	u, err := approvals.DecodeMessage("sallyport", "sallyport.approvals.pending."+d.Approval, body)
	if err != nil {
		t.Fatal(err)
	}
	want := approvals.Request{
		Approval: d.Approval, Digest: d.Digest, RequestID: d.RequestID, SessionID: d.SessionID, Who: d.UserIdentity, Email: d.Email, Target: d.Target, RoleARN: d.RoleARN, Account: d.RecipientAccountID, Region: d.AWSRegion,
		Service: d.Service, Operation: d.EventName, Actions: d.Actions, AccessLevel: d.AccessLevel, Resources: d.Resources, ResourcesOmitted: d.ResourcesOmitted, Parameters: d.RequestParameters, ParametersOmitted: d.RequestParametersOmitted,
		RequestBody: d.RequestBody, Risk: d.Risk, Rules: d.Rules, Approvers: []approvals.Needed{{Groups: []string{"sre"}, Count: 2}}, PolicyVersion: d.PolicyVersion, Extent: d.Extent, Earlier: d.Earlier, Reason: d.Reason, Created: d.Created, Expires: d.Expires,
	}
	want.Enrichment = d.Enrichment
	if !reflect.DeepEqual(*u.Request, want) {
		t.Errorf("got  %+v\nwant %+v", *u.Request, want)
	}
	if v := reflect.ValueOf(want); true {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s is not compared", v.Type().Field(i).Name)
			}
		}
	}
	o := &event.ApprovalOutcome{Common: d.Common, Approval: d.Approval, Digest: d.Digest, Outcome: approvals.Approved, At: at, Approvers: []event.Vote{{Issuer: "i", Subject: "s", Email: "e", Groups: []string{"g"}, Decision: "allow", Reason: "r", Via: "slack", At: at}}, Grant: &event.Grant{For: "5m", Count: 2, Actions: []string{"ec2:Stop*"}, Resources: []string{"arn"}}}
	if body, err = event.Encode(event.Event{ID: ids.New(), Source: "sallyport/test", Time: at, Data: o}); err != nil {
		t.Fatal(err)
	}
	u, err = approvals.DecodeMessage("sallyport", "sallyport.approvals.outcome."+d.Approval, body)
	if err != nil || !reflect.DeepEqual(*u.Outcome, approvals.Outcome{Approval: o.Approval, Digest: o.Digest, Outcome: o.Outcome, At: at, Grant: (*approvals.Grant)(o.Grant), Approvers: []approvals.Vote{approvals.Vote(o.Approvers[0])}}) {
		t.Errorf("%+v %v", u.Outcome, err)
	}
}

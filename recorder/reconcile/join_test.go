package reconcile

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
)

const role = "arn:aws:iam::111122223333:role/teams/agent-dev"

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a record, and what CloudTrail wrote of it.
type world struct {
	ids   *event.IDs
	calls Calls
	trail []map[string]any
}

func newWorld() *world { return &world{ids: event.NewIDs(func() time.Time { return at })} }

// did records a call and gives CloudTrail's event of it, which is not in the trail yet.
func (w *world) did(source, name string, answered bool) (*Call, map[string]any) {
	id, session := w.ids.New(), w.ids.New()
	key, aws := "ASIA"+id[len(id)-16:], "req-"+id
	common := event.Common{RequestID: id, SessionID: session, EventTime: at, UserIdentity: event.UserIdentity{Subject: "ci-agent"}}
	sessionName := "sp-" + session + "-" + id + "-x"
	add := func(d event.Data) {
		w.calls.Add(event.Event{ID: w.ids.New(), Source: "sallyport/test", Time: at, Data: d})
	}
	add(&event.Request{Common: common, Operation: event.Operation{EventSource: source, EventName: name, AWSRegion: "eu-west-1"}})
	add(&event.Credential{Common: common, RoleARN: role, RoleSessionName: sessionName, AccessKeyID: key})
	if answered {
		add(&event.Response{Common: common, Status: 200, AWSRequestID: aws})
	}
	w.trail = append(w.trail, map[string]any{
		"eventTime": at.Format(time.RFC3339), "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "requestID": "sts-" + id,
		"userIdentity": map[string]any{"type": "AssumedRole", "arn": "arn:aws:sts::999900001111:assumed-role/gateway/i-1"}, "eventType": "AwsApiCall",
		"requestParameters": map[string]any{"roleArn": role, "roleSessionName": sessionName, "durationSeconds": 900},
		"responseElements":  map[string]any{"credentials": map[string]any{"accessKeyId": key, "expiration": "Mar 1, 2026, 12:15:00 PM"}},
	})
	return w.calls.by[id], map[string]any{
		"eventVersion": "1.11", "eventTime": at.Add(time.Second).Format(time.RFC3339), "eventSource": source, "eventName": name, "awsRegion": "eu-west-1",
		"requestID": aws, "eventID": "e-" + id, "eventType": "AwsApiCall", "eventCategory": "Management",
		"requestParameters": map[string]any{"instancesSet": map[string]any{"items": []any{map[string]any{"instanceId": "i-1"}}}},
		"userIdentity": map[string]any{
			"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/agent-dev/" + sessionName, "accessKeyId": key, "accountId": "111122223333",
			"sessionContext": map[string]any{"sessionIssuer": map[string]any{"type": "Role", "arn": role}, "sourceIdentity": sessionName[:len(sessionName)-2]},
		},
	}
}

func (w *world) logged(events ...map[string]any) *world {
	w.trail = append(w.trail, events...)
	return w
}

func (w *world) compare(t *testing.T, o Options) *Report {
	t.Helper()
	text, err := json.Marshal(map[string]any{"Records": w.trail})
	if err != nil {
		t.Fatal(err)
	}
	var trail []Trail
	if err := ReadTrail(bytes.NewReader(text), func(e Trail) { trail = append(trail, e) }, func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	o.Roles = append(o.Roles, role)
	return Compare(trail, &w.calls, o)
}

func (r *Report) counts() string {
	return fmt.Sprintf("bypasses %d disagree %d missing %d explained %d", len(r.Bypasses), len(r.Disagree), len(r.Missing), r.Explained)
}

func with(e map[string]any, path string, v any) map[string]any {
	b, _ := json.Marshal(e)
	var c map[string]any
	_ = json.Unmarshal(b, &c)
	at := c
	parts := strings.Split(path, ".")
	for _, p := range parts[:len(parts)-1] {
		at, _ = at[p].(map[string]any)
	}
	if v == nil {
		delete(at, parts[len(parts)-1])
	} else {
		at[parts[len(parts)-1]] = v
	}
	return c
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		build func(w *world)
		want  string
		why   string // of the first bypass or disagreement
	}{
		"all is explained": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.logged(e)
		}, "bypasses 0 disagree 0 missing 0 explained 2", ""},
		"an answer that never came": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", false)
			w.logged(e)
		}, "bypasses 0 disagree 0 missing 0 explained 2", ""},
		"a failed call is a call": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.logged(with(e, "errorCode", "Client.UnauthorizedOperation"))
		}, "bypasses 0 disagree 0 missing 0 explained 2", ""},
		"the credential was used again": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.logged(e, with(e, "requestID", "another"))
		}, "bypasses 1 disagree 0 missing 0 explained 2", "has left the gateway"},
		"the credential was used for something else, and the answer never came": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", false)
			w.logged(with(e, "eventName", "TerminateInstances"))
		}, "bypasses 1 disagree 0 missing 0 explained 1", "has left the gateway"},
		"the same, twice": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", false)
			w.logged(with(e, "requestID", "a"), with(e, "requestID", "b"))
		}, "bypasses 1 disagree 0 missing 0 explained 2", "has left the gateway"},
		"the same operation under another request id": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.logged(with(e, "requestID", "another"))
		}, "bypasses 1 disagree 0 missing 1 explained 1", "has left the gateway"},
		"a key that the gateway never minted": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.logged(e, with(with(e, "requestID", "x"), "userIdentity.accessKeyId", "ASIASTOLEN"))
		}, "bypasses 1 disagree 0 missing 0 explained 2", "never minted"},
		"no key at all": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.logged(e, with(with(e, "requestID", "x"), "userIdentity.accessKeyId", nil))
		}, "bypasses 1 disagree 0 missing 0 explained 2", "names no access key"},
		"somebody else assumed the role": {func(w *world) {
			w.did("ec2.amazonaws.com", "StopInstances", false)
			w.logged(with(w.trail[0], "responseElements.credentials.accessKeyId", "ASIAOTHER"))
		}, "bypasses 1 disagree 0 missing 0 explained 1", "somebody else assumed"},
		"by a web identity too": {func(w *world) {
			w.did("ec2.amazonaws.com", "StopInstances", false)
			w.logged(with(with(w.trail[0], "responseElements.credentials.accessKeyId", "ASIAOTHER"), "eventName", "AssumeRoleWithWebIdentity"))
		}, "bypasses 1 disagree 0 missing 0 explained 1", "somebody else assumed"},
		"one who was not let in got nothing": {func(w *world) {
			w.did("ec2.amazonaws.com", "StopInstances", false)
			w.logged(with(with(w.trail[0], "responseElements", nil), "errorCode", "AccessDenied"))
		}, "bypasses 0 disagree 0 missing 0 explained 2", ""},
		"one credential is minted once": {func(w *world) {
			w.did("ec2.amazonaws.com", "StopInstances", false)
			w.logged(w.trail[0])
		}, "bypasses 1 disagree 0 missing 0 explained 1", "twice"},
		"only the assumed role's ARN tells": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.logged(e, with(with(with(e, "userIdentity.sessionContext", nil), "requestID", "x"), "userIdentity.accessKeyId", "ASIASTOLEN"))
		}, "bypasses 1 disagree 0 missing 0 explained 2", "never minted"},
		"another role is none of ours": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			o := with(with(e, "userIdentity.sessionContext.sessionIssuer.arn", "arn:aws:iam::111122223333:role/other"), "userIdentity.arn", "arn:aws:sts::111122223333:assumed-role/other/x")
			w.logged(e, with(o, "requestID", "x"))
		}, "bypasses 0 disagree 0 missing 0 explained 2", ""},
		"what was judged is not what was done": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.logged(with(e, "eventName", "TerminateInstances"))
		}, "bypasses 0 disagree 1 missing 0 explained 1", "another operation"},
		"under another key": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.logged(with(e, "userIdentity.accessKeyId", "ASIAOTHER"))
		}, "bypasses 0 disagree 1 missing 0 explained 1", "another access key"},
		"one request id twice": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.logged(e, with(e, "eventID", "another"))
		}, "bypasses 1 disagree 0 missing 0 explained 2", "twice"},
		"one event from two trails": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.trail[0]["eventID"] = "mint"
			w.logged(e, e, w.trail[0])
		}, "bypasses 0 disagree 0 missing 0 explained 2", ""},
		"a minting that two accounts have": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			mint := with(with(w.trail[0], "eventID", "a"), "sharedEventID", "s")
			theirs := with(with(mint, "eventID", "b"), "responseElements", nil)
			w.trail[0] = theirs
			w.logged(mint, e)
		}, "bypasses 0 disagree 0 missing 0 explained 2", ""},
		"two mintings under one shared id": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			mint := with(with(w.trail[0], "eventID", "a"), "sharedEventID", "s")
			w.trail[0] = mint
			w.logged(with(with(mint, "eventID", "b"), "requestID", "another"), e)
		}, "bypasses 1 disagree 0 missing 0 explained 2", "twice"},
		"a service on behalf of a call": {func(w *world) {
			_, e := w.did("cloudformation.amazonaws.com", "CreateStack", true)
			fas := with(with(with(e, "requestID", "y"), "eventName", "RunInstances"), "userIdentity.invokedBy", "cloudformation.amazonaws.com")
			w.logged(e, with(with(fas, "userIdentity.accessKeyId", "ASIAFAS"), "eventSource", "ec2.amazonaws.com"))
		}, "bypasses 0 disagree 0 missing 0 explained 3", ""},
		"a service's name does not excuse a stranger's session": {func(w *world) {
			_, e := w.did("cloudformation.amazonaws.com", "CreateStack", true)
			fas := with(with(with(e, "requestID", "y"), "userIdentity.arn", "arn:aws:sts::111122223333:assumed-role/agent-dev/me"), "userIdentity.invokedBy", "cloudformation.amazonaws.com")
			w.logged(e, with(fas, "userIdentity.accessKeyId", "ASIAFAS"))
		}, "bypasses 1 disagree 0 missing 0 explained 2", "never minted"},
		"nor one that is no service": {func(w *world) {
			_, e := w.did("cloudformation.amazonaws.com", "CreateStack", true)
			w.logged(e, with(with(with(e, "requestID", "y"), "userIdentity.invokedBy", "evil"), "userIdentity.accessKeyId", "ASIAFAS"))
		}, "bypasses 1 disagree 0 missing 0 explained 2", "never minted"},
		"a call that CloudTrail lacks": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.did("ec2.amazonaws.com", "RebootInstances", true)
			w.logged(e)
		}, "bypasses 0 disagree 0 missing 1 explained 3", ""},
		"data events are not missed": {func(w *world) {
			_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
			w.did("s3.amazonaws.com", "GetObject", true)
			w.logged(e)
		}, "bypasses 0 disagree 0 missing 0 explained 3", ""},
		"S3's older names": {func(w *world) {
			_, e := w.did("s3.amazonaws.com", "ListObjectsV2", true)
			_, f := w.did("s3.amazonaws.com", "PutBucketLifecycleConfiguration", true)
			w.logged(with(e, "eventName", "ListObjects"), with(f, "eventName", "PutBucketLifecycle"))
		}, "bypasses 0 disagree 0 missing 0 explained 4", ""},
		"Lambda's dated names": {func(w *world) {
			_, e := w.did("lambda.amazonaws.com", "CreateFunction", true)
			w.logged(with(e, "eventName", "CreateFunction20150331v2"))
		}, "bypasses 0 disagree 0 missing 0 explained 2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			c.build(w)
			r := w.compare(t, Options{})
			if got := r.counts(); got != c.want {
				t.Errorf("%s\nwant %s\n%+v", got, c.want, r)
			}
			why := ""
			for _, f := range append(r.Bypasses, r.Disagree...) {
				why += f.Why
			}
			if !strings.Contains(why, c.why) {
				t.Errorf("it says %q, want %q", why, c.why)
			}
		})
	}
}

// A role of which CloudTrail has nothing is named: that it has no bypass says little.
func TestUnseen(t *testing.T) {
	w := newWorld()
	_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
	other := strings.Replace(role, "agent-dev", "agent-prod", 1)
	if r := w.logged(e).compare(t, Options{Roles: []string{other}}); len(r.Unseen) != 1 || r.Unseen[0] != other {
		t.Errorf("%v", r.Unseen)
	}
}

// Calls that CloudTrail may not have delivered yet are not missed.
func TestGrace(t *testing.T) {
	w := newWorld()
	_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
	w.did("ec2.amazonaws.com", "RebootInstances", true)
	w.logged(e)
	if r := w.compare(t, Options{Grace: time.Minute}); len(r.Missing) != 0 {
		t.Error("missed within the grace")
	}
	_, d := w.did("s3.amazonaws.com", "GetObject", true)
	if r := w.compare(t, Options{Data: true}); len(r.Missing) != 2 {
		t.Errorf("%d missing with data events, want 2", len(r.Missing))
	}
	_ = d
}

// A file is read in each of the forms in which people have CloudTrail's events.
func TestReadTrail(t *testing.T) {
	w := newWorld()
	_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
	one, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := json.Marshal(map[string]any{"Events": []any{map[string]any{"EventId": "x", "CloudTrailEvent": string(one)}}, "NextToken": "n"})
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	fmt.Fprintf(z, `{"Records":[%s,%s]}`, one, one)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text      string
		good, bad int
		err       string
	}{
		"log file":       {fmt.Sprintf(`{"Records":[%s]}`, one), 1, 0, ""},
		"gzip":           {zipped.String(), 2, 0, ""},
		"lookup-events":  {string(wrapped), 1, 0, ""},
		"lines":          {string(one) + "\n" + string(one) + "\n", 2, 0, ""},
		"an empty list":  {`{"Records":[]}`, 0, 0, ""},
		"damaged event":  {fmt.Sprintf(`{"Records":[{"eventName":1},{},%s]}`, one), 1, 2, ""},
		"a digest file":  {`{"awsAccountId":"1","logFiles":[]}`, 0, 1, ""},
		"empty":          {"", 0, 0, "not JSON of CloudTrail's"},
		"text":           {"hello", 0, 0, "not JSON of CloudTrail's"},
		"cut":            {fmt.Sprintf(`{"Records":[%s`, one), 1, 0, "breaks off"},
		"cut gzip":       {zipped.String()[:zipped.Len()/2], 0, 0, " "},
		"no list":        {`{"Records":{}}`, 0, 0, "not a list"},
		"a giant":        {`{"Records":["` + strings.Repeat("x", 2*maxTrail) + `"]}`, 0, 0, "longer than"},
		"giant member":   {`{"` + strings.Repeat("x", 2*maxTrail) + `":1}`, 0, 0, "longer than"},
		"odd AssumeRole": {`{"eventName":"AssumeRole","eventSource":"sts.amazonaws.com","eventTime":"2026-03-01T12:00:00Z","responseElements":7}`, 0, 1, ""},
	} {
		good, bad := 0, 0
		err := ReadTrail(strings.NewReader(c.text), func(Trail) { good++ }, func(error) { bad++ })
		if good != c.good || bad != c.bad || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %d good, %d bad, %v", name, good, bad, err)
		}
	}
}

func FuzzReadTrail(f *testing.F) {
	w := newWorld()
	_, e := w.did("ec2.amazonaws.com", "StopInstances", true)
	text, err := json.Marshal(map[string]any{"Records": append(w.trail, e)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"Events":[{"CloudTrailEvent":"{}"}]}`))
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Fuzz(func(t *testing.T, b []byte) {
		var trail []Trail
		_ = ReadTrail(bytes.NewReader(b), func(e Trail) { trail = append(trail, e) }, func(error) {})
		Compare(trail, &w.calls, Options{Roles: []string{role}})
	})
}

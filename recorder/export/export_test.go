package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)

// calls is one call of each result, and one of each activity.
func calls(t testing.TB) []*recorder.Call {
	t.Helper()
	ids := event.NewIDs(func() time.Time { return at })
	session := ids.New()
	var all []event.Event
	start := func(op, level string) event.Common {
		c := event.Common{RequestID: ids.New(), SessionID: session, EventTime: at, SourceIPAddress: "127.0.0.1", UserAgent: "aws-cli/2",
			UserIdentity: event.UserIdentity{Issuer: "https://idp.example", Subject: "ci-agent", Groups: []string{"ai-agents"}, Label: "nightly <b>"}}
		o := event.Operation{EventSource: "ec2.amazonaws.com", EventName: op, AWSRegion: "eu-west-1", RecipientAccountID: "111122223333", Service: "ec2",
			Actions: []string{"ec2:" + op}, AccessLevel: level, Target: "dev"}
		all = append(all, event.Event{ID: ids.New(), Source: "sallyport/x", Time: at, Data: &event.Request{Common: c, Operation: o, Method: "POST", Host: "ec2.eu-west-1.amazonaws.com", Path: "/",
			Digest: strings.Repeat("0", 64), RequestParameters: map[string]any{"InstanceId": []any{"i-1"}}, Resources: []event.Resource{{ARN: "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", Type: "instance"}},
			RequestBody: &event.Digest{SHA256: "aa", Size: 7}}})
		return c
	}
	add := func(d event.Data) {
		all = append(all, event.Event{ID: ids.New(), Source: "sallyport/x", Time: at, Data: d})
	}
	allow := func(c event.Common) {
		add(&event.Decision{Common: c, Effect: "allow", Rules: []string{"read-dev"}, Risk: &event.Risk{Score: 10}, PolicyVersion: "v"})
		add(&event.Credential{Common: c, RoleARN: "arn:aws:iam::111122223333:role/agent", AccessKeyID: "ASIA1"})
	}
	later := func(c event.Common) event.Common { c.EventTime = at.Add(40 * time.Millisecond); return c }
	ok := start("DescribeInstances", "List")
	allow(ok)
	add(event.NewBody(ok, event.PartRequest, 0, 0, []byte("Action=")))
	add(event.NewBody(ok, event.PartResponse, 0, 0, []byte("<a>")))
	add(event.NewBody(ok, event.PartResponse, 1, 3, []byte("</a>")))
	add(&event.Response{Common: later(ok), Status: 200, AWSRequestID: "r1", Findings: []event.Finding{{Path: "p", Source: "aws"}}, ResponseBody: &event.Digest{SHA256: "bb", Size: 7}})
	failed := start("StopInstances", "Write")
	allow(failed)
	add(&event.Response{Common: later(failed), Status: 403, ErrorCode: "UnauthorizedOperation", ErrorMessage: "no"})
	denied := start("RunInstances", "Write")
	add(&event.Decision{Common: denied, Effect: "deny", Risk: &event.Risk{Score: 95, Reasons: []string{"costs"}}, ErrorCode: "denied", ErrorMessage: "no rule"})
	rejected := start("TerminateInstances", "Write")
	add(&event.ApprovalOutcome{Common: rejected, Approval: ids.New(), Outcome: "denied", At: at, Approvers: []event.Vote{{Issuer: "i", Subject: "bob", Decision: "deny", At: at}}})
	add(&event.Decision{Common: rejected, Effect: "deny", Approval: ids.New(), ErrorCode: "denied"})
	pending := start("DeleteVolume", "Write")
	add(&event.Decision{Common: pending, Effect: "ask", Approval: ids.New(), Risk: &event.Risk{Score: 80}, ErrorCode: "pending"})
	approved := start("TerminateInstances", "Write")
	add(&event.Decision{Common: approved, Effect: "allow", Approval: ids.New(), Risk: &event.Risk{Score: 85}, Approvers: []event.Vote{{Issuer: "i", Subject: "alice", Email: "alice@example.com", Decision: "allow", At: at}}})
	add(&event.Credential{Common: approved, AccessKeyID: "ASIA2"})
	add(&event.Response{Common: later(approved), Status: 200})
	cut := start("ModifyInstanceAttribute", "Write")
	allow(cut)
	add(&event.Aborted{Common: later(cut), Stage: "answer", ErrorCode: "unavailable", ErrorMessage: "the client went away"})
	start("CreateTags", "Tagging")
	add(&event.Refused{Common: event.Common{RequestID: ids.New(), EventTime: at, SourceIPAddress: "10.0.0.9"}, Host: "s3.amazonaws.com", Status: 407, ErrorCode: "identity", ErrorMessage: "no token", RealKeySeen: true})
	add(&event.Refused{Common: event.Common{RequestID: ids.New(), EventTime: at}, ErrorCode: "malformed"})
	add(&event.SessionClosed{Common: event.Common{SessionID: session, EventTime: at}})
	for _, e := range all {
		if _, err := event.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	return recorder.Gather(all)
}

func write(t testing.TB, f Format, bodies Bodies) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := New(f, &b, "1.2.3", bodies)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls(t) {
		if err := w.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Every result is told, as what it is.
func TestResults(t *testing.T) {
	var got []recorder.Result
	for _, c := range calls(t) {
		got = append(got, c.Result())
	}
	want := "[ok error denied rejected pending ok aborted open refused refused]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v\nwant %s", got, want)
	}
}

// What OCSF 1.8.0 requires of an API Activity and of the objects in it, and the
// captions of its enumerations.
func TestOCSF(t *testing.T) {
	captions := map[string]map[float64]string{
		"activity_id": {0: "Unknown", 1: "Create", 2: "Read", 3: "Update", 4: "Delete"}, "status_id": {0: "Unknown", 1: "Success", 2: "Failure", 99: "Pending"},
		"severity_id": {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}, "action_id": {0: "Unknown", 1: "Allowed", 2: "Denied", 4: "Modified"},
		"disposition_id": {0: "Unknown", 1: "Allowed", 2: "Blocked", 6: "Dropped", 11: "Corrected", 14: "Delayed", 25: "Rejected"},
	}
	lines := bytes.Split(bytes.TrimSpace(write(t, OCSF, nil)), []byte("\n"))
	if len(lines) != 10 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		for path, valid := range map[string]func(any) bool{
			"class_uid": is(6003.0), "category_uid": is(6.0), "time": is(float64(at.UnixMilli())), "metadata.version": is("1.8.0"),
			"metadata.product.name": text, "metadata.profiles": func(v any) bool { return fmt.Sprint(v) == "[cloud security_control]" },
			"actor.user.name": text, "api.operation": text, "api.request.uid": text, "cloud.provider": is("AWS"), "message": text, "unmapped.result": text,
		} {
			if !valid(member(e, path)) {
				t.Errorf("%s is %v in %s", path, member(e, path), line)
			}
		}
		if e["type_uid"] != 600300+number(e["activity_id"]) {
			t.Errorf("type_uid %v of activity %v", e["type_uid"], e["activity_id"])
		}
		for id, names := range captions {
			if name := strings.TrimSuffix(id, "_id"); names[number(e[id])] == "" || e[name] != nil && e[name] != names[number(e[id])] {
				t.Errorf("%s %v is called %v", id, e[id], e[name])
			}
		}
		src, _ := e["src_endpoint"].(map[string]any)
		if ip, ok := src["ip"].(string); ok && net.ParseIP(ip) == nil || !ok && src["name"] == nil {
			t.Errorf("src_endpoint %v", src)
		}
		if r, ok := e["http_response"].(map[string]any); ok && number(r["code"]) == 0 {
			t.Error("a response without its code")
		}
	}
}

func is(want any) func(any) bool { return func(v any) bool { return v == want } }
func text(v any) bool            { s, ok := v.(string); return ok && s != "" }
func number(v any) float64       { n, _ := v.(float64); return n }

func member(v any, path string) any {
	for part := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[part]
	}
	return v
}

func TestParquet(t *testing.T) {
	b := write(t, Parquet, nil)
	rows, err := parquet.Read[Row](bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	all := calls(t)
	if len(rows) != len(all) {
		t.Fatalf("%d rows of %d calls", len(rows), len(all))
	}
	first := rows[0]
	if first.RequestID == "" || !first.EventTime.Equal(at) || first.Result != "ok" || *first.Status != 200 || first.Resources[0] != "arn:aws:ec2:eu-west-1:111122223333:instance/i-1" ||
		first.RequestParameters != `{"InstanceId":["i-1"]}` || *first.DurationMS != 40 || first.Masked != 1 || *first.ResponseBytes != 7 || first.AccessKeyID != "ASIA1" {
		t.Errorf("%+v", first)
	}
	for _, r := range rows {
		if r.Result == "denied" && (r.Status != nil || r.ResponseBytes != nil || *r.Risk != 95) {
			t.Errorf("what was denied has an answer: %+v", r)
		}
	}
}

func TestHAR(t *testing.T) {
	pieces := map[string]string{}
	for _, c := range calls(t) {
		for _, b := range c.Bodies {
			pieces[b.SHA256] = string(b.Payload())
		}
	}
	text := write(t, HAR, func(sum string) ([]byte, error) { return []byte(pieces[sum]), nil })
	var har struct {
		Log struct {
			Version string
			Creator map[string]string
			Entries []harEntry
		}
	}
	if err := json.Unmarshal(text, &har); err != nil {
		t.Fatal(err)
	}
	if har.Log.Version != "1.2" || har.Log.Creator["name"] == "" || len(har.Log.Entries) != 10 {
		t.Fatalf("%+v", har.Log)
	}
	e := har.Log.Entries[0]
	if e.Response.Content.Text != "<a></a>" || e.Response.Content.MimeType != "application/xml" || e.Request.PostData.Text != "Action=" || e.Time != 40 || e.Response.Status != 200 {
		t.Errorf("%+v", e)
	}
	for _, e := range har.Log.Entries {
		if _, err := time.Parse(time.RFC3339Nano, e.Started); err != nil || e.Request.Method == "" || !strings.HasPrefix(e.Request.URL, "https://") || e.Request.Headers == nil || e.Response.Cookies == nil {
			t.Errorf("%+v", e)
		}
	}
}

// A body of which a piece is gone says that it is not whole, and one that cannot be
// read ends the export.
func TestHARWithoutBodies(t *testing.T) {
	if text := write(t, HAR, func(string) ([]byte, error) { return nil, nil }); bytes.Count(text, []byte(`"comment":"not on record any more"`)) != 2 {
		t.Errorf("bodies that are gone are not told: %s", text)
	}
	c, n := calls(t)[0], 0
	h := &harWriter{bodies: func(string) ([]byte, error) { // all but the first piece are gone
		if n++; n > 1 {
			return nil, nil
		}
		return make([]byte, c.Bodies[0].Size), nil
	}}
	if e, err := h.entry(c); err != nil || e.Response.Content.Comment != "not on record any more" && !strings.HasSuffix(e.Response.Content.Comment, "not all of it") {
		t.Errorf("a body that is gone in part is told as whole: %+v, %v", e.Response.Content, err)
	}
	w, err := New(HAR, &bytes.Buffer{}, "", func(string) ([]byte, error) { return nil, errors.New("broken") })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(calls(t)[0]); err == nil {
		t.Error("a body that cannot be read was left out")
	}
}

// A body that was judged is on record as its parameters, and a HAR has these in its place:
// those of its event, or their pieces.
func TestHAROfParameters(t *testing.T) {
	c := calls(t)[2] // denied: without pieces
	has := &event.Recorded{Form: event.FormParameters, ContentType: event.ParametersType}
	c.Request.RequestParameters, c.Request.RequestBodyRecorded = map[string]any{"InstanceId": "<i>"}, has
	piece, gone := []byte(`{"InstanceId":"i-1","More":1}`), false
	h := &harWriter{bodies: func(string) ([]byte, error) {
		if gone {
			return nil, nil
		}
		return piece, nil
	}}
	post := func() harPost {
		t.Helper()
		e, err := h.entry(c)
		if err != nil {
			t.Fatal(err)
		}
		if e.Request.PostData == nil {
			return harPost{}
		}
		return *e.Request.PostData
	}
	const all = "the parameters as recorded, masked: not the bytes that were sent"
	if got := post(); got != (harPost{"application/json", `{"InstanceId":"<i>"}`, all}) {
		t.Errorf("%+v", got)
	}
	has.Omitted = event.OmittedDenied
	if got := post(); got != (harPost{"application/json", `{"InstanceId":"<i>"}`, all + "; some may be cut"}) {
		t.Errorf("%+v", got)
	}
	has.Omitted, has.Pieces = "", 1
	c.Bodies = []*event.Body{event.NewBody(event.Common{}, event.PartRequest, 0, 0, piece)}
	if got := post(); got != (harPost{"application/json", string(piece), all}) {
		t.Errorf("%+v", got)
	}
	gone = true
	if got := post(); got != (harPost{"application/json", `{"InstanceId":"<i>"}`, all + "; some may be cut"}) {
		t.Errorf("%+v", got)
	}
	c.Request.RequestParameters = nil
	if got := post(); got.Text != "" || got.Comment != "not on record any more" {
		t.Errorf("%+v", got)
	}
	c.Request.RequestBodyRecorded, c.Bodies, c.Request.RequestParameters = nil, nil, map[string]any{"Bucket": "b"} // of a path
	if got := post(); got != (harPost{}) {
		t.Errorf("%+v", got)
	}
}

// A large body is cut, and says so.
func TestHARCutsBodies(t *testing.T) {
	c := calls(t)[0]
	big := bytes.Repeat([]byte("x"), event.MaxChunk)
	c.Bodies = nil
	for i := range 9 {
		c.Bodies = append(c.Bodies, event.NewBody(event.Common{}, event.PartResponse, i, int64(i*event.MaxChunk), big))
	}
	h := &harWriter{bodies: func(string) ([]byte, error) { return big, nil }}
	b, cut, err := h.body(c, event.PartResponse)
	if err != nil || !cut || len(b) != MaxHARBody {
		t.Errorf("%d bytes, cut %v, %v", len(b), cut, err)
	}
	c.Bodies = append(c.Bodies[:2:2], c.Bodies[3:5]...)
	if b, cut, _ := h.body(c, event.PartResponse); !cut || len(b) != 2*event.MaxChunk {
		t.Errorf("a gap is closed: %d bytes, cut %v", len(b), cut)
	}
}

func TestParseFormat(t *testing.T) {
	for _, f := range Formats {
		if got, err := ParseFormat(string(f)); err != nil || got != f {
			t.Error(f, err)
		}
	}
	for _, bad := range []string{"", "csv", "OCSF"} {
		if _, err := ParseFormat(bad); err == nil || !strings.Contains(err.Error(), "parquet") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A row group is written before its texts fill the memory.
func TestParquetGroups(t *testing.T) {
	var b bytes.Buffer
	w, err := New(Parquet, &b, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := calls(t)[0]
	c.Request.RequestParameters = map[string]any{"Document": strings.Repeat("x", 1<<20)}
	const n = 100
	for range n {
		if err := w.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || f.NumRows() != n || len(f.RowGroups()) < 3 {
		t.Fatalf("%d rows in %d groups, %v", f.NumRows(), len(f.RowGroups()), err)
	}
}

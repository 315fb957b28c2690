package event

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func sample(ids *IDs) []Event {
	c := Common{RequestID: ids.New(), SessionID: ids.New(), EventTime: at, SourceIPAddress: "127.0.0.1", UserAgent: "agent/1",
		UserIdentity: UserIdentity{Issuer: "https://idp.example", Subject: "s", Groups: []string{"g"}, Label: "l"}}
	o := Operation{EventSource: "s3.amazonaws.com", EventName: "GetObject", AWSRegion: "us-east-1", Service: "s3", Actions: []string{"s3:GetObject"}, AccessLevel: "Read", Target: "dev"}
	session := c
	session.RequestID = ""
	var out []Event
	for _, d := range []Data{
		&SessionOpened{Common: session, TokenID: "j", Expires: at},
		&Request{Common: c, Operation: o, Protocol: "rest-xml", Method: "GET", Host: "h", Path: "/k", Digest: strings.Repeat("0", 64),
			RequestParameters: map[string]any{"Key": "k", "N": json.Number("12345678901234567890"), "L": []any{true, nil}},
			Resources:         []Resource{{ARN: "arn:aws:s3:::b/k", Type: "object"}}, RequestBody: &Digest{SHA256: "x", Size: 1}},
		&Decision{Common: c, Operation: o, Effect: "allow", Rules: []string{"r"}, PolicyVersion: "v"},
		&ApprovalPending{Common: c, Operation: o, Approval: c.RequestID, Digest: "d", RoleARN: "arn", Resources: []Resource{{ARN: "arn:aws:s3:::b/k"}},
			RequestParameters: map[string]any{"Key": "k"}, Risk: Risk{Score: 60, Reasons: []string{"x"}}, Rules: []string{"r"},
			Approvers: []Needed{{Groups: []string{"sre"}, Count: 2}}, Created: at, Expires: at},
		&ApprovalOutcome{Common: c, Approval: c.RequestID, Digest: "d", Outcome: "approved", At: at,
			Approvers: []Vote{{Issuer: "i", Subject: "s", Groups: []string{"sre"}, Decision: "allow", Reason: "why", At: at}}},
		&ApprovalVote{Common: c, Approval: c.RequestID, Digest: "d", State: "pending",
			Vote: Vote{Issuer: "i", Subject: "s", Groups: []string{"sre"}, Decision: "allow", Reason: "why", At: at}},
		&Revoked{Common: Common{RequestID: ids.New(), EventTime: at}, Subject: "s", Issuer: "i", Reason: "why", Until: at, RequestsCut: 1, Approvals: []string{"a"}},
		&Revoked{Common: c, Session: c.SessionID, Reason: "why", Lifted: true},
		&Credential{Common: c, Target: "dev", RoleARN: "arn", AccessKeyID: "ASIA", Expires: at},
		&Response{Common: c, Operation: o, Status: 200, Findings: []Finding{{Path: "p", Source: "aws"}}, ResponseBody: &Digest{SHA256: "y", Size: 2},
			ResponseBodyRecorded: &Recorded{Form: FormBody, ContentType: "text/plain", Pieces: 1, Size: 2, SHA256: strings.Repeat("0", 64)}},
		&Aborted{Common: c, Operation: o, Stage: "send", ErrorCode: "unavailable", RequestBody: &Digest{SHA256: "x", Size: 1}, RequestBodyRecorded: &Recorded{Form: FormBody, Omitted: OmittedBroken}},
		&Refused{Common: c, Operation: o, ErrorCode: "malformed"},
		&SessionClosed{Common: session, Reason: "idle"},
		&Checkpoint{Common: Common{RequestID: ids.New(), EventTime: at}, UpTo: 7, Digest: NoDigest, PublicKey: make([]byte, 32), Signature: make([]byte, 64)},
		&Alarm{Common: Common{RequestID: ids.New(), EventTime: at}, Code: "gap", Source: "sallyport/x", Sequence: 9, Detail: "2 events are missing"},
		&Removed{Common: Common{RequestID: ids.New(), EventTime: at}, Why: "age", Before: at, Bodies: 3, Bytes: 4096},
		&Hold{Common: Common{RequestID: ids.New(), EventTime: at}, Action: HoldBegun, Of: ids.New(), By: "anna", Reason: "case 17", Asked: at},
		NewBody(c, PartResponse, 1, 4, []byte("text")),
	} {
		out = append(out, Event{ID: ids.New(), Source: "sallyport/test", Time: at, Data: d})
	}
	return out
}

// What is encoded comes back the same, and encodes to the same bytes again.
func TestRoundTrip(t *testing.T) {
	for _, e := range sample(NewIDs(func() time.Time { return at })) {
		first, err := Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(first)
		if err != nil {
			t.Fatalf("%s: %v\n%s", e.Kind(), err, first)
		}
		second, err := Encode(back)
		if err != nil || string(second) != string(first) {
			t.Errorf("%s: %v\n%s\n%s", e.Kind(), err, first, second)
		}
		if back.Session() != e.Session() || back.Exchange() != e.Exchange() || back.Kind() != e.Kind() {
			t.Errorf("%s came back as %s of %s", e.Kind(), back.Kind(), back.Session())
		}
		subject, err := SubjectOf("sallyport", e)
		if err != nil {
			t.Fatal(err)
		}
		session, exchange, kind, err := ParseSubject("sallyport", subject)
		if session == NoSession {
			session = ""
		}
		if err != nil || session != e.Session() || exchange != e.Exchange() || kind != e.Kind() {
			t.Errorf("%s: %s %s %s %v", subject, session, exchange, kind, err)
		}
	}
}

// Whatever an agent sends, the event is one line of valid UTF-8 JSON below the
// limit, and says what was left out.
func TestHostileTexts(t *testing.T) {
	ids := NewIDs(func() time.Time { return at })
	texts := []string{
		strings.Repeat("x", 1<<20), "\xff\xfe\x00bad", "line\r\nbreak\u2028\u2029", "\x1b]52;c;evil\a\x1b[2K", "nul\x00", "\u202egnp.exe",
	}
	deep := any("bottom")
	for range 10_000 {
		deep = map[string]any{"d": deep}
	}
	wide := map[string]any{}
	for i := range 2000 {
		wide[strings.Repeat("k", 100)+string(rune('a'+i%26))+strings.Repeat("z", i%300)] = strings.Repeat("v", 2000)
	}
	for _, params := range []map[string]any{{"deep": deep}, wide, {"t": texts[0], "list": []any{texts[1], texts[2]}}} {
		for _, text := range texts {
			resources := make([]Resource, 5000)
			for i := range resources {
				resources[i].ARN = "arn:" + text[:min(len(text), 40)]
			}
			e := Event{ID: ids.New(), Source: "sallyport/test", Time: at, Data: &Request{
				Common:    Common{RequestID: ids.New(), SessionID: ids.New(), EventTime: at, UserAgent: text, UserIdentity: UserIdentity{Subject: "s", Label: text}},
				Operation: Operation{Target: text}, Path: text, RequestParameters: params, Resources: resources,
			}}
			line, err := Encode(e)
			if err != nil {
				t.Fatalf("%.20q: %v", text, err)
			}
			if len(line) > DefaultLimit || !utf8.Valid(line) || !json.Valid(line) || strings.ContainsAny(string(line), "\r\n") {
				t.Errorf("%.20q: %d bytes", text, len(line))
			}
			if len(text) > MaxText && !strings.Contains(string(line), "1048576 bytes in all") {
				t.Error("a cut text does not say so")
			}
			if _, err := Decode(line); err != nil {
				t.Errorf("%.20q: %v", text, err)
			}
		}
	}
}

// Ids rise, also when the clock does not, and sort as they were made.
func TestIDsRise(t *testing.T) {
	now := at
	ids := NewIDs(func() time.Time { return now })
	var all []string
	for i := range 10_000 {
		if i == 5000 {
			now = now.Add(-time.Hour)
		}
		id := ids.New()
		if !ValidID(id) {
			t.Fatal(id)
		}
		all = append(all, id)
	}
	if !slices.IsSorted(all) || len(slices.Compact(slices.Sorted(slices.Values(all)))) != len(all) {
		t.Error("ids repeat or fall")
	}
}

// No text of an agent's gets into a subject: only ids and kinds of ours do.
func TestSubjectTakesIDsOnly(t *testing.T) {
	id := NewIDs(func() time.Time { return at }).New()
	for _, bad := range []string{"a.b", "*", ">", "x", "", strings.ToLower(id), id + "x", "../../etc", "a b", "a\r\nb"} {
		if s, err := Subject("sallyport", bad, id, KindRequest); err == nil && bad != "" {
			t.Errorf("session %q gives %s", bad, s)
		}
		if s, err := Subject("sallyport", id, bad, KindRequest); err == nil {
			t.Errorf("exchange %q gives %s", bad, s)
		}
		if s, err := Subject("sallyport", id, id, Kind(bad)); err == nil {
			t.Errorf("kind %q gives %s", bad, s)
		}
	}
	for _, bad := range []string{"", "a b", "a.>", "*", ".a", "a."} {
		if err := ValidPrefix(bad); err == nil {
			t.Errorf("prefix %q is taken", bad)
		}
	}
}

func TestDecodeIsStrict(t *testing.T) {
	e := sample(NewIDs(func() time.Time { return at }))[1]
	line, err := Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(string) string{
		"unknown attribute": func(s string) string { return strings.Replace(s, `{"`, `{"x_y":1,"`, 1) },
		"unknown member":    func(s string) string { return strings.Replace(s, `"method":`, `"methodx":`, 1) },
		"repeated member":   func(s string) string { return strings.Replace(s, `"method":`, `"method":"PUT","method":`, 1) },
		"another version":   func(s string) string { return strings.Replace(s, `"1.0"`, `"2.0"`, 1) },
		"unknown kind":      func(s string) string { return strings.Replace(s, "sallyport.request.", "sallyport.other.", 1) },
		"bad id":            func(s string) string { return strings.Replace(s, `"id":"0`, `"id":"x`, 1) },
		"trailing text":     func(s string) string { return s + "{}" },
		"another case":      func(s string) string { return strings.Replace(s, `"method":`, `"Method":`, 1) },
		"null member":       func(s string) string { return strings.Replace(s, `"method":"GET"`, `"method":null`, 1) },
		"null in a member": func(s string) string {
			return strings.Replace(s, `"userIdentity":{`, `"userIdentity":{"label":null,`, 1)
		},
		"null attribute":   func(s string) string { return strings.Replace(s, `{"`, `{"subject":null,"`, 1) },
		"null extension":   func(s string) string { return strings.Replace(s, `{"`, `{"ext":null,"`, 1) },
		"extension number": func(s string) string { return strings.Replace(s, `{"`, `{"ext":1,"`, 1) },
		"repeated attribute": func(s string) string {
			return strings.Replace(s, `{"specversion":"1.0"`, `{"specversion":"1.0","specversion":"1.0"`, 1)
		},
		"repeated parameter": func(s string) string {
			return strings.Replace(s, `"requestParameters":{`, `"requestParameters":{"x":{"a":1,"a":2},`, 1)
		},
		"too deep": func(s string) string {
			return strings.Replace(s, `"requestParameters":{`, `"requestParameters":{"x":`+strings.Repeat("[", 41)+strings.Repeat("]", 41)+`,`, 1)
		},
		"not UTF-8": func(s string) string { return strings.Replace(s, `"method":"GET"`, "\"method\":\"G\xffT\"", 1) },
		"cut":       func(s string) string { return s[:len(s)-1] },
	} {
		changed := change(string(line))
		if changed == string(line) {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := Decode([]byte(changed)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// What parameters hold is kept as it is: null, and numbers that no float has.
func TestDecodeKeepsParameters(t *testing.T) {
	e := sample(NewIDs(func() time.Time { return at }))[1]
	line, err := Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	const params = `"a":null,"b":[12345678901234567890,1e999,{"c":0.10}],"d":"null"`
	with := strings.Replace(string(line), `"requestParameters":{`, `"requestParameters":{`+params+`,`, 1)
	got, err := Decode([]byte(with))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Encode(got)
	if err != nil || !strings.Contains(string(again), params) {
		t.Fatalf("%v\n%s", err, again)
	}
}

func BenchmarkDecode(b *testing.B) {
	line, err := Encode(sample(NewIDs(func() time.Time { return at }))[1])
	if err != nil {
		b.Fatal(err)
	}
	line = bytes.ReplaceAll(line, []byte("null"), []byte("true")) // one is walked twice
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(line); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range sample(NewIDs(func() time.Time { return at })) {
		line, err := Encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"data":{"data":1e999}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Encode(e)
		if err != nil {
			t.Fatalf("decoded and not encoded: %v\n%s", err, b)
		}
		if _, err := Decode(again); err != nil {
			t.Fatalf("encoded and not decoded: %v\n%s", err, again)
		}
	})
}

func FuzzParseSubject(f *testing.F) {
	f.Add("sallyport.events.none.01J0000000000000000000000B.refused")
	f.Add("sallyport.events.*.>")
	f.Fuzz(func(t *testing.T, s string) {
		session, exchange, kind, err := ParseSubject("sallyport", s)
		if err != nil {
			return
		}
		// Kinds that are not known yet are parsed, for recorders older than their
		// gateway, but never made.
		if newData(kind) == nil || session == NoSession && !kind.ofNone() {
			return
		}
		if session == NoSession {
			session = ""
		}
		if back, err := Subject("sallyport", session, exchange, kind); err != nil || back != s {
			t.Fatalf("%q comes back as %q: %v", s, back, err)
		}
	})
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
	"github.com/sallyport/sallyport/recorder/export"
)

const recordedRole = "arn:aws:iam::111122223333:role/agent-dev" // of init's configuration

// recorded is a new user's folder with a record of two sessions: one that stopped an
// instance, and one that was denied something. It gives their ids, and when it was.
func recorded(t *testing.T) (stopped, denied string, at time.Time) {
	t.Helper()
	newUser(t)
	must(t, "init")
	at = time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	ids := event.NewIDs(func() time.Time { return at })
	s, err := recorder.OpenStore(recorder.StoreOptions{Dir: filepath.Join("state", "records")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	add := func(d event.Data) {
		m, err := event.EncodeMessage(event.Event{ID: ids.New(), Source: "sallyport/x", Time: at, Data: d}, event.DefaultLimit)
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := event.DecodeMessage(m.Header, m.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append([]recorder.Record{{Session: e.Session(), MsgID: e.ID, Header: m.Header, Payload: m.Payload}}); err != nil {
			t.Fatal(err)
		}
	}
	one := func(subject, op string) event.Common {
		c := event.Common{SessionID: ids.New(), EventTime: at, SourceIPAddress: "127.0.0.1", UserIdentity: event.UserIdentity{Issuer: "https://idp.example", Subject: subject, Label: "\x1b[31mred"}}
		add(&event.SessionOpened{Common: c})
		c.RequestID = ids.New()
		add(&event.Request{Common: c, Operation: event.Operation{EventSource: "ec2.amazonaws.com", EventName: op, AWSRegion: "eu-west-1", Service: "ec2", Actions: []string{"ec2:" + op}, Target: "dev"},
			Method: "POST", Host: "ec2.eu-west-1.amazonaws.com", Path: "/", Resources: []event.Resource{{ARN: "arn:aws:ec2:eu-west-1:111122223333:instance/i-1"}}})
		return c
	}
	c := one("ci-agent", "StopInstances")
	stopped = c.SessionID
	add(&event.Decision{Common: c, Effect: "allow", Rules: []string{"r"}})
	add(&event.Credential{Common: c, RoleARN: recordedRole, RoleSessionName: "sp-" + c.SessionID + "-" + c.RequestID + "-x", AccessKeyID: "ASIAOURS"})
	add(event.NewBody(c, event.PartResponse, 0, 0, []byte("<stopped/>")))
	add(&event.Response{Common: c, Status: 200, AWSRequestID: "aws-1", ResponseBody: &event.Digest{Size: 10}})
	c = one("mallory", "TerminateInstances")
	denied = c.SessionID
	add(&event.Decision{Common: c, Effect: "deny", ErrorCode: "denied", ErrorMessage: "no"})
	return stopped, denied, at
}

func TestSessionsFilters(t *testing.T) {
	stopped, denied, _ := recorded(t)
	for args, want := range map[string]string{
		"": "both", "--subject mallory": denied, "--subject m*": denied, "--result denied": denied, "--action ec2:stop*": stopped, "--resource *instance/i-1": "both",
		"--since 2h": "both", "--since 1m": "", "--until 1d": "", "--since 2000-01-01 --until 2001-01-01": "", "--target prod": "", "--limit 1": "one", "--result ok,error": stopped,
	} {
		for _, command := range []string{"list", "calls"} {
			out := must(t, append([]string{"sessions", command, "--json"}, strings.Fields(args)...)...)
			a, b := strings.Contains(out, stopped), strings.Contains(out, denied)
			got := map[[2]bool]string{{true, true}: "both", {true, false}: stopped, {false, true}: denied}[[2]bool{a, b}]
			if want == "one" && a != b {
				continue
			}
			if got != want || !json.Valid([]byte(out)) {
				t.Errorf("%s %s: %s\n%s", command, args, got, out)
			}
		}
	}
	for args, says := range map[string]string{
		"--since yesterday": "how long ago", "--since -2h": "how long ago", "--since 9999999d": "how long ago", "--result good": "rejected", "--limit -1": "number from 1 on",
		"--since 1h --until 2h": "nothing lies between", "--until 2026-13-01": "how long ago",
	} {
		if r := do(t, append([]string{"sessions", "list"}, strings.Fields(args)...)...); r.code != exitUsage || !strings.Contains(r.stderr, says) {
			t.Errorf("%s: %+v", args, r)
		}
	}
	if out := must(t, "sessions", "calls"); strings.ContainsRune(out, 0x1b) || !strings.Contains(out, "ec2:StopInstances") {
		t.Errorf("%q", out)
	}
	if out := must(t, "sessions", "calls", strings.ToLower(stopped[:20])+stopped[20:25]); strings.Contains(out, denied) && stopped[:25] != denied[:25] {
		t.Errorf("calls of another session: %s", out)
	}
	must(t, "sessions", "reindex")
}

// A request's id, which agents and listings have, leads to its part of the story; also
// where it is in no session.
func TestSessionsShowARequest(t *testing.T) {
	stopped, denied, at := recorded(t)
	ids := event.NewIDs(func() time.Time { return at.Add(time.Minute) }) // that no session's begins with
	s, err := recorder.OpenStore(recorder.StoreOptions{Dir: filepath.Join("state", "records")})
	if err != nil {
		t.Fatal(err)
	}
	var refused string
	for range 2 {
		refused = ids.New()
		e := event.Event{ID: ids.New(), Source: "sallyport/x", Time: at, Data: &event.Refused{
			Common: event.Common{RequestID: refused, EventTime: at}, ErrorCode: "identity", ErrorMessage: "no token", Status: 407}}
		m, err := event.EncodeMessage(e, event.DefaultLimit)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append([]recorder.Record{{Session: event.NoSession, MsgID: e.ID, Header: m.Header, Payload: m.Payload}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var calls []struct {
		ID      string `json:"requestID"`
		Session string `json:"sessionID"`
	}
	if err := json.Unmarshal([]byte(must(t, "sessions", "calls", "--json")), &calls); err != nil || len(calls) != 4 {
		t.Fatal(calls, err)
	}
	request := map[string]string{}
	for _, c := range calls {
		request[c.Session] = c.ID
	}
	for id, want := range map[string]struct{ head, has, lacks string }{
		request[stopped]:                 {"session " + stopped, "ec2:StopInstances", "session opened"},
		strings.ToLower(request[denied]): {"session " + denied, "ec2:TerminateInstances", "StopInstances"},
		refused[:25]:                     {"session none", "no token", "ec2:"},
		stopped:                          {"session " + stopped, "session opened", "TerminateInstances"},
		request[stopped] + " --bodies":   {"session " + stopped, "<stopped/>", "session opened"},
		request[denied] + " --records state/records": {"session " + denied, "ec2:TerminateInstances", "StopInstances"},
		refused + " --json":                          {`{"specversion"`, "no token", "StopInstances"},
	} {
		args := append([]string{"sessions", "show"}, strings.Fields(id)...)
		if out := must(t, args...); !strings.HasPrefix(out, want.head) || !strings.Contains(out, want.has) || strings.Contains(out, want.lacks) {
			t.Errorf("%s\n%s", id, out)
		}
	}
	for id, says := range map[string]string{"7ZZZ": "and no request: `sallyport sessions list` and `sallyport sessions calls`", "%": "and no request", "_": "and no request", refused[:12]: "and several requests do"} {
		if r := do(t, "sessions", "show", id); r.code != exitFailed || !strings.Contains(r.stderr, says) || !strings.Contains(r.stderr, "no session begins with") {
			t.Errorf("%+v", r)
		}
	}
}

func TestSessionsExport(t *testing.T) {
	stopped, _, _ := recorded(t)
	lines := strings.Split(strings.TrimSpace(must(t, "sessions", "export")), "\n")
	if len(lines) != 7 { // without what is of no call
		t.Errorf("%d lines\n%s", len(lines), strings.Join(lines, "\n"))
	}
	for _, l := range lines {
		if _, err := event.Decode([]byte(l)); err != nil {
			t.Errorf("%v: %s", err, l)
		}
	}
	if out := must(t, "sessions", "export", "--format", "ocsf", "--result", "ok"); strings.Count(out, "\n") != 1 || !strings.Contains(out, `"class_uid":6003`) || !strings.Contains(out, "aws-1") {
		t.Error(out)
	}
	must(t, "sessions", "export", "--format", "parquet", "-o", "calls.parquet")
	b, err := os.ReadFile("calls.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := parquet.Read[export.Row](bytes.NewReader(b), int64(len(b))); err != nil || len(rows) != 2 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if st, err := os.Stat("calls.parquet"); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("others may read the export: %v, %v", st.Mode(), err)
	}
	if r := do(t, "sessions", "export", "-o", "calls.parquet"); r.code != exitFailed || !strings.Contains(r.stderr, "--force") {
		t.Errorf("%+v", r)
	}
	must(t, "sessions", "export", "-o", "calls.parquet", "--force")
	if out := must(t, "sessions", "export", stopped, "--format", "har"); !json.Valid([]byte(out)) || !strings.Contains(out, "<stopped/>") && !strings.Contains(out, `\u003cstopped/\u003e`) {
		t.Error(out)
	}
	for args, says := range map[string]string{"--format har": "one session", "--format csv": "parquet"} {
		if r := do(t, append([]string{"sessions", "export"}, strings.Fields(args)...)...); r.code != exitUsage || !strings.Contains(r.stderr, says) {
			t.Errorf("%s: %+v", args, r)
		}
	}
	write(t, "file", "")
	for path, says := range map[string]string{
		filepath.Join("no", "such", "name"): "write into the folder " + filepath.Join("no", "such") + ": no such file or directory",
		"state":                             "state is a directory",
		filepath.Join("file", "name"):       "not a directory",
	} {
		for _, force := range []string{"--force=false", "--force"} {
			if r := do(t, "sessions", "export", "-o", path, force); r.code != exitFailed || !strings.Contains(r.stderr, says) || strings.Contains(r.stderr, ".sallyport-export") {
				t.Errorf("%s: %+v", path, r)
			}
		}
	}
	onTerminal(t)
	if r := do(t, "sessions", "export", "--format", "parquet"); r.code != exitUsage || r.stdout != "" || !strings.Contains(r.stderr, "give -o FILE") {
		t.Errorf("%+v", r)
	}
	must(t, "sessions", "export", "--format", "parquet", "-o", "calls.parquet", "--force")
	must(t, "sessions", "export", "--format", "ocsf")
	if left, err := filepath.Glob(".sallyport-export-*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSessionsReconcile(t *testing.T) {
	_, _, at := recorded(t)
	ours := fmt.Sprintf(`{"eventTime":%q,"eventSource":"ec2.amazonaws.com","eventName":"StopInstances","requestID":"aws-1","eventID":"e-1","eventType":"AwsApiCall",
		"userIdentity":{"arn":"arn:aws:sts::111122223333:assumed-role/agent-dev/x","accessKeyId":"ASIAOURS","sessionContext":{"sessionIssuer":{"arn":%q}}}}`, at.Format(time.RFC3339), recordedRole)
	if err := os.MkdirAll("trail/eu-west-1", 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, "trail/eu-west-1/log.json", `{"Records":[`+ours+`]}`)
	args := []string{"sessions", "reconcile", "--role", recordedRole, "--cloudtrail"}
	if out := must(t, append(args, "trail")...); !strings.Contains(out, "explained by the record: 1") || !strings.Contains(out, "NOT EXPLAINED by any record: 0") {
		t.Error(out)
	}
	write(t, "trail/odd.json", `{"Records":[{"eventName":1},`+ours+`]}`) // and the same again
	if out := must(t, append(args, "trail")...); !strings.Contains(out, "explained by the record: 1") || !strings.Contains(out, "NOT READ: 1 entries") {
		t.Error(out)
	}
	stolen := strings.Replace(strings.Replace(ours, "aws-1", "aws-2", 1), "e-1", "e-\\u001b[2J", 1)
	write(t, "trail/stolen.jsonl", strings.ReplaceAll(stolen, "\n", " ")+"\n")
	r := do(t, append(args, "trail")...)
	if r.code != exitFailed || !strings.Contains(r.stdout, "has left the gateway") || !strings.Contains(r.stderr, "no record explains") || strings.ContainsRune(r.stdout, 0x1b) {
		t.Errorf("%+v", r)
	}
	if r := do(t, append(args, "trail", "--json")...); r.code != exitFailed || !json.Valid([]byte(r.stdout)) {
		t.Errorf("%+v", r)
	}
	// Where CloudTrail has others' events from around a call and none of it, it is missed.
	others := fmt.Sprintf(`{"eventTime":%q,"eventSource":"ec2.amazonaws.com","eventName":"X","userIdentity":{"arn":"arn:aws:iam::1:user/x"}}`, at.Add(-time.Minute).Format(time.RFC3339))
	write(t, "others.json", `{"Records":[`+others+`,`+strings.Replace(others, at.Add(-time.Minute).Format(time.RFC3339), at.Add(20*time.Minute).Format(time.RFC3339), 1)+`]}`)
	if out := must(t, append(args, "others.json")...); !strings.Contains(out, "on record, and not in CloudTrail: 1") || !strings.Contains(out, "0 events of these roles, 2 of others") {
		t.Error(out)
	}
	write(t, "lines.jsonl", `{"a":1}`+"\n")
	for bad, says := range map[string]string{"lines.jsonl": "no event of CloudTrail's", "nothing": "no such file", "sallyport.yaml": "not JSON of CloudTrail's", "state/ca": "no .json"} {
		if r := do(t, append(args, bad)...); r.code != exitFailed || !strings.Contains(r.stderr, says) {
			t.Errorf("%s: %+v", bad, r)
		}
	}
	if r := do(t, "sessions", "reconcile"); r.code != exitUsage || !strings.Contains(r.stderr, "--cloudtrail") {
		t.Errorf("%+v", r)
	}
	// A role that is none has no event and so no bypass, whatever was done.
	for _, role := range []string{"agent-dev", "arn:aws:sts::111122223333:assumed-role/agent-dev/x", "arn:aws:iam::111122223333:rolle/agent-dev", "arn:nowhere:iam::111122223333:role/agent-dev", "\x1b[2J"} {
		r := do(t, "sessions", "reconcile", "--cloudtrail", "trail", "--role", recordedRole, "--role", role)
		if r.code != exitUsage || r.stdout != "" || strings.ContainsRune(r.stderr, 0x1b) || role == "agent-dev" && !strings.Contains(r.stderr, `--role: "agent-dev" is not the ARN of a role, such as `+recordedRole) {
			t.Errorf("%q: %+v", role, r)
		}
	}
	const unseen = "NO EVENT of the role "
	if out := must(t, "sessions", "reconcile", "--cloudtrail", "trail/odd.json", "--role", recordedRole, "--role", recordedRole+"x"); !strings.Contains(out, unseen+recordedRole+"x:") || strings.Count(out, unseen) != 1 {
		t.Error(out)
	}
}

// What cannot be read is told, in words that move no cursor, and the rest is given all the
// same; also where the index was made before the damage.
func TestSessionsOfADamagedRecord(t *testing.T) {
	stopped, _, _ := recorded(t)
	must(t, "sessions", "list")
	segment := filepath.Join("state", "records", "segments", "00000000000000000000.jsonl")
	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(b), "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "sallyport.response") })
	lines[i] = strings.Replace(lines[i], "200", "2x0", 1) // the last line of its call
	write(t, segment, strings.Join(lines, "")+`{"opaque":{"msgID":"x","subject":"s","why":"\u001b[2J\r\nred","payload":""}}`+"\n")
	for format, holds := range map[string]string{"jsonl": "ASIAOURS", "ocsf": "ASIAOURS", "parquet": "ASIAOURS", "har": "<stopped/>"} {
		r := do(t, "sessions", "export", stopped, "--format", format, "-o", "out."+format)
		if r.code != exitFailed || !strings.Contains(r.stderr, "2 damaged places") || strings.ContainsAny(r.stderr, "\x1b\r") {
			t.Errorf("%s: %+v", format, r)
		}
		out, err := os.ReadFile("out." + format)
		if text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(out)); err != nil || !strings.Contains(text, holds) {
			t.Errorf("%s: %v, %d bytes", format, err, len(out))
		}
	}
	for _, command := range [][]string{{"list"}, {"calls"}, {"show", stopped}, {"reindex"}} {
		if r := do(t, append([]string{"sessions"}, command...)...); r.code != exitFailed || !strings.Contains(r.stderr, "damaged: ") || strings.ContainsAny(r.stdout+r.stderr, "\x1b\r") {
			t.Errorf("%v: %+v", command, r)
		}
	}
	e, err := event.Decode([]byte(strings.TrimSpace(lines[1]))) // the request
	if err != nil {
		t.Fatal(err)
	}
	if r := do(t, "sessions", "show", e.Exchange()); r.code != exitFailed || !strings.Contains(r.stdout, "ec2:StopInstances") || strings.Contains(r.stdout, "session opened") || !strings.Contains(r.stderr, "2 damaged places") {
		t.Errorf("%+v", r)
	}
	if r := do(t, "sessions", "show", event.NewIDs(nil).New()); r.code != exitFailed || !strings.Contains(r.stdout, "2 places of the record cannot be read") || !strings.Contains(r.stderr, "2 damaged places") {
		t.Errorf("%+v", r)
	}
}

// An auditor's copy is asked without a configuration, and stays as it is: an index in it
// could say anything.
func TestSessionsOfACopy(t *testing.T) {
	stopped, denied, _ := recorded(t)
	must(t, "sessions", "list")
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(filepath.Join("state", "records"))); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(copied, "index.sqlite"), "false")
	if err := os.Remove("sallyport.yaml"); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"list"}, {"calls"}, {"calls", stopped}, {"show", stopped}, {"show", stopped, "--bodies"}, {"export"}, {"export", stopped, "--format", "har"}, {"verify"}} {
		out := must(t, append(append([]string{"sessions"}, args...), "--records", copied)...)
		if args[0] != "verify" && !strings.Contains(out, "StopInstances") && !strings.Contains(out, stopped) || strings.Contains(out, denied) && len(args) > 1 {
			t.Errorf("%v: %s", args, out)
		}
	}
	write(t, "trail.json", `{"Records":[]}`)
	must(t, "sessions", "reconcile", "--records", copied, "--role", recordedRole, "--cloudtrail", "trail.json")
	if r := do(t, "sessions", "reconcile", "--records", copied, "--cloudtrail", "trail.json"); r.code != exitUsage || !strings.Contains(r.stderr, "--role") {
		t.Errorf("%+v", r)
	}
	if b, err := os.ReadFile(filepath.Join(copied, "index.sqlite")); err != nil || string(b) != "false" {
		t.Errorf("the copy was changed: %.20q, %v", b, err)
	}
	if r := do(t, "sessions", "list", "--records", "nowhere"); r.code != exitFailed || !strings.Contains(r.stderr, "no store of records") {
		t.Errorf("%+v", r)
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/server"
	"github.com/sallyport/sallyport/recorder"
)

// withSession puts a session with a body into the store of the current folder.
func withSession(t *testing.T, text string) (session, id string) {
	t.Helper()
	conf, err := config.Load("sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	store, err := recorder.OpenStore(server.StoreOptions(conf))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ids := event.NewIDs(nil)
	c := event.Common{RequestID: ids.New(), SessionID: ids.New(), EventTime: time.Now(), UserIdentity: event.UserIdentity{Subject: "agent"}}
	var in []recorder.Record
	for _, d := range []event.Data{
		&event.Request{Common: c, Operation: event.Operation{Service: "s3", EventName: "GetObject"}},
		event.NewBody(c, event.PartResponse, 0, 0, []byte(text)),
	} {
		e := event.Event{ID: ids.New(), Source: "sallyport/test", Time: time.Now(), Data: d}
		m, err := event.EncodeMessage(e, event.DefaultLimit)
		if err != nil {
			t.Fatal(err)
		}
		in, id = append(in, recorder.Record{Session: c.SessionID, MsgID: e.ID, Header: m.Header, Payload: m.Payload}), e.ID
	}
	if err := store.Append(in); err != nil {
		t.Fatal(err)
	}
	return c.SessionID, id
}

func TestSessionsVerify(t *testing.T) {
	initialise(t)
	_, id := withSession(t, "a body\x1b[2J")
	if out := must(t, "sessions", "verify"); !strings.Contains(out, "whole: every line is in its place") || !strings.Contains(out, "give --key") {
		t.Errorf("%s", out)
	}
	if out := must(t, "sessions", "show", "--bodies"); !strings.Contains(out, `a body\x1b[2J`) {
		t.Errorf("%s", out)
	}
	records := filepath.Join("state", "records")
	for from, to := range map[string]string{recorder.VerifierFile: "key", "log/checkpoint": "kept"} {
		b, err := os.ReadFile(filepath.Join(records, from))
		if err != nil {
			t.Fatal(err)
		}
		write(t, to, string(b))
	}
	var report recorder.Report
	out := must(t, "sessions", "verify", "--records", records, "--key", "key", "--checkpoint", "kept", "--json")
	if err := json.Unmarshal([]byte(out), &report); err != nil || !report.OK || !report.Log.KeyGiven || !report.Log.Kept.Consistent || report.Lines != 2 {
		t.Errorf("%v %s", err, out)
	}
	write(t, "proof.json", must(t, "sessions", "verify", "--event", id))
	if out := must(t, "sessions", "verify", "--proof", "proof.json", "--key", "key"); !strings.Contains(out, "proved: entry 1 of the 2") {
		t.Errorf("%s", out)
	}
	for name, args := range map[string][]string{
		"no key":         {"--proof", "proof.json"},
		"no proof":       {"--proof", "kept", "--key", "key"},
		"no such event":  {"--event", strings.Repeat("0", 26)},
		"no records":     {"--records", "nowhere"},
		"bad key":        {"--key", "nonsense"},
		"other gateways": {"--gateway", "sallyport/0"},
	} {
		if r := do(t, append([]string{"sessions", "verify"}, args...)...); r.code != exitFailed {
			t.Errorf("%s: %+v", name, r)
		}
	}
	// What is wrong with an argument is no word about the record.
	pem, err := os.ReadFile(filepath.Join("state", "keys", "recorder.key"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, "private", string(pem))
	proof, err := os.ReadFile("proof.json")
	if err != nil {
		t.Fatal(err)
	}
	write(t, "changed.json", strings.Replace(string(proof), "sallyport/test", "sallyport/text", 1))
	for args, says := range map[string]string{
		"--key nope.vkey": "open nope.vkey: no such file", "--key kept": "kept holds no public key", "--key private": "private holds no public key",
		"--key a+b+c": `the key "a+b+c": malformed`, "--checkpoint key": "the checkpoint that was given is none", "--checkpoint nope": "open nope: no such file",
		"--key key --proof changed.json": "the line is not in the signed log: it, or the proof, was changed\n",
	} {
		if r := do(t, append([]string{"sessions", "verify"}, strings.Fields(args)...)...); r.code != exitFailed || r.stdout != "" || !strings.Contains(r.stderr, says) || strings.Contains(r.stderr, "PRIVATE") {
			t.Errorf("%s: %+v", args, r)
		}
	}
	segment := filepath.Join(records, "segments", "00000000000000000000.jsonl")
	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	write(t, segment, strings.Replace(string(b), "GetObject", "PutObject", 1))
	if r := do(t, "sessions", "verify"); r.code != exitFailed || !strings.Contains(r.stdout, "BROKEN") || !strings.Contains(r.stdout, "segments/00000000000000000000.jsonl:1: entry 0: changed: it is not the one that the log has (log/tile/") {
		t.Errorf("%+v", r)
	}
}

func TestSessionsHoldAndForget(t *testing.T) {
	initialise(t)
	session, _ := withSession(t, "what is to go")
	for _, args := range [][]string{{"forget", session}, {"hold", session}, {"hold", session, "--reason", " "}, {"release", session}, {"release", session, "--reason", "not held"}, {"hold", "nosuch", "--reason", "r"}} {
		if r := do(t, append([]string{"sessions"}, args...)...); r.code != exitFailed {
			t.Errorf("%v: %+v", args, r)
		}
	}
	must(t, "sessions", "hold", strings.ToLower(session[:24]), "--reason", "case \x1b17")
	if out := must(t, "sessions", "hold"); !strings.Contains(out, session) || !strings.Contains(out, `case \x1b17`) {
		t.Errorf("%s", out)
	}
	if r := do(t, "sessions", "forget", session, "--reason", "r"); r.code != exitFailed || !strings.Contains(r.stderr, "legal hold") {
		t.Errorf("%+v", r)
	}
	must(t, "sessions", "release", session, "--reason", "case closed")
	if out := must(t, "sessions", "hold", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("%s", out)
	}
	if out := must(t, "sessions", "forget", session, "--reason", "asked for"); !strings.Contains(out, "are gone") {
		t.Errorf("%s", out)
	}
	if out := must(t, "sessions", "show", session, "--bodies"); !strings.Contains(out, "are gone") || strings.Contains(out, "what is to go") {
		t.Errorf("%s", out)
	}
	if out := must(t, "sessions", "show", "none"); !strings.Contains(out, "1 bodies") || !strings.Contains(out, "asked for") ||
		!strings.Contains(out, `case \x1b17`) || !strings.Contains(out, "case closed") {
		t.Errorf("%s", out)
	}
	if out := must(t, "sessions", "verify"); !strings.Contains(out, "1 let go by removals on record") {
		t.Errorf("%s", out)
	}
}

package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The gateway and the recorder in processes of their own, with nothing in common
// but NATS: what the gateway did while no recorder ran is recorded later.
func TestRolesApart(t *testing.T) {
	w := prepare(t)
	w.begin("serve", "--roles", "gateway")
	lines, events := w.begin("sessions", "tail"), w.begin("sessions", "tail", "--json")

	rec := &world{t: t, dir: t.TempDir()}
	rec.copy("policy.yaml")
	rec.write("sallyport.yaml", strings.NewReplacer(
		"listen: 127.0.0.1:0\nadmin", "url: "+strings.TrimSpace(w.read("state/nats/url"))+"\n  creds_file: "+
			filepath.Join(w.dir, "state/nats/recorder.creds")+"\nadmin",
	).Replace(w.read("sallyport.yaml")))

	call := func() {
		t.Helper()
		if r := w.aws("s3", "ls", "s3://acme-dev-reports/2026/"); r.code != 0 {
			t.Fatalf("s3 ls: %v", r)
		}
	}
	// A tail shows what happens after it has begun, which it does not announce.
	waitFor(t, "a live event", func() bool {
		call()
		return strings.Contains(lines.text(), "request s3:ListObjectsV2") && strings.Contains(events.text(), `"eventName":"ListObjectsV2"`)
	})
	first, _, _ := strings.Cut(events.text(), "\n")
	if !json.Valid([]byte(first)) {
		t.Errorf("tail --json: %s", first)
	}
	for _, p := range []*process{lines, events} {
		if code := p.end(os.Interrupt); code != 0 {
			t.Errorf("tail ended with %d: %s", code, p.text())
		}
	}
	if out := w.must("sessions", "list", "--json").stdout; out != "[]\n" {
		t.Errorf("the gateway alone recorded something: %s", out)
	}

	calls := func() int {
		var list []struct{ Calls, Allowed int }
		if err := json.Unmarshal([]byte(rec.must("sessions", "list", "--json").stdout), &list); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, s := range list {
			n += s.Calls
		}
		return n
	}
	recorder := rec.begin("serve", "--roles", "recorder")
	waitFor(t, "what was before the recorder", func() bool { return calls() > 0 })
	before := calls()
	if code := recorder.end(syscall.SIGTERM); code != 0 {
		t.Errorf("the recorder ended with %d:\n%s", code, recorder.text())
	}
	call()
	rec.begin("serve", "--roles", "recorder")
	waitFor(t, "what was while no recorder ran", func() bool { return calls() > before })
	if _, err := os.Stat(filepath.Join(rec.dir, "state", "ca")); err == nil {
		t.Error("the recorder made a CA")
	}
	if _, err := os.Stat(filepath.Join(w.dir, "state", "records")); err == nil {
		t.Error("the gateway has records")
	}
}

// After kill -9 everything is there that was durable: the CA that agents trust,
// the record, the trial issuer.
func TestKilled(t *testing.T) {
	w := prepare(t)
	gateway := w.begin("serve")
	root := w.read("state/ca/root.crt")
	if r := w.aws("s3", "ls"); r.code != 0 {
		t.Fatal(r)
	}
	if code := gateway.end(syscall.SIGKILL); code != -1 {
		t.Fatalf("exit code %d", code)
	}
	w.begin("serve")
	if w.read("state/ca/root.crt") != root {
		t.Error("another root")
	}
	if r := w.aws("s3", "ls", "s3://acme-dev-reports/2026/"); r.code != 0 {
		t.Error(r)
	}
	waitFor(t, "both calls on record", func() bool {
		list := w.must("sessions", "list", "--json").stdout
		var sessions []struct{ Session string }
		if err := json.Unmarshal([]byte(list), &sessions); err != nil {
			t.Fatal(err)
		}
		var story string
		for _, s := range sessions {
			story += w.must("sessions", "show", s.Session).stdout
		}
		return strings.Contains(story, "s3:ListBuckets") && strings.Contains(story, "s3:ListObjectsV2") && strings.Count(story, "answer      200") == 2
	})
}

// SIGTERM: no new connections, and the open request gets its answer.
func TestDrain(t *testing.T) {
	w := prepare(t)
	u := w.watch()
	gateway := w.begin("serve")
	u.holdBack("GET acme-dev-reports.s3")
	agent := w.begin("run", "--region", "us-east-1", "--", "aws", "s3", "cp", "s3://acme-dev-reports/2026/q3 übersicht.csv", "-")
	waitFor(t, "the request upstream", func() bool { return u.has("GET acme-dev-reports.s3") })
	if err := gateway.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	gateway.await(`"msg":"draining"`)
	waitFor(t, "the end of the listener", func() bool {
		return w.sallyport("run", "--", "true").code == 1
	})
	select {
	case <-gateway.done:
		t.Fatal("serve ended with a request open")
	default:
	}
	u.release()
	if code := agent.wait(); code != 0 || !strings.Contains(agent.text(), "emea,1") {
		t.Errorf("the open request: exit code %d\n%s", code, agent.text())
	}
	if code := gateway.wait(); code != 0 {
		t.Errorf("serve ended with %d", code)
	}
	if story := w.must("sessions", "show").stdout; !strings.Contains(story, "answer      200") {
		t.Errorf("the answer is not on record:\n%s", story)
	}
}

package recorder_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/recorder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ids = event.NewIDs(nil)

func exchange(session string) []event.Event {
	at := time.Now()
	c := event.Common{RequestID: ids.New(), SessionID: session, EventTime: at, UserIdentity: event.UserIdentity{Subject: "agent", Label: "l\x1b[2K"}}
	op := event.Operation{Service: "s3", EventName: "GetObject", Target: "dev"}
	mk := func(d event.Data) event.Event {
		return event.Event{ID: ids.New(), Source: "sallyport/test", Time: at, Data: d}
	}
	return []event.Event{
		mk(&event.Request{Common: c, Operation: op, Resources: []event.Resource{{ARN: "arn:aws:s3:::b/\u202ex"}}}),
		mk(&event.Decision{Common: c, Operation: op, Effect: "allow", Rules: []string{"read"}}),
		mk(&event.Response{Common: c, Operation: op, Status: 200, Findings: []event.Finding{{Path: "SecretString", Source: "sensitive"}}}),
	}
}

func start(t *testing.T, dir, listen string) *bus.Server {
	t.Helper()
	s, err := bus.Start(context.Background(), bus.ServerOptions{Dir: dir, Listen: listen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func publisher(t *testing.T, s *bus.Server) *recorder.Publisher {
	t.Helper()
	nc, err := bus.Connect(context.Background(), bus.Options{Role: bus.Gateway, InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	p, err := recorder.NewPublisher(recorder.PublisherOptions{Conn: nc, StateDir: t.TempDir(), Timeout: 2 * time.Second, Await: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

// record runs a recorder over TCP with its creds file, as a second process
// would, until done says so, and drains it.
func record(t *testing.T, s *bus.Server, dir string) {
	t.Helper()
	nc, err := bus.Connect(context.Background(), bus.Options{Role: bus.Recorder, URL: s.URL(), CredsFile: s.CredsFile(bus.Recorder)})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	st, err := recorder.OpenStore(recorder.StoreOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := recorder.OpenStore(recorder.StoreOptions{Dir: dir}); err == nil {
		t.Fatal("a second store opened the same directory")
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- (&recorder.Recorder{Conn: nc, Store: st}).Run(ctx) }()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if list, _, _ := (recorder.Records{Dir: dir}).List(); len(list) > 0 && list[0].Masked > 0 {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("recorder ended: %v", err)
		case <-deadline:
			t.Fatal("nothing was recorded")
		case <-tick.C:
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestRecordSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, filepath.Join(dir, "nats"), "")
	session := ids.New()
	ev := exchange(session)
	p := publisher(t, s)
	r, err := p.Begin(context.Background(), ev[0], ev[1])
	if err != nil {
		t.Fatal(err)
	}
	if !r.Use() || r.Use() || r.Exchange() != ev[0].Exchange() {
		t.Fatal("a receipt is good for exactly one use of its own exchange")
	}
	if err := p.Append(context.Background(), ev[0]); err == nil || !strings.Contains(err.Error(), "duplicate") {
		t.Fatalf("a repeated id was accepted: %v", err)
	}
	s.Shutdown()
	if _, err := p.Begin(context.Background(), exchange(session)...); err == nil {
		t.Fatal("a receipt without a server")
	}
	s = start(t, filepath.Join(dir, "nats"), "")
	if err := publisher(t, s).Append(context.Background(), ev[2]); err != nil {
		t.Fatal(err)
	}
	records := filepath.Join(dir, "records")
	record(t, s, records)

	got, err := recorder.Records{Dir: records}.Read(session[:20])
	if err != nil || len(got.Events) != 3 || len(got.Problems) != 0 {
		t.Fatalf("read %+v, %v", got, err)
	}
	var out bytes.Buffer
	if err := recorder.WriteStory(&out, got); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\u202e") {
		t.Fatalf("story can control a terminal: %q", out.String())
	}
	t.Log("\n" + out.String())
}

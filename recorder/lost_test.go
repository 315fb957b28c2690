package recorder_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/wal"
	"github.com/sallyport/sallyport/recorder"
)

// endsOf are the ends of each request in a list of events.
func endsOf(list []line) map[string][]event.Data {
	out := map[string][]event.Data{}
	for _, l := range list {
		if l.Kind() == event.KindRequest {
			out[l.Exchange()] = append([]event.Data{}, out[l.Exchange()]...)
		}
		if event.Ends(l.Data) {
			out[l.Exchange()] = append(out[l.Exchange()], l.Data)
		}
	}
	return out
}

// leave copies what kill -9 leaves of a gateway's state.
func leave(t testing.TB, running, killed string) {
	t.Helper()
	for _, name := range []string{"wal", "keys"} {
		to := filepath.Join(killed, name)
		if err := os.CopyFS(to, os.DirFS(filepath.Join(running, name))); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(to)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.Chmod(filepath.Join(to, f.Name()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// begin records the first n events of an exchange, and gives all of them.
func begin(t testing.TB, p *recorder.Publisher, n int) []event.Event {
	t.Helper()
	ev := exchange(ids.New())
	if _, err := p.Begin(t.Context(), ev[:n]...); err != nil {
		t.Fatal(err)
	}
	return ev
}

// What a gateway left open is ended by its next start, once, and says whether AWS may
// have been reached. What had an end gets no other.
func TestLostIsEnded(t *testing.T) {
	s := start(t, t.TempDir(), "")
	running, killed := t.TempDir(), t.TempDir()
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: running, Prefix: "sallyport"})
	begin := func(n int) []event.Event { return begin(t, p, n) }
	asked, allowed, sent, answered := begin(1), begin(2), begin(2), begin(3)
	minted := event.Event{ID: ids.New(), Source: "any", Time: sent[0].Time, Data: &event.Credential{Common: *sent[0].Data.Head(), RoleARN: "arn", AccessKeyID: "ASIA"}}
	denied := exchange(ids.New())
	denied[1].Data.(*event.Decision).Effect = "deny"
	broken := begin(2)
	aborted := event.Event{ID: ids.New(), Source: "any", Time: broken[0].Time, Data: &event.Aborted{Common: *broken[0].Data.Head(), Stage: "send"}}
	for _, e := range [][]event.Event{{minted}, denied[:2], {aborted}} {
		if err := p.Append(t.Context(), e...); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, p)
	leave(t, running, killed)
	elsewhere := start(t, t.TempDir(), "")
	for range 2 { // the second start finds nothing open
		again := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, elsewhere, true), StateDir: killed})
		flush(t, again)
		ends := endsOf(stream(t, elsewhere))
		for name, want := range map[string]struct {
			ev  []event.Event
			why string
		}{
			"asked": {asked, "nothing had been sent"}, "allowed": {allowed, "nothing had been sent"}, "sent": {sent, "AWS may have carried it out"},
			"answered": {ev: answered}, "denied": {ev: denied}, "broken off": {ev: broken},
		} {
			id := want.ev[0].Exchange()
			if len(ends[id]) != 1 {
				t.Errorf("%s: it has %d ends", name, len(ends[id]))
				continue
			}
			d, ok := ends[id][0].(*event.Aborted)
			if want.why == "" {
				if ok && d.Stage == recorder.StageLost {
					t.Errorf("%s: ended anew: %+v", name, d)
				}
				continue
			}
			if !ok || d.Stage != recorder.StageLost || !strings.Contains(d.ErrorMessage, want.why) || d.EventName != "GetObject" ||
				d.SessionID != want.ev[0].Session() || d.UserIdentity.Subject != "agent" || !d.EventTime.After(want.ev[0].Time) {
				t.Errorf("%s: %+v", name, ends[id][0])
			}
		}
		if err := again.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	checkChains(t, stream(t, elsewhere))
}

// What another version wrote keeps nobody from starting, and its exchange gets no end that
// might be its second.
func TestLostOfAnotherVersion(t *testing.T) {
	s := start(t, t.TempDir(), "")
	dir := t.TempDir()
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: dir})
	ev := exchange(ids.New())
	if _, err := p.Begin(t.Context(), ev[:2]...); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	file, err := wal.Open(wal.Options{Dir: filepath.Join(dir, "wal")})
	if err != nil {
		t.Fatal(err)
	}
	r := file.Read(2) // the decision
	_, b, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Replace(b, []byte(`"effect"`), []byte(`"efflux"`), 1)
	if _, err := file.Append(t.Context(), other); err != nil || bytes.Equal(b, other) {
		t.Fatal(err)
	}
	r.Close()
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	elsewhere := start(t, t.TempDir(), "")
	p = newPublisher(t, recorder.PublisherOptions{Conn: connect(t, elsewhere, true), StateDir: dir})
	if err := p.Accepting(); err != nil {
		t.Fatal(err)
	}
}

// What is open for so long that the file has let go of its beginning is ended, too, and
// what ended meanwhile is not.
func TestLostBehindACut(t *testing.T) {
	s := start(t, t.TempDir(), "")
	c := &clock{at: time.Now()}
	dir := t.TempDir()
	p := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, s, true), StateDir: dir, SegmentSize: 16 << 10, Now: c.now})
	begin := func(n int) []event.Event { return begin(t, p, n) }
	r := newTeller(t, s)
	pass := func() { // what came up to here is cut
		t.Helper()
		for range 60 {
			begin(3)
		}
		flush(t, p)
		before := segments(t, dir)
		r.say("a", "a", 1<<40)
		waitFor(t, func() bool { return segments(t, dir) <= 2 })
		if before <= 2 {
			t.Fatal("nothing was there to cut")
		}
	}
	held, sent, answered := begin(1), begin(2), begin(2)
	minted := event.Event{ID: ids.New(), Source: "any", Time: sent[0].Time, Data: &event.Credential{Common: *sent[0].Data.Head(), RoleARN: "arn", AccessKeyID: "ASIA"}}
	if err := p.Append(t.Context(), minted); err != nil {
		t.Fatal(err)
	}
	pass()
	if err := p.Append(t.Context(), answered[2]); err != nil {
		t.Fatal(err)
	}
	pass()
	pass()                                       // and the end of that one, too
	if err := p.Close(t.Context()); err != nil { // which ends no request
		t.Fatal(err)
	}
	elsewhere := start(t, t.TempDir(), "")
	for range 2 {
		again := newPublisher(t, recorder.PublisherOptions{Conn: connect(t, elsewhere, true), StateDir: dir})
		flush(t, again)
		got := map[string]string{}
		for _, l := range stream(t, elsewhere) {
			if d, ok := l.Data.(*event.Aborted); ok {
				if got[l.Exchange()] != "" {
					t.Errorf("%s has two ends", l.Exchange())
				}
				got[l.Exchange()] = d.ErrorMessage
			}
		}
		if len(got) != 2 || !strings.Contains(got[held[0].Exchange()], "nothing had been sent") || !strings.Contains(got[sent[0].Exchange()], "AWS may have carried it out") {
			t.Errorf("%v", got)
		}
		if err := again.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

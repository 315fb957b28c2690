package recorder_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// kept are the sessions of which all bodies are there, and gone those of which none is.
func bodiesOf(t testing.TB, dir string) (kept, gone []string) {
	t.Helper()
	there := map[string][2]int{}
	for _, e := range entries(t, dir, 0) {
		d, ok := e.Event.Data.(*event.Body)
		if !ok {
			continue
		}
		n := there[d.SessionID]
		_, err := recorder.Records{Dir: dir}.Body(t.Context(), d.SHA256)
		switch {
		case err == nil:
			n[0]++
		case errors.Is(err, recorder.ErrGone):
			n[1]++
		default:
			t.Fatal(err)
		}
		there[d.SessionID] = n
	}
	for s, n := range there {
		switch {
		case n[1] == 0:
			kept = append(kept, s)
		case n[0] == 0:
			gone = append(gone, s)
		default:
			t.Fatalf("session %s has %d bodies, and %d are gone", s, n[0], n[1])
		}
	}
	slices.Sort(kept)
	slices.Sort(gone)
	return kept, gone
}

func removals(t testing.TB, dir string) (out []*event.Removed) {
	t.Helper()
	for _, e := range entries(t, dir, 0) {
		if d, ok := e.Event.Data.(*event.Removed); ok {
			out = append(out, d)
		}
	}
	return out
}

// aged is a store with a session for each day, the first of them the oldest; all have
// one body in common, too.
func aged(t testing.TB, days int) (o recorder.StoreOptions, sessions []string, now time.Time) {
	t.Helper()
	dir := t.TempDir()
	g := newGateway(t)
	now = time.Now()
	o = recorder.StoreOptions{Dir: dir, PackSize: 600, Now: func() time.Time { return now }}
	s := open(t, o)
	for i := range days {
		session := ids.New()
		sessions = append(sessions, session)
		day := []event.Event{}
		for range 5 {
			x := exchange(session)
			day = append(day, append(x, body(session, x[0].Exchange(), 0, []byte(ids.New())), body(session, x[0].Exchange(), 1, []byte("the same for all")))...)
		}
		for j := range day {
			day[j].Time = now.Add(time.Duration(i-days) * 24 * time.Hour)
		}
		g.link(day...)
		if err := s.Append(messages(t, append(day, g.checkpoint())...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return o, sessions, now
}

func keep(t testing.TB, o recorder.StoreOptions, p recorder.Retention) {
	t.Helper()
	s := open(t, o)
	if err := s.Keep(p); err != nil {
		t.Fatal(err)
	}
	before := len(removals(t, o.Dir))
	if err := s.Keep(p); err != nil {
		t.Fatal(err)
	}
	if n := len(removals(t, o.Dir)); n != before {
		t.Errorf("a second time, %d removals became %d", before, n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRetentionByAge(t *testing.T) {
	o, sessions, _ := aged(t, 10)
	if err := (recorder.Records{Dir: o.Dir}).Hold(recorder.Hold{Session: sessions[1], Reason: "a case", By: "counsel"}); err != nil {
		t.Fatal(err)
	}
	keep(t, o, recorder.Retention{BodiesFor: 0})
	if kept, gone := bodiesOf(t, o.Dir); len(kept) != 10 || len(gone) != 0 {
		t.Errorf("without retention %d are kept", len(kept))
	}
	keep(t, o, recorder.Retention{BodiesFor: 5 * 24 * time.Hour})
	there := 0
	for _, e := range entries(t, o.Dir, 0) {
		d, ok := e.Event.Data.(*event.Body)
		if !ok {
			continue
		}
		_, err := recorder.Records{Dir: o.Dir}.Body(t.Context(), d.SHA256)
		young := e.Event.Time.After(o.Now().Add(-5 * 24 * time.Hour))
		if (young || d.SessionID == sessions[1]) && err != nil {
			t.Errorf("a body of %s is gone: %v", e.Event.Time, err)
		}
		if e.Event.Time.Before(o.Now().Add(-7*24*time.Hour)) && d.SessionID != sessions[1] && d.Index == 0 && !errors.Is(err, recorder.ErrGone) {
			t.Errorf("a body of %s is there: %v", e.Event.Time, err)
		}
		if err == nil {
			there++
		}
	}
	r := whole(t, o.Dir, recorder.VerifyOptions{})
	if r.Bodies.Removed == 0 || int(r.Bodies.Named)-there != int(r.Bodies.Removed) {
		t.Errorf("%+v, %d there", r.Bodies, there)
	}
	if d := removals(t, o.Dir); len(d) != 1 || d[0].Why != event.RemovedAge || d[0].Held == 0 || d[0].Bodies == 0 || d[0].Bytes == 0 {
		t.Errorf("%+v", d)
	}
	// Released, it goes too.
	if err := (recorder.Records{Dir: o.Dir}).Release(recorder.Hold{Session: sessions[1], Reason: "closed", By: "clerk"}); err != nil {
		t.Fatal(err)
	}
	keep(t, o, recorder.Retention{BodiesFor: 5 * 24 * time.Hour})
	if _, gone := bodiesOf0(t, o.Dir); !slices.Contains(gone, sessions[1]) {
		t.Error("the bodies of a released session are there")
	}
	// Who did both, and why, is on record, once.
	keep(t, o, recorder.Retention{})
	var told []string
	for _, e := range entries(t, o.Dir, 0) {
		if d, ok := e.Event.Data.(*event.Hold); ok {
			told = append(told, strings.Join([]string{d.Action, d.Of, d.By, d.Reason}, ", "))
		}
	}
	if !slices.Equal(told, []string{"begun, " + sessions[1] + ", counsel, a case", "released, " + sessions[1] + ", clerk, closed"}) {
		t.Errorf("%+v", told)
	}
	whole(t, o.Dir, recorder.VerifyOptions{})
}

// bodiesOf0 looks at the first bodies alone, which sessions do not share.
func bodiesOf0(t testing.TB, dir string) (kept, gone []string) {
	t.Helper()
	for _, e := range entries(t, dir, 0) {
		if d, ok := e.Event.Data.(*event.Body); ok && d.Index == 0 {
			if _, err := (recorder.Records{Dir: dir}).Body(t.Context(), d.SHA256); err == nil {
				kept = append(kept, d.SessionID)
			} else {
				gone = append(gone, d.SessionID)
			}
		}
	}
	return slices.Compact(kept), slices.Compact(gone)
}

func TestRetentionBySize(t *testing.T) {
	o, sessions, _ := aged(t, 10)
	keep(t, o, recorder.Retention{BodiesSize: 3000})
	kept, gone := bodiesOf0(t, o.Dir)
	if len(gone) == 0 || !slices.Contains(gone, sessions[0]) || !slices.Contains(kept, sessions[9]) {
		t.Errorf("kept %v, gone %v", kept, gone)
	}
	if r := whole(t, o.Dir, recorder.VerifyOptions{}); r.Bodies.Stored > 3000 {
		t.Errorf("%d bytes are left", r.Bodies.Stored)
	}
}

func TestForget(t *testing.T) {
	o, sessions, now := aged(t, 4)
	records := recorder.Records{Dir: o.Dir}
	if err := records.Hold(recorder.Hold{Session: sessions[0]}); err != nil {
		t.Fatal(err)
	}
	if records.Forget(recorder.Hold{Session: sessions[0]}) == nil {
		t.Error("a held session is to be forgotten")
	}
	if err := records.Forget(recorder.Hold{Session: sessions[2], By: "ops", Reason: "asked by the subject", At: now}); err != nil {
		t.Fatal(err)
	}
	keep(t, o, recorder.Retention{})
	kept, gone := bodiesOf0(t, o.Dir)
	if !slices.Equal(gone, sessions[2:3]) || len(kept) != 3 {
		t.Errorf("kept %v, gone %v", kept, gone)
	}
	for _, e := range entries(t, o.Dir, 0) { // what others have stays
		if d, ok := e.Event.Data.(*event.Body); ok && d.Index == 1 {
			if _, err := records.Body(t.Context(), d.SHA256); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r := whole(t, o.Dir, recorder.VerifyOptions{}); r.Bodies.Removed != 5 {
		t.Errorf("%+v", r.Bodies)
	}
	if d := removals(t, o.Dir); len(d) != 1 || d[0].Of != sessions[2] || d[0].Bodies != 5 || d[0].Detail != "ops: asked by the subject" {
		t.Errorf("%+v", d)
	}
	if _, forget, err := records.Holds(); len(forget) != 0 || err != nil {
		t.Errorf("%v, %v", forget, err)
	}
	// The same bytes come again, and are kept again.
	s := open(t, o)
	b := []byte("the same for all")
	if err := s.Append(messages(t, body(sessions[2], ids.New(), 2, b))); err != nil {
		t.Fatal(err)
	}
	// A removal that nothing tells of is found.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	packs, _ := filepath.Glob(filepath.Join(o.Dir, "bodies", "*.pack"))
	for _, p := range packs {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, o.Dir, recorder.VerifyOptions{}); r.OK {
		t.Error("removed bodies were not found")
	}
}

// Holds that cannot be read stop retention.
func TestHoldsFailClosed(t *testing.T) {
	for _, text := range []string{"", "{", `{"holds":[{"session":"x"}]}`, `{"hold":[]}`} {
		o, _, _ := aged(t, 3)
		if err := os.WriteFile(filepath.Join(o.Dir, "holds.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, o)
		if s.Keep(recorder.Retention{BodiesFor: 24 * time.Hour}) == nil {
			t.Errorf("%q: bodies went", text)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if kept, _ := bodiesOf(t, o.Dir); len(kept) != 3 {
			t.Errorf("%q: %d sessions are whole", text, len(kept))
		}
	}
}

// A body that several sessions have goes with the last of them that is forgotten.
func TestForgetAll(t *testing.T) {
	o, sessions, now := aged(t, 3)
	records := recorder.Records{Dir: o.Dir}
	for i, session := range sessions {
		if err := records.Forget(recorder.Hold{Session: session, By: "ops", Reason: "asked", At: now}); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // one by itself, the others at once
			keep(t, o, recorder.Retention{})
		}
	}
	keep(t, o, recorder.Retention{})
	if r := whole(t, o.Dir, recorder.VerifyOptions{}); r.Bodies.There != 0 || r.Bodies.Removed != 30 {
		t.Errorf("%+v", r.Bodies)
	}
	// What a forgotten session names later is another matter.
	b := []byte("the same for all")
	write(t, o, messages(t, body(sessions[0], ids.New(), 2, b)), messages(t, body(sessions[1], ids.New(), 2, b)))
	if err := records.Forget(recorder.Hold{Session: sessions[1], By: "ops", Reason: "again", At: now}); err != nil {
		t.Fatal(err)
	}
	keep(t, o, recorder.Retention{})
	if r := whole(t, o.Dir, recorder.VerifyOptions{}); r.Bodies.There != 1 {
		t.Errorf("%+v", r.Bodies)
	}
}

// A damaged pack stays, is told, and holds up neither the others nor what else is to go.
func TestRetentionPassesDamage(t *testing.T) {
	for name, damage := range map[string]func(b []byte){
		"in a header":  func(b []byte) { b[0] ^= 1 },
		"in a payload": func(b []byte) { b[len(b)-1] ^= 1 },
	} {
		o, sessions, now := aged(t, 8)
		first := filepath.Join(o.Dir, "bodies", "00000001.pack")
		b := read(t, o.Dir, "bodies/00000001.pack")
		damage(b)
		if err := os.WriteFile(first, b, 0o600); err != nil {
			t.Fatal(err)
		}
		// The first pack has bodies of the first session, the second one's among them or behind.
		records := recorder.Records{Dir: o.Dir}
		if err := errors.Join(records.Hold(recorder.Hold{Session: sessions[1], Reason: "r"}), records.Forget(recorder.Hold{Session: sessions[0], By: "ops", Reason: "asked", At: now})); err != nil {
			t.Fatal(err)
		}
		s := open(t, o)
		err := s.Keep(recorder.Retention{BodiesFor: 4 * 24 * time.Hour})
		if err == nil || !strings.Contains(err.Error(), "damaged pack") {
			t.Errorf("%s: %v", name, err)
		}
		for range 3 {
			_ = s.Keep(recorder.Retention{BodiesFor: 4 * 24 * time.Hour})
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(first); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d := removals(t, o.Dir)
		if len(d) != 2 || d[0].Of != sessions[0] || !strings.HasSuffix(d[0].Detail, "; 1 damaged packs were left as they are") || d[1].Why != event.RemovedAge || d[1].Bodies == 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// A request to forget that fails on the disk is not lost.
func TestForgetAgain(t *testing.T) {
	o, sessions, now := aged(t, 3)
	records := recorder.Records{Dir: o.Dir}
	inTheWay := filepath.Join(o.Dir, "bodies", "00000001.pack.new")
	if err := errors.Join(os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700), records.Forget(recorder.Hold{Session: sessions[0], By: "ops", Reason: "asked", At: now})); err != nil {
		t.Fatal(err)
	}
	s := open(t, o)
	if s.Keep(recorder.Retention{}) == nil {
		t.Error("a pack was written anew in a folder's place")
	}
	if _, forget, err := records.Holds(); len(forget) != 1 || err != nil {
		t.Errorf("to be forgotten: %v, %v", forget, err)
	}
	if err := errors.Join(os.RemoveAll(inTheWay), s.Keep(recorder.Retention{}), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, gone := bodiesOf0(t, o.Dir); !slices.Equal(gone, sessions[:1]) {
		t.Errorf("gone %v", gone)
	}
}

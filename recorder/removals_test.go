package recorder_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/recorder"
)

// Who takes bodies away can append the line that would explain it, but not have it
// signed. A recorder signs within moments, so for a minute its word is enough.
func TestVerifyForgedRemoval(t *testing.T) {
	dir, key, kept, sources := small(t)
	segments, err := filepath.Glob(filepath.Join(dir, "segments", "*.jsonl"))
	if err != nil || os.Remove(filepath.Join(dir, "bodies/00000001.pack")) != nil {
		t.Fatal(err)
	}
	now := time.Now()
	d := &event.Removed{Why: event.RemovedAge, Before: now.Add(time.Hour), Bodies: 12}
	d.RequestID, d.EventTime = ids.New(), now
	line, err := event.Encode(event.Event{ID: d.RequestID, Source: "sallyport-recorder/recorder", Time: now, Data: d})
	if err != nil {
		t.Fatal(err)
	}
	last := segments[len(segments)-1]
	if err := os.WriteFile(last, append(append(read(t, dir, "segments/"+filepath.Base(last)), line...), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	o := recorder.VerifyOptions{Key: key, Checkpoint: kept, Gateways: sources, Now: now.Add(time.Minute)}
	if r := verify(t, dir, o); r.OK || r.ProblemsTotal != 12 || r.Bodies.Removed != 0 {
		t.Errorf("%d bodies are explained: %v", r.Bodies.Removed, r.Problems)
	}
	o.Now = now.Add(time.Second)
	if r := whole(t, dir, o); r.Bodies.Removed != 12 || r.Log.Unsigned != 1 {
		t.Errorf("%+v", r)
	}
}

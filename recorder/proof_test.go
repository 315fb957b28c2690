package recorder_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/recorder"
)

// A proof needs nothing but the key, and is good for its line alone.
func TestProof(t *testing.T) {
	dir, key, _, _ := small(t)
	records := recorder.Records{Dir: dir}
	_, otherKey, _, _ := small(t)
	for _, e := range entries(t, dir, 0) {
		p, err := records.Prove(t.Context(), e.Event.ID)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var again recorder.Proof
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if got, err := again.Check(key); err != nil || got.ID != e.Event.ID {
			t.Fatalf("entry %d: %v", e.Index, err)
		}
		if _, err := again.Check(otherKey); err == nil {
			t.Fatal("another recorder's key fits")
		}
		for name, change := range map[string]func(p *recorder.Proof){
			"line":  func(p *recorder.Proof) { p.Line = strings.Replace(p.Line, "s3", "s4", 1) + " " },
			"index": func(p *recorder.Proof) { p.Index++ },
			"size":  func(p *recorder.Proof) { p.Size++ },
			"hash":  func(p *recorder.Proof) { p.Hashes = p.Hashes[1:] },
			"none":  func(p *recorder.Proof) { p.Hashes = nil },
			"note":  func(p *recorder.Proof) { p.Checkpoint = strings.Replace(p.Checkpoint, "52", "53", 1) },
		} {
			c := again
			change(&c)
			if _, err := c.Check(key); err == nil {
				t.Errorf("entry %d: proves with another %s", e.Index, name)
			}
		}
	}
	if _, err := records.Prove(t.Context(), ids.New()); err == nil {
		t.Error("a proof of what is not there")
	}
}

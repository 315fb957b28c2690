package recorder

import (
	"encoding/hex"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
)

func someDraft(t testing.TB, d event.Data) *draft {
	t.Helper()
	got, err := newDraft(event.Event{ID: event.NewIDs(nil).New(), Source: "x", Time: time.Unix(1e9, 0), Data: d}, "sallyport", "sallyport/y", event.DefaultLimit)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func someData() []event.Data {
	ids := event.NewIDs(nil)
	c := event.Common{RequestID: ids.New(), SessionID: ids.New(), EventTime: time.Unix(1e9, 0)}
	return []event.Data{&event.Request{Common: c}, event.NewBody(c, event.PartRequest, 1, 5, []byte("payload\x00\r\n"))}
}

// What comes out of the file is the event with its place in the chain, as a recorder
// reads it, and the digest is that of its line.
func TestStored(t *testing.T) {
	before := place{sequence: rand.Uint64() - 1}
	for i := range before.digest {
		before.digest[i] = byte(rand.Uint32())
	}
	for _, data := range someData() {
		d := someDraft(t, data)
		b := make([]byte, d.size())
		l := d.put(before, b)
		s, err := readStored(b)
		if err != nil {
			t.Fatal(err)
		}
		e, m, err := event.DecodeMessage(s.header, s.payload)
		if err != nil {
			t.Fatal(err)
		}
		sequence, prev, ok := event.Chained(e)
		if !ok || sequence != before.sequence+1 || prev != hex.EncodeToString(before.digest[:]) || e.Source != "sallyport/y" {
			t.Errorf("%+v", e)
		}
		if s.place != l || event.LineDigest(m.Line) != hex.EncodeToString(l.digest[:]) {
			t.Errorf("the digest of %s is another", data.Kind())
		}
		if s.id != e.ID || !strings.HasPrefix(s.subject, "sallyport.events.") || s.source != e.Source {
			t.Errorf("%+v", s)
		}
	}
}

// Links of a batch that failed are forgotten with it.
func TestChainGoesBack(t *testing.T) {
	c := newLinker(10, place{sequence: 7})
	for position := uint64(11); position < 20; position++ {
		before, err := c.after(position)
		if err != nil {
			t.Fatal(err)
		}
		c.put(position, place{sequence: before.sequence + 1})
	}
	if l, err := c.after(20); err != nil || l.sequence != 16 {
		t.Fatal(l, err)
	}
	c.put(15, place{sequence: 99}) // 15 is given again
	if _, err := c.after(17); err == nil {
		t.Fatal("a link of what never was")
	}
	c.forget(14)
	if _, err := c.after(14); err == nil {
		t.Fatal("a link that was forgotten")
	}
	if l, err := c.after(15); err != nil || l.sequence != 11 {
		t.Fatal(l, err)
	}
	if l, err := c.after(16); err != nil || l.sequence != 99 {
		t.Fatal(l, err)
	}
}

func FuzzReadStored(f *testing.F) {
	for _, data := range someData() {
		d := someDraft(f, data)
		b := make([]byte, d.size())
		d.put(place{}, b)
		f.Add(b)
		f.Add(b[:storedFixed])
		f.Add(b[:len(b)-len(d.message.Payload)-1])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readStored(b)
		if err != nil {
			return
		}
		// What is read is inside of what was given.
		if len(s.payload)+len(s.id)+len(s.subject)+len(s.source) > len(b) {
			t.Fatal("more than there was")
		}
		if s.header != nil && !slices.Contains(slices.Collect(maps.Keys(s.header)), "ce-sequence") {
			t.Fatal("a body without its place")
		}
	})
}

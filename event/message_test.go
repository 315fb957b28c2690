package event

import (
	"bytes"
	"crypto/ed25519"
	"maps"
	"slices"
	"strings"
	"testing"
)

func piece(t testing.TB) Event {
	t.Helper()
	for _, e := range sample(NewIDs(nil)) {
		if e.Kind() == KindBody {
			Link(&e, 3, strings.Repeat("ab", 32))
			return e
		}
	}
	t.Fatal("no sample of a body")
	return Event{}
}

// A message comes back as the event that it was made of, and with the very line.
func TestMessageRoundTrip(t *testing.T) {
	for _, e := range append(sample(NewIDs(nil)), piece(t)) {
		m, err := EncodeMessage(e, DefaultLimit)
		if err != nil {
			t.Fatal(err)
		}
		back, again, err := DecodeMessage(m.Header, m.Payload)
		if err != nil {
			t.Fatalf("%s: %v", e.Kind(), err)
		}
		if !bytes.Equal(again.Line, m.Line) || back.ID != e.ID || back.Kind() != e.Kind() {
			t.Errorf("%s came back as\n%s\nwant\n%s", e.Kind(), again.Line, m.Line)
		}
		if b, ok := back.Data.(*Body); ok && string(b.Payload()) != "text" {
			t.Errorf("payload %q", b.Payload())
		}
		if bytes.Contains(m.Line, []byte("text")) && e.Kind() == KindBody {
			t.Error("the payload is in the line")
		}
		if _, err := Decode(m.Line); err != nil {
			t.Errorf("%s: the line does not decode: %v", e.Kind(), err)
		}
	}
}

func TestDecodeMessageIsStrict(t *testing.T) {
	good, err := EncodeMessage(piece(t), DefaultLimit)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(h map[string][]string, b *[]byte){
		"no payload":       func(_ map[string][]string, b *[]byte) { *b = nil },
		"a large payload":  func(_ map[string][]string, b *[]byte) { *b = make([]byte, MaxChunk+1) },
		"another kind":     func(h map[string][]string, _ *[]byte) { h["ce-type"] = []string{"dev.sallyport.request.v1"} },
		"no session":       func(h map[string][]string, _ *[]byte) { delete(h, "ce-sessionid") },
		"odd session":      func(h map[string][]string, _ *[]byte) { h["ce-sessionid"] = []string{"x"} },
		"odd part":         func(h map[string][]string, _ *[]byte) { h["ce-part"] = []string{"x"} },
		"negative index":   func(h map[string][]string, _ *[]byte) { h["ce-index"] = []string{"-1"} },
		"no offset":        func(h map[string][]string, _ *[]byte) { delete(h, "ce-offset") },
		"a header twice":   func(h map[string][]string, _ *[]byte) { h["ce-part"] = []string{"request", "response"} },
		"in two spellings": func(h map[string][]string, _ *[]byte) { h["Ce-Part"] = []string{"request"} },
		"another version":  func(h map[string][]string, _ *[]byte) { h["ce-specversion"] = []string{"2.0"} },
		"odd extension":    func(h map[string][]string, _ *[]byte) { h["ce-x_y"] = []string{"1"} },
	} {
		h, b := maps.Clone(good.Header), slices.Clone(good.Payload)
		change(h, &b)
		if _, _, err := DecodeMessage(h, b); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// A body that is written as JSON has lost its bytes: it is not one that travels.
func TestBodyNeedsItsPayload(t *testing.T) {
	m, err := EncodeMessage(piece(t), DefaultLimit)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := DecodeMessage(nil, m.Line); err == nil {
		t.Error("a body without bytes was taken from the wire")
	}
	e, err := Decode(m.Line)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := EncodeMessage(e, DefaultLimit); err == nil {
		t.Error("a body without bytes was encoded")
	}
}

func TestChain(t *testing.T) {
	e := piece(t)
	if n, prev, ok := Chained(e); n != 3 || prev != strings.Repeat("ab", 32) || !ok {
		t.Error(n, prev, ok)
	}
	for _, ext := range []map[string]string{nil, {extSequence: "3", extPrevDigest: NoDigest}, {extSequence: strings.Repeat("0", 20), extPrevDigest: NoDigest}, {extSequence: strings.Repeat("1", 19) + "x", extPrevDigest: NoDigest}, {extSequence: strings.Repeat("0", 19) + "1"}} {
		if _, _, ok := Chained(Event{Extensions: ext}); ok {
			t.Errorf("%v is a place in a chain", ext)
		}
	}
}

// A checkpoint holds for the key that its source names, and for what it signed.
func TestCheckpoint(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	source := SourceOf(public)
	sign := func() *Checkpoint {
		c := &Checkpoint{UpTo: 12, Digest: NoDigest, PublicKey: public}
		c.Signature = ed25519.Sign(private, c.Signed(source))
		return c
	}
	if err := sign().Verify(source); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Checkpoint) string{
		"another sequence": func(c *Checkpoint) string { c.UpTo++; return source },
		"another digest":   func(c *Checkpoint) string { c.Digest = strings.Repeat("1", 64); return source },
		"another source":   func(c *Checkpoint) string { return "sallyport/other" },
		"no key":           func(c *Checkpoint) string { c.PublicKey = nil; return source },
		"another key": func(c *Checkpoint) string {
			other, key, err := ed25519.GenerateKey(nil)
			if err != nil {
				t.Fatal(err)
			}
			c.PublicKey, c.Signature = other, ed25519.Sign(key, c.Signed(source))
			return source
		},
	} {
		c := sign()
		if err := c.Verify(change(c)); err == nil {
			t.Errorf("%s verifies", name)
		}
	}
}

func FuzzDecodeMessage(f *testing.F) {
	m, err := EncodeMessage(piece(f), DefaultLimit)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("ce-part", "request", m.Payload)
	f.Add("ce-offset", "-1", []byte{})
	f.Add("Ce-Id", "x\r\ny", []byte("b"))
	f.Fuzz(func(t *testing.T, name, value string, b []byte) {
		h := maps.Clone(m.Header)
		h[name] = []string{value}
		e, got, err := DecodeMessage(h, b)
		if err != nil {
			return
		}
		again, err := EncodeMessage(e, DefaultLimit)
		if err != nil || !bytes.Equal(again.Line, got.Line) {
			t.Fatalf("decoded and not encoded: %v", err)
		}
	})
}

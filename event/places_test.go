package event

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"
	"time"
)

// A line whose place is filled in later is the line of the event that had it from
// the start, whatever its texts are.
func TestPlaces(t *testing.T) {
	ids := NewIDs(nil)
	r := rand.New(rand.NewPCG(1, 1))
	for _, text := range []string{"", "x", `,"sequence":"00000000000000000000"`, `"},"prevdigest":"` + NoDigest + `"`, "\",\"sequence\":\""} {
		at := time.Unix(1e9, 5)
		c := Common{RequestID: ids.New(), SessionID: ids.New(), EventTime: at, UserAgent: text}
		for _, d := range []Data{&Request{Common: c, Operation: Operation{EventName: text}}, NewBody(c, PartRequest, 0, 0, []byte("body"))} {
			e := Event{ID: ids.New(), Source: "sallyport/" + text, Subject: text, Time: at, Data: d, Extensions: map[string]string{"a": text, "zz": text}}
			sequence, raw := r.Uint64(), make([]byte, 32)
			for i := range raw {
				raw[i] = byte(r.Uint32())
			}
			linked, later := e, e
			Link(&linked, sequence, hex.EncodeToString(raw))
			want, err := Encode(linked)
			if err != nil {
				t.Fatal(err)
			}
			Link(&later, 0, NoDigest)
			line, err := Encode(later)
			if err != nil {
				t.Fatal(err)
			}
			atSequence, atPrev, ok := Places(line)
			if !ok {
				t.Fatalf("no places in %s", line)
			}
			PutSequence(line[atSequence:], sequence)
			hex.Encode(line[atPrev:], raw)
			if !bytes.Equal(line, want) {
				t.Fatalf("%s\nis not\n%s", line, want)
			}
			if plain, err := Encode(e); err != nil {
				t.Fatal(err)
			} else if _, _, ok := Places(plain); ok {
				t.Fatalf("places in an event without a chain: %s", plain)
			}
		}
	}
}

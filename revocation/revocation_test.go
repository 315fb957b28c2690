package revocation

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// An order that is read says one thing, and reading what it says again is the same.
func FuzzParseOrder(f *testing.F) {
	for _, s := range []string{
		`{"subject":"bob","issuer":"https://idp.example","reason":"r","for":"1h"}`,
		`{"session":"01J0000000000000000000000A","reason":"r","lift":true}`,
		`{"target":"dev","reason":"r"}`, `{"target":"dev","Target":"prod","reason":"r"}`, `{"subject":"a","subject":"b","reason":"r"}`,
		"{\"subject\":\"\xff\",\"reason\":\"r\"}", `null`, `[]`, `{"subject":"a","reason":"r"}{}`, `{"subject":null,"target":"t","reason":"r"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, d, err := ParseOrder(b)
		if err != nil {
			return
		}
		named := 0
		for _, s := range []string{o.Subject, o.Session, o.Target} {
			if s != "" {
				named++
			}
		}
		if named != 1 || o.Issuer != "" && o.Subject == "" || strings.TrimSpace(o.Reason) == "" || len(o.Reason) > MaxReason || d < 0 || d > 0 != (o.For != "") || o.Lift && d > 0 || len(b) > MaxOrder {
			t.Fatalf("%q was taken as %+v", b, o)
		}
		again, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if p, e, err := ParseOrder(again); len(again) <= MaxOrder && (err != nil || p != o || e != d) {
			t.Fatalf("%q comes back as %+v %v", again, p, err)
		}
	})
}

// Who is covered, by an oracle that is a table.
func TestCovers(t *testing.T) {
	bob := Caller{Issuer: "i", Subject: "bob", Label: "l", Session: "s", Target: "dev"}
	for _, test := range []struct {
		r    Revocation
		c    Caller
		want bool
	}{
		{Revocation{}, bob, false},
		{Revocation{}, Caller{}, false},
		{Revocation{Subject: "bob"}, bob, true},
		{Revocation{Subject: "bob", Issuer: "i"}, bob, true},
		{Revocation{Subject: "bob", Issuer: "j"}, bob, false},
		{Revocation{Subject: "Bob"}, bob, false},
		{Revocation{Target: "dev"}, bob, true},
		{Revocation{Target: "prod"}, bob, false},
		{Revocation{Target: "dev"}, Caller{Subject: "bob"}, false},
		{Revocation{Session: "s", Issuer: "i", Subject: "x", Label: "l"}, bob, true},
		{Revocation{Session: "t", Issuer: "i", Subject: "bob", Label: "l"}, bob, true},
		{Revocation{Session: "t", Issuer: "i", Subject: "bob", Label: "m"}, bob, false},
		{Revocation{Session: "t"}, Caller{}, false},
	} {
		if got := test.r.Covers(test.c); got != test.want {
			t.Errorf("%+v covers %+v: %v", test.r, test.c, got)
		}
	}
}

func TestInForce(t *testing.T) {
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		r    Revocation
		want bool
	}{
		{Revocation{}, true}, {Revocation{Lifted: true}, false},
		{Revocation{Until: now.Add(time.Nanosecond)}, true}, {Revocation{Until: now}, false},
		{Revocation{Until: now.Add(time.Hour), Lifted: true}, false},
	} {
		if test.r.InForce(now) != test.want {
			t.Errorf("%+v", test.r)
		}
	}
}

// Each thing that can be revoked has a key of its own, whatever its name looks like.
func TestKeys(t *testing.T) {
	seen := map[string]Revocation{}
	for _, r := range []Revocation{
		{Subject: "a"}, {Subject: "a", Issuer: "b"}, {Subject: "a\",\"b"}, {Target: "a"}, {Session: "a"}, {Subject: "ab"}, {Subject: "b", Issuer: "a"},
	} {
		if other, ok := seen[r.key()]; ok {
			t.Errorf("%+v has the key of %+v", r, other)
		}
		seen[r.key()] = r
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if back, ok := decodeRevocation(r.key(), text); !ok || back != r {
			t.Errorf("%+v comes back as %+v", r, back)
		}
		if _, ok := decodeRevocation("other", text); ok {
			t.Errorf("%+v was taken under another key", r)
		}
	}
}

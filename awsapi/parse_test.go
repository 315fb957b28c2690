package awsapi

import (
	"encoding/json"
	"net/url"
	"testing"
)

// What the strict parser takes, the standard one takes too.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e3,true,null,"\u00e9\ud83d\ude00"]}`, `{"a":1,"a":2}`, `[]`, `{"a"`, "\"\xff\"", `01`, `1e400`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseJSON(b); err == nil && len(b) > 0 && !json.Valid(b) && len(trimJSON(b)) > 0 {
			t.Fatalf("took %q", b)
		}
	})
}

func trimJSON(b []byte) []byte {
	d := jsonReader{b: b}
	d.space()
	return b[d.i:]
}

// What the strict parser takes, the standard one reads alike.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"Action=A&Version=1", "A.member.1=x&A.member.2=y", "a=%zz", "a=1&a=2", "a=1;b=2", "%41=1", "a.b=1&a=2", "a+b=c+d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		pairs, err := parsePairs(s, "form")
		if err != nil {
			return
		}
		v, err := url.ParseQuery(s)
		if err != nil {
			t.Fatalf("took %q: %v", s, err)
		}
		for _, p := range pairs {
			if len(v[p.key]) != 1 || v.Get(p.key) != p.value {
				t.Fatalf("%q reads %q as %q", s, p.key, p.value)
			}
		}
		if _, err := formDocument(pairs); err != nil {
			return
		}
	})
}

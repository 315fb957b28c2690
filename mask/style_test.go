package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/quick"
)

var testKey = bytes.Repeat([]byte("k"), KeySize)

func styled(as Style, names ...string) []Path {
	out := paths(names...)
	for i := range out {
		out[i].As = as
	}
	return out
}

func TestStyles(t *testing.T) {
	const doc = `{"a":{"S":"secret-of-the-house"},"b":"4929123456781234","n":4929123456780034,"s":12345,"z":"short","l":["x","y"],"o":{"k":"v"},"e":""}`
	for name, c := range map[string]struct {
		paths []Path
		in    string
		out   string
	}{
		"last4":                    {paths: styled(Last4, "a.S", "b", "n", "s", "z", "e"), in: doc, out: `{"a":{"S":"sallyport:masked:ouse"},"b":"sallyport:masked:1234","n":0,"s":0,"z":"sallyport/masked","l":["x","y"],"o":{"k":"v"},"e":""}`},
		"drop first":               {paths: styled(Drop, "a"), in: `{"a":1,"b":2}`, out: `{"b":2}`},
		"drop last":                {paths: styled(Drop, "b"), in: `{"a":1 , "b":2 }`, out: `{"a":1 }`},
		"drop the middle":          {paths: styled(Drop, "b"), in: `{"a":1,"b":{"c":[1]},"d":3}`, out: `{"a":1,"d":3}`},
		"drop all":                 {paths: styled(Drop, "a", "b"), in: `{ "a":1, "b":2 }`, out: `{ }`},
		"drop the only one":        {paths: styled(Drop, "o.k"), in: doc[:10] + `"x"},"o":{"k":"v"}}`, out: doc[:10] + `"x"},"o":{}}`},
		"drop two ends":            {paths: styled(Drop, "a", "c"), in: `{"a":1,"b":2,"c":3}`, out: `{"b":2}`},
		"drop the last two":        {paths: styled(Drop, "b", "c"), in: `{"a":1,"b":2,"c":3}`, out: `{"a":1}`},
		"drop below":               {paths: styled(Drop, "#.p"), in: `[{"p":{"p":1}},{"p":2,"q":3}]`, out: `[{},{"q":3}]`},
		"an element stays":         {paths: styled(Drop, "l.0"), in: `{"l":["x","y"]}`, out: `{"l":["sallyport/masked","y"]}`},
		"drop in text":             {paths: styled(Drop, "t.p"), in: `{"t":"{\"u\":1,\"p\":2}"}`, out: `{"t":"{\"u\":1}"}`},
		"duplicates":               {paths: styled(Drop, "p"), in: `{"p":1,"p":2,"q":3,"p":4}`, out: `{"q":3}`},
		"a rule's style for AWS's": {paths: styled(Last4, "S"), in: `{"S":"secret-of-the-house"}`, out: `{"S":"sallyport:masked:ouse"}`},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustPlan(t, Options{}, Input{Protocol: "json", Paths: c.paths, Members: []Member{body("S", "string")}})
			r, err := p.Apply(t.Context(), 200, http.Header{}, strings.NewReader(c.in))
			if err != nil || string(r.Body) != c.out {
				t.Errorf("got  %s\nwant %s\n%v", r.Body, c.out, err)
			}
			again, err := p.Apply(t.Context(), 200, http.Header{}, bytes.NewReader(r.Body))
			if err != nil || !bytes.Equal(again.Body, r.Body) {
				t.Errorf("twice %s, %v", again.Body, err)
			}
		})
	}
}

func TestDropXML(t *testing.T) {
	p := mustPlan(t, Options{}, Input{Protocol: "query", Paths: styled(Drop, "L.#.p")})
	r, err := p.Apply(t.Context(), 200, http.Header{}, strings.NewReader(`<R><XResult><L><member><p>K<a/></p><q>1</q></member><member><p/></member></L></XResult></R>`))
	if want := `<R><XResult><L><member><q>1</q></member><member></member></L></XResult></R>`; err != nil || string(r.Body) != want {
		t.Errorf("got %s, %v", r.Body, err)
	}
}

// Equal secrets have equal fingerprints, others and other keys have others, and the
// fingerprint of a blob is base64.
func TestFingerprints(t *testing.T) {
	apply := func(key []byte, in Input, doc string) map[string]string {
		t.Helper()
		r, err := mustPlan(t, Options{FingerprintKey: key}, in).Apply(t.Context(), 200, http.Header{}, strings.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		if err := json.Unmarshal(r.Body, &out); err != nil {
			t.Fatalf("%s: %v", r.Body, err)
		}
		return out
	}
	in := Input{Protocol: "json", Style: Fingerprint, Members: []Member{body("S", "string"), body("B", "blob")}, Paths: styled(Fingerprint, "p", "q")}
	doc := `{"S":"same-secret","p":"same-secret","q":"other-secret","B":"c2FtZS1zZWNyZXQ="}`
	got := apply(testKey, in, doc)
	if !regexp.MustCompile(`^sallyport:masked:[0-9a-f]{8}$`).MatchString(got["S"]) || got["S"] != got["p"] || got["S"] == got["q"] {
		t.Errorf("%v", got)
	}
	if b, err := base64.StdEncoding.DecodeString(got["B"]); err != nil || string(b) != got["S"] {
		t.Errorf("the blob became %s", got["B"])
	}
	if other := apply(bytes.Repeat([]byte("x"), KeySize), in, doc); other["S"] == got["S"] {
		t.Error("another key makes the same fingerprint")
	}
}

// Whatever the text and style: the replacement does not hold the text, is the same
// when masked again, and says nothing but four characters of it.
func TestReplacements(t *testing.T) {
	w := swapper{testKey}
	for _, style := range []Style{Redact, Fingerprint, Last4, Drop, ""} {
		for _, typ := range []string{"", "string", "blob"} {
			if err := quick.Check(func(s string) bool {
				got := w.text([]byte(s), typ, style)
				again := w.text([]byte(got), typ, style)
				return (len(s) < 5 || !strings.Contains(got, s)) && again == got && len(got) <= len(FingerprintPrefix)+4*4
			}, nil); err != nil {
				t.Errorf("%s %s: %v", style, typ, err)
			}
		}
	}
}

func TestStyleNames(t *testing.T) {
	for _, good := range []string{"redact", "fingerprint", "last4", "drop"} {
		var s Style
		if err := s.UnmarshalText([]byte(good)); err != nil || string(s) != good {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "none", "REDACT", "last5"} {
		if err := new(Style).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if Stricter("", Last4) != Redact || Stricter(Last4, Fingerprint) != Fingerprint || Stricter(Redact, Drop) != Drop || Stricter("", "") != Redact {
		t.Error("the stricter of two styles")
	}
}

// Whatever the places and their order, each is counted once for each time.
func TestFindingsCount(t *testing.T) {
	if err := quick.Check(func(places []uint8) bool {
		var f findings
		want := map[string]int{}
		for _, p := range places {
			name := string(rune('a' + p%40))
			f.add(name, SourceRule, "")
			want[name]++
		}
		got := f.sorted()
		for _, x := range got {
			if want[x.Path] != x.Count {
				return false
			}
		}
		return len(got) == len(want)
	}, &quick.Config{MaxCount: 500}); err != nil {
		t.Error(err)
	}
}

package mask

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport/mask/detect"
	"github.com/sallyport/sallyport/refusal"
)

var fuzzInput = Input{
	Protocol:  "json",
	Members:   []Member{body("S", "string"), body("L.*.V", "string"), body("C", "structure"), body("M.*", "map-key"), body("R.*.V", "blob")},
	Recursive: []string{"R.*.R"},
	Paths:     paths("T.p", "*.deep.#.x", `Q.#(a=="b").c`),
}

// secrets lists what the SDK would find at the masked paths.
func secrets(v any) []any {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	out := []any{m["S"], m["C"]}
	if l, ok := m["L"].([]any); ok {
		for _, e := range l {
			if o, ok := e.(map[string]any); ok {
				out = append(out, o["V"])
			}
		}
	}
	return out
}

func leavesMasked(v any) bool {
	switch x := v.(type) {
	case map[string]any:
		for _, e := range x {
			if !leavesMasked(e) {
				return false
			}
		}
	case []any:
		for _, e := range x {
			if !leavesMasked(e) {
				return false
			}
		}
	case string:
		return x == "" || x == Token || x == "0" || strings.Contains(x, "1970")
	case float64:
		return x == 0
	case bool:
		return !x
	}
	return true
}

// FuzzJSON: whatever the answer is, it is withheld, or what comes out is JSON, is
// the same when masked again, has nothing at the secret paths (as encoding/json
// reads it), and is otherwise the same document.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"S":"K","L":[{"V":"K"}],"C":{"a":[1,true,null,"K"]},"M":{"K":1,"K2":2}}`,
		`{"\u0053":"K","S":"K2"}`, `[{"S":"K"}]`, `"x"`, ` {"R":[{"V":"S0s=","R":[{"V":"S0s="}]}]} `,
		`{"T":"{\"p\":\"K\"}"}`, `{"T":"\ud83d\ud83d\udd11{"}`, `{"a":{"deep":[{"x":"K"}]}}`, `{"Q":[{"a":"b","c":"K"},{"a":"c","c":"n"}]}`,
		`{"S":1,"L":[{"V":"K"}],"S":2}`, `{"C":{"a":1},"x":"AKIAQ3EGRJ5XLMNB2UVW","S":"K"}`, `{"a":{"deep":[{"x":1,"y":2},{"x":1}]},"T":"{\"p\":1,\"q\":2}"}`,
		`{"S":{"S":["K"]},"L":{"a":{"V":{}}}}`, `{"T":" [1,{\"p\":2}] "}`, `{"S":1e999}`, `{}{}`, "", "\xff",
	} {
		f.Add([]byte(s))
	}
	scan := defaults(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 0 && in[0]>>5 == cborMap {
			return // which is read as CBOR
		}
		p := mustPlan(t, Options{}, fuzzInput)
		r, err := p.Apply(t.Context(), 200, http.Header{}, bytes.NewReader(in))
		if err != nil {
			var ref *refusal.Error
			if !errors.As(err, &ref) || ref.Reason != refusal.Masking || r.Body != nil {
				t.Fatal(err)
			}
			if utf8.Valid(in) && json.Valid(in) && bytes.Count(in, []byte("[")) < 100 && bytes.Count(in, []byte("{")) < 100 {
				t.Fatalf("%q was withheld: %v", in, err)
			}
			return
		}
		if len(in) == 0 {
			return
		}
		if !utf8.Valid(in) || !json.Valid(in) {
			t.Fatalf("%q was read", in)
		}
		if !json.Valid(r.Body) {
			t.Fatalf("%q became %q", in, r.Body)
		}
		again, err := p.Apply(t.Context(), 200, http.Header{}, bytes.NewReader(r.Body))
		if err != nil || !bytes.Equal(again.Body, r.Body) {
			t.Fatalf("twice: %q, %q, %v", r.Body, again.Body, err)
		}
		var before, after any
		if json.Unmarshal(in, &before) != nil || json.Unmarshal(r.Body, &after) != nil {
			return // a number that no float64 holds
		}
		for _, v := range secrets(after) {
			if !leavesMasked(v) {
				t.Fatalf("%q became %q", in, r.Body)
			}
		}
		if len(r.Findings()) == 0 && !reflect.DeepEqual(before, after) {
			t.Fatalf("changed without a finding: %q, %q", in, r.Body)
		}
		styles(t, scan, in)
	})
}

// styles masks a document in every style, with detectors: it stays JSON, and masking
// again changes nothing.
func styles(t *testing.T, scan *detect.Scanner, doc []byte) {
	t.Helper()
	for _, style := range []Style{Drop, Fingerprint, Last4} {
		in := fuzzInput
		in.Style, in.Paths = style, slices.Clone(in.Paths)
		for i := range in.Paths {
			in.Paths[i].As = style
		}
		p := mustPlan(t, Options{Scanner: scan, FingerprintKey: testKey}, in)
		r, err := p.Apply(t.Context(), 200, nil, bytes.NewReader(doc))
		if err != nil || !json.Valid(r.Body) {
			t.Fatalf("%s: %q became %q, %v", style, doc, r.Body, err)
		}
		again, err := p.Apply(t.Context(), 200, nil, bytes.NewReader(r.Body))
		if err != nil || !bytes.Equal(again.Body, r.Body) {
			t.Fatalf("%s twice: %q, %q, %v", style, r.Body, again.Body, err)
		}
	}
}

// FuzzXML: as FuzzJSON, with the text below C and S read back by encoding/xml.
func FuzzXML(f *testing.F) {
	for _, s := range []string{
		`<R><S>K</S><C x="K"><a>K</a></C></R>`, `<R><S>K<!--K--><![CDATA[K]]></S></R>`, `<R><p:S xmlns:p="u">K</p:S></R>`,
		`<R><C/>text</R>`, `<!DOCTYPE R><R/>`, `<R><T>{"p":"K"}</T></R>`, `<R/><R/>`, `<R><S>&#x4B;&amp;</S></R>`, `<R><C  a = "K"	b='>K'/></R>`,
	} {
		f.Add([]byte(s))
	}
	in := fuzzInput
	in.Protocol, in.Recursive = "query", nil
	f.Fuzz(func(t *testing.T, doc []byte) {
		p := mustPlan(t, Options{}, in)
		r, err := p.Apply(t.Context(), 200, http.Header{}, bytes.NewReader(doc))
		if err != nil || len(doc) == 0 {
			return
		}
		again, err := p.Apply(t.Context(), 200, http.Header{}, bytes.NewReader(r.Body))
		if err != nil || !bytes.Equal(again.Body, r.Body) {
			t.Fatalf("twice: %q, %q, %v", r.Body, again.Body, err)
		}
		dropping := in
		dropping.Style = Drop
		dropped, err := scanning(t, dropping).Apply(t.Context(), 200, http.Header{}, bytes.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lexed(dropped.Body); err != nil {
			t.Fatalf("%q without what is dropped is %q", doc, dropped.Body)
		}
		d := xml.NewDecoder(bytes.NewReader(r.Body))
		var path []string
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("%q became %q: %v", doc, r.Body, err)
			}
			switch x := tok.(type) {
			case xml.StartElement:
				path = append(path, x.Name.Local)
			case xml.EndElement:
				path = path[:len(path)-1]
			case xml.CharData:
				s := strings.TrimSpace(string(x))
				if len(path) > 1 && (path[1] == "S" || path[1] == "C") && s != "" && !leavesMasked(s) && s != "false" {
					t.Fatalf("%q became %q", doc, r.Body)
				}
			}
		}
	})
}

func TestValidatePath(t *testing.T) {
	for _, ok := range []string{"a", "Item.ssn.S", "P.#.V", `a\.b`, `\@a`, "a*.b?", "P.0.V", `P.#(Name=="x").V`, `P.#(Name=="a.b)")#.V`, `P.#(a.b>3)#`, "SecretString.password"} {
		if err := ValidatePath(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", ".", "a.", ".a", "a..b", "#", "a.#", "@this", "a.@reverse.b", "a|b", "a.#|0", "!x", "{a,b}", "[a,b]", `a\`, "P.#(a==", "P.#x", `P.#(a.@reverse=="x").b`, "P.#(a)b", "..a", "..#.a", strings.Repeat("a", 2000)} {
		if ValidatePath(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// FuzzPath: a path that is accepted can be applied to anything.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"a.b", `P.#(a=="b").c`, "*.#.?", `a\..b`, "0.1"} {
		f.Add(s)
	}
	doc := []byte(`{"a":{"b":"K"},"P":[{"a":"b","c":"K"}],"t":"{\"a\":{\"b\":1}}"}`)
	f.Fuzz(func(t *testing.T, path string) {
		if ValidatePath(path) != nil {
			return
		}
		for _, protocol := range []string{"json", "query"} {
			p := mustPlan(t, Options{}, Input{Protocol: protocol, Paths: paths(path)})
			in := doc
			if protocol == "query" {
				in = []byte(`<R><a><b>K</b></a><P><member><c>K</c></member></P></R>`)
			}
			if _, err := p.Apply(t.Context(), 200, nil, bytes.NewReader(in)); err != nil {
				t.Fatalf("%q: %v", path, err)
			}
		}
	})
}

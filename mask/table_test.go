package mask

import (
	"bytes"
	"compress/gzip"
	"errors"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/refusal"
)

func body(path, typ string) Member {
	return Member{Path: path, Member: path, In: "body", Type: typ, XML: strings.NewReplacer(".", "/", "*", "member").Replace(path)}
}

func paths(names ...string) []Path {
	var out []Path
	for _, n := range names {
		out = append(out, Path{Path: n})
	}
	return out
}

func mustPlan(tb testing.TB, o Options, in Input) *Plan {
	tb.Helper()
	p, err := New(o).Plan(in)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestJSON(t *testing.T) {
	for name, c := range map[string]struct {
		members []Member
		rec     []string
		paths   []Path
		unmask  []string
		in, out string
	}{
		"string":            {members: []Member{body("SecretString", "string")}, in: `{"a": 1.0,"SecretString":"K\"é","z":1e400}`, out: `{"a": 1.0,"SecretString":"sallyport/masked","z":1e400}`},
		"escaped key":       {members: []Member{body("SecretString", "string")}, in: `{"Secret\u0053tring":"K"}`, out: `{"Secret\u0053tring":"sallyport/masked"}`},
		"duplicate keys":    {members: []Member{body("S", "string")}, in: `{"S":"K","S":"K2"}`, out: `{"S":"sallyport/masked","S":"sallyport/masked"}`},
		"case is exact":     {members: []Member{body("S", "string")}, in: `{"s":"k","S":"K"}`, out: `{"s":"k","S":"sallyport/masked"}`},
		"null and empty":    {members: []Member{body("S", "string")}, in: `{"S":null,"S":""}`, out: `{"S":null,"S":""}`},
		"types":             {members: []Member{body("S", "structure")}, in: `{"S":{"a":"K","n":17,"b":true,"l":["K",{"x":-1.5e3}],"z":null}}`, out: `{"S":{"a":"sallyport/masked","n":0,"b":false,"l":["sallyport/masked",{"x":0}],"z":null}}`},
		"blob":              {members: []Member{body("B", "blob")}, in: `{"B":"S0s="}`, out: `{"B":"c2FsbHlwb3J0L21hc2tlZA=="}`},
		"list and map":      {members: []Member{body("L.*.V", "string")}, in: `{"L":[{"V":"K","N":"n"},{"V":"K"}],"M":0}`, out: `{"L":[{"V":"sallyport/masked","N":"n"},{"V":"sallyport/masked"}],"M":0}`},
		"map by any key":    {members: []Member{body("M.*", "string")}, in: `{"M":{"a.b":"K","*":"K","":"K"}}`, out: `{"M":{"a.b":"sallyport/masked","*":"sallyport/masked","":"sallyport/masked"}}`},
		"map keys":          {members: []Member{body("M.*", "map-key")}, in: `{"M":{"K1":"v","K2":"w"}}`, out: `{"M":{"sallyport/masked":"v","sallyport/masked-2":"w"}}`},
		"whole map":         {members: []Member{body("M", "map")}, in: `{"M":{"K1":"K"}}`, out: `{"M":{"sallyport/masked":"sallyport/masked"}}`},
		"whole body":        {members: []Member{body("", "structure")}, in: `{"a":"K","b":{"c":"K"}}`, out: `{"a":"sallyport/masked","b":{"c":"sallyport/masked"}}`},
		"timestamps":        {members: []Member{body("S", "structure")}, in: `{"S":{"t":"2031-01-01T00:00:00Z","u":17}}`, out: `{"S":{"t":"1970-01-01T00:00:00Z","u":0}}`},
		"recursion":         {members: []Member{body("R.*.V", "string")}, rec: []string{"R.*.R"}, in: `{"R":[{"V":"K","R":[{"V":"K","n":"n","R":[{"V":"K"}]}]}]}`, out: `{"R":[{"V":"sallyport/masked","R":[{"V":"sallyport/masked","n":"n","R":[{"V":"sallyport/masked"}]}]}]}`},
		"unmask":            {members: []Member{body("S", "string"), body("C.K", "string"), body("C.T", "string")}, unmask: []string{"C.K"}, in: `{"S":"K","C":{"K":"mine","T":"K"}}`, out: `{"S":"sallyport/masked","C":{"K":"mine","T":"sallyport/masked"}}`},
		"unmask structure":  {members: []Member{body("C.K", "string"), body("Cx", "string")}, unmask: []string{"C"}, in: `{"C":{"K":"mine"},"Cx":"K"}`, out: `{"C":{"K":"mine"},"Cx":"sallyport/masked"}`},
		"unmask element":    {members: []Member{body("P.*.V", "string")}, unmask: []string{"P.#.V"}, in: `{"P":[{"V":"mine"}]}`, out: `{"P":[{"V":"mine"}]}`},
		"path outranks":     {members: []Member{body("S", "string")}, unmask: []string{"*"}, paths: paths("S"), in: `{"S":"K"}`, out: `{"S":"sallyport/masked"}`},
		"rule path":         {paths: paths("Item.ssn.S"), in: `{"Item":{"ssn":{"S":"K"},"name":{"S":"n"}}}`, out: `{"Item":{"ssn":{"S":"sallyport/masked"},"name":{"S":"n"}}}`},
		"dynamodb number":   {paths: paths("Item.pay"), in: `{"Item":{"pay":{"N":"123.5"},"x":{"NS":["1"]}}}`, out: `{"Item":{"pay":{"N":"0"},"x":{"NS":["1"]}}}`},
		"dotted key":        {paths: paths(`a\.b.c`), in: `{"a.b":{"c":"K"},"a":{"b":{"c":"n"}}}`, out: `{"a.b":{"c":"sallyport/masked"},"a":{"b":{"c":"n"}}}`},
		"each":              {paths: paths("P.#.V"), in: `{"P":[{"V":"K"},{"V":"K","W":"w"}]}`, out: `{"P":[{"V":"sallyport/masked"},{"V":"sallyport/masked","W":"w"}]}`},
		"index":             {paths: paths("P.1"), in: `{"P":["a","K","c"]}`, out: `{"P":["a","sallyport/masked","c"]}`},
		"wildcards":         {paths: paths("*.pass*.?"), in: `{"x":{"password":{"v":"K","vv":"n"}},"y":{"passcode":{"v":"K"}}}`, out: `{"x":{"password":{"v":"sallyport/masked","vv":"n"}},"y":{"passcode":{"v":"sallyport/masked"}}}`},
		"query":             {paths: paths(`P.#(Name=="db").V`), in: `{"P":[{"Name":"db","V":"K"},{"Name":"x","V":"v"},{"Name":"db","V":"K"}]}`, out: `{"P":[{"Name":"db","V":"sallyport/masked"},{"Name":"x","V":"v"},{"Name":"db","V":"sallyport/masked"}]}`},
		"inside text":       {paths: paths("SecretString.password"), in: `{"SecretString":"{\"user\":\"u\u00e9\",\"password\":\"K\\\"K\", \"n\":1}"}`, out: `{"SecretString":"{\"user\":\"u\u00e9\",\"password\":\"sallyport/masked\", \"n\":1}"}`},
		"text in text":      {paths: paths("A.b.c"), in: `{"A":"{\"b\":\"{\\\"c\\\":\\\"K\\\",\\\"d\\\":1}\"}"}`, out: `{"A":"{\"b\":\"{\\\"c\\\":\\\"sallyport/masked\\\",\\\"d\\\":1}\"}"}`},
		"no JSON in text":   {paths: paths("SecretString.password"), in: `{"SecretString":"password=K","o":"n"}`, out: `{"SecretString":"sallyport/masked","o":"n"}`},
		"broken inner JSON": {paths: paths("SecretString.password"), in: `{"SecretString":"{\"password\":\"K\""}`, out: `{"SecretString":"sallyport/masked"}`},
		"wildcard and text": {paths: paths("*.S"), in: `{"a":{"S":"K"},"b":"n"}`, out: `{"a":{"S":"sallyport/masked"},"b":"n"}`},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustPlan(t, Options{}, Input{Protocol: "json", Members: c.members, Recursive: c.rec, Paths: c.paths, Unmask: c.unmask})
			if !p.changes() {
				if c.in != c.out {
					t.Fatal("not needed")
				}
				return
			}
			r, err := p.Apply(t.Context(), 200, http.Header{}, strings.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Body) != c.out {
				t.Errorf("got  %s\nwant %s", r.Body, c.out)
			}
			if r.Header.Get("Content-Length") != strconv.Itoa(len(r.Body)) {
				t.Errorf("Content-Length %s", r.Header.Get("Content-Length"))
			}
		})
	}
}

func TestXML(t *testing.T) {
	m := Member{Path: "C.S", Member: "C.S", In: "body", Type: "string", XML: "XResult/C/S"}
	for name, c := range map[string]struct {
		members []Member
		paths   []Path
		style   Style
		in, out string
	}{
		"element":                {members: []Member{m}, in: `<R xmlns="u"><XResult><C><S>K</S><T>t</T></C></XResult></R>`, out: `<R xmlns="u"><XResult><C><S>sallyport/masked</S><T>t</T></C></XResult></R>`},
		"CDATA":                  {members: []Member{m}, in: `<R><XResult><C><S><![CDATA[K<]]></S></C></XResult></R>`, out: `<R><XResult><C><S>sallyport/masked</S></C></XResult></R>`},
		"split":                  {members: []Member{m}, in: `<R><XResult><C><S>K<!-- K --><?p K?>&#x4B;</S></C></XResult></R>`, out: `<R><XResult><C><S>sallyport/masked</S></C></XResult></R>`},
		"prefix":                 {members: []Member{m}, in: `<a:R xmlns:a="u"><a:XResult><a:C><a:S>K</a:S></a:C></a:XResult></a:R>`, out: `<a:R xmlns:a="u"><a:XResult><a:C><a:S>sallyport/masked</a:S></a:C></a:XResult></a:R>`},
		"empty":                  {members: []Member{m}, in: `<R><XResult><C><S/><S></S></C></XResult></R>`, out: `<R><XResult><C><S/><S></S></C></XResult></R>`},
		"structure":              {members: []Member{{Path: "C", In: "body", Type: "structure", XML: "C"}}, in: `<R><C a="K">K<S>K</S><!--K--><N>17</N><B>true</B><D>2031-01-01T00:00:00Z</D></C><E>e</E></R>`, out: `<R><C a="sallyport/masked"><S>sallyport/masked</S><N>0</N><B>false</B><D>1970-01-01T00:00:00Z</D></C><E>e</E></R>`},
		"attribute":              {members: []Member{{Path: "C.x", In: "body", Type: "string", XML: "C/@x"}}, in: `<R><C xmlns:x="u" y='y' x = 'K'/></R>`, out: `<R><C xmlns:x="u" y='y' x = 'sallyport/masked'/></R>`},
		"rule":                   {paths: paths("Users.#.Name"), in: `<R><XResult><Users><member><Name>K</Name></member><member><Name>K</Name></member></Users></XResult></R>`, out: `<R><XResult><Users><member><Name>sallyport/masked</Name></member><member><Name>sallyport/masked</Name></member></Users></XResult></R>`},
		"rule, flat":             {paths: paths("Contents.#.Key"), in: `<R><Contents><Key>K</Key><Size>1</Size></Contents></R>`, out: `<R><Contents><Key>sallyport/masked</Key><Size>1</Size></Contents></R>`},
		"drop":                   {members: []Member{m}, style: Drop, in: `<R><XResult><C>a<S x="K">K<!-- K --></S>b<T>t</T><S/></C></XResult></R>`, out: `<R><XResult><C>ab<T>t</T></C></XResult></R>`},
		"drop all":               {members: []Member{{Path: "", In: "body", Type: "structure"}}, style: Drop, in: `<R a="K"><S>K</S>K</R>`, out: `<R a="sallyport/masked"><S>sallyport/masked</S></R>`},
		"between":                {members: []Member{{Path: "C", In: "body", Type: "structure", XML: "C"}}, in: `<R><C>K<a/>&#75;<b>K</b><![CDATA[K]]> </C>n<E/></R>`, out: `<R><C><a/><b>sallyport/masked</b> </C>n<E/></R>`},
		"reference in attribute": {members: []Member{{Path: "C.x", In: "body", Type: "string", XML: "C/@x"}}, style: Last4, in: `<R><C x="0123456789&lt;&#34;ab"/></R>`, out: `<R><C x="sallyport:masked:&lt;&#34;ab"/></R>`},
		"JSON in text":           {paths: paths("V.p"), in: `<R><V>{"p":"K","q":1}</V></R>`, out: `<R><V>{&#34;p&#34;:&#34;sallyport/masked&#34;,&#34;q&#34;:1}</V></R>`},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustPlan(t, Options{}, Input{Protocol: "query", Members: c.members, Paths: c.paths, Style: c.style})
			r, err := p.Apply(t.Context(), 200, nil, strings.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Body) != c.out {
				t.Errorf("got  %s\nwant %s", r.Body, c.out)
			}
		})
	}
}

func TestWithheld(t *testing.T) {
	const secret = "KANARIENVOGEL"
	gz := func(s string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for name, c := range map[string]struct{ protocol, encoding, body string }{
		"not JSON":           {"json", "", secret},
		"two documents":      {"json", "", `{"S":"a"}{"S":"` + secret + `"}`},
		"cut":                {"json", "", `{"S":"` + secret},
		"not UTF-8":          {"json", "", "{\"S\":\"" + secret + "\xff\"}"},
		"XML for JSON":       {"json", "", `<S>` + secret + `</S>`},
		"deep":               {"json", "", strings.Repeat(`{"S":`, 3000) + `"` + secret + `"` + strings.Repeat("}", 3000)},
		"too large":          {"json", "", `{"S":"` + secret + strings.Repeat("x", 1<<16) + `"}`},
		"bomb":               {"json", "gzip", gz(`{"S":"` + secret + strings.Repeat("x", 1<<20) + `"}`)},
		"unknown encoding":   {"json", "br", `{"S":"` + secret + `"}`},
		"double encoding":    {"json", "gzip, gzip", `{"S":"` + secret + `"}`},
		"lying encoding":     {"json", "gzip", `{"S":"` + secret + `"}`},
		"DTD":                {"query", "", `<!DOCTYPE R [<!ENTITY x "` + secret + `">]><R><S>&x;</S></R>`},
		"unknown entity":     {"query", "", `<R><S>&x;` + secret + `</S></R>`},
		"two roots":          {"query", "", `<R/><R><S>` + secret + `</S></R>`},
		"unclosed":           {"query", "", `<R><S>` + secret},
		"deep XML":           {"query", "", strings.Repeat("<R>", 3000) + secret + strings.Repeat("</R>", 3000)},
		"other XML encoding": {"query", "", `<?xml version="1.0" encoding="UTF-16"?><R><S>` + secret + `</S></R>`},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{Protocol: c.protocol, Members: []Member{body("S", "string")}, Recursive: nil, Paths: paths("*.*.*.S")}
			if name == "deep" {
				in.Members = []Member{body("S.x", "string")}
				in.Recursive = []string{"S"}
			}
			p := mustPlan(t, Options{MaxBody: 1 << 16}, in)
			h := http.Header{}
			if c.encoding != "" {
				h.Set("Content-Encoding", c.encoding)
			}
			r, err := p.Apply(t.Context(), 200, h, strings.NewReader(c.body))
			var ref *refusal.Error
			if !errors.As(err, &ref) || ref.Reason != refusal.Masking {
				t.Fatalf("not withheld: %v", err)
			}
			if r.Body != nil || r.Stream != nil || r.Header != nil || strings.Contains(err.Error(), secret) {
				t.Errorf("something of the answer got out: %+v %v", r, err)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	m := []Member{body("S", "string")}
	for name, in := range map[string]Input{
		"no key":            {Protocol: "json", Members: m, Style: Fingerprint},
		"no key for a path": {Protocol: "json", Paths: []Path{{"a", Fingerprint}}},
		"no protocol":       {Members: m},
		"bad path":          {Protocol: "json", Paths: paths("a|@pretty")},
	} {
		_, err := New(Options{}).Plan(in)
		var ref *refusal.Error
		if !errors.As(err, &ref) || ref.Reason != refusal.Denied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p := mustPlan(t, Options{}, Input{Protocol: "smithy-rpc-v2-cbor"}); p.changes() {
		t.Error("nothing to mask, but needed")
	}
	if p := mustPlan(t, Options{PassAWSSensitive: true}, Input{Protocol: "json", Members: m}); p.changes() {
		t.Error("aws_sensitive off, but needed")
	}
}

func TestRepairs(t *testing.T) {
	p := mustPlan(t, Options{}, Input{Protocol: "json", Members: []Member{body("S", "string")}})
	h := http.Header{"X-Amz-Crc32": {"1"}, "Etag": {`"0123456789abcdef0123456789abcdef"`}, "Content-Md5": {"x"}, "Digest": {"x"}, "X-Amz-Checksum-Crc32": {"x"}, "X-Amz-Checksum-Type": {"x"}, "Content-Type": {"text/plain"}, "Content-Length": {"9"}}
	r, err := p.Apply(t.Context(), 200, h, strings.NewReader(`{"S":"K"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"X-Amz-Crc32": {strconv.FormatUint(uint64(crc32.ChecksumIEEE(r.Body)), 10)}, "Content-Type": {"text/plain"}, "Content-Length": {strconv.Itoa(len(r.Body))}}
	if len(r.Header) != len(want) {
		t.Errorf("headers %v", r.Header)
	}
	for k := range want {
		if r.Header.Get(k) != want.Get(k) {
			t.Errorf("%s: %q, want %q", k, r.Header.Get(k), want.Get(k))
		}
	}
	if h.Get("Etag") == "" {
		t.Error("the header passed in was changed")
	}
	r, err = p.Apply(t.Context(), 200, http.Header{"Etag": {"e"}, "X-Amz-Crc32": {"7"}}, strings.NewReader(`{"T":1}`))
	if err != nil || r.Header.Get("Etag") != "e" || r.Header.Get("X-Amz-Crc32") != "7" {
		t.Errorf("an answer without secrets lost its headers: %v %v", r.Header, err)
	}
}

func TestHeadersAndStreams(t *testing.T) {
	p := mustPlan(t, Options{}, Input{Protocol: "rest-xml", StreamingOutput: true, Members: []Member{
		{Path: "x-amz-key-id", Member: "K", In: "header", Type: "string"}, {Path: "x-amz-meta-", Member: "M", In: "prefixHeaders", Type: "map"}}})
	object := strings.NewReader("object")
	r, err := p.Apply(t.Context(), 200, http.Header{"X-Amz-Key-Id": {"K"}, "X-Amz-Meta-A": {"K"}, "Etag": {"e"}}, object)
	if err != nil || r.Stream != object || object.Len() != 6 {
		t.Fatalf("the object was read: %v", err)
	}
	if r.Header.Get("X-Amz-Key-Id") != Token || r.Header.Get("X-Amz-Meta-A") != Token || r.Header.Get("Etag") != "e" {
		t.Errorf("headers %v", r.Header)
	}
	if p.NeedsBody() || p.DropForMask("GET") != nil {
		t.Error("a header mask must leave the request and the body alone")
	}
}

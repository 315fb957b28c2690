package mask

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/mask/detect"
)

// canary finds one word in any text, and any text of a member called password. It
// stands for the detectors where the question is which texts they get to see.
type canary struct{ *detect.Scanner }

const found = "KANARIENVOGEL"

func (canary) Mask(context string, text []byte, replace func(string, []byte) []byte) ([]byte, []detect.Hit) {
	if n := bytes.Count(text, []byte(found)); n > 0 {
		return bytes.ReplaceAll(text, []byte(found), replace("canary", []byte(found))), []detect.Hit{{Rule: "canary", Count: n}}
	}
	if context == "password" && string(text) != Token {
		return replace("name", text), []detect.Hit{{Rule: "name", Count: 1}}
	}
	return text, nil
}

func scanning(t testing.TB, in Input) *Plan {
	t.Helper()
	m := New(Options{})
	m.scan = canary{}
	p, err := m.Plan(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestDetected: every text that no path marks is shown to the detectors as a client
// reads it, whole, whatever its writing.
func TestDetected(t *testing.T) {
	for name, c := range map[string]struct{ protocol, in, out string }{
		"json":               {"json", `{"a":["x KANARIENVOGEL y",1],"n":"m"}`, `{"a":["x sallyport/masked y",1],"n":"m"}`},
		"json escapes":       {"json", `{"a":"KANARIEN\u0056OGEL"}`, `{"a":"sallyport/masked"}`},
		"json key":           {"json", `{"KANARIENVOGEL":1}`, `{"sallyport/masked-1":1}`},
		"json name":          {"json", `{"password":"x","Name":"password","Value":"y"}`, `{"password":"sallyport/masked","Name":"password","Value":"sallyport/masked"}`},
		"cbor":               {rpcCBOR, string(obj("a", arr("x KANARIENVOGEL y", 1), "n", "m")), string(obj("a", arr("x sallyport/masked y", 1), "n", "m"))},
		"cbor chunks":        {rpcCBOR, string(obj("a", textChunks("KANARIEN", "VOGEL"))), string(obj("a", Token))},
		"cbor bytes":         {rpcCBOR, string(obj("a", bytesChunks([]byte("\xffKANARIEN"), []byte("VOGEL")))), string(obj("a", []byte("\xff"+Token)))},
		"cbor tag":           {rpcCBOR, string(obj("a", tagged(32, "KANARIENVOGEL"))), string(obj("a", tagged(32, Token)))},
		"cbor key":           {rpcCBOR, string(obj(textChunks("KANARIEN", "VOGEL"), 1, []byte(found), 2)), string(obj(Token+"-1", 1, []byte(Token+"-2"), 2))},
		"cbor name":          {rpcCBOR, string(obj("password", "x", "Name", textChunks("pass", "word"), "Value", "y")), string(obj("password", Token, "Name", textChunks("pass", "word"), "Value", Token))},
		"cbor, rule":         {rpcCBOR, string(obj("T", `{"p":"k","q":"KANARIENVOGEL"}`)), string(obj("T", `{"p":"sallyport/masked","q":"sallyport/masked"}`))},
		"xml":                {"query", `<R><a>x KANARIENVOGEL</a><n>m</n></R>`, `<R><a>x sallyport/masked</a><n>m</n></R>`},
		"xml reference":      {"query", `<R><a>&#75;ANARIENVOGEL&lt;</a></R>`, `<R><a>sallyport/masked&lt;</a></R>`},
		"xml comment":        {"query", `<R><a>KANARIEN<!-- x -->VO<?p?>GEL</a></R>`, `<R><a>sallyport/masked</a></R>`},
		"xml CDATA":          {"query", `<R><a>KAN<![CDATA[ARIEN]]><![CDATA[VOGEL]]></a></R>`, `<R><a>sallyport/masked</a></R>`},
		"xml line end":       {"query", "<R><a>x\r\nKANARIENVOGEL</a></R>", "<R><a>x&#xA;sallyport/masked</a></R>"},
		"xml between":        {"query", `<R>KANARIEN<!---->VOGEL<a/>m<b/>KAN<![CDATA[ARIEN]]>&#x56;OGEL</R>`, `<R>sallyport/masked<a/>m<b/>sallyport/masked</R>`},
		"xml in a comment":   {"query", `<!-- KANARIENVOGEL --><R><a>n<!--KANARIENVOGEL--></a><?p KANARIENVOGEL?><T> <!--KANARIENVOGEL--></T></R><!-- KANARIENVOGEL -->`, `<R><a>n</a><T> </T></R>`},
		"xml attribute":      {"query", `<R x='KANARIEN&#86;OGEL&amp;'><a y="KANARIENVOGEL"/></R>`, `<R x='sallyport/masked&amp;'><a y="sallyport/masked"/></R>`},
		"xml name":           {"query", `<R><m><ParameterKey>pass<!---->word</ParameterKey><ParameterValue>x</ParameterValue></m><password>y</password><m><ParameterValue>z</ParameterValue></m></R>`, `<R><m><ParameterKey>pass<!---->word</ParameterKey><ParameterValue>sallyport/masked</ParameterValue></m><password>sallyport/masked</password><m><ParameterValue>z</ParameterValue></m></R>`},
		"xml, rule":          {"query", `<R><T>{"p":"k","q":"KANARIENVOGEL"}<!----></T></R>`, `<R><T>{&#34;p&#34;:&#34;sallyport/masked&#34;,&#34;q&#34;:&#34;sallyport/masked&#34;}</T></R>`},
		"xml, rule, comment": {"query", `<R><T>{"p":"","q":1}<!-- KANARIENVOGEL --></T></R>`, `<R><T>{"p":"","q":1}</T></R>`},
	} {
		t.Run(name, func(t *testing.T) {
			p := scanning(t, Input{Protocol: c.protocol, Paths: paths("T.p")})
			r, err := p.Apply(t.Context(), 200, http.Header{}, strings.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Body) != c.out {
				t.Errorf("got  %q\nwant %q", r.Body, c.out)
			}
			if len(r.Findings()) == 0 {
				t.Error("no findings")
			}
			again, err := p.Apply(t.Context(), 200, http.Header{}, bytes.NewReader(r.Body))
			if err != nil || !bytes.Equal(again.Body, r.Body) {
				t.Errorf("twice: %q %v", again.Body, err)
			}
		})
	}
}

// A dropped member takes its key with it, also where that is masked itself.
func TestDropTakesMaskedKeys(t *testing.T) {
	for protocol, c := range map[string]struct{ in, out string }{
		"json":  {`{"M":{"K1":"K","K2":"v"},"n":1}`, `{"M":{"sallyport/masked-2":"v"},"n":1}`},
		rpcCBOR: {string(obj("M", obj("K1", "K", "K2", "v"))), string(obj("M", obj(Token+"-2", "v")))},
	} {
		p := mustPlan(t, Options{}, Input{Protocol: protocol, Members: []Member{body("M.*", "map-key")}, Paths: []Path{{"M.K1", Drop}}})
		r, err := p.Apply(t.Context(), 200, nil, strings.NewReader(c.in))
		if err != nil || string(r.Body) != c.out {
			t.Errorf("%q %v", r.Body, err)
		}
	}
}

package mask

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/sallyport/sallyport/refusal"
)

const rpcCBOR = "smithy-rpc-v2-cbor"

// raw is CBOR as it is on the wire.
type raw string

func item(v any) string {
	if r, ok := v.(raw); ok {
		return string(r)
	}
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func items(vs ...any) string {
	var b strings.Builder
	for _, v := range vs {
		b.WriteString(item(v))
	}
	return b.String()
}

// obj and arr keep the order of what they hold, and do not mind keys twice.
func obj(vs ...any) raw {
	return raw(string(appendHead(nil, cborMap, uint64(len(vs)/2))) + items(vs...))
}
func arr(vs ...any) raw {
	return raw(string(appendHead(nil, cborArray, uint64(len(vs)))) + items(vs...))
}

// tagged, and what is of indefinite length.
func tagged(n uint64, v any) raw { return raw(string(appendHead(nil, cborTag, n)) + item(v)) }
func objOf(vs ...any) raw        { return raw("\xbf" + items(vs...) + "\xff") }
func arrOf(vs ...any) raw        { return raw("\x9f" + items(vs...) + "\xff") }
func textChunks(vs ...any) raw   { return raw("\x7f" + items(vs...) + "\xff") }
func bytesChunks(vs ...any) raw  { return raw("\x5f" + items(vs...) + "\xff") }

// diag is the diagnostic notation (RFC 8949, section 8), with floats' widths.
func diag(tb testing.TB, b []byte) string {
	tb.Helper()
	mode, err := cbor.DiagOptions{FloatPrecisionIndicator: true, MaxNestedLevels: 2000}.DiagMode()
	if err != nil {
		tb.Fatal(err)
	}
	s, err := mode.Diagnose(b)
	if err != nil {
		tb.Fatalf("%x: %v", b, err)
	}
	return s
}

func TestCBOR(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		members []Member
		rec     []string
		paths   []Path
		style   Style
		in      raw
		out     string
	}{
		"string":           {members: []Member{body("S", "string")}, in: obj("a", 1.5, "S", "Ké", "z", nil), out: `{"a": 1.5_3, "S": "sallyport/masked", "z": null}`},
		"blob":             {members: []Member{body("B", "blob")}, in: obj("B", []byte("KK")), out: `{"B": h'73616c6c79706f72742f6d61736b6564'}`},
		"blob as text":     {members: []Member{body("B", "blob")}, in: obj("B", "S0s="), out: `{"B": "sallyport/masked"}`},
		"text chunks":      {members: []Member{body("S", "string")}, in: obj("S", textChunks("K", "", "K"), "n", textChunks("a", "b")), out: `{"S": "sallyport/masked", "n": (_ "a", "b")}`},
		"byte chunks":      {members: []Member{body("S", "blob")}, in: obj("S", bytesChunks([]byte("K"), []byte("K"))), out: `{"S": h'73616c6c79706f72742f6d61736b6564'}`},
		"key in chunks":    {members: []Member{body("SS", "string")}, in: obj(textChunks("S", "S"), "K"), out: `{(_ "S", "S"): "sallyport/masked"}`},
		"key of bytes":     {members: []Member{body("S", "string")}, in: obj([]byte("S"), "K"), out: `{h'53': "sallyport/masked"}`},
		"key of a number":  {members: []Member{body("M.*", "string")}, in: obj("M", obj(7, "K", -1, "K")), out: `{"M": {7: "sallyport/masked", -1: "sallyport/masked"}}`},
		"long key":         {members: []Member{body("S", "string")}, in: obj(raw("\x78\x01S"), "K"), out: `{"S": "sallyport/masked"}`},
		"duplicate keys":   {members: []Member{body("S", "string")}, in: obj("S", "K", "S", "K2"), out: `{"S": "sallyport/masked", "S": "sallyport/masked"}`},
		"case is exact":    {members: []Member{body("S", "string")}, in: obj("s", "k", "S", "K"), out: `{"s": "k", "S": "sallyport/masked"}`},
		"null and empty":   {members: []Member{body("S", "structure")}, in: obj("S", arr(nil, raw("\xf7"), "", []byte{}, textChunks(), arr(), obj())), out: `{"S": [null, undefined, "", h'', ""_, [], {}]}`},
		"types":            {members: []Member{body("S", "structure")}, in: obj("S", arr(17, -17, uint64(1<<40), true, false, float32(1.5), 1.5, raw("\xf9\x3e\x00"), "K")), out: `{"S": [0, 0, 0, false, false, 0.0_2, 0.0_3, 0.0_1, "sallyport/masked"]}`},
		"times":            {members: []Member{body("S", "structure")}, in: obj("S", arr(tagged(1, 1700000000), tagged(1, 1.7e9), tagged(1, -5), tagged(0, "2031-01-01T00:00:00Z"), "2031-01-01T00:00:00Z")), out: `{"S": [1(0), 1(0.0_3), 1(0), 0("1970-01-01T00:00:00Z"), "1970-01-01T00:00:00Z"]}`},
		"big numbers":      {members: []Member{body("S", "structure")}, in: obj("S", arr(tagged(2, []byte("KKKKKKKKKKK")), tagged(3, bytesChunks([]byte("KKKKKKKKKKK"))), tagged(4, arr(-2, 12345)), tagged(4, arr(-2, tagged(2, []byte("KKKKKKKKKKK")))), tagged(5, arrOf(1, 2)))), out: `{"S": [0, 0, 4([0, 0]), 4([0, 0]), 5([0, 0])]}`},
		"unknown tag":      {members: []Member{body("S", "string")}, in: tagged(55799, obj("S", tagged(12345, "K"))), out: `55799({"S": 12345("sallyport/masked")})`},
		"indefinite":       {members: []Member{body("L.*.V", "string")}, in: objOf("L", arrOf(objOf("V", "K", "n", 1), obj("V", "K"))), out: `{_ "L": [_ {_ "V": "sallyport/masked", "n": 1}, {"V": "sallyport/masked"}]}`},
		"list and map":     {members: []Member{body("L.*.V", "string"), body("M.*", "string")}, in: obj("L", arr(obj("V", "K", "N", "n"), obj("V", "K")), "M", obj("a.b", "K", "*", "K")), out: `{"L": [{"V": "sallyport/masked", "N": "n"}, {"V": "sallyport/masked"}], "M": {"a.b": "sallyport/masked", "*": "sallyport/masked"}}`},
		"map keys":         {members: []Member{body("M.*", "map-key")}, in: obj("M", obj("K1", "v", textChunks("K", "2"), "w", []byte("K"), "x", 17, "y")), out: `{"M": {"sallyport/masked": "v", "sallyport/masked-2": "w", h'73616c6c79706f72742f6d61736b65642d33': "x", 3: "y"}}`},
		"whole map":        {members: []Member{body("M", "map")}, in: obj("M", obj("K1", "K")), out: `{"M": {"sallyport/masked": "sallyport/masked"}}`},
		"whole body":       {members: []Member{body("", "structure")}, in: obj("a", "K", "b", obj("c", "K")), out: `{"a": "sallyport/masked", "b": {"c": "sallyport/masked"}}`},
		"recursion":        {members: []Member{body("R.*.V", "string")}, rec: []string{"R.*.R"}, in: obj("R", arr(obj("V", "K", "R", arr(obj("V", "K", "n", "n"))))), out: `{"R": [{"V": "sallyport/masked", "R": [{"V": "sallyport/masked", "n": "n"}]}]}`},
		"fingerprint":      {members: []Member{body("S", "structure")}, style: Fingerprint, in: obj("S", arr("K", []byte("K"), 17)), out: `{"S": ["sallyport:masked:debf6446", h'73616c6c79706f72743a6d61736b65643a6465626636343436', 0]}`},
		"last4":            {members: []Member{body("S", "structure")}, style: Last4, in: obj("S", arr("4111111111111234", 4111111111111234, -4111111111111234, tagged(1, 4111111111111234))), out: `{"S": ["sallyport:masked:1234", 0, 0, 1(0)]}`},
		"drop":             {members: []Member{body("S", "string")}, style: Drop, in: obj("S", "K", "a", 1, "S", obj("x", "K")), out: `{"a": 1}`},
		"drop, indefinite": {members: []Member{body("S", "string")}, style: Drop, in: objOf("a", 1, "S", "K"), out: `{_ "a": 1}`},
		"drop all":         {members: []Member{body("S", "string")}, style: Drop, in: obj("S", "K"), out: `{}`},
		"drop and key":     {members: []Member{body("M.*", "map-key"), body("M.*", "string")}, style: Drop, in: obj("M", obj("K", "K", "K2", "K")), out: `{"M": {}}`},
		"drop an element":  {paths: []Path{{"P.1", Drop}}, in: obj("P", arr("a", "K")), out: `{"P": ["a", "sallyport/masked"]}`},
		"drop by a rule":   {paths: []Path{{"P.#.V", Drop}}, in: obj("P", arr(obj("V", "K", "W", "w"))), out: `{"P": [{"W": "w"}]}`},
		"rule path":        {paths: paths("Item.ssn.S"), in: obj("Item", obj("ssn", obj("S", "K"), "n", obj("S", "n"))), out: `{"Item": {"ssn": {"S": "sallyport/masked"}, "n": {"S": "n"}}}`},
		"dynamodb number":  {paths: paths("Item.pay"), in: obj("Item", obj("pay", obj("N", "123.5"))), out: `{"Item": {"pay": {"N": "0"}}}`},
		"index":            {paths: paths("P.1"), in: obj("P", arr("a", "K", "c")), out: `{"P": ["a", "sallyport/masked", "c"]}`},
		"number as key":    {paths: paths("P.1"), in: obj("P", obj(1, "K", 2, "c")), out: `{"P": {1: "sallyport/masked", 2: "c"}}`},
		"wildcards":        {paths: paths("*.pass*"), in: obj("x", obj("password", "K", "pin", "n")), out: `{"x": {"password": "sallyport/masked", "pin": "n"}}`},
		"query":            {paths: paths(`P.#(Name=="db").V`), in: obj("P", arr(obj("Name", textChunks("d", "b"), "V", "K"), obj("Name", "x", "V", "v"))), out: `{"P": [{"Name": (_ "d", "b"), "V": "sallyport/masked"}, {"Name": "x", "V": "v"}]}`},
		"query a number":   {paths: paths(`P.#(n>1.2).V`), in: obj("P", arrOf(objOf("n", raw("\xf9\x3e\x00"), "V", "K"), obj("n", -7, "V", "v"), obj("n", tagged(2, []byte{1, 0}), "V", "K"), obj("n", tagged(1, 7), "V", "K"))), out: `{"P": [_ {_ "n": 1.5_1, "V": "sallyport/masked"}, {"n": -7, "V": "v"}, {"n": 256, "V": "sallyport/masked"}, {"n": 1(7), "V": "sallyport/masked"}]}`},
		"inside text":      {paths: paths("T.p"), in: obj("T", `{"u":"é","p":"K", "n":1}`), out: `{"T": "{\"u\":\"\u00e9\",\"p\":\"sallyport/masked\", \"n\":1}"}`},
		"inside chunks":    {paths: paths("T.p"), in: obj("T", textChunks(`{"u":1,"`, `p":"K"}`)), out: `{"T": "{\"u\":1,\"p\":\"sallyport/masked\"}"}`},
		"inside bytes":     {paths: paths("T.p"), in: obj("T", []byte(`{"p":1}`)), out: `{"T": h'7b2270223a307d'}`},
		"no JSON in text":  {paths: paths("T.p"), in: obj("T", "p=K", "o", "n"), out: `{"T": "sallyport/masked", "o": "n"}`},
		"below a tag":      {paths: paths("T.p"), in: obj("T", tagged(12345, obj("p", "K"))), out: `{"T": 12345({"p": "sallyport/masked"})}`},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustPlan(t, Options{FingerprintKey: []byte(key)}, Input{Protocol: rpcCBOR, Members: c.members, Recursive: c.rec, Paths: c.paths, Style: c.style})
			r, err := p.Apply(t.Context(), 200, http.Header{}, strings.NewReader(string(c.in)))
			if err != nil {
				t.Fatal(err)
			}
			if got := diag(t, r.Body); got != c.out {
				t.Errorf("got  %s\nwant %s", got, c.out)
			}
			if len(r.Findings()) == 0 {
				t.Error("no findings")
			}
		})
	}
}

// What is not masked stays as it was, byte for byte, however odd its encoding.
func TestCBORInPlace(t *testing.T) {
	odd := items("n", raw("\x1b\x00\x00\x00\x00\x00\x00\x00\x01"), raw("\x79\x00\x01m"), raw("\xdb\x00\x00\x00\x00\x00\x00\x00\x01\xfa\x7f\xc0\x00\x00"))
	in := "\xb9\x00\x03" + odd + items("S", "K")
	p := mustPlan(t, Options{}, Input{Protocol: rpcCBOR, Members: []Member{body("S", "string")}})
	r, err := p.Apply(t.Context(), 200, nil, strings.NewReader(in))
	if want := "\xb9\x00\x03" + odd + items("S", Token); err != nil || string(r.Body) != want {
		t.Errorf("%x, want %x, %v", r.Body, want, err)
	}
}

func TestCBORWithheld(t *testing.T) {
	secret := obj("S", "KANARIENVOGEL")
	for name, in := range map[string]raw{
		"JSON":                  `{"S":"KANARIENVOGEL"}`,
		"nothing but a break":   "\xff",
		"behind the value":      secret + "\x00",
		"cut":                   secret[:len(secret)-1],
		"cut in a head":         "\xb9\x00",
		"map too long":          "\xa2" + secret[1:],
		"map of 2^64-1":         "\xbb\xff\xff\xff\xff\xff\xff\xff\xff" + secret[1:],
		"array of 2^63":         obj("S", raw("\x9b\x80\x00\x00\x00\x00\x00\x00\x00")),
		"text of 2^64-1":        obj("S", raw("\x7b\xff\xff\xff\xff\xff\xff\xff\xffK")),
		"not UTF-8":             obj("S", raw("\x62K\xff")),
		"character over chunk":  obj("S", raw("\x7f\x61\xc3\x61\xa9\xff")),
		"byte chunk in text":    obj("S", raw("\x7f\x41K\xff")),
		"chunks in chunks":      obj("S", raw("\x7f\x7f\x61K\xff\xff")),
		"endless text":          obj("S", raw("\x7f\x61K")),
		"key and no value":      raw("\xbf\x61S\xff"),
		"break in a map":        raw("\xa2") + secret[1:] + "\xff",
		"break in an array":     obj("S", raw("\x82\x01\xff")),
		"reserved":              obj("S", raw("\x1c")),
		"reserved, long":        obj("S", raw("\x1c"+strings.Repeat("\x00", 16))),
		"endless integer":       obj("S", raw("\x1f")),
		"endless integer, long": obj("S", raw("\x1f"+strings.Repeat("\x00", 128))),
		"endless tag":           obj("S", raw("\xdf\x01")),
		"simple value":          obj("S", raw("\xe0")),
		"short simple value":    obj("S", raw("\xf8\x14")),
		"tag of nothing":        obj("S", raw("\xc1")),
		"time of bytes":         obj("S", tagged(1, []byte("K"))),
		"date of a number":      obj("S", tagged(0, 1)),
		"bignum of text":        obj("S", tagged(2, "K")),
		"decimal of text":       obj("S", tagged(4, "K")),
		"key is a list":         obj(arr("S"), "KANARIENVOGEL"),
		"key is tagged":         obj(tagged(1, 1), "KANARIENVOGEL"),
		"key is a boolean":      obj(true, "KANARIENVOGEL"),
		"deep":                  raw(strings.Repeat("\xa1\x61S", 1001)) + "\x00",
		"deep lists":            raw(strings.Repeat("\x81", 1001)) + "\x00",
		"deep tags":             raw(strings.Repeat("\xd8\x20", 1001)) + "\x00",
		"deep endless lists":    raw(strings.Repeat("\x9f", 100000)),
	} {
		p := mustPlan(t, Options{}, Input{Protocol: rpcCBOR, Members: []Member{body("S", "string")}, Paths: paths("*.x")})
		r, err := p.Apply(t.Context(), 200, nil, strings.NewReader(string(in)))
		var ref *refusal.Error
		if !errors.As(err, &ref) || ref.Reason != refusal.Masking || r.Body != nil || strings.Contains(err.Error(), "KANARIENVOGEL") {
			t.Errorf("%s: not withheld: %q %v", name, r.Body, err)
		}
	}
}

func TestCBORErrorsAreScrubbed(t *testing.T) {
	message := "keep me ASIAABCDEFGHIJKLMNOP x-amz-security-token:" + fakeToken
	stars := "keep me " + strings.Repeat("*", 20) + " x-amz-security-token:" + strings.Repeat("*", len(fakeToken))
	for name, c := range map[string]struct{ in, out raw }{
		// The head of the next key is the letter g: it is no part of the token.
		"message":   {obj("__type", "E", "message", message, "longer7", 1), obj("__type", "E", "message", stars, "longer7", 1)},
		"in chunks": {obj("message", textChunks(message[:12], message[12:40], message[40:])), obj("message", stars)},
		"bytes":     {obj("b", []byte(message)), obj("b", []byte(stars))},
		"key":       {obj(message, 1), obj(stars, 1)},
		"member":    {obj("StringToSign", "AWS4 x", "d", arr(obj("CanonicalRequest", "GET"))), obj("StringToSign", "******", "d", arr(obj("CanonicalRequest", "***")))},
		"no CBOR":   {raw("<html>" + message), raw("<html>" + stars)},
	} {
		p := mustPlan(t, Options{}, Input{Protocol: rpcCBOR})
		r, err := p.Apply(t.Context(), 403, http.Header{}, strings.NewReader(string(c.in)))
		if err != nil || string(r.Body) != string(c.out) || len(r.Findings()) == 0 {
			t.Errorf("%s: %q %v", name, r.Body, err)
			continue
		}
		if again, n := p.scrubError(r.Body); n != 0 || !bytes.Equal(again, r.Body) {
			t.Errorf("%s: scrubbing twice differs", name)
		}
	}
	// Errors have the marks of the document too.
	p := mustPlan(t, Options{}, Input{Protocol: rpcCBOR, Members: []Member{body("S", "string")}})
	r, err := p.Apply(t.Context(), 400, nil, strings.NewReader(string(obj("__type", "E", "S", "K"))))
	if err != nil || string(r.Body) != string(obj("__type", "E", "S", Token)) {
		t.Errorf("%q %v", r.Body, err)
	}
}

// A service that speaks both may answer in CBOR what was asked in JSON; nothing
// that is text is taken for it.
func TestCBORAnswersJSON(t *testing.T) {
	p := mustPlan(t, Options{}, Input{Protocol: "json", Members: []Member{body("S", "string")}})
	r, err := p.Apply(t.Context(), 200, nil, strings.NewReader(string(obj("S", "K", "n", "n"))))
	if want := string(obj("S", Token, "n", "n")); err != nil || string(r.Body) != want {
		t.Errorf("%q %v", r.Body, err)
	}
	for _, in := range []string{`{"S":"K"`, "<S>K</S>", "\xa1\x61S\x61", "\xa1\x61S\x61KK", "\xbf"} {
		if r, err := p.Apply(t.Context(), 200, nil, strings.NewReader(in)); err == nil {
			t.Errorf("%q became %q", in, r.Body)
		}
	}
}

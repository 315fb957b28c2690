package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/sallyport/sallyport/refusal"
)

// ev is one event as a test writes it.
type ev struct {
	typ, contentType, payload string
	header                    map[string]eventstream.Value
}

func (e ev) frame(tb testing.TB) []byte {
	tb.Helper()
	var h eventstream.Headers
	h.Set(":message-type", eventstream.StringValue("event"))
	if e.typ != "" {
		h.Set(":event-type", eventstream.StringValue(e.typ))
	}
	if e.contentType != "" {
		h.Set(":content-type", eventstream.StringValue(e.contentType))
	}
	for k, v := range e.header {
		h.Set(k, v)
	}
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, eventstream.Message{Headers: h, Payload: []byte(e.payload)}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func stream(tb testing.TB, list ...ev) []byte {
	tb.Helper()
	var out []byte
	for _, e := range list {
		out = append(out, e.frame(tb)...)
	}
	return out
}

func jsonEvent(typ, doc string) ev {
	return ev{typ: typ, contentType: "application/json", payload: doc}
}

// messages decodes an event stream as an SDK does.
func messages(tb testing.TB, wire []byte) []eventstream.Message {
	tb.Helper()
	var out []eventstream.Message
	r := bytes.NewReader(wire)
	for r.Len() > 0 {
		m, err := eventstream.NewDecoder().Decode(r, nil)
		if err != nil {
			tb.Fatalf("event %d: %v", len(out), err)
		}
		out = append(out, m)
	}
	return out
}

func eventsPlan(tb testing.TB, o Options, in Input) *Plan {
	tb.Helper()
	in.EventStreamOutput = true
	if in.Protocol == "" {
		in.Protocol = "rest-json"
	}
	p, err := New(o).Plan(in)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func masked(tb testing.TB, p *Plan, r io.Reader) ([]byte, Result, error) {
	tb.Helper()
	res, err := p.Apply(tb.Context(), 200, http.Header{"Content-Length": {"9"}}, r)
	if err != nil {
		return nil, res, err
	}
	out, err := io.ReadAll(res.Stream)
	return out, res, err
}

func TestEventPaths(t *testing.T) {
	payload := func(path, typ string) Member {
		return Member{Path: path, Member: "stream." + path, In: "payload", Type: typ}
	}
	rpc := func(path, typ string) Member { return Member{Path: path, Member: path, In: "body", Type: typ} }
	header := func(e ev, name string, v eventstream.Value) ev {
		e.header = map[string]eventstream.Value{name: v}
		return e
	}
	str := func(s string) eventstream.Value { return eventstream.StringValue(s) }
	delta := `{"contentBlockIndex":0,"delta":{"text":"S"}}`
	tok := `"` + Token + `"`
	for name, c := range map[string]struct {
		in   Input
		ev   ev
		want string // payload; a header's value with header
		head string
	}{
		"member":               {Input{Members: []Member{payload("d.delta.text", "string")}}, jsonEvent("d", delta), strings.Replace(delta, `"S"`, tok, 1), ""},
		"other event":          {Input{Members: []Member{payload("d.delta.text", "string")}}, jsonEvent("e", delta), delta, ""},
		"event":                {Input{Members: []Member{payload("d", "structure")}}, jsonEvent("d", `{"a":"S","b":[1]}`), `{"a":` + tok + `,"b":[0]}`, ""},
		"stream":               {Input{Members: []Member{{Path: "", Member: "stream", In: "payload", Type: "structure"}}}, jsonEvent("d", `{"a":"S"}`), `{"a":` + tok + `}`, ""},
		"rpc member":           {Input{Protocol: "json", Members: []Member{rpc("s.d.a", "string")}}, jsonEvent("d", `{"a":"S"}`), `{"a":` + tok + `}`, ""},
		"rpc event":            {Input{Protocol: "json", Members: []Member{rpc("s.d", "structure")}}, jsonEvent("d", `{"a":"S"}`), `{"a":` + tok + `}`, ""},
		"rpc stream":           {Input{Protocol: "json", Members: []Member{rpc("s", "structure")}}, jsonEvent("d", `{"a":"S"}`), `{"a":` + tok + `}`, ""},
		"rpc initial response": {Input{Protocol: "json", Members: []Member{rpc("a", "string")}}, jsonEvent("initial-response", `{"a":"S"}`), `{"a":` + tok + `}`, ""},
		"rpc content type":     {Input{Protocol: "json", Members: []Member{rpc("s.d.a", "string")}}, ev{typ: "d", contentType: "application/x-amz-json-1.1", payload: `{"a":"S"}`}, `{"a":` + tok + `}`, ""},
		"no content type":      {Input{Members: []Member{payload("d.a", "string")}}, ev{typ: "d", payload: `{"a":"S"}`}, `{"a":` + tok + `}`, ""},
		"wrong content type":   {Input{Members: []Member{payload("d.a.b", "string")}}, ev{typ: "d", contentType: "application/octet-stream", payload: `{"a":{"b":"S"}}`}, `{"a":{"b":` + tok + `}}`, ""},
		"blob payload":         {Input{Members: []Member{payload("d.Payload", "blob")}}, ev{typ: "d", contentType: "application/octet-stream", payload: "S"}, Token, ""},
		"JSON in blob payload": {Input{Members: []Member{payload("d.Payload", "blob")}}, ev{typ: "d", contentType: "application/octet-stream", payload: `{"a":1}`}, Token, ""},
		"rule":                 {Input{Paths: paths("stream.d.a")}, jsonEvent("d", `{"a":"S","b":"T"}`), `{"a":` + tok + `,"b":"T"}`, ""},
		"rule as the SDK":      {Input{Paths: paths("d.a")}, jsonEvent("d", `{"a":"S","b":"T"}`), `{"a":` + tok + `,"b":"T"}`, ""},
		"rule, other event":    {Input{Paths: paths("stream.d.a")}, jsonEvent("e", `{"a":"S"}`), `{"a":"S"}`, ""},
		"rule for an event":    {Input{Paths: paths("stream.d")}, jsonEvent("d", `{"a":"S"}`), `{"a":` + tok + `}`, ""},
		"rule for all":         {Input{Paths: paths("stream")}, jsonEvent("d", `{"a":"S"}`), `{"a":` + tok + `}`, ""},
		"rule for one of known": {Input{Members: []Member{payload("x.y", "string")}, Paths: paths("d")},
			jsonEvent("e", `{"a":"S"}`), `{"a":"S"}`, ""},
		"rule in a payload": {Input{Paths: paths("stream.d.Payload.a")}, ev{typ: "d", contentType: "text/plain", payload: `{"a":"S","b":1}`}, `{"a":` + tok + `,"b":1}`, ""},
		"rule in no JSON":   {Input{Paths: paths("d.Payload.a")}, ev{typ: "d", contentType: "text/plain", payload: `S`}, Token, ""},
		"rule, XML":         {Input{Protocol: "rest-xml", Paths: paths("Payload.d.Details.a")}, ev{typ: "d", contentType: "text/xml", payload: `<D><a>S</a></D>`}, `<D><a>` + Token + `</a></D>`, ""},
		"header":            {Input{Members: []Member{payload("d.h", "string")}}, header(jsonEvent("d", `{}`), "h", str("S")), Token, "h"},
		"header by a rule":  {Input{Paths: paths("stream.d.h")}, header(jsonEvent("d", `{}`), "h", str("S")), Token, "h"},
		"header, number":    {Input{Members: []Member{payload("d.h", "integer")}}, header(jsonEvent("d", `{}`), "h", eventstream.Int32Value(7)), "0x00000000", "h"},
		"header, bytes":     {Input{Members: []Member{payload("d.h", "blob")}}, header(jsonEvent("d", `{}`), "h", eventstream.BytesValue("S")), Token, "h"},
		"header beside":     {Input{Members: []Member{payload("d.h", "string")}}, header(ev{typ: "d", contentType: "text/plain", payload: "T"}, "h", str("S")), "T", ""},
		"exception":         {Input{Members: []Member{payload("x.message", "string")}}, header(ev{payload: `{"message":"S"}`}, ":message-type", str("exception")).with(":exception-type", str("x")), `{"message":` + tok + `}`, ""},
		"exception scrubbed": {Input{Paths: paths("a.b")}, header(ev{payload: `{"message":"` + plantedKey + ` is bad"}`}, ":message-type", str("exception")).with(":exception-type", str("x")),
			`{"message":"******************** is bad"}`, ""},
		"error scrubbed": {Input{Paths: paths("a.b")}, header(ev{}, ":message-type", str("error")).with(":error-message", str(plantedKey+" is bad")),
			"******************** is bad", ":error-message"},
	} {
		out, res, err := masked(t, eventsPlan(t, Options{}, c.in), bytes.NewReader(c.ev.frame(t)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m := messages(t, out)[0]
		got := string(m.Payload)
		if c.head != "" {
			got = fmt.Sprint(m.Headers.Get(c.head))
			if b, ok := m.Headers.Get(c.head).(eventstream.BytesValue); ok {
				got = string(b)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if res.Header.Get("Content-Length") != "" {
			t.Errorf("%s: the length stayed", name)
		}
		if changed := !bytes.Equal(out, c.ev.frame(t)); changed != (len(res.Findings()) > 0) {
			t.Errorf("%s: findings %v", name, res.Findings())
		}
	}
}

func (e ev) with(name string, v eventstream.Value) ev {
	e.header[name] = v
	return e
}

func TestEventDetectors(t *testing.T) {
	p := eventsPlan(t, Options{Scanner: defaults(t)}, Input{})
	b64 := base64.StdEncoding.EncodeToString
	for name, e := range map[string]ev{
		"member":     jsonEvent("trace", `{"a":{"b":"x `+plantedKey+`"}}`),
		"text":       {typ: "PayloadChunk", contentType: "text/plain", payload: "x " + plantedKey},
		"bytes":      {typ: "PayloadChunk", contentType: "application/octet-stream", payload: "\x00\xff " + plantedKey},
		"JSON bytes": jsonEvent("chunk", `{"bytes":"`+b64([]byte(`{"type":"x","delta":{"text":"`+plantedKey+`"}}`))+`"}`),
		"JSON note":  jsonEvent("chunk", `{"bytes":"`+b64([]byte(`{"note":"`+plantedKey+`"}`))+`"}`),
		"text bytes": jsonEvent("chunk", `{"bytes":"`+b64([]byte("it is "+plantedKey))+`"}`),
		"header":     {typ: "x", contentType: "application/json", payload: "{}", header: map[string]eventstream.Value{"h": eventstream.StringValue(plantedKey)}},
		"no JSON":    jsonEvent("x", `{"a":`+plantedKey),
		"XML":        {typ: "Stats", contentType: "text/xml", payload: "<Stats><a>" + plantedKey + "</a></Stats>"},
		"exception":  {payload: `{"message":"x ` + plantedKey + `"}`, header: map[string]eventstream.Value{":message-type": eventstream.StringValue("exception"), ":exception-type": eventstream.StringValue("x")}},
	} {
		out, res, err := masked(t, p, bytes.NewReader(e.frame(t)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m := messages(t, out)[0]
		all := fmt.Sprint(m.Headers) + string(m.Payload)
		if _, inner, ok := strings.Cut(string(m.Payload), `{"bytes":"`); ok {
			b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(inner, `"}`))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			all += string(b)
		}
		if strings.Contains(all, plantedKey) || len(res.Findings()) == 0 {
			t.Errorf("%s: %s, %v", name, all, res.Findings())
		}
	}
}

// Frames that are not as they should be end the answer: what came before is whole,
// and nothing of them goes out.
func TestBadFrames(t *testing.T) {
	good := jsonEvent("d", `{"a":"fine"}`).frame(t)
	bad := jsonEvent("d", `{"a":"CANARY"}`).frame(t)
	flip := func(i int) []byte {
		b := bytes.Clone(bad)
		b[(i+len(b))%len(b)] ^= 1
		return b
	}
	twice := func(second string) []byte {
		var b bytes.Buffer
		if err := eventstream.NewEncoder().Encode(&b, eventstream.Message{Headers: eventstream.Headers{
			{Name: ":message-type", Value: eventstream.StringValue("event")},
			{Name: ":event-type", Value: eventstream.StringValue("d")}, {Name: ":event-type", Value: eventstream.StringValue(second)},
		}, Payload: []byte(`{"a":"CANARY"}`)}); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for name, frame := range map[string][]byte{
		"message checksum": flip(-1), "payload": flip(-6), "header": flip(14), "length": flip(3), "headers' length": flip(7), "prelude checksum": flip(9),
		"type twice":     twice("e"),
		"twice the same": twice("d"),
		"no type":        ev{contentType: "application/json", payload: `{"a":"CANARY"}`}.frame(t),
		"message type":   ev{typ: "d", payload: `{"a":"CANARY"}`, header: map[string]eventstream.Value{":message-type": eventstream.StringValue("other")}}.frame(t),
		"not JSON":       jsonEvent("d", `{"a":"CANARY"`).frame(t),
		"CBOR":           ev{typ: "d", contentType: "application/cbor", payload: "\xa1\x61a\x66CANAR"}.frame(t),
		"over the limit": jsonEvent("d", `{"a":"CANARY`+strings.Repeat("x", 1<<16)+`"}`).frame(t),
		"header path":    ev{typ: "d", payload: "{}", header: map[string]eventstream.Value{"h": eventstream.StringValue("CANARY")}}.frame(t),
	} {
		p := eventsPlan(t, Options{MaxBody: 1 << 16}, Input{Paths: paths("d.b", "d.h.x")})
		out, _, err := masked(t, p, bytes.NewReader(append(bytes.Clone(good), frame...)))
		if ref := refused(err); ref == nil || ref.Reason != refusal.Masking || strings.Contains(ref.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(out, good) && len(out) > 0 {
			t.Errorf("%s: %q went out", name, out)
		}
	}
	for cut := 1; cut < len(bad); cut++ {
		out, _, err := masked(t, eventsPlan(t, Options{}, Input{Paths: paths("d.b")}), bytes.NewReader(append(bytes.Clone(good), bad[:cut]...)))
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(out, good) {
			t.Fatalf("cut at %d: %v, %q", cut, err, out)
		}
	}
}

// Without findings every byte is as it came, however the stream is cut.
func TestCleanEventsStay(t *testing.T) {
	in := stream(t, jsonEvent("d", ` { "a" : "\u00e9A" } `), jsonEvent("contentBlockDelta", `{"delta":{"text":"Hello, wor"}}`),
		ev{typ: "PayloadChunk", contentType: "application/octet-stream", payload: "\xff\x00 AKIA"}, jsonEvent("contentBlockDelta", `{"delta":{"text":"ld A"}}`),
		ev{typ: "End"}, jsonEvent("chunk", `{"bytes":"eyJkZWx0YSI6eyJ0ZXh0IjoiSGkifX0=","p":"abc"}`))
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(in), "bytes": iotest.OneByteReader(bytes.NewReader(in)), "halves": iotest.HalfReader(bytes.NewReader(in))} {
		out, res, err := masked(t, eventsPlan(t, Options{Scanner: defaults(t)}, Input{Paths: paths("x.y")}), r)
		if err != nil || !bytes.Equal(out, in) || len(res.Findings()) > 0 {
			t.Errorf("%s: %v %v\n%q\n%q", name, err, res.Findings(), in, out)
		}
	}
}

// A stream in which nothing is to be masked is not looked at.
func TestUnmaskedEvents(t *testing.T) {
	in := strings.NewReader("anything")
	r, err := eventsPlan(t, Options{}, Input{}).Apply(t.Context(), 200, http.Header{"Content-Length": {"8"}}, in)
	if err != nil || r.Stream != in || r.Header.Get("Content-Length") != "8" {
		t.Errorf("%v %v", r, err)
	}
}

// FuzzEvents: whatever frames hold, they are refused or what goes out are good frames,
// as many as came, the same when masked again and when the stream is cut otherwise.
func FuzzEvents(f *testing.F) {
	f.Add("d", "application/json", []byte(`{"a":"S"}`), []byte(`{"a":"T"}`), uint64(1))
	f.Add("contentBlockDelta", "application/json", []byte(`{"delta":{"text":"`+plantedKey[:9]+`"}}`), []byte(`{"delta":{"text":"`+plantedKey[9:]+`"}}`), uint64(2))
	f.Add("chunk", "application/json", []byte(`{"bytes":"eyJkZWx0YSI6eyJ0ZXh0IjoiQUtJQSJ9LCJpbmRleCI6Mn0="}`), []byte(`{"bytes":"eyJ0eXBlIjoiY29udGVudF9ibG9ja19zdG9wIiwiaW5kZXgiOjJ9"}`), uint64(3))
	f.Add("PayloadChunk", "application/octet-stream", []byte("x AKIAQ3EGR"), []byte(`J5XLMNB2UVW`), uint64(4))
	f.Add("Stats", "text/xml", []byte("<a>x</a>"), []byte(`{"k":"AKIA","delta":["a",{"index":1,"x":"AK"}]}`), uint64(5))
	f.Add("initial-response", "", []byte(`{}`), []byte{}, uint64(6))
	s := defaults(f)
	f.Fuzz(func(t *testing.T, typ, contentType string, first, second []byte, seed uint64) {
		if len(typ) > 1<<15 || len(contentType) > 1<<15 {
			return
		}
		in := stream(t, ev{typ: typ, contentType: contentType, payload: string(first)}, ev{typ: typ, contentType: contentType, payload: string(second)})
		p := eventsPlan(t, Options{Scanner: s}, Input{Paths: paths("d.a")})
		out, _, err := masked(t, p, bytes.NewReader(in))
		if err != nil {
			if refused(err) == nil {
				t.Fatal(err)
			}
			return
		}
		if len(messages(t, out)) != 2 {
			t.Fatalf("%q became %q", in, out)
		}
		cut, _, err := masked(t, p, &chopped{in, rand.New(rand.NewPCG(seed, 0))})
		if err != nil || !bytes.Equal(cut, out) {
			t.Fatalf("cut otherwise: %q, %q, %v", cut, out, err)
		}
		again, _, err := masked(t, p, bytes.NewReader(out))
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("twice: %q, %q, %v", out, again, err)
		}
	})
}

// FuzzFrames: any bytes are refused, broken off, or good frames.
func FuzzFrames(f *testing.F) {
	f.Add(stream(f, jsonEvent("d", `{"a":"S"}`)))
	f.Add([]byte{0, 0, 0, 16, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		out, _, err := masked(t, eventsPlan(t, Options{}, Input{Paths: paths("d.a")}), bytes.NewReader(in))
		messages(t, out)
		if err != nil && refused(err) == nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	})
}

// chopped reads in pieces of random length.
type chopped struct {
	b []byte
	r *rand.Rand
}

func (c *chopped) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.b[:1+c.r.IntN(len(c.b))])
	c.b = c.b[n:]
	return n, nil
}

// Lengths that are wrong, or that no event of AWS's has, are refused before what they
// announce is waited for.
func TestLengthsAreCheckedFirst(t *testing.T) {
	prelude := func(total, headers uint32) []byte {
		b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, total), headers)
		return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	}
	wrong := prelude(100, 0)
	wrong[3]++
	for name, b := range map[string][]byte{
		"checksum": wrong, "large headers": prelude(1<<20, maxFrameHeaders+1), "headers beyond the end": prelude(100, 85), "too short": prelude(15, 0), "too long": prelude(maxFrame+1, 0),
	} {
		f := &feed{t: t, pieces: make(chan []byte, 1)}
		f.pieces <- b
		_, _, err := masked(t, eventsPlan(t, Options{MaxBody: 1 << 30}, Input{Paths: paths("a.b")}), f)
		if ref := refused(err); ref == nil || ref.Reason != refusal.Masking {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An event in CBOR is masked by paths and by detectors as one in JSON.
func TestEventsInCBOR(t *testing.T) {
	p := eventsPlan(t, Options{Scanner: defaults(t)}, Input{Protocol: rpcCBOR, Paths: paths("d.a")})
	out, _, err := masked(t, p, bytes.NewReader(ev{typ: "d", contentType: "application/cbor", payload: string(obj("a", "CANARY", "b", plantedKey, "c", "fine"))}.frame(t)))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(messages(t, out)[0].Payload), string(obj("a", Token, "b", Token, "c", "fine")); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

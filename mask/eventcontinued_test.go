package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport/sallyport/mask/detect"
)

// carriers are the ways in which events carry a text on: each makes an event of a
// piece, and takes the piece out of it again.
var carriers = map[string]struct {
	put func(s string) ev
	get func(t *testing.T, payload []byte) string
}{
	"Lambda's payload": {func(s string) ev {
		return ev{typ: "PayloadChunk", contentType: "application/octet-stream", payload: s}
	}, func(_ *testing.T, b []byte) string { return string(b) }},
	"Converse's text":  {deltaEvent(`{"contentBlockIndex":0,"delta":{"text":%s}}`), field("delta", "text")},
	"Converse's input": {deltaEvent(`{"contentBlockIndex":0,"delta":{"toolUse":{"input":%s}},"p":"abcAKIA"}`), field("delta", "toolUse", "input")},
	"InvokeAgent's bytes": {func(s string) ev {
		return jsonEvent("chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(s))+`"}`)
	}, func(t *testing.T, b []byte) string { return inBytes(t, b) }},
	"a model's message in bytes": {func(s string) ev {
		doc := fmt.Sprintf(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%s}}`, quote(s, true))
		return jsonEvent("chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(doc))+`","p":"abc"}`)
	}, func(t *testing.T, b []byte) string { return field("delta", "text")(t, []byte(inBytes(t, b))) }},
	"choices in bytes": {func(s string) ev {
		doc := fmt.Sprintf(`{"choices":[{"index":0,"delta":{"content":%s}}]}`, quote(s, true))
		return jsonEvent("chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(doc))+`"}`)
	}, func(t *testing.T, b []byte) string {
		var d struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		decodeJSON(t, []byte(inBytes(t, b)), &d)
		return d.Choices[0].Delta.Content
	}},
}

func deltaEvent(format string) func(string) ev {
	return func(s string) ev { return jsonEvent("contentBlockDelta", fmt.Sprintf(format, quote(s, true))) }
}

func decodeJSON(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
}

func field(path ...string) func(*testing.T, []byte) string {
	return func(t *testing.T, b []byte) string {
		t.Helper()
		var v any
		decodeJSON(t, b, &v)
		for _, p := range path {
			m, ok := v.(map[string]any)
			if !ok {
				return ""
			}
			v = m[p]
		}
		s, _ := v.(string)
		return s
	}
}

func inBytes(t *testing.T, b []byte) string {
	t.Helper()
	out, err := base64.StdEncoding.DecodeString(field("bytes")(t, b))
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return string(out)
}

// whole is the text as a detector's stream masks it in one piece.
func wholeText(s *detect.Scanner, text string) string {
	r := newObjectReader(&walk{found: &findings{}, scan: s}, strings.NewReader(text))
	out, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// A secret that is split over events, at any place and over any number of them, is
// masked as in the whole text; events stay as many and in order.
func TestSplitSecrets(t *testing.T) {
	s := defaults(t)
	p := eventsPlan(t, Options{Scanner: s}, Input{})
	text := `the key is ` + plantedKey + `, or "` + plantedKey + `" é`
	want := wholeText(s, text)
	if strings.Contains(want, plantedKey) || len(want) != len(text) {
		t.Fatal(want)
	}
	for name, c := range carriers {
		check := func(pieces []string) {
			t.Helper()
			var in []byte
			for _, piece := range pieces {
				in = append(in, c.put(piece).frame(t)...)
			}
			out, _, err := masked(t, p, bytes.NewReader(in))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got := ""
			list := messages(t, out)
			for _, m := range list {
				got += c.get(t, m.Payload)
			}
			if got != want || len(list) != len(pieces) {
				t.Fatalf("%s, %q: %d events, %q", name, pieces, len(list), got)
			}
		}
		runes := []rune(text)
		var single []string
		for i, r := range runes {
			check([]string{string(runes[:i]), string(runes[i:])})
			single = append(single, string(r))
		}
		check(single)
		r := rand.New(rand.NewPCG(1, 2))
		for range 200 {
			var pieces []string
			for rest := runes; len(rest) > 0; {
				n := 1 + r.IntN(min(12, len(rest)))
				pieces = append(pieces, string(rest[:n]))
				rest = rest[n:]
			}
			check(pieces)
		}
	}
}

// Texts of several blocks at once are apart, and events between are no end.
func TestInterleavedTexts(t *testing.T) {
	p := eventsPlan(t, Options{Scanner: defaults(t)}, Input{})
	delta := func(i int, s string) ev {
		return jsonEvent("contentBlockDelta", fmt.Sprintf(`{"delta":{"text":%q},"contentBlockIndex":%d}`, s, i))
	}
	in := stream(t, delta(0, "a "+plantedKey[:7]), delta(1, "b "+plantedKey[:11]), jsonEvent("trace", `{"t":"x"}`),
		delta(1, plantedKey[11:]+" y"), delta(0, plantedKey[7:]+" z"))
	out, res, err := masked(t, p, bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[float64]string{}
	for _, m := range messages(t, out) {
		var d struct {
			Delta             struct{ Text string }
			ContentBlockIndex float64
		}
		decodeJSON(t, m.Payload, &d)
		texts[d.ContentBlockIndex] += d.Delta.Text
	}
	if strings.Contains(texts[0], plantedKey[:7]) || strings.Contains(texts[1], plantedKey[:7]) || !strings.HasSuffix(texts[0], " z") || !strings.HasSuffix(texts[1], " y") {
		t.Errorf("%v", texts)
	}
	if f := res.Findings(); len(f) != 1 || f[0].Count != 2 {
		t.Errorf("findings %v", f)
	}
}

// feed is an AWS that sends a piece only when the test says so.
type feed struct {
	t      *testing.T
	pieces chan []byte
	rest   []byte
}

func (f *feed) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		select {
		case b, ok := <-f.pieces:
			if !ok {
				return 0, io.EOF
			}
			f.rest = b
		default:
			f.t.Error("more was read before what is ready went out")
			return 0, io.ErrUnexpectedEOF
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// What is clean is out before the next event comes; what may be the beginning of a
// secret waits for the next piece, for the end of its block, or for the end.
func TestEventsAreNotDelayed(t *testing.T) {
	p := eventsPlan(t, Options{Scanner: defaults(t)}, Input{Paths: paths("x.y")})
	f := &feed{t: t, pieces: make(chan []byte, 8)}
	res, err := p.Apply(t.Context(), 200, nil, f)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(out ...ev) {
		t.Helper()
		want := stream(t, out...)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(res.Stream, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q %v", got, err)
		}
	}
	send := func(list ...ev) {
		for _, e := range list {
			f.pieces <- e.frame(t)
		}
	}
	text := carriers["Converse's text"].put
	for _, e := range []ev{jsonEvent("messageStart", `{"role":"assistant"}`), text("Hello, world. "), text("More. "),
		{typ: "PayloadChunk", payload: "some bytes. "}, jsonEvent("sessionUpdate", `{"sessionResults":[{"message":"ends in AKIA"}]}`),
		jsonEvent("SubscribeToShardEvent", `{"Records":[{"Data":"QUtJQQ==","SequenceNumber":"1"}]}`)} {
		send(e)
		expect(e)
	}
	send(text("so AKIA"), text(" is no key. "))
	expect(text("so AKIA"), text(" is no key. "))
	send(text("so AKIA"), jsonEvent("contentBlockStop", `{"contentBlockIndex":0}`))
	expect(text("so AKIA"), jsonEvent("contentBlockStop", `{"contentBlockIndex":0}`))
	send(text("so AKIA"))
	close(f.pieces)
	expect(text("so AKIA"))
	if _, err := res.Stream.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
}

// watched sees how many events are held whenever more is read.
type watched struct {
	io.Reader
	events *eventReader
	most   int
}

func (w *watched) Read(p []byte) (int, error) {
	w.most = max(w.most, len(w.events.queue))
	return w.Reader.Read(p)
}

// However long a secret takes to come, no more is held than the bound, and no part of
// it goes out.
func TestHeldTextsAreBounded(t *testing.T) {
	p := eventsPlan(t, Options{Scanner: defaults(t)}, Input{})
	key := "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEAx7Vn0Yz3qTq1c8Lw0aVdEoPqS2mZ1uHk4yXw9bRt6NfGjCsW\n", 24) + "-----END RSA PRIVATE KEY-----"
	text := "before " + key + " after"
	for name, c := range carriers {
		var in []byte
		for i := range len(text) {
			in = append(in, c.put(text[i:i+1]).frame(t)...)
		}
		in = append(in, jsonEvent("messageStop", "{}").frame(t)...)
		w := &watched{Reader: bytes.NewReader(in)}
		res, err := p.Apply(t.Context(), 200, nil, iotest.OneByteReader(w))
		if err != nil {
			t.Fatal(err)
		}
		w.events, _ = res.Stream.(*eventReader)
		out, err := io.ReadAll(res.Stream)
		if w.most != maxHeld {
			t.Errorf("%s: %d events were held", name, w.most)
		}
		got := ""
		list := messages(t, out)
		for _, m := range list[:len(list)-1] {
			got += c.get(t, m.Payload)
		}
		if err != nil || len(list) != len(text)+1 || strings.Contains(got, "MIIE") || strings.Contains(got, "Vn0Y") || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
			t.Errorf("%s: %d events, %v: %q", name, len(list), err, got)
		}
	}
	// One text that fills the buffer with one event.
	big := carriers["Lambda's payload"].put("-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("A", maxHeldBytes))
	res, err := p.Apply(t.Context(), 200, nil, &feed{t: t, pieces: ready(t, big)})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, res.Stream, int64(len(big.frame(t)))); err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func ready(t *testing.T, list ...ev) chan []byte {
	t.Helper()
	c := make(chan []byte, len(list))
	for _, e := range list {
		c <- e.frame(t)
	}
	return c
}

// A stream of ever new blocks keeps no more than so many texts.
func TestTextsAreBounded(t *testing.T) {
	p := eventsPlan(t, Options{Scanner: defaults(t)}, Input{})
	var in []byte
	for i := range 10 * maxTexts {
		in = append(in, jsonEvent("contentBlockDelta", fmt.Sprintf(`{"contentBlockIndex":%d,"delta":{"text":"clean."}}`, i)).frame(t)...)
	}
	res, err := p.Apply(t.Context(), 200, nil, bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(res.Stream)
	if r, ok := res.Stream.(*eventReader); err != nil || !ok || len(r.texts) > 0 || len(r.order) > 0 || !bytes.Equal(out, in) {
		t.Errorf("%v", err)
	}
}

package mask

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/sallyport/sallyport/refusal"
)

// lenientCBOR is the other reader: it takes keys twice, and any depth we do.
func lenientCBOR(tb testing.TB) cbor.DecMode {
	tb.Helper()
	m, err := cbor.DecOptions{
		MaxNestedLevels: 2 * maxDepth, MaxArrayElements: 1 << 30, MaxMapPairs: 1 << 30,
		IntDec: cbor.IntDecConvertNone, TimeTag: cbor.DecTagIgnored, TimeTagToAny: cbor.TimeTagToRFC3339Nano,
		BigIntDec: cbor.BigIntDecodePointer,
	}.DecMode()
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// memberNames is v with the map keys that paths see, as encoding/json has them.
func memberNames(v any) any {
	switch x := v.(type) {
	case map[any]any:
		out := map[string]any{}
		for k, e := range x {
			switch k := k.(type) {
			case string:
				out[k] = memberNames(e)
			case cbor.ByteString:
				out[string(k)] = memberNames(e)
			}
		}
		return out
	case []any:
		for i := range x {
			x[i] = memberNames(x[i])
		}
	case cbor.Tag:
		return memberNames(x.Content)
	case uint64:
		return float64(x)
	case int64:
		return float64(x)
	case []byte:
		return string(x)
	}
	return v
}

// FuzzCBOR: as FuzzJSON. What is accepted, another reader accepts.
func FuzzCBOR(f *testing.F) {
	for _, s := range []raw{
		obj("S", "K", "L", arr(obj("V", "K")), "C", obj("a", arr(1, true, nil, "K")), "M", obj("K", 1, "K2", 2)),
		obj("S", textChunks("K", "K"), "S", []byte("K2"), textChunks("S"), "K"), arr(obj("S", "K")), "\x61x",
		obj("R", arrOf(obj("V", []byte("K"), "R", arr(objOf("V", bytesChunks([]byte("K"))))))),
		obj("T", `{"p":"K"}`, "C", arr(tagged(1, 1.5), tagged(0, "2031-01-01T00:00:00Z"), tagged(2, []byte("K")), tagged(4, arr(1, 2)))),
		obj("a", obj("deep", arr(obj("x", "K"))), "Q", arr(obj("a", "b", "c", "K"), obj("a", "c", "c", "n"), obj(1, float32(2), -3, raw("\xf9\x7c\x00")))),
		obj("S", obj("S", arr("K")), []byte("L"), obj("a", obj("V", obj()))), tagged(55799, obj("C", tagged(3, []byte("K")))), obj() + obj(), "", "\xff", "\xbf\x01\xff", "\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		f.Add([]byte(s))
	}
	in := fuzzInput
	in.Protocol = rpcCBOR
	other := lenientCBOR(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		p := mustPlan(t, Options{}, in)
		r, err := p.Apply(t.Context(), 200, http.Header{}, bytes.NewReader(doc))
		if err != nil {
			var ref *refusal.Error
			if !errors.As(err, &ref) || ref.Reason != refusal.Masking || r.Body != nil {
				t.Fatal(err)
			}
			return
		}
		if len(doc) == 0 {
			return
		}
		if err := other.Wellformed(doc); err != nil {
			t.Fatalf("%x is accepted: %v", doc, err)
		}
		if err := other.Wellformed(r.Body); err != nil {
			t.Fatalf("%x became %x: %v", doc, r.Body, err)
		}
		again, err := p.Apply(t.Context(), 200, http.Header{}, bytes.NewReader(r.Body))
		if err != nil || !bytes.Equal(again.Body, r.Body) {
			t.Fatalf("twice: %x, %x, %v", r.Body, again.Body, err)
		}
		if len(r.Findings()) == 0 && !bytes.Equal(doc, r.Body) {
			t.Fatalf("changed without a finding: %x, %x", doc, r.Body)
		}
		var after any
		if other.Unmarshal(r.Body, &after) != nil {
			return // a date that is none, a key that Go cannot have
		}
		for _, v := range secrets(memberNames(after)) {
			if !leavesMasked(v) {
				t.Fatalf("%x became %x", doc, r.Body)
			}
		}
		// Queries see the document that JSON would be.
		w := &cborWalk{docWalk: docWalk{src: doc}}
		if asJSON, _ := w.appendJSON(nil, 0); !json.Valid(asJSON) {
			t.Fatalf("%x as JSON is %s", doc, asJSON)
		}
		// Scrubbed errors keep their shape.
		if out, _, ok := scrubCBOR(doc); !ok || other.Wellformed(out) != nil {
			t.Fatalf("%x scrubbed is %x", doc, out)
		} else if _, n, _ := scrubCBOR(out); n != 0 {
			t.Fatalf("scrubbing %x twice differs", doc)
		}
		// With styles that take members out, and a detector.
		in := in
		in.Style = Drop
		q := scanning(t, in)
		if r, err = q.Apply(t.Context(), 200, http.Header{}, bytes.NewReader(doc)); err != nil || other.Wellformed(r.Body) != nil || bytes.Contains(r.Body, []byte(found)) {
			t.Fatalf("%x without what is dropped is %x: %v", doc, r.Body, err)
		}
		if again, err = q.Apply(t.Context(), 200, http.Header{}, bytes.NewReader(r.Body)); err != nil {
			t.Fatalf("dropped twice: %x, %v", r.Body, err)
		}
	})
}

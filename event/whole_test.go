package event

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// What Whole promises is in the encoded event, member by member.
func TestWholeIsInTheEvent(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	texts := []string{"", "a", "\x00\x01\x1f", "é\u2028<&>", strings.Repeat("\x01", 16<<10), strings.Repeat("x", 16<<10+1), strings.Repeat("k", 3000)}
	var value func(depth int) any
	value = func(depth int) any {
		switch n := r.IntN(6); {
		case n == 0:
			return json.Number("12345678901234567890")
		case n == 1:
			return true
		case n < 4 || depth > 40:
			return texts[r.IntN(len(texts))]
		case n == 4:
			out := []any{}
			for range r.IntN(4) {
				out = append(out, value(depth+1+r.IntN(3)))
			}
			return out
		default:
			out := map[string]any{}
			for range r.IntN(4) {
				out[texts[r.IntN(len(texts))]] = value(depth + 1 + r.IntN(3))
			}
			return out
		}
	}
	ids := NewIDs(nil)
	counts := map[bool]int{}
	for i := range 1000 {
		params := map[string]any{"p": value(0)}
		if i%10 == 0 { // deep
			v := value(0)
			for range 20 + r.IntN(20) {
				v = []any{v}
			}
			params["d"] = v
		}
		whole := Whole(params)
		counts[whole]++
		if !whole {
			continue
		}
		line, err := Encode(Event{ID: ids.New(), Source: "s", Time: at, Data: &Request{Common: Common{RequestID: ids.New(), SessionID: ids.New(), EventTime: at}, RequestParameters: params}})
		if err != nil {
			t.Fatal(err)
		}
		e, err := Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		d, _ := e.Data.(*Request)
		if !reflect.DeepEqual(d.RequestParameters, params) {
			t.Fatalf("%.300v\nbecame\n%.300v", params, d.RequestParameters)
		}
	}
	if counts[true] < 100 || counts[false] < 100 {
		t.Errorf("%v: too few of one kind", counts)
	}
}

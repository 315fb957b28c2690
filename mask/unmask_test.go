package mask

import (
	"net/http"
	"strings"
	"testing"
)

// A rule that gives a member to the agent gives it whole: detectors leave it alone,
// and look at everything beside it. The rule's paths outrank that.
func TestDetectorsLeaveWhatIsUnmasked(t *testing.T) {
	const k = plantedKey
	for name, c := range map[string]struct {
		protocol string
		members  []Member
		paths    []Path
		unmask   []string
		in, out  string
	}{
		"member":    {"json", []Member{body("S", "string")}, nil, []string{"S"}, `{"S":"` + k + `","o":"` + k + `"}`, `{"S":"` + k + `","o":"sallyport/masked"}`},
		"structure": {"json", []Member{body("C.K", "string"), body("C.T", "string")}, nil, []string{"C.K"}, `{"C":{"K":"` + k + `","T":"x","o":"` + k + `"}}`, `{"C":{"K":"` + k + `","T":"sallyport/masked","o":"sallyport/masked"}}`},
		"below it":  {"json", []Member{body("C", "structure")}, nil, []string{"C"}, `{"C":{"l":["` + k + `",{"x":"` + k + `","` + k + `":1}]}}`, `{"C":{"l":["` + k + `",{"x":"` + k + `","` + k + `":1}]}}`},
		"list":      {"json", []Member{body("P.*.V", "string")}, nil, []string{"P.#.V"}, `{"P":[{"V":"` + k + `","N":"` + k + `"}]}`, `{"P":[{"V":"` + k + `","N":"sallyport/masked"}]}`},
		"path":      {"json", []Member{body("S", "string")}, paths("S.p"), []string{"S"}, `{"S":"{\"p\":\"x\",\"q\":\"` + k + `\"}"}`, `{"S":"{\"p\":\"sallyport/masked\",\"q\":\"` + k + `\"}"}`},
		"xml":       {"query", []Member{body("C", "structure")}, nil, []string{"C"}, `<R><C a="` + k + `"><S>` + k + `</S></C><o>` + k + `</o></R>`, `<R><C a="` + k + `"><S>` + k + `</S></C><o>sallyport/masked</o></R>`},
		"cbor":      {rpcCBOR, []Member{body("S", "string")}, nil, []string{"S"}, string(obj("S", k, "o", k)), string(obj("S", k, "o", Token))},
		"payload":   {"rest-json", []Member{{Member: "Payload", In: "payload", Type: "blob"}}, nil, []string{"Payload"}, "text " + k, "text " + k},
		"nothing":   {"json", []Member{body("S", "string")}, nil, nil, `{"S":"` + k + `"}`, `{"S":"sallyport/masked"}`},
	} {
		p := mustPlan(t, Options{Scanner: defaults(t)}, Input{Protocol: c.protocol, Members: c.members, Paths: c.paths, Unmask: c.unmask})
		r, err := p.Apply(t.Context(), 200, nil, strings.NewReader(c.in))
		if err != nil || string(r.Body) != c.out {
			t.Errorf("%s: got  %q\nwant %q\n%v", name, r.Body, c.out, err)
		}
	}
	p := mustPlan(t, Options{Scanner: defaults(t)}, Input{Protocol: "rest-json", Unmask: []string{"K"}, Members: []Member{{Path: "x-amz-key", Member: "K", In: "header", Type: "string"}}})
	r, err := p.Apply(t.Context(), 200, http.Header{"X-Amz-Key": {k}, "X-Amz-Meta-K": {k}}, strings.NewReader("{}"))
	if err != nil || r.Header.Get("X-Amz-Key") != k || r.Header.Get("X-Amz-Meta-K") != Token {
		t.Errorf("%v %v", r.Header, err)
	}
}

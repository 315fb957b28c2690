package mask

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/mask/detect"
	"github.com/sallyport/sallyport/refusal"
)

// wordFinder is an Analyzer that finds one word.
type wordFinder struct {
	word  string
	spans func([][]detect.Span) [][]detect.Span
	err   error
	asked [][]string
}

func (f *wordFinder) Analyze(_ context.Context, texts []string) ([][]detect.Span, error) {
	f.asked = append(f.asked, texts)
	out := make([][]detect.Span, len(texts))
	for i, t := range texts {
		for at := 0; ; {
			k := strings.Index(t[at:], f.word)
			if k < 0 {
				break
			}
			out[i] = append(out[i], detect.Span{Start: at + k, End: at + k + len(f.word), Rule: "presidio:PERSON"})
			at += k + len(f.word)
		}
	}
	if f.spans != nil {
		out = f.spans(out)
	}
	return out, f.err
}

// What the analyzer finds is masked in every format, it is asked once for a document,
// and never about what is masked anyway.
func TestAnalyzer(t *testing.T) {
	for protocol, c := range map[string]struct{ in, out string }{
		"json":     {`{"S":"Bob's secret","a":"by Bob \u0042ob","b":["Bob","x","Bob"],"Bob":1,"Bob":2}`, `{"S":"sallyport/masked","a":"by sallyport/masked sallyport/masked","b":["sallyport/masked","x","sallyport/masked"],"sallyport/masked-4":1,"sallyport/masked-5":2}`},
		"query":    {`<R><S>Bob</S><a x="Bob">by B<!-- -->ob</a></R>`, `<R><S>sallyport/masked</S><a x="sallyport/masked">by sallyport/masked</a></R>`},
		"rest-xml": {`{"a":"Bob"}`, `{"a":"sallyport/masked"}`},
	} {
		f := &wordFinder{word: "Bob"}
		p := mustPlan(t, Options{Analyzer: f}, Input{Protocol: protocol, Members: []Member{body("S", "string")}})
		r, err := p.Apply(t.Context(), 200, http.Header{}, strings.NewReader(c.in))
		if err != nil || string(r.Body) != c.out {
			t.Errorf("got  %s\nwant %s\n%v", r.Body, c.out, err)
		}
		if len(f.asked) != 1 || strings.Contains(strings.Join(f.asked[0], "|"), "secret") {
			t.Errorf("%s: asked %q", protocol, f.asked)
		}
		found := false
		for _, x := range r.Findings() {
			found = found || x.Source == SourceDetector && x.Detector == "presidio:PERSON"
		}
		if !found {
			t.Errorf("%s: findings %v", protocol, r.Findings())
		}
	}
}

// An analyzer that fails, or says what cannot be, leaves nothing to pass on.
func TestAnalyzerFailsClosed(t *testing.T) {
	for name, f := range map[string]*wordFinder{
		"error":     {err: errors.New("down")},
		"too few":   {spans: func(s [][]detect.Span) [][]detect.Span { return s[:0] }},
		"outside":   {spans: func(s [][]detect.Span) [][]detect.Span { s[0] = []detect.Span{{Start: 0, End: 999}}; return s }},
		"backwards": {spans: func(s [][]detect.Span) [][]detect.Span { s[0] = []detect.Span{{Start: 3, End: 2}}; return s }},
		"overlap": {spans: func(s [][]detect.Span) [][]detect.Span {
			s[0] = []detect.Span{{Start: 0, End: 2}, {Start: 1, End: 3}}
			return s
		}},
	} {
		f.word = "Bob"
		p := mustPlan(t, Options{Analyzer: f}, Input{Protocol: "json"})
		r, err := p.Apply(t.Context(), 200, http.Header{}, strings.NewReader(`{"a":"by Bob"}`))
		var e *refusal.Error
		if !errors.As(err, &e) || e.Reason != refusal.Masking || r.Body != nil || r.Stream != nil || strings.Contains(err.Error(), "Bob") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := New(Options{Analyzer: &wordFinder{}}).Plan(Input{Protocol: "rest-json", EventStreamOutput: true})
	var e *refusal.Error
	if !errors.As(err, &e) || e.Reason != refusal.Denied {
		t.Errorf("an event stream: %v", err)
	}
}

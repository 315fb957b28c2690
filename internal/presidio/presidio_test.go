package presidio

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/mask/detect"
)

var names = regexp.MustCompile(`Zoë Müller|Bob`)

// analyzer answers as Presidio's REST interface does, offsets in characters. Presidio
// itself is a Python service of a gigabyte, too large for these tests.
func analyzer(t *testing.T) (*httptest.Server, *[]map[string]any) {
	var asked []map[string]any
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q map[string]any
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/analyze" || r.Method != http.MethodPost || json.Unmarshal(body, &q) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		asked = append(asked, q)
		text, _ := q["text"].(string)
		out := []map[string]any{}
		for _, m := range names.FindAllStringIndex(text, -1) {
			out = append(out, map[string]any{"start": utf8.RuneCountInString(text[:m[0]]), "end": utf8.RuneCountInString(text[:m[1]]), "score": 0.85, "entity_type": "PERSON", "analysis_explanation": nil})
		}
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s, &asked
}

func client(t *testing.T, address string, o Options) *Client {
	t.Helper()
	var err error
	if o.URL, err = url.Parse(address); err != nil {
		t.Fatal(err)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnalyze(t *testing.T) {
	s, asked := analyzer(t)
	texts := []string{"é Zoë Müller and Bob", "", "nobody", "🔑Bob", strings.Repeat("x", maxRunes) + "Bob", "Bob"}
	got, err := client(t, s.URL, Options{Entities: []string{"PERSON"}, Threshold: 0.5}).Analyze(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{{"Zoë Müller", "Bob"}, nil, nil, {"Bob"}, {"Bob"}, {"Bob"}} {
		var found []string
		for _, sp := range got[i] {
			found = append(found, texts[i][sp.Start:sp.End])
			if sp.Rule != "presidio:PERSON" {
				t.Error(sp.Rule)
			}
		}
		if strings.Join(found, "|") != strings.Join(want, "|") {
			t.Errorf("%d: %q, want %q", i, found, want)
		}
	}
	if len(*asked) != 3 || (*asked)[0]["language"] != "en" || (*asked)[0]["score_threshold"] != 0.5 {
		t.Errorf("%d questions", len(*asked))
	}
}

// Findings that overlap are one; one over a border is cut there.
func TestSplit(t *testing.T) {
	at := func(a, b int) finding {
		score := 1.0
		return finding{Start: &a, End: &b, Score: &score, Entity: "X"}
	}
	out := make([][]detect.Span, 2)
	if err := split("abcd\n\nefgh", []string{"abcd", "efgh"}, []finding{at(2, 8), at(1, 3), at(9, 10)}, out); err != nil {
		t.Fatal(err)
	}
	if len(out[0]) != 1 || out[0][0].Start != 1 || out[0][0].End != 4 || len(out[1]) != 2 || out[1][0].End != 2 || out[1][1].Start != 3 {
		t.Errorf("%+v", out)
	}
}

// Whatever goes wrong is an error, and no error quotes a text.
func TestFailsClosed(t *testing.T) {
	const text = "Bob-CANARY"
	release := make(chan struct{})
	for name, h := range map[string]http.HandlerFunc{
		"error":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, http.StatusInternalServerError) },
		"not JSON":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>"+text) },
		"an object": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"error":"`+text+`"}`) },
		"null":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `null`) },
		"outside": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `[{"start":0,"end":99,"score":1,"entity_type":"X"}]`)
		},
		"negative": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `[{"start":-1,"end":2,"score":1,"entity_type":"X"}]`)
		},
		"without an end": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[{"start":0,"score":1}]`) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.com/", http.StatusTemporaryRedirect)
		},
		"slow":     func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-release },
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(h)
			defer s.Close()
			if name == "slow" {
				defer close(release)
			}
			_, err := client(t, s.URL, Options{Timeout: 100 * time.Millisecond}).Analyze(t.Context(), []string{text})
			if err == nil || strings.Contains(err.Error(), text) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		s, _ := analyzer(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := client(t, s.URL, Options{}).Analyze(ctx, []string{text}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	for _, bad := range []string{"", "ftp://h", "http://"} {
		u, err := url.Parse(bad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{URL: u}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

package identity

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/refusal"
)

func basic(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }

func TestParseProxyAuthorization(t *testing.T) {
	for _, c := range []struct {
		name, value, label, token string
	}{
		{"basic", basic("agent-1:a.b-c_d.e"), "agent-1", "a.b-c_d.e"},
		{"scheme in any case", "bAsIc " + strings.TrimPrefix(basic("l:a.b.c"), "Basic "), "l", "a.b.c"},
		{"several spaces", strings.Replace(basic("l:a.b.c"), " ", "   ", 1), "l", "a.b.c"},
		{"empty label", basic(":a.b.c"), "", "a.b.c"},
		{"label with space", basic("nightly run:a.b.c"), "nightly run", "a.b.c"},
		{"longest label", basic(strings.Repeat("l", 128) + ":a.b.c"), strings.Repeat("l", 128), "a.b.c"},
		{"longest of all", basic(strings.Repeat("l", 128) + ":" + strings.Repeat("a", MaxTokenBytes)), strings.Repeat("l", 128), strings.Repeat("a", MaxTokenBytes)},
		{"bearer", "Bearer a.b.c", "", "a.b.c"},
	} {
		label, token, err := ParseProxyAuthorization([]string{c.value})
		if err != nil || label != c.label || token.Reveal() != c.token {
			t.Errorf("%s: label %q, %d bytes of token, %v", c.name, label, token.Len(), err)
		}
	}
	for name, values := range map[string][]string{
		"none":            nil,
		"empty password":  {basic("label:")},
		"empty bearer":    {"Bearer "},
		"bearer alone":    {"Bearer"},
		"both empty":      {basic(":")},
		"git's first try": {},
	} {
		if _, token, err := ParseProxyAuthorization(values); !errors.Is(err, ErrNoCredential) || !token.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, values := range map[string][]string{
		"two fields":         {basic("l:a.b.c"), basic("l:a.b.c")},
		"two, one empty":     {"", basic("l:a.b.c")},
		"empty field":        {""},
		"scheme only":        {"Basic"},
		"other scheme":       {"Digest username=x"},
		"no space":           {"Basicabc"},
		"no colon":           {basic("a.b.c")},
		"colon in token":     {basic("l:a.b:c")},
		"token not a JWT":    {basic("l:pass word")},
		"NUL in token":       {basic("l:a.b\x00.c")},
		"NUL in label":       {basic("l\x00:a.b.c")},
		"line break":         {basic("l\r\nX: y:a.b.c")},
		"label UTF-8":        {basic("é:a.b.c")},
		"label long":         {basic(strings.Repeat("l", 129) + ":a.b.c")},
		"label space at end": {basic("l :a.b.c")},
		"token long":         {basic("l:" + strings.Repeat("a", MaxTokenBytes+1))},
		"bearer long":        {"Bearer " + strings.Repeat("a", MaxTokenBytes+1)},
		"field huge":         {"Basic " + strings.Repeat("A", 10<<20)},
		"no padding":         {strings.TrimRight(basic("ll:a.b.c"), "=")},
		"url alphabet":       {"Basic " + base64.URLEncoding.EncodeToString([]byte("l???>>>:a.b.c"))},
		"break in base64":    {"Basic bDphL\nmIuYw=="},
		"loose bits":         {"Basic bDphLmIuYx=="},
		"comma list":         {basic("l:a.b.c") + ", " + basic("l:a.b.c")},
		"bearer two tokens":  {"Bearer a.b.c d.e.f"},
		"tab":                {"Bearer\ta.b.c"},
	} {
		label, token, err := ParseProxyAuthorization(values)
		if err == nil || errors.Is(err, ErrNoCredential) || refusal.Of(err).Reason != refusal.Identity {
			t.Errorf("%s: label %q, %d bytes of token, %v", name, label, token.Len(), err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

// What is accepted comes back the same when it is written again, so no two
// readers can disagree about it; and it is within the limits.
func FuzzParseProxyAuthorization(f *testing.F) {
	for _, s := range []string{
		basic("label:a.b.c"), basic(":a.b.c"), basic("l:"), "Bearer a.b.c", "Bearer", "", "Basic", "Basic !!!!",
		"basic  bDphLmIuYw==", "Basic bDphLmIuYx==", basic("l\x00:a.b.c"), basic("a:b:c"), "Digest x",
	} {
		f.Add(s, false)
	}
	f.Add(basic("l:a.b.c"), true)
	f.Fuzz(func(t *testing.T, s string, twice bool) {
		values := []string{s}
		if twice {
			values = append(values, s)
		}
		label, token, err := ParseProxyAuthorization(values)
		if err != nil {
			if label != "" || !token.IsZero() {
				t.Fatal("an error and a credential")
			}
			return
		}
		if twice {
			t.Fatal("two fields were accepted")
		}
		if token.IsZero() || token.Len() > MaxTokenBytes || CheckLabel(label) != nil || strings.Contains(label, ":") {
			t.Fatalf("label %q, %d bytes of token", label, token.Len())
		}
		l2, t2, err := ParseProxyAuthorization([]string{basic(label + ":" + token.Reveal())})
		if err != nil || l2 != label || t2.Reveal() != token.Reveal() {
			t.Fatalf("written again: label %q, %v", l2, err)
		}
		scheme, rest, _ := strings.Cut(s, " ")
		if strings.EqualFold(scheme, "basic") && "Basic "+strings.Trim(rest, " ") != basic(label+":"+token.Reveal()) {
			t.Fatal("two spellings of one credential")
		}
	})
}

// No token of any shape makes parsing panic or be accepted without its parts.
func FuzzParseToken(f *testing.F) {
	f.Add("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2EifQ.AAAA")
	f.Add("..")
	f.Add("e30.e30.AA")
	f.Add("eyJhbGciOiJub25lIn0.e30.AA")
	f.Fuzz(func(t *testing.T, s string) {
		tk, err := parseToken(s)
		if err == nil && (tk.issuer == "" || tk.claims == nil || len(s) > MaxTokenBytes || strings.Count(s, ".") != 2) {
			t.Fatalf("accepted: %+v", tk)
		}
		if err != nil && len(err.Message) > 800 {
			t.Fatalf("message of %d bytes", len(err.Message))
		}
	})
}

package detect

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// A scanner with every set and custom detectors of all kinds.
func everything(t testing.TB) *Scanner {
	t.Helper()
	s, err := New(Config{Sets: allSets(), Custom: []Custom{
		{Name: "literal", Regex: `\bcorp-[a-z0-9]{8,20}\b`},
		{Name: "no literal", Regex: `[A-Z]{3}[0-9]{5}[é€]{0,3}`},
		{Name: "near", Regex: `\b[0-9a-f]{12}\b`, Keywords: []string{"badge"}},
		{Name: "group", Regex: `(?i)pin\s{0,3}[:=]\s{0,3}(?P<secret>[0-9]{4,8})`},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// replaced is what a Stream has to give: Find and replace.
func replaced(s *Scanner, text []byte, keep bool) []byte {
	var out []byte
	at := 0
	for _, span := range s.Find("", text) {
		out = append(out, text[at:span.Start]...)
		repl, n := masked("", nil), span.End-span.Start
		if keep {
			repl = append(repl, bytes.Repeat([]byte("*"), max(0, n-len(repl)))...)[:n]
		}
		out = append(out, repl...)
		at = span.End
	}
	return append(out, text[at:]...)
}

func streamed(s *Scanner, text []byte, keep bool, next func(left int) int) []byte {
	st := s.NewStream(masked, keep)
	var out []byte
	for p := text; len(p) > 0; {
		n := min(next(len(p)), len(p))
		out = append(out, st.Write(p[:n])...)
		p = p[n:]
	}
	return append(out, st.Close()...)
}

func sameInEveryCut(t *testing.T, s *Scanner, text []byte, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	for _, keep := range []bool{false, true} {
		want := replaced(s, text, keep)
		for name, next := range map[string]func(int) int{
			"single bytes": func(int) int { return 1 },
			"whole":        func(left int) int { return left },
			"random":       func(int) int { return 1 + r.IntN(40) },
			"large":        func(int) int { return 1 + r.IntN(1<<r.IntN(14)) },
		} {
			if got := streamed(s, text, keep, next); !bytes.Equal(got, want) {
				t.Fatalf("cut in %s, keepLength %v\ntext %q\ngot  %q\nwant %q\nspans %v", name, keep, text, got, want, s.Find("", text))
			}
		}
	}
}

func mixture(r *rand.Rand) []byte {
	var b strings.Builder
	for range 1 + r.IntN(5) {
		b.WriteString(noise(r))
		all := secrets(r)
		p := all[r.IntN(len(all))]
		text := p.front + p.secret
		switch r.IntN(6) {
		case 0:
			text = text[:r.IntN(len(text)+1)]
		case 1:
			text = text[r.IntN(len(text)):]
		}
		b.WriteString(text)
		b.WriteString([]string{"", " ", "\n", `"`, "é", "jane.doe@mail.example.com", "4111 1111 1111 1111", "+44 20 7946 0958", "(555) 234-5678", "078-05-1120",
			"GB82 WEST 1234 5698 7654 32", "corp-abcdefgh1", "ABC12345é", "badge 0123456789ab", "PIN: 123456"}[r.IntN(15)])
	}
	return []byte(b.String())
}

func TestStreamEqualsFind(t *testing.T) {
	s := everything(t)
	rounds := 100
	if testing.Short() {
		rounds = 30
	}
	for seed := range uint64(rounds) {
		sameInEveryCut(t, s, mixture(rand.New(rand.NewPCG(seed, 3))), seed)
	}
}

// What cannot become a secret is given out with the write that brings it.
func TestStreamHoldsBackOnlyWhatItMust(t *testing.T) {
	s := mustNew(t, DefaultSets()...)
	for text, held := range map[string]string{
		"The answer is 42.\n":                "",
		"one, two; (three)":                  "",
		"see https://example.com/a?b=1!":     "",
		"key AKIA":                           "AKIA",
		"key AKIAIOSFODNN7EXAMPLE":           "AKIAIOSFODNN7EXAMPLE",
		"key AKIAio ":                        "",
		"-----BEGIN CERTIFICATE-----\nMIID:": "",
	} {
		st := s.NewStream(masked, false)
		got := string(st.Write([]byte(text)))
		if got+held != text {
			t.Errorf("%q: gave %q, want all but %q", text, got, held)
		}
	}
}

// A key longer than the window is masked without being held, to its END or to the
// end of the stream.
func TestStreamOfLongKey(t *testing.T) {
	s := mustNew(t, DefaultSets()...)
	line := strings.Repeat("MIIEowIBAAKCAQEA", 4) + "\n"
	for _, end := range []string{"", "-----END RSA PRIVATE KEY-----\nrest AKIAIOSFODNN7EXAMPLE\n"} {
		for _, keep := range []bool{false, true} {
			text := "front\n-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat(line, 3*Window/len(line)) + end
			want := replaced(s, []byte(text), keep)
			st := s.NewStream(masked, keep)
			var out []byte
			most := 0
			for i := 0; i < len(text); i += 1000 {
				out = append(out, st.Write([]byte(text[i:min(i+1000, len(text))]))...)
				most = max(most, cap(st.buf))
			}
			out = append(out, st.Close()...)
			if !bytes.Equal(out, want) {
				t.Errorf("end %q, keepLength %v: got %.200q... (%d), want %.200q... (%d)", end, keep, out, len(out), want, len(want))
			}
			if most > 3*Window {
				t.Errorf("held %d bytes", most)
			}
		}
	}
}

func FuzzStream(f *testing.F) {
	s := everything(f)
	for seed := range uint64(5) {
		f.Add(mixture(rand.New(rand.NewPCG(seed, 5))), seed)
	}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		if len(text) > 1024 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 7))
		keep := seed%2 == 0
		want := replaced(s, text, keep)
		next := func(int) int { return 1 }
		if seed%3 == 0 {
			next = func(int) int { return 1 + r.IntN(40) }
		}
		if got := streamed(s, text, keep, next); !bytes.Equal(got, want) {
			t.Fatalf("got  %q\nwant %q\nspans %v", got, want, s.Find("", text))
		}
	})
}

package detect

import (
	"strings"
	"testing"
)

func mustNew(t testing.TB, sets ...string) *Scanner {
	t.Helper()
	s, err := New(Config{Sets: sets})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func allSets() []string {
	return append(DefaultSets(), "emails", "cards", "phones", "ssns", "ibans")
}

func masked(string, []byte) []byte { return []byte("sallyport/masked") }

func TestSmoke(t *testing.T) {
	s := mustNew(t, DefaultSets()...)
	sets, _ := builtin()
	n := 0
	for _, r := range sets {
		n += len(r)
	}
	t.Log(n, "rules", len(s.table.buckets), "pairs", len(s.table.begun))
	for _, text := range []string{
		"id AKIAIOSFODNN7EXAMPLE and aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
		`{"a":"\u0041KIAIOSFODNN7EXAMPLE","b":"{\"k\":\"ghp_0123456789abcdefghijABCDEFGHIJ0123456\"}"}`,
		"x QUtJQUlPU0ZPRE5ON0VYQU1QTEU= y",
		"https://h/?k=%41KIAIOSFODNN7EXAMPLE&x=1",
		"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MbzYLdZ7ZvVy7F7V\n-----END RSA PRIVATE KEY-----\nrest",
	} {
		out, hits := s.Mask("", []byte(text), masked)
		t.Logf("%s\n%v", out, hits)
		if strings.Contains(string(out), "EXAMPLE") || len(hits) == 0 {
			t.Error("not masked")
		}
		st := s.NewStream(masked, false)
		var got []byte
		for i := range text {
			got = append(got, st.Write([]byte{text[i]})...)
		}
		got = append(got, st.Close()...)
		t.Logf("%s\n", got)
	}
}

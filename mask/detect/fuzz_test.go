package detect

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// Whatever the text: masking it again changes nothing, JSON stays JSON, untouched text
// is given back as it is, and no secret that Find sees is left.
func FuzzMask(f *testing.F) {
	defaults, all := mustNew(f, DefaultSets()...), everything(f)
	r := rand.New(rand.NewPCG(4, 4))
	for _, e := range encodings {
		f.Add("", []byte(e.encode(string(mixture(r)))))
	}
	f.Add("SecretAccessKey", []byte("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
	f.Add("", []byte(`{"Name":"AWS_SECRET_ACCESS_KEY","Value":"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}`))
	f.Add("n", []byte(`{"cards":[4111111111111111,-1.5e300],"a\u0062":null}`))
	f.Fuzz(func(t *testing.T, label string, text []byte) {
		if len(text) > 4096 {
			return
		}
		for name, s := range map[string]*Scanner{"defaults": defaults, "all": all} {
			before := bytes.Clone(text)
			out, hits := s.Mask(label, text, masked)
			if !bytes.Equal(before, text) {
				t.Fatalf("%s: changed its input", name)
			}
			if len(hits) == 0 && !bytes.Equal(out, text) {
				t.Fatalf("%s: no hits, but %q became %q", name, text, out)
			}
			if json.Valid(text) && !json.Valid(out) {
				t.Fatalf("%s: JSON %q became %q", name, text, out)
			}
			again, more := s.Mask(label, out, masked)
			if !bytes.Equal(again, out) {
				t.Fatalf("%s: %q became %q, then %v %q", name, text, out, more, again)
			}
			if json.Valid(text) {
				continue // its strings are seen one by one, under their names
			}
			at := 0
			for _, span := range s.Find(label, text) {
				if span.Start < at || span.End <= span.Start || span.End > len(text) {
					t.Fatalf("%s: span %v after %d in %q", name, span, at, text)
				}
				at = span.End
				secret := string(text[span.Start:span.End])
				if len(secret) >= 16 && strings.Contains(string(out), secret) {
					t.Fatalf("%s: %q is still in %q", name, secret, out)
				}
			}
		}
	})
}

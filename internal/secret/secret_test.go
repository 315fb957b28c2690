package secret

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const canary = "canary-3f9a"

func TestNeverPrinted(t *testing.T) {
	s := New(canary)
	type holder struct{ S String }
	var out strings.Builder
	for _, v := range []any{s, &s, holder{s}, []String{s}, map[string]String{"k": s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		if b, err := json.Marshal(v); err != nil {
			t.Fatal(err)
		} else {
			out.Write(b)
		}
	}
	if b, err := xml.Marshal(holder{s}); err != nil {
		t.Fatal(err)
	} else {
		out.Write(b)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "p", &s, "h", holder{s})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "h", holder{s})
	out.Write(log.Bytes())
	hex := fmt.Sprintf("%x", canary)
	if strings.Contains(out.String(), canary) || strings.Contains(out.String(), hex) {
		t.Fatalf("the secret was printed: %s", out.String())
	}
}

func TestWipeClearsCopies(t *testing.T) {
	s := New(canary)
	c := s
	s.Wipe()
	if strings.Contains(c.Reveal(), "canary") {
		t.Fatal("a copy kept the text after Wipe")
	}
}

package terminal

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
)

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"":                         `""`,
		"i-0abc":                   `"i-0abc"`,
		"a b":                      `"a b"`,
		" a ":                      `"\x20a "`,
		"größer 日本":                `"größer 日本"`,
		"a\x1b[2J\x07b":            `"a\x1b[2J\ab"`,
		"a\nApproved by: alice":    `"a\nApproved by: alice"`,
		"a\r\tb\x00":               `"a\r\tb\x00"`,
		`x" approved by "alice`:    `"x\" approved by \"alice"`,
		`back\slash`:               `"back\\slash"`,
		"x” rule “y":               `"x\u201d rule \u201cy"`,
		"x\uff02y":                 `"x\uff02y"`,
		"a     b":                  `"a \x20\x20\x20\x20b"`,
		"a\u00a0b\u2003c":          `"a\u00a0b\u2003c"`,
		"a\u202egnp.exe":           `"a\u202egnp.exe"`,
		"a\u2066b\u2069":           `"a\u2066b\u2069"`,
		"adm\u200bin\ufeff":        `"adm\u200bin\ufeff"`,
		"a\u3164b\u115f\ufe0f":     `"a\u3164b\u115f\ufe0f"`,
		"tag\U000e0041":            `"tag\U000e0041"`,
		"\u0301x":                  `"\u0301x"`,
		"e\u0301":                  "\"e\u0301\"",
		"e\u0301\u0301\u0301":      "\"e\u0301\u0301\\u0301\"",
		"שלום":                     `"\u05e9\u05dc\u05d5\u05dd"`,
		"مرحبا":                    `"\u0645\u0631\u062d\u0628\u0627"`,
		"\xff\xfe":                 `"\xff\xfe"`,
		"\ufffd":                   "\"\ufffd\"",
		"a\u0085b\u009b31mc":       `"a\u0085b\u009b31mc"`,
		"a\u2028b\u2029":           `"a\u2028b\u2029"`,
		strings.Repeat("x", 33):    `"` + strings.Repeat("x", 32) + `"…[33 bytes in all]`,
		strings.Repeat("x", 32):    `"` + strings.Repeat("x", 32) + `"`,
		strings.Repeat("日", 33):    `"` + strings.Repeat("日", 32) + `"…[99 bytes in all]`,
		"x\u001b]0;title\u0007end": `"x\x1b]0;title\aend"`,
	} {
		if got := Quote(in, 32); got != want {
			t.Errorf("Quote(%q)\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		`say "x" \ y  z`:        `say "x" \ y \x20z`,
		"a\nb\x1b[1m":           `a\nb\x1b[1m`,
		"a\u202eb":              `a\u202eb`,
		"שלום":                  "שלום",
		strings.Repeat("x", 40): strings.Repeat("x", 32) + "…[40 bytes in all]",
	} {
		if got := Escape(in, 32); got != want {
			t.Errorf("Escape(%q)\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestQuoteEnds(t *testing.T) {
	for in, want := range map[string]string{
		strings.Repeat("x", 32):              `"` + strings.Repeat("x", 32) + `"`,
		strings.Repeat("x", 60) + "/payroll": `"` + strings.Repeat("x", 24) + `"…[68 bytes in all]…"/payroll"`,
		strings.Repeat("日", 30) + `a"b\c日`:   `"` + strings.Repeat("日", 24) + `"…[98 bytes in all]…"日日a\"b\\c日"`,
		strings.Repeat("\xff", 33):           `"` + strings.Repeat(`\xff`, 24) + `"…[33 bytes in all]…"` + strings.Repeat(`\xff`, 8) + `"`,
	} {
		if got := QuoteEnds(in, 32); got != want {
			t.Errorf("QuoteEnds(%q)\n got %s\nwant %s", in, got, want)
		}
	}
}

// Whatever the text: one line of visible characters, bounded, and its quotes are
// the first and the last.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", `"`, `\`, "a\x1b[0m\nb", "\u202e\u0301  x", "\xc3\x28", "شهر", strings.Repeat("ab ", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const limit = 64
		q := Quote(s, limit)
		inner, cut, ok := strings.Cut(strings.ReplaceAll(strings.ReplaceAll(q[1:], `\\`, "--"), `\"`, "--"), `"`)
		if q[0] != '"' || !ok || cut != "" && !strings.HasPrefix(cut, "…[") || strings.Contains(cut, `"`) {
			t.Fatalf("%q leaves its quotes: %s", s, q)
		}
		if (cut != "") != (utf8.RuneCountInString(s) > limit) || len(q) > limit*10+40 {
			t.Fatalf("%q is not bounded as it says: %s", s, q)
		}
		if strings.Contains(inner, "  ") || !utf8.ValidString(q) {
			t.Fatalf("%q: %s", s, q)
		}
		for _, r := range q {
			p, _ := bidi.LookupRune(r)
			if !unicode.IsPrint(r) || unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point) || p.Class() == bidi.R || p.Class() == bidi.AL {
				t.Fatalf("%q lets U+%04X through: %q", s, r, q)
			}
		}
		for _, columns := range []int{8, 20} {
			lines := Wrap(q, columns)
			for _, l := range lines {
				if Width(l) > columns {
					t.Fatalf("%q: line %q has more than %d columns", q, l, columns)
				}
			}
			if strings.ReplaceAll(strings.Join(lines, ""), " ", "") != strings.ReplaceAll(q, " ", "") {
				t.Fatalf("%q is lost in %q", q, lines)
			}
		}
	})
}

func TestWrap(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"short":                   "short",
		"one two three four":      "one two|three four",
		"abcdefghijklmnop":        "abcdefghij|klmnop",
		"日本日本日本":                  "日本日本日|本",
		"aaaaaaaaaa ":             "aaaaaaaaaa",
		"aaaaaaaaa bbb":           "aaaaaaaaa|bbb",
		"aaaaaaaaaa bbb":          "aaaaaaaaaa|bbb",
		"a bbbbbbbbbbbbbbbbbbbbb": "a bbbbbbbb|bbbbbbbbbb|bbb",
	} {
		if got := strings.Join(Wrap(in, 10), "|"); got != want {
			t.Errorf("Wrap(%q) = %q, want %q", in, got, want)
		}
	}
}

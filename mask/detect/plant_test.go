package detect

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

const (
	b64Chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	alnum    = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	urlChars = alnum + "-_"
	hexChars = "0123456789abcdef"
)

func random(r *rand.Rand, from string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = from[r.IntN(len(from))]
	}
	return string(b)
}

// planted makes a text with a secret of each family: what announces it, and itself.
type planted struct {
	name          string
	front, secret string
}

func secrets(r *rand.Rand) []planted {
	token := func(n int) string { return random(r, alnum, n) }
	raw := base64.RawURLEncoding.EncodeToString
	pemLines := func(kind string, lines int) string {
		var b strings.Builder
		b.WriteString("-----BEGIN " + kind + "-----\n")
		for range lines {
			b.WriteString(random(r, b64Chars, 64) + "\n")
		}
		return b.String() + "-----END " + kind + "-----"
	}
	return []planted{
		{"aws-access-key-id", "", "AKIA" + random(r, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)},
		{"aws-access-key-id", "key ", "ASIA" + random(r, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)},
		{"aws-secret-access-key", "aws_secret_access_key = ", "aB" + random(r, b64Chars, 38)},
		{"aws-session-token", "", "IQoJb3JpZ2luX2Vj" + random(r, b64Chars, 300+4*r.IntN(300)) + "=="},
		{"aws-bedrock-api-key", "", "ABSK" + random(r, alnum, 128)},
		{"jwt", "Bearer ", raw([]byte(`{"alg":"RS256","kid":"`+token(8)+`"}`)) + "." + raw([]byte(`{"sub":"`+token(20)+`"}`)) + "." + random(r, urlChars, 86)},
		{"private-key", "", pemLines("RSA PRIVATE KEY", 5+r.IntN(20))},
		{"private-key", "", pemLines("OPENSSH PRIVATE KEY", 5)},
		{"private-key", "", pemLines("PGP PRIVATE KEY BLOCK", 5)},
		{"github-token", "", "ghp_" + token(36)},
		{"stripe-access-token", "", "sk_live_" + token(24)},
		{"slack-bot-token", "", "xoxb-" + random(r, "123456789", 12) + "-" + random(r, "123456789", 12) + "-" + token(24)},
		{"npm-access-token", "", "npm_" + token(36)},
		{"gcp-api-key", "", "AIza" + random(r, urlChars, 34) + token(1)},
		{"gitlab-pat", "", "glpat-" + token(20)},
		{"anthropic-api-key", "", "sk-ant-api03-" + random(r, urlChars, 93) + "AA"},
		{"sendgrid-api-token", "", "SG." + token(22) + "." + token(43)},
		{"twitter-api-key", `twitter_api_key: "`, strings.ToLower(token(25))},
		{"datadog-access-token", "DATADOG_API_KEY=", random(r, hexChars, 40)},
	}
}

// Noise that no detector takes for a secret, and beginnings of what one would.
func noise(r *rand.Rand) string {
	words := []string{" ", "\n", "the service ", "arn:aws:iam::123456789012:role/app ", "s", "sk", "AKI", "eyJ", "eyJuIjoxfQ== ", "twitter", "secret_access", " = ",
		"-----BEGIN", "-----BEGIN CERTIFICATE-----\nMIID", "ghp_", "i-0123456789abcdef0 ", "é€𝄞", `{"a":"b"}, `, "%41%2", `\u00`, "3f1c9a7e-7f0b-4d5c-9c5f-0d9b0e2f8b61 ",
		"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 ", "a@b", "+1", "4111", "secretKey: ", "corp-", "x"}
	var b strings.Builder
	for range r.IntN(6) {
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()
}

// A reader who decodes what it can: every form of the text to some depth.
func everyForm(text string, depth int, visit func(string)) {
	visit(text)
	if depth == 0 {
		return
	}
	var v any
	if json.Unmarshal([]byte(text), &v) == nil {
		var walk func(any)
		walk = func(v any) {
			switch v := v.(type) {
			case string:
				everyForm(v, depth-1, visit)
			case []any:
				for _, e := range v {
					walk(e)
				}
			case map[string]any:
				for k, e := range v {
					everyForm(k, depth-1, visit)
					walk(e)
				}
			}
		}
		walk(v)
	}
	if plain, _ := unpercent(nil, nil, []byte(text)); len(plain) != len(text) {
		everyForm(string(plain), depth-1, visit)
	}
	if plain, _ := unescape(nil, nil, []byte(text)); len(plain) != len(text) {
		everyForm(string(plain), depth-1, visit)
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !strings.ContainsRune(b64Chars+"-_=", r) }) {
		word = strings.TrimRight(word, "=")
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if plain, err := enc.DecodeString(word); err == nil && len(plain) > 8 {
				everyForm(string(plain), depth-1, visit)
			}
		}
	}
}

func jsonString(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// asciiEscapes writes every other character as \uXXXX.
func asciiEscapes(s string) string {
	var b strings.Builder
	for i, c := range []byte(s) {
		if i%2 == 0 || c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			const digits = "0123456789abcdef"
			b.WriteString(`\u00` + string([]byte{digits[c>>4], digits[c&15]}))
		} else {
			b.WriteByte(c)
		}
	}
	return `"` + b.String() + `"`
}

func allPercent(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteString("%" + string([]byte{digits[c>>4], digits[c&15]}))
	}
	return b.String()
}

func mimeLines(s string) string {
	e := base64.StdEncoding.EncodeToString([]byte(s))
	var b strings.Builder
	for len(e) > 76 {
		b.WriteString(e[:76] + "\r\n")
		e = e[76:]
	}
	return b.String() + e
}

var encodings = []struct {
	name   string
	json   bool
	encode func(string) string
}{
	{"plain", false, func(s string) string { return s }},
	{"JSON", true, func(s string) string { return `{"note":` + jsonString(s) + `}` }},
	{`JSON with \u`, true, func(s string) string { return `{"note":` + asciiEscapes(s) + `}` }},
	{"JSON in JSON", true, func(s string) string { return `{"body":` + jsonString(`{"note":[`+jsonString(s)+`]}`) + `}` }},
	{"lines of JSON", false, func(s string) string {
		return "{\"n\":1}\n{\"note\":" + asciiEscapes(s) + "}\n"
	}},
	{"base64", false, func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }},
	{"base64 in a path", false, func(s string) string { return "s3://bucket/" + base64.StdEncoding.EncodeToString([]byte(s)) }},
	{"base64url", false, func(s string) string { return "data " + base64.RawURLEncoding.EncodeToString([]byte(s)) + " end" }},
	{"base64 in lines", false, func(s string) string { return "data:\r\n" + mimeLines(s) + "\r\n" }},
	{"percent", false, func(s string) string { return "https://h.example/?q=" + allPercent(s) + "&r=1" }},
	{"query", false, func(s string) string { return "https://h.example/?q=" + string(percentEncode([]byte(s))) + "&r=1" }},
	{"base64 in JSON in base64", false, func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte(`{"data":"` + base64.StdEncoding.EncodeToString([]byte(s)) + `"}`))
	}},
	{"percent in JSON in base64 in JSON", true, func(s string) string {
		return `{"a":["` + base64.RawURLEncoding.EncodeToString([]byte(`{"u":"x?y=`+string(percentEncode([]byte(s)))+`"}`)) + `"]}`
	}},
	{"JSON in percent", false, func(s string) string { return "p=" + string(percentEncode([]byte(`{"k":`+jsonString(s)+`}`))) }},
}

// A planted secret is in no form of what Mask gives, whatever it was encoded in.
func TestPlantedSecretsDisappear(t *testing.T) {
	s := mustNew(t, DefaultSets()...)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		for _, p := range secrets(r) {
			text := noise(r) + " " + p.front + p.secret + " " + noise(r)
			if len(s.Find("", []byte(text))) == 0 {
				t.Fatalf("%s: not found in %q", p.name, text)
			}
			for _, e := range encodings {
				in := e.encode(text)
				out, hits := s.Mask("", []byte(in), masked)
				checkMasked(t, s, p.name+" in "+e.name, in, string(out), p.secret, hits)
				if e.json && !json.Valid(out) {
					t.Errorf("%s: no JSON any more: %s", e.name, out)
				}
			}
		}
	}
}

// In JSON a secret's name may stand in another member, or in front of it.
func TestMaskJSON(t *testing.T) {
	s := mustNew(t, append(DefaultSets(), "cards")...)
	const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	for in, want := range map[string]string{
		`{"Name":"AWS_SECRET_ACCESS_KEY","Value":"` + secret + `"}`:                 `{"Name":"AWS_SECRET_ACCESS_KEY","Value":"sallyport/masked"}`,
		`{"value":"` + secret + `", "key":"db", "name":"SECRET_KEY"}`:               `{"value":"sallyport/masked", "key":"db", "name":"SECRET_KEY"}`,
		`{"Value":"` + secret + `","Name":"Other"}`:                                 `{"Value":"` + secret + `","Name":"Other"}`,
		`["AKIAIOSFODNN7EXAMPLE","` + secret + `"]`:                                 `["sallyport/masked","sallyport/masked"]`,
		`{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","x":"` + secret + `"}`:               `{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","x":"` + secret + `"}`,
		`{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"` + secret + `"}`: `{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"sallyport/masked"}`,
		`{"AKIAIOSFODNN7EXAMPLE":1}`:                                                `{"sallyport/masked":1}`,
		`{"n":4111111111111111,"m":4111111111111112}`:                               `{"n":0,"m":4111111111111112}`,
		`{"a":"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIE","b":1}`:           `{"a":"sallyport/masked","b":1}`,
		`"AKIAIOSFODNN7EXAMPLE"`:                                                    `"sallyport/masked"`,
		strings.Repeat("[", 3000) + `"AKIAIOSFODNN7EXAMPLE"`:                        strings.Repeat("[", 3000) + `"sallyport/masked"`,
	} {
		if got, _ := s.Mask("", []byte(in), masked); string(got) != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
	}
	// A replacement is written as a JSON string needs it.
	got, _ := s.Mask("", []byte(`{"a":"AKIAIOSFODNN7EXAMPLE"}`), func(rule string, secret []byte) []byte {
		return []byte("\"" + rule + "\n" + string(secret[:4]))
	})
	if want := `{"a":"\"aws-access-key-id\nAKIA"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func checkMasked(t *testing.T, s *Scanner, name, in, out, secret string, hits []Hit) {
	t.Helper()
	if len(hits) == 0 {
		t.Errorf("%s: no hits\nin %q", name, in)
		return
	}
	everyForm(out, 5, func(form string) {
		// A run of it is too much already.
		for i := 0; i+16 <= len(secret); i += 4 {
			if strings.Contains(form, secret[i:i+16]) && !t.Failed() {
				t.Errorf("%s: still holds %q\nin  %q\nout %q\nform %q", name, secret[i:i+16], in, out, form)
				return
			}
		}
	})
	again, more := s.Mask("", []byte(out), masked)
	if string(again) != out && !t.Failed() {
		t.Errorf("%s: masking again changes it: %v\nin    %q\nout   %q\nagain %q", name, more, in, out, again)
	}
}

package mask

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

const (
	fakeToken = "IQoJb3JpZ2luX2VjEKANARIENVOGEL0123456789abcdefghijklmnopqrstuvwxyz/+=="
	fakeSig   = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef"
)

func TestErrorTextsAreScrubbed(t *testing.T) {
	canonical := `The Canonical String for this request should have been\n'POST\n/\n\nhost:x\nx-amz-security-token:` + fakeToken + `\n\nhost\nabc'\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n` + fakeSig + `'\n`
	formPolicy := base64.StdEncoding.EncodeToString([]byte(`{"conditions":[["eq","$bucket","b"],["eq","$x-amz-security-token","` + fakeToken + `"]]}`))
	for name, c := range map[string]struct{ protocol, body string }{
		"form condition":          {"rest-xml", `<Error><Message>keep me Invalid according to Policy: Policy Condition failed: ["eq", "$x-amz-security-token", "KANARIENVOGEL` + fakeSig + `"]</Message></Error>`},
		"form condition, escaped": {"rest-xml", `<Error><Message>keep me [&quot;eq&quot;, &quot;$x-amz-credential&quot;, &quot;KANARIENVOGEL/` + fakeSig + `&quot;]</Message></Error>`},
		"form policy":             {"rest-xml", `<Error><Message>keep me ` + formPolicy + `</Message></Error>`},
		"s3 signature":            {"rest-xml", `<Error><Code>SignatureDoesNotMatch</Code><Message>keep me</Message><AWSAccessKeyId>ASIAABCDEFGHIJKLMNOP</AWSAccessKeyId><StringToSign>AWS4 ` + fakeSig + `</StringToSign><SignatureProvided>` + fakeSig + `</SignatureProvided><CanonicalRequest>GET&#10;x-amz-security-token:` + fakeToken + `</CanonicalRequest></Error>`},
		"s3 token":                {"rest-xml", `<Error><Code>InvalidToken</Code><Message>keep me</Message><Token-0>` + fakeToken + `</Token-0></Error>`},
		"json":                    {"json", `{"__type":"InvalidSignatureException","message":"keep me ` + canonical + `"}`},
		"json escapes":            {"json", `{"message":"keep me ` + strings.ReplaceAll(fakeToken, "/", `\/`) + ` Signature=` + fakeSig + `"}`},
		"query":                   {"query", `<ErrorResponse><Error><Message>keep me ` + strings.ReplaceAll(canonical, `\n`, "\n") + `</Message></Error></ErrorResponse>`},
		"url":                     {"rest-json", `{"message":"keep me https://x/?X-Amz-Credential=ASIAABCDEFGHIJKLMNOP%2F2026&X-Amz-Security-Token=` + fakeToken + `&X-Amz-Signature=` + fakeSig + `"}`},
		"html":                    {"json", `<html>keep me x-amz-security-token=` + fakeToken + `</html>`},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustPlan(t, Options{}, Input{Protocol: c.protocol})
			r, err := p.Apply(t.Context(), 403, http.Header{"X-Amzn-Errormessage": {"token " + fakeToken}}, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			got := string(r.Body) + r.Header.Get("X-Amzn-Errormessage")
			for _, bad := range []string{fakeToken[:20], "KANARIENVOGEL", "uvwxyz", formPolicy[60:], fakeSig, fakeSig[32:], "ASIAABCDEFGHIJKLMNOP"} {
				if strings.Contains(got, bad) {
					t.Errorf("%q is still in %s", bad, got)
				}
			}
			if !strings.Contains(got, "keep me") || len(r.Body) != len(c.body) {
				t.Errorf("the message was damaged: %s", got)
			}
			if strings.HasPrefix(c.body, "{") && !json.Valid(r.Body) {
				t.Errorf("not JSON: %s", r.Body)
			}
			if len(r.Findings()) == 0 {
				t.Error("no finding")
			}
			if again, n := ScrubError(r.Body); n != 0 || string(again) != string(r.Body) {
				t.Error("scrubbing twice differs")
			}
		})
	}
}

func TestPlainErrorsStay(t *testing.T) {
	const b = `{"__type":"ResourceNotFoundException","message":"Requested resource not found: Table: t"}`
	p := mustPlan(t, Options{}, Input{Protocol: "json"})
	r, err := p.Apply(t.Context(), 400, http.Header{"X-Amz-Crc32": {"7"}}, strings.NewReader(b))
	if err != nil || string(r.Body) != b || r.Header.Get("X-Amz-Crc32") != "7" || len(r.Findings()) != 0 {
		t.Errorf("%s %v %v", r.Body, r.Header, err)
	}
}

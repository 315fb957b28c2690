package mask

import (
	"bytes"
	"net/http"
	"regexp"
)

// What AWS's error texts echo of a signed request. SignatureDoesNotMatch quotes
// the canonical request with its x-amz-security-token, InvalidToken and
// ExpiredToken quote the token itself: with these an agent would hold pieces of
// the gateway's credential. The token patterns allow for the escapes of JSON and
// XML text. The policy of a form upload has the token in a condition, which errors
// quote, and is quoted in base64 as what was signed.
var scrubPatterns = []*regexp.Regexp{
	regexp.MustCompile(`(?s)<(?:AWSAccessKeyId|StringToSign|StringToSignBytes|SignatureProvided|CanonicalRequest|CanonicalRequestBytes|Token-\d+|Token)>([^<]+)<`),
	regexp.MustCompile(`(?is)(?:canonical string for this request|string-to-sign) should have been[^'"<]{0,16}'([^'"<]+)`),
	regexp.MustCompile(`(?i)"(?:AWSAccessKeyId|StringToSign|StringToSignBytes|SignatureProvided|CanonicalRequest|CanonicalRequestBytes|Token-\d+)"\s*:\s*"((?:[^"\\]|\\.)+)"`),
	regexp.MustCompile(`(?i)x-amz-(?:security-token|signature|credential|s3session-token)(?:\s*[:=]\s*|%3D)(` + wordChars + `+)`),
	regexp.MustCompile(`(?i)\$x-amz-(?:security-token|signature|credential)` + quoteMark + `\s*,\s*` + quoteMark + `(` + wordChars + `+)`),
	regexp.MustCompile(`(eyJjb25kaXRpb25zIjpb` + wordChars + `{40,})`), // {"conditions":[
	regexp.MustCompile(`(?i)\b(?:Signature|Credential|AWSAccessKeyId)=(` + wordChars + `+)`),
	regexp.MustCompile(`\b((?:AKIA|ASIA)[A-Z2-7]{16})\b`),
	regexp.MustCompile(`((?:IQoJ|FwoG|FQoG)` + wordChars + `{40,})`),
}

const quoteMark = `(?:\\?"|&quot;|&#34;)`

const wordChars = `(?:[A-Za-z0-9+/=%_.~-]|\\/|\\u[0-9A-Fa-f]{4}|&#?[0-9A-Za-z]+;)`

// ScrubError overwrites, in the text of an AWS error in any protocol, what
// echoes a signature, an access key id or a session token. It overwrites byte
// for byte with asterisks, so that lengths inside CBOR and frames stay true. The
// result is body itself where there was nothing; n counts what was overwritten.
func ScrubError(body []byte) (out []byte, n int) {
	out = body
	for _, re := range scrubPatterns {
		for _, m := range re.FindAllSubmatchIndex(out, -1) {
			if bytes.Count(out[m[2]:m[3]], []byte("*")) == m[3]-m[2] {
				continue
			}
			if &out[0] == &body[0] {
				out = bytes.Clone(body)
			}
			for i := m[2]; i < m[3]; i++ {
				out[i] = '*'
			}
			n++
		}
	}
	return out, n
}

// scrubHeaders does the same for headers, where some services repeat the text.
func scrubHeaders(h http.Header, f *findings) {
	for _, vs := range h {
		for i, v := range vs {
			if v == "" {
				continue
			}
			out, n := ScrubError([]byte(v))
			vs[i] = string(out)
			for range n {
				f.add("error header", SourceText, "")
			}
		}
	}
}

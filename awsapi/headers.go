package awsapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// forwarded are the headers that go on for every operation. Authentication,
// cookies, proxy and tracing headers are not among them, and never are.
var forwarded = set("accept", "content-type", "content-md5", "content-encoding", "range", "if-match", "if-none-match",
	"if-modified-since", "if-unmodified-since", "if-range", "cache-control", "content-disposition", "content-language", "expires", "user-agent",
	"x-amz-target", "x-amz-user-agent", "amz-sdk-request", "amz-sdk-invocation-id", "smithy-protocol", "x-amzn-query-mode",
	"x-amz-sdk-checksum-algorithm", "x-amz-trailer", "x-amz-decoded-content-length")

var forwardedPrefixes = []string{"x-amz-meta-", "x-amz-checksum-"}

// never go on, whatever an operation's model says: they authenticate, or speak
// for a hop.
var never = set("authorization", "x-amz-security-token", "x-amz-date", "x-amz-content-sha256", "x-amz-s3session-token",
	"x-amz-sso_bearer_token", "x-amz-bearer-token", "cookie", "forwarded", "via", "x-amzn-trace-id", "host", "connection", "content-length",
	"transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "expect", "origin")

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// checkHeaders refuses what could be read differently behind us. Underscores are
// refused in x-amz headers because some servers take them for hyphens, and
// Connection may not name a header, since a hop would then remove what was
// judged.
func checkHeaders(h http.Header) error {
	for name, values := range h {
		for i := range len(name) {
			c := name[i]
			if c == '_' && isAmz(name) && !strings.EqualFold(name, "x-amz-sso_bearer_token") || !isToken(c) {
				return refusal.New(refusal.Malformed, "the header name %q holds a character that servers read in different ways", clip(name))
			}
		}
		for _, v := range values {
			for i := range len(v) {
				if c := v[i]; (c < ' ' && c != '\t') || c >= 0x7f {
					return refusal.New(refusal.Malformed, "the header %s holds a byte that is not printable ASCII; percent-encode or base64-encode it", clip(name))
				}
			}
			if v != strings.TrimSpace(v) {
				return refusal.New(refusal.Malformed, "the header %s begins or ends with a space", clip(name))
			}
		}
	}
	for _, v := range h.Values("Connection") {
		for t := range strings.SplitSeq(v, ",") {
			switch strings.ToLower(strings.TrimSpace(t)) {
			case "", "keep-alive", "close":
			default:
				return refusal.New(refusal.Malformed, "the Connection header names %q; only keep-alive and close are accepted", clip(t))
			}
		}
	}
	return nil
}

func isAmz(name string) bool {
	return len(name) > 5 && strings.EqualFold(name[:1], "x") && strings.EqualFold(name[2:5], "amz")
}

func isToken(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) < 0
}

// keepHeaders copies what may go on: the general list and the operation's own
// members. A header that comes twice is refused: lists could be joined or the
// first or last value taken.
func keepHeaders(h http.Header, op *catalog.Operation) ([]field, error) {
	out := make([]field, 0, len(h))
	for name, values := range h {
		if !goesOn(name, op) {
			continue
		}
		key := http.CanonicalHeaderKey(name)
		if len(values) != 1 || slices.ContainsFunc(out, func(f field) bool { return f.name == key }) {
			return nil, refusal.New(refusal.Malformed, "the header %s comes %d times; send it once", clip(name), len(values))
		}
		out = append(out, field{key, values[0]})
	}
	return out, nil
}

// goesOn reports that a header of the client's is one that is signed for or sent.
func goesOn(name string, op *catalog.Operation) bool {
	if neverSent[name] { // what clients send with every request
		return false
	}
	if sentAlways[name] {
		return true
	}
	l := strings.ToLower(name)
	if never[l] || strings.HasPrefix(l, "proxy-") || strings.HasPrefix(l, "x-forwarded-") {
		return false
	}
	if forwarded[l] || hasAnyPrefix(l, forwardedPrefixes) {
		return true
	}
	for i := range op.HeaderMembers {
		w := op.HeaderMembers[i].Wire
		if strings.EqualFold(w, name) {
			return true
		}
		if prefix, ok := headerPrefix(w); ok && len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// The two lists by the names that net/http gives, so that the usual headers cost
// no conversion.
var sentAlways, neverSent = canonicalKeys(forwarded), canonicalKeys(never)

func canonicalKeys(names map[string]bool) map[string]bool {
	out := make(map[string]bool, len(names))
	for n := range names {
		out[http.CanonicalHeaderKey(n)] = true
	}
	return out
}

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) && len(s) > len(p) {
			return true
		}
	}
	return false
}

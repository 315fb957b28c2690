package awsapi

import (
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// authQuery are the query parameters of presigned URLs: SigV4's (IAM User Guide,
// "Authenticating requests: query parameters") and, with presignedV2, S3's old ones.
// They say who asks, not what for.
var authQuery = set("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature",
	"x-amz-security-token", "x-amz-region-set", "x-amz-s3session-token", contentSHA256)

const contentSHA256 = "x-amz-content-sha256"

// presignedV2 mark a presigned URL of signature version 2.
var presignedV2 = set("signature", "awsaccesskeyid")

// formAuth are the parameters of a signature of version 2 in a form, which SimpleDB's
// clients still send (AWS General Reference, "Signature version 2").
var formAuth = map[string]bool{"AWSAccessKeyId": true, "Signature": true, "SignatureVersion": true, "SignatureMethod": true}

// withoutAuth takes a presigned URL's parameters out of the query: what is left is
// the request, which is signed in its headers like any other. The client's signature
// is worth nothing here, so its expiry is not looked at either; who asks is known
// from the token. A parameter of authentication that comes twice, in another case,
// or beside an Authorization header is refused: two readers could see two callers.
//
// Clients also put x-amz headers into a presigned URL's query, which S3 takes for the
// headers; so does this.
func (h *Head) withoutAuth() error {
	seen := map[string]string{}
	v2 := false
	for _, p := range h.query {
		v2 = v2 || presignedV2[strings.ToLower(p.key)]
	}
	s3 := h.host.Kind == S3Endpoint || h.host.Kind == S3Bucket
	signed := len(h.req.Header.Values("Authorization")) > 0
	presigned := func(l string) bool { return authQuery[l] || v2 && (presignedV2[l] || l == "expires") }
	any := false
	for _, p := range h.query {
		any = any || presigned(strings.ToLower(p.key))
	}
	if !any {
		return nil
	}
	var rest []pair
	var raw []string
	header := h.req.Header.Clone()
	parts := strings.Split(h.rawQuery, "&") // as many as pairs: an empty one was refused
	for i, p := range h.query {
		l := strings.ToLower(p.key)
		hoisted := s3 && strings.HasPrefix(l, "x-amz-") && !authQuery[l]
		if !presigned(l) && !hoisted {
			rest, raw = append(rest, p), append(raw, parts[i])
			continue
		}
		if signed {
			return refusal.New(refusal.Malformed, "the request is signed twice, in the Authorization header and in the query (%s); send one", clip(p.key))
		}
		if _, twice := seen[l]; twice {
			return duplicate("query", p.key)
		}
		seen[l] = p.value
		if hoisted || l == contentSHA256 {
			if len(header.Values(l)) > 0 {
				return refusal.New(refusal.Malformed, "%s is in the query and in a header; send it once", clip(p.key))
			}
			header.Set(l, p.value)
			if hoisted {
				h.hoisted = append(h.hoisted, http.CanonicalHeaderKey(l))
			}
		}
	}
	if err := checkHeaders(header); err != nil {
		return err
	}
	if cred, ok := seen["x-amz-credential"]; ok {
		alg := seen["x-amz-algorithm"]
		var err error
		if h.scope, err = credentialScope(cred, alg == sigV4A, seen["x-amz-region-set"]); err != nil {
			return err
		}
		if (alg == sigV4A) != h.scope.set {
			return refusal.New(refusal.Malformed, "X-Amz-Credential does not have the form of X-Amz-Algorithm")
		}
	}
	h.query, h.rawQuery, h.req.Header = rest, strings.Join(raw, "&"), header
	return nil
}

// AccessKeyID is the access key id that a client signed with, in whatever form: an
// Authorization header of SigV4, SigV4A or signature version 2, or a presigned URL.
// "" where there is none, or not exactly one. It names a target and proves nothing.
func AccessKeyID(header http.Header, target string) string {
	key := ""
	switch values := header.Values("Authorization"); {
	case len(values) == 1:
		v := values[0]
		if _, rest, ok := strings.Cut(v, "Credential="); ok {
			key, _, _ = strings.Cut(rest, "/")
		} else if rest, ok := strings.CutPrefix(v, "AWS "); ok {
			key, _, _ = strings.Cut(rest, ":")
		}
	case len(values) == 0:
		_, query, _ := strings.Cut(target, "?")
		for part := range strings.SplitSeq(query, "&") {
			name, value, _ := strings.Cut(part, "=")
			switch strings.ToLower(name) {
			case "x-amz-credential", "awsaccesskeyid":
				text, _ := unescape(value, false)
				if key != "" {
					return ""
				}
				key, _, _ = strings.Cut(text, "/")
			}
		}
	}
	if len(key) > 128 {
		return ""
	}
	return key
}

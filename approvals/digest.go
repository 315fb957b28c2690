// Package approvals is where a human's answer meets a request. It holds what
// both sides must agree on: the digest of the canonical call, which says exactly
// what was judged, and which every request event carries.
package approvals

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
)

// Subject is who calls, and as what: the part of the digest that the request's
// bytes do not tell.
type Subject struct {
	Issuer, Subject string // OIDC iss and sub
	Target          string // the target's name
	RoleARN         string
	Account         string // of the role
	PolicyVersion   string
}

// retryHeaders change between the attempts of one call, and say nothing about
// what it does: AWS SDKs set them anew on each try.
var retryHeaders = map[string]bool{
	"Amz-Sdk-Invocation-Id": true,
	"Amz-Sdk-Request":       true,
	"User-Agent":            true,
	"X-Amz-User-Agent":      true,
	"Accept-Encoding":       true,
}

// Digest is the lower-case hex SHA-256 of the canonical call: subject, method,
// host, path, query, judged headers, a form upload's fields, and the body's SHA-256. Every field goes in
// with its length before it, so that no two different calls have the same
// preimage. The body of a streaming call is not known when it is judged; its
// declared hash and length stand for it.
func Digest(s Subject, c awsapi.Canonical) string {
	return digest(s, c, func(h hash.Hash) {
		if c.Streams() {
			field(h, "stream")
			field(h, c.ContentSHA256())
			count(h, int(c.ContentLength()))
			return
		}
		field(h, "body")
		sum := sha256.Sum256(c.Body())
		_, _ = h.Write(sum[:])
	})
}

// DigestWith is Digest for a body that streams and was read whole: body is the hex
// SHA-256 of its data, without aws-chunked framing, and size its length in bytes.
func DigestWith(s Subject, c awsapi.Canonical, body string, size int64) string {
	return digest(s, c, func(h hash.Hash) {
		field(h, "read")
		field(h, body)
		count(h, int(size))
	})
}

func digest(s Subject, c awsapi.Canonical, body func(hash.Hash)) string {
	h := sha256.New()
	field(h, "sallyport.call.v1")
	for _, f := range []string{s.Issuer, s.Subject, s.Target, s.RoleARN, s.Account, s.PolicyVersion, c.Method(), c.Host(), c.RawPath(), c.RawQuery()} {
		field(h, f)
	}
	header := c.Header()
	names := make([]string, 0, len(header))
	for name := range header {
		if !retryHeaders[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	count(h, len(names))
	for _, name := range names {
		field(h, strings.ToLower(name))
		count(h, len(header[name]))
		for _, v := range header[name] {
			field(h, v)
		}
	}
	if u, ok := c.Upload(); ok { // its fields are the request
		field(h, "form")
		count(h, len(u.Fields))
		for _, f := range u.Fields {
			field(h, f.Name)
			field(h, f.Value)
		}
	}
	body(h)
	return hex.EncodeToString(h.Sum(nil))
}

func field(h hash.Hash, s string) {
	count(h, len(s))
	_, _ = h.Write([]byte(s))
}

func count(h hash.Hash, n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(int64(n)))
	_, _ = h.Write(b[:])
}

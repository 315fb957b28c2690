package jit

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/smithy-go/aws-http-auth/credentials"
	"github.com/aws/smithy-go/aws-http-auth/sigv4a"
	v4 "github.com/aws/smithy-go/aws-http-auth/v4"

	"github.com/sallyport/sallyport/refusal"
)

// authorizeV4A is authorize with SigV4A (IAM User Guide, "Signature Version 4A"),
// which signs for a set of regions: S3's multi-region access points and the global
// endpoints of a few services take nothing else. The signer's key is derived from
// the credential, so each request has a signer of its own, which nothing keeps.
func authorizeV4A(req, shadow *http.Request, m message, digest string, cred *Credential, now time.Time) error {
	path, err := url.PathUnescape(signedPath(m))
	if err != nil {
		return refusal.New(refusal.Malformed, "the path is not well formed")
	}
	// The signer escapes a path that it finds as the path's own bytes.
	shadow.URL = &url.URL{Scheme: "https", Host: m.host, Path: path, RawPath: signedPath(m), RawQuery: m.rawQuery}
	if shadow.URL.EscapedPath() != signedPath(m) {
		return refusal.New(refusal.Malformed, "the path holds characters that SigV4A cannot sign as they are; percent-encode them")
	}
	payload := v4.UnsignedPayload()
	if digest != string(payload) {
		if payload, err = hex.DecodeString(digest); err != nil {
			return refusal.New(refusal.Malformed, "a body of this form (%s) cannot be signed for with SigV4A", digest)
		}
	}
	err = sigv4a.New().SignRequest(&sigv4a.SignRequestInput{
		Request: shadow, PayloadHash: payload, Service: m.name, RegionSet: []string{m.regionSet}, Time: now.UTC(),
		Credentials: credentials.Credentials{AccessKeyID: cred.accessKeyID, SecretAccessKey: cred.secretKey.Reveal(), SessionToken: cred.sessionToken.Reveal()},
	}, func(o *v4.SignerOptions) {
		o.DisableDoublePathEscape = !m.doubleEncode
		o.HeaderRules = everyHeader{}
	})
	if err != nil {
		return refusal.Wrap(refusal.Credentials, err, "this request could not be signed")
	}
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Region-Set"} {
		req.Header.Set(name, shadow.Header.Get(name))
	}
	return nil
}

// everyHeader: the shadow holds only what is to be signed.
type everyHeader struct{}

// IsSigned implements v4.SignedHeaderRules.
func (everyHeader) IsSigned(name string) bool { return !strings.EqualFold(name, "authorization") }

// unchunk takes away what tells of an aws-chunked body, for one that is sent without
// chunks.
func unchunk(h http.Header) {
	h.Del("X-Amz-Decoded-Content-Length")
	h.Del("X-Amz-Trailer")
	var rest []string
	for c := range strings.SplitSeq(h.Get("Content-Encoding"), ",") {
		if c = strings.TrimSpace(c); c != "" && !strings.EqualFold(c, "aws-chunked") {
			rest = append(rest, c)
		}
	}
	h.Del("Content-Encoding")
	if len(rest) > 0 {
		h.Set("Content-Encoding", strings.Join(rest, ","))
	}
}

package jit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/refusal"
)

// Sign builds a fresh request out of c, signed with cred at time now. body is
// what is sent: for a judged body it must be the very bytes of c.Body (other
// bytes break the request off), for a streaming one it is the object as it comes.
// Nil stands for c.Body. An aws-chunked body that is not what c's headers declare
// breaks the request off with an *awschunked.Error before its end; signed chunks are
// signed anew.
//
// The request's scheme is https, and its target is c's path and query byte for
// byte. It holds c's headers and the five of ours: Host, X-Amz-Date,
// X-Amz-Security-Token, X-Amz-Content-Sha256 where due, Authorization.
//
// A form upload is signed in fields of its form instead, and has none of these but
// Host. body must be the *postform.File that was read with the fields; a form of the
// client's that does not end with it breaks the request off with a *postform.Error.
func Sign(ctx context.Context, c awsapi.Canonical, body io.Reader, cred *Credential, now time.Time) (*http.Request, error) {
	if c.IsZero() {
		return nil, refusal.New(refusal.Malformed, "there is no judged request to sign")
	}
	m := message{
		method: c.Method(), host: c.Host(), rawPath: c.RawPath(), rawQuery: c.RawQuery(), header: c.Header(),
		payload: c.Payload(), contentSHA256: c.ContentSHA256(), spooled: c.SpooledSHA256(), body: c.Body(), streams: c.Streams(), length: c.ContentLength(),
		chunks: c.Chunks(),
		name:   c.SigningName(), region: c.SigningRegion(), regionSet: c.RegionSet(), doubleEncode: c.DoubleEncodePath(),
	}
	if u, ok := c.Upload(); ok {
		m.upload = &u
	}
	return sign(ctx, m, body, cred, now)
}

// message is an awsapi.Canonical with its parts in reach.
type message struct {
	method, host, rawPath, rawQuery string
	header                          http.Header
	payload                         awsapi.Payload
	contentSHA256                   string
	spooled                         string // SHA-256 of a streaming body that was read before
	body                            []byte
	streams                         bool
	length                          int64
	chunks                          awschunked.Declared
	name, region                    string
	regionSet                       string // SigV4A's, in place of region
	doubleEncode                    bool
	upload                          *awsapi.Upload // nil for all but form uploads
}

func sign(ctx context.Context, m message, body io.Reader, cred *Credential, now time.Time) (*http.Request, error) {
	if !cred.usable() {
		return nil, refusal.New(refusal.Credentials, "there is no credential to sign this request with")
	}
	if m.method == "" || m.host == "" || m.name == "" || (m.region == "") == (m.regionSet == "") {
		return nil, refusal.New(refusal.Malformed, "the service or region to sign for is not known")
	}
	if m.upload != nil {
		return signUpload(ctx, m, body, cred, now)
	}
	return build(ctx, m, body, cred, now)
}

// build is sign without its guards.
func build(ctx context.Context, m message, body io.Reader, cred *Credential, now time.Time) (*http.Request, error) {
	sent, err := exactURL(m)
	if err != nil {
		return nil, err
	}
	digest, inHeader, err := payloadDigest(m)
	if err != nil {
		return nil, err
	}
	header := m.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	for _, name := range ours {
		header.Del(name)
	}
	if m.regionSet != "" && m.chunks.Form != awschunked.None {
		unchunk(header)
	}
	if inHeader {
		header.Set("X-Amz-Content-Sha256", digest)
	}
	if _, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = []string{""} // else net/http adds one of its own
	}
	req := (&http.Request{
		Method: m.method, URL: sent, Host: m.host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	var chunks *chunkSigner
	if m.chunks.Form != awschunked.None {
		if body, m.length, chunks, err = encoded(m, body); err != nil {
			return nil, err
		}
	}
	setBody(req, m, body)

	if err := authorize(ctx, req, m, digest, cred, now); err != nil {
		return nil, err
	}
	if chunks != nil {
		if err := chunks.start(req, m, cred); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// ours are the headers that only Sign sets.
var ours = []string{"X-Amz-Region-Set", "Authorization", "Host", "Content-Length", "Transfer-Encoding", "X-Amz-Date", "Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256"}

// authorize signs a copy that holds only what is covered by the signature, and
// takes the three headers over. The copy keeps the signer's own changes (it
// rewrites the query) away from what is sent.
func authorize(ctx context.Context, req *http.Request, m message, digest string, cred *Credential, now time.Time) error {
	shadow := &http.Request{Method: req.Method, Host: req.Host, ContentLength: req.ContentLength, Header: http.Header{}}
	shadow.URL = &url.URL{Scheme: "https", Host: m.host, Opaque: "//" + m.host + signedPath(m), RawQuery: m.rawQuery}
	for name, values := range req.Header {
		if covered(name) {
			shadow.Header[name] = append([]string(nil), values...)
		}
	}
	if m.regionSet != "" {
		return authorizeV4A(req, shadow, m, digest, cred, now)
	}
	creds := aws.Credentials{AccessKeyID: cred.accessKeyID, SecretAccessKey: cred.secretKey.Reveal(), SessionToken: cred.sessionToken.Reveal()}
	err := v4.NewSigner().SignHTTP(ctx, creds, shadow, digest, m.name, m.region, now.UTC(), func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = !m.doubleEncode
	})
	if err != nil {
		return refusal.Wrap(refusal.Credentials, err, "this request could not be signed")
	}
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"} {
		req.Header.Set(name, shadow.Header.Get(name))
	}
	return nil
}

// covered reports whether a header is signed: everything that changes what AWS
// does. Headers that hops between here and AWS may rewrite are sent and not
// signed (User-Agent, Accept-*, the SDK's amz-sdk-* retry headers).
func covered(name string) bool {
	n := strings.ToLower(name)
	switch n {
	case "content-type", "content-md5", "content-encoding", "content-disposition", "content-language", "cache-control", "expires",
		"range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "smithy-protocol":
		return true
	}
	return strings.HasPrefix(n, "x-amz-") || strings.HasPrefix(n, "x-amzn-") && n != "x-amzn-trace-id"
}

// payloadDigest is the payload's line of the canonical request, and whether it is
// sent as x-amz-content-sha256: always to S3, which wants it, and where the client
// sent one.
func payloadDigest(m message) (string, bool, error) {
	s3 := !m.doubleEncode
	switch m.payload {
	case awsapi.PayloadStreamingUnsignedTrailer, awsapi.PayloadStreamingSigned, awsapi.PayloadStreamingSignedTrailer:
		if m.regionSet != "" && m.payload == awsapi.PayloadStreamingUnsignedTrailer && m.streams {
			return "UNSIGNED-PAYLOAD", true, nil // see encoded
		}
		if !m.streams || m.chunks.Form.String() != m.contentSHA256 {
			return "", false, refusal.New(refusal.Malformed, "nothing declares what is inside of this aws-chunked body")
		}
		return m.contentSHA256, true, nil
	case awsapi.PayloadHash, awsapi.PayloadUnsigned, awsapi.PayloadAbsent:
	default:
		return "", false, refusal.New(refusal.Malformed, "the form of this request's body is not known")
	}
	if !m.streams {
		sum := sha256.Sum256(m.body)
		digest := hex.EncodeToString(sum[:])
		if m.payload == awsapi.PayloadHash && m.contentSHA256 != digest {
			return "", false, refusal.New(refusal.Malformed, "x-amz-content-sha256 is not the SHA-256 of this request's body")
		}
		// An unsigned payload that was judged is bound to its bytes all the same.
		return digest, s3 || m.payload != awsapi.PayloadAbsent, nil
	}
	switch {
	case m.payload == awsapi.PayloadHash:
		if b, err := hex.DecodeString(m.contentSHA256); err != nil || len(b) != sha256.Size || m.contentSHA256 != strings.ToLower(m.contentSHA256) {
			return "", false, refusal.New(refusal.Malformed, "x-amz-content-sha256 is not 64 lower-case hex digits")
		}
		return m.contentSHA256, true, nil // AWS compares it with what arrives
	case m.payload == awsapi.PayloadUnsigned || s3:
		return "UNSIGNED-PAYLOAD", true, nil
	case m.spooled != "":
		return m.spooled, false, nil
	case m.length == 0:
		sum := sha256.Sum256(nil)
		return hex.EncodeToString(sum[:]), false, nil
	}
	return "", false, refusal.New(refusal.Malformed, "%s wants a signed body, which must be hashed before it is sent", m.name)
}

// signedPath is the path as it goes into the signature. Services but S3 take it
// as sent, and the signer encodes it once more. S3 encodes the key once, so a
// path in which the client left `(` or `+` bare is signed as %28 or %2B.
func signedPath(m message) string {
	if m.doubleEncode {
		return m.rawPath
	}
	var b strings.Builder
	for i := 0; i < len(m.rawPath); i++ {
		c := m.rawPath[i]
		if c == '%' && i+2 < len(m.rawPath) {
			if v, err := hex.DecodeString(m.rawPath[i+1 : i+3]); err == nil {
				writeEncoded(&b, v[0], false)
				i += 2
				continue
			}
		}
		writeEncoded(&b, c, true)
	}
	return b.String()
}

func writeEncoded(b *strings.Builder, c byte, bare bool) {
	if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 || bare && c == '/' {
		b.WriteByte(c)
		return
	}
	fmt.Fprintf(b, "%%%02X", c)
}

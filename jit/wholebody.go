package jit

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// maxCall is the largest request to STS, in bytes: AssumeRole takes some kilobytes.
const maxCall = 1 << 20

// wholeBody sends a body that it has read before. The SDK closes the body of its request
// as soon as the answer's head is there; net/http may still look for the body's end then,
// gets io.EOF as an error (smithy-go's safeWriteToReadCloser.WriteTo), and takes the
// connection away under the answer. One AssumeRole in some hundred lost its connection by
// that where STS was fast, and one in some thousand its answer.
type wholeBody struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t wholeBody) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return t.RoundTripper.RoundTrip(r)
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxCall))
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, err
	}
	own := new(http.Request)
	*own = *r // a RoundTripper leaves its caller's request as it is
	own.Body = io.NopCloser(bytes.NewReader(b))
	own.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	return t.RoundTripper.RoundTrip(own)
}

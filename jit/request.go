package jit

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// exactURL is a URL that net/http sends as exactly m's path and query. net/http
// sends Opaque as it is unless it begins with `//` (a key with a leading slash),
// which only Path and RawPath can express; the outcome is compared in any case.
func exactURL(m message) (*url.URL, error) {
	target := m.rawPath
	if m.rawQuery != "" {
		target += "?" + m.rawQuery
	}
	bad := refusal.New(refusal.Malformed, "the path or query holds characters that cannot be sent unchanged; percent-encode them")
	if !strings.HasPrefix(m.rawPath, "/") || strings.ContainsAny(m.rawPath, "?") {
		return nil, bad
	}
	for i := range len(target) {
		if target[i] <= ' ' || target[i] >= 0x7f || target[i] == '#' {
			return nil, bad
		}
	}
	// The signer drops pairs that it cannot parse, and would sign another query
	// than is sent.
	if _, err := url.ParseQuery(m.rawQuery); err != nil {
		return nil, refusal.Wrap(refusal.Malformed, err, "the query string is not well formed")
	}
	u := &url.URL{Scheme: "https", Host: m.host, RawQuery: m.rawQuery}
	if strings.HasPrefix(m.rawPath, "//") {
		path, err := url.PathUnescape(m.rawPath)
		if err != nil {
			return nil, bad
		}
		u.Path, u.RawPath = path, m.rawPath
	} else {
		u.Opaque = m.rawPath
	}
	if u.RequestURI() != target {
		return nil, bad
	}
	return u, nil
}

// setBody gives req a body that ends by itself. net/http reads a body once past
// its Content-Length; by then the server that feeds it may have closed it, and
// the answer would be cut in the middle.
func setBody(req *http.Request, m message, body io.Reader) {
	length := m.length
	if !m.streams {
		length = int64(len(m.body))
		if body == nil {
			body = bytes.NewReader(m.body)
			// Where a kept connection turns out to be closed before a byte was written,
			// net/http may begin again on another. It never repeats what was written.
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.body)), nil }
		} else {
			body = &sameBytes{r: body, want: m.body}
		}
	}
	switch {
	case length == 0 || body == nil:
		req.Body, req.GetBody, req.ContentLength = http.NoBody, nil, 0
	case length > 0:
		req.Body, req.ContentLength = io.NopCloser(io.LimitReader(body, length)), length
	default:
		req.Body, req.ContentLength = io.NopCloser(body), -1
		req.TransferEncoding = []string{"chunked"}
	}
}

var errOtherBytes = errors.New("jit: the body that is sent is not the body that was judged")

// sameBytes passes r on as long as it is the judged body.
type sameBytes struct {
	r    io.Reader
	want []byte
}

func (s *sameBytes) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if n > len(s.want) || !bytes.Equal(p[:n], s.want[:n]) {
		return 0, errOtherBytes
	}
	s.want = s.want[n:]
	if errors.Is(err, io.EOF) && len(s.want) > 0 {
		return n, errOtherBytes
	}
	return n, err
}

package awschunked

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Declared is what a request's headers say of its aws-chunked body. The zero value
// is that of a body which is not aws-chunked. It must not be changed.
type Declared struct {
	Form     Form
	Length   int64    // of the bytes inside, from X-Amz-Decoded-Content-Length
	Trailers []string // lower case, from X-Amz-Trailer; empty in forms without trailers
}

// shortest is the shortest body that anything is inside of: `0 CRLF CRLF`.
const shortest = 5

// Declare reads x-amz-content-sha256, X-Amz-Decoded-Content-Length, X-Amz-Trailer
// and Content-Encoding of a request whose encoded body is contentLength bytes long,
// -1 if that is not known. An *Error says that they contradict each other: two
// readers could take the body for two things.
func Declare(h http.Header, contentLength int64) (Declared, error) {
	d := Declared{Form: FormOf(h.Get("X-Amz-Content-Sha256"))}
	coded, err := chunkedCoding(h.Values("Content-Encoding"))
	if err != nil {
		return Declared{}, err
	}
	lengths, trailers := h.Values("X-Amz-Decoded-Content-Length"), h.Values("X-Amz-Trailer")
	if d.Form == None {
		switch {
		case coded:
			return d, bad("Content-Encoding names aws-chunked, but x-amz-content-sha256 names no aws-chunked form (STREAMING-...)")
		case len(lengths) > 0:
			return d, bad("X-Amz-Decoded-Content-Length is only for the aws-chunked forms of x-amz-content-sha256 (STREAMING-...)")
		case len(trailers) > 0:
			return d, bad("X-Amz-Trailer is only for the aws-chunked forms of x-amz-content-sha256 (STREAMING-...-TRAILER)")
		}
		return d, nil
	}
	if len(lengths) != 1 {
		return Declared{}, bad("an aws-chunked body (%s) must have one X-Amz-Decoded-Content-Length, this one has %d", d.Form, len(lengths))
	}
	if d.Length, err = strconv.ParseInt(lengths[0], 10, 64); err != nil || strconv.FormatInt(d.Length, 10) != lengths[0] || d.Length < 0 {
		return Declared{}, bad("X-Amz-Decoded-Content-Length is not a decimal number of bytes")
	}
	if contentLength >= 0 && (contentLength < shortest || d.Length > contentLength-shortest) {
		return Declared{}, bad("X-Amz-Decoded-Content-Length (%d) does not fit into Content-Length (%d): an aws-chunked body is longer than what is inside", d.Length, contentLength)
	}
	if d.Trailers, err = announced(trailers); err != nil {
		return Declared{}, err
	}
	if d.Form.trailing() != (len(d.Trailers) > 0) {
		return Declared{}, bad("%s and X-Amz-Trailer do not fit together: the forms that end in -TRAILER, and no others, announce a checksum there", d.Form)
	}
	return d, nil
}

// chunkedCoding reports that aws-chunked is among the content codings. S3 documents
// it as the first (aws-chunked,gzip), SDKs append it as the last coding; in the
// middle it would say that a client coded the chunks again.
func chunkedCoding(values []string) (bool, error) {
	codings := strings.Split(strings.Join(values, ","), ",")
	found := -1
	for i, c := range codings {
		if !strings.EqualFold(strings.Trim(c, " \t"), "aws-chunked") {
			continue
		}
		if found >= 0 {
			return false, bad("Content-Encoding names aws-chunked twice")
		}
		found = i
	}
	if found > 0 && found < len(codings)-1 {
		return false, bad("Content-Encoding must name aws-chunked first or last")
	}
	return found >= 0, nil
}

// announced are the trailers in X-Amz-Trailer, a list in one header.
func announced(values []string) ([]string, error) {
	if len(values) > 1 {
		return nil, bad("the request has %d X-Amz-Trailer headers; send one", len(values))
	}
	var out []string
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			name = strings.ToLower(strings.Trim(name, " \t"))
			if _, ok := checksums[name]; !ok {
				return nil, bad("X-Amz-Trailer announces something that is not one of S3's checksums (x-amz-checksum-crc32 and the like)")
			}
			if slices.Contains(out, name) {
				return nil, bad("X-Amz-Trailer announces %s twice", name)
			}
			out = append(out, name)
		}
	}
	return out, nil
}

// TrailersLength is how many bytes the announced trailers take as lines of
// `name:value CRLF`, without a signature.
func (d Declared) TrailersLength() int64 {
	n := 0
	for _, name := range d.Trailers {
		n += len(name) + len(":") + base64.StdEncoding.EncodedLen(checksums[name].size) + len("\r\n")
	}
	return int64(n)
}

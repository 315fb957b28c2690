package awschunked

import (
	"net/http"
	"reflect"
	"testing"
)

const (
	sut       = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	hmac      = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	sha       = "X-Amz-Content-Sha256"
	decoded   = "X-Amz-Decoded-Content-Length"
	trailer   = "X-Amz-Trailer"
	coding    = "Content-Encoding"
	crc32Name = "x-amz-checksum-crc32"
)

func header(kv ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(kv); i += 2 {
		h.Add(kv[i], kv[i+1])
	}
	return h
}

func TestDeclare(t *testing.T) {
	for name, c := range map[string]struct {
		h      http.Header
		length int64
		want   Declared // the zero value with ok false: refused
		ok     bool
	}{
		"none":                  {header(), 5, Declared{}, true},
		"a hash":                {header(sha, "UNSIGNED-PAYLOAD", coding, "gzip"), 5, Declared{}, true},
		"unsigned with trailer": {header(sha, sut, decoded, "5", trailer, crc32Name, coding, "aws-chunked"), -1, Declared{UnsignedTrailer, 5, []string{crc32Name}}, true},
		"two trailers":          {header(sha, sut, decoded, "5", trailer, "X-Amz-Checksum-CRC32, x-amz-checksum-sha256"), -1, Declared{UnsignedTrailer, 5, []string{crc32Name, "x-amz-checksum-sha256"}}, true},
		"signed, as mc":         {header(sha, hmac, decoded, "5"), 100, Declared{Form: Signed, Length: 5}, true},
		"signed with trailer":   {header(sha, hmac+"-TRAILER", decoded, "0", trailer, crc32Name), 100, Declared{SignedTrailer, 0, []string{crc32Name}}, true},
		"SigV4A":                {header(sha, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", decoded, "5"), 100, Declared{Form: AsymmetricSigned, Length: 5}, true},
		"gzip inside":           {header(sha, hmac, decoded, "5", coding, "gzip, aws-chunked"), 100, Declared{Form: Signed, Length: 5}, true},
		"as documented":         {header(sha, hmac, decoded, "5", coding, "aws-chunked,gzip"), 100, Declared{Form: Signed, Length: 5}, true},
		"just fits":             {header(sha, hmac, decoded, "5"), 10, Declared{Form: Signed, Length: 5}, true},

		"coding alone":           {header(coding, "aws-chunked"), 5, Declared{}, false},
		"coding beside a hash":   {header(sha, "UNSIGNED-PAYLOAD", coding, "gzip,AWS-Chunked"), 5, Declared{}, false},
		"length alone":           {header(decoded, "5"), 5, Declared{}, false},
		"trailer alone":          {header(trailer, crc32Name), 5, Declared{}, false},
		"another form":           {header(sha, "STREAMING-AWS4-HMAC-SHA512-PAYLOAD", decoded, "5"), 100, Declared{}, false},
		"no length":              {header(sha, hmac), 100, Declared{}, false},
		"two lengths":            {header(sha, hmac, decoded, "5", decoded, "5"), 100, Declared{}, false},
		"a list of lengths":      {header(sha, hmac, decoded, "5, 5"), 100, Declared{}, false},
		"a sign":                 {header(sha, hmac, decoded, "+5"), 100, Declared{}, false},
		"negative":               {header(sha, hmac, decoded, "-5"), 100, Declared{}, false},
		"leading zero":           {header(sha, hmac, decoded, "05"), 100, Declared{}, false},
		"hexadecimal":            {header(sha, hmac, decoded, "0x5"), 100, Declared{}, false},
		"overflow":               {header(sha, hmac, decoded, "9223372036854775808"), -1, Declared{}, false},
		"empty":                  {header(sha, hmac, decoded, ""), 100, Declared{}, false},
		"longer than the body":   {header(sha, hmac, decoded, "101"), 100, Declared{}, false},
		"no room for framing":    {header(sha, hmac, decoded, "5"), 9, Declared{}, false},
		"no body":                {header(sha, hmac, decoded, "0"), 0, Declared{}, false},
		"form wants a trailer":   {header(sha, sut, decoded, "5"), -1, Declared{}, false},
		"form has no trailer":    {header(sha, hmac, decoded, "5", trailer, crc32Name), 100, Declared{}, false},
		"not a checksum":         {header(sha, sut, decoded, "5", trailer, "x-amz-acl"), -1, Declared{}, false},
		"no checksum's value":    {header(sha, sut, decoded, "5", trailer, "x-amz-checksum-algorithm"), -1, Declared{}, false},
		"a checksum and another": {header(sha, sut, decoded, "5", trailer, crc32Name+",x-amz-acl"), -1, Declared{}, false},
		"announced twice":        {header(sha, sut, decoded, "5", trailer, crc32Name+","+crc32Name), -1, Declared{}, false},
		"two headers":            {header(sha, sut, decoded, "5", trailer, crc32Name, trailer, "x-amz-checksum-sha1"), -1, Declared{}, false},
		"an empty name":          {header(sha, sut, decoded, "5", trailer, crc32Name+","), -1, Declared{}, false},
		"coded twice":            {header(sha, hmac, decoded, "5", coding, "aws-chunked,aws-chunked"), 100, Declared{}, false},
		"coded in the middle":    {header(sha, hmac, decoded, "5", coding, "gzip,aws-chunked,br"), 100, Declared{}, false},
	} {
		got, err := Declare(c.h, c.length)
		if (err == nil) != c.ok || c.ok && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

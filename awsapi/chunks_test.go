package awsapi_test

import (
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/refusal"
)

// chunked is r with an aws-chunked body of five bytes.
func chunked(r awsapi.Request) awsapi.Request {
	r.Header.Set("X-Amz-Decoded-Content-Length", "5")
	r.ContentLength = 200
	return r
}

func TestChunksAreCarried(t *testing.T) {
	id := identifier(t)
	for form, want := range map[awschunked.Form]awsapi.Payload{
		awschunked.UnsignedTrailer: awsapi.PayloadStreamingUnsignedTrailer,
		awschunked.Signed:          awsapi.PayloadStreamingSigned,
		awschunked.SignedTrailer:   awsapi.PayloadStreamingSignedTrailer,
	} {
		for _, target := range []string{"/k", "/k?partNumber=1&uploadId=u"} {
			r := chunked(request("PUT", "b23.s3.us-east-1.amazonaws.com", target, "X-Amz-Content-Sha256", form.String()))
			if form != awschunked.Signed {
				r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
			}
			call, err := identify(id, r, nil)
			if err != nil {
				t.Fatal(err)
			}
			c := call.Canonical()
			if call.Uncarried() != nil || c.Payload() != want || c.Chunks().Form != form || c.Chunks().Length != 5 || c.ContentLength() != 200 || !c.Streams() {
				t.Errorf("%s: %+v, %v", form, c, call.Uncarried())
			}
			if c.Header().Get("X-Amz-Decoded-Content-Length") != "5" {
				t.Errorf("%s: %v", form, c.Header())
			}
		}
	}
	plain, err := identify(id, request("PUT", "b23.s3.us-east-1.amazonaws.com", "/k", "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), nil)
	if err != nil || plain.Canonical().Chunks().Form != awschunked.None {
		t.Errorf("%+v %v", plain, err)
	}
}

func TestChunksAreRefused(t *testing.T) {
	id := identifier(t)
	const signed, sut = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	s3 := func(method, target string, h ...string) awsapi.Request {
		r := request(method, "b23.s3.us-east-1.amazonaws.com", target, h...)
		r.ContentLength = 200
		return r
	}
	for name, c := range map[string]struct {
		r    awsapi.Request
		want refusal.Reason
	}{
		"no decoded length":           {s3("PUT", "/k", "X-Amz-Content-Sha256", signed), refusal.Malformed},
		"two decoded lengths":         {s3("PUT", "/k", "X-Amz-Content-Sha256", signed, "X-Amz-Decoded-Content-Length", "5", "X-Amz-Decoded-Content-Length", "5"), refusal.Malformed},
		"decoded length too long":     {s3("PUT", "/k", "X-Amz-Content-Sha256", signed, "X-Amz-Decoded-Content-Length", "200"), refusal.Malformed},
		"decoded length of no chunks": {s3("PUT", "/k", "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD", "X-Amz-Decoded-Content-Length", "5"), refusal.Malformed},
		"trailer of no chunks":        {s3("PUT", "/k", "X-Amz-Trailer", "x-amz-checksum-crc32"), refusal.Malformed},
		"aws-chunked of no chunks":    {s3("PUT", "/k", "Content-Encoding", "aws-chunked"), refusal.Malformed},
		"aws-chunked twice":           {chunked(s3("PUT", "/k", "X-Amz-Content-Sha256", signed, "Content-Encoding", "aws-chunked,aws-chunked")), refusal.Malformed},
		"a trailer that is no sum":    {chunked(s3("PUT", "/k", "X-Amz-Content-Sha256", sut, "X-Amz-Trailer", "x-amz-acl")), refusal.Malformed},
		"a judged body":               {chunked(s3("PUT", "/?versioning", "X-Amz-Content-Sha256", signed)), refusal.Unidentified},
		"a judged body, SigV4A":       {chunked(s3("PUT", "/?versioning", "X-Amz-Content-Sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")), refusal.Unidentified},
		"a judged body with trailer":  {chunked(s3("PUT", "/?versioning", "X-Amz-Content-Sha256", sut, "X-Amz-Trailer", "x-amz-checksum-crc32")), refusal.Unidentified},
	} {
		if call, err := identify(id, c.r, []byte("<VersioningConfiguration/>")); err == nil || refusal.Of(err).Reason != c.want {
			t.Errorf("%s: %v, %v", name, call, err)
		}
	}
}

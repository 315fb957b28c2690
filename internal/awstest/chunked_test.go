package awstest

import (
	"net/http"
	"strings"
	"testing"
)

// The two worked examples of the S3 API Reference ("Signature calculations:
// transferring payload in multiple chunks", without and with trailing headers):
// 65 KiB of the letter a.
func TestDocumentedChunks(t *testing.T) {
	key := &Key{ID: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	object := strings.Repeat("a", 66560)
	encoded := func(first, second, last string) string {
		return "10000;chunk-signature=" + first + "\r\n" + object[:65536] + "\r\n400;chunk-signature=" + second + "\r\n" + object[65536:] + "\r\n0;chunk-signature=" + last + "\r\n"
	}
	exchangeOf := func(form, seed, body string) *exchange {
		return &exchange{key: key, body: []byte(body), rec: &Received{Header: http.Header{
			"Authorization": {"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=" + seed},
			"X-Amz-Date":    {"20130524T000000Z"}, "X-Amz-Content-Sha256": {form}, "X-Amz-Decoded-Content-Length": {"66560"}, "X-Amz-Trailer": {"x-amz-checksum-crc32c"},
		}}}
	}
	plain := encoded("ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
		"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9") + "\r\n"
	trailer := encoded("b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
		"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7", "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992") +
		"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
	for form, c := range map[string][2]string{
		signedChunks:  {"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", plain},
		signedTrailer: {"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", trailer},
	} {
		x := exchangeOf(form, c[0], c[1])
		if err := x.dechunk(); err != nil || string(x.body) != object {
			t.Errorf("%s: %v", form, err)
		}
		for what, body := range map[string]string{
			"another byte":      strings.Replace(c[1], "aaaa", "aaba", 1),
			"another signature": strings.Replace(c[1], "400;chunk-signature=", "400;chunk-signature=0", 1),
			"no last chunk":     strings.Replace(c[1], "\r\n0;", "\r\n1;", 1),
			"another trailer":   strings.Replace(strings.Replace(c[1], "sOO8", "sOO7", 1), "\r\n\r\n", "\r\n", 1),
			"a chunk less":      c[1][strings.Index(c[1], "400;"):],
		} {
			if err := exchangeOf(form, c[0], body).dechunk(); err == nil {
				t.Errorf("%s: %s is taken", form, what)
			}
		}
		if err := exchangeOf(form, c[0][1:]+"0", c[1]).dechunk(); err == nil {
			t.Errorf("%s: another seed is taken", form)
		}
	}
}

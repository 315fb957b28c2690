package jit

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/internal/secret"
)

// The credential and the times of AWS's documentation. It has no session token,
// without which nothing is signed outside of tests.
func documented(id, key string) *Credential {
	return &Credential{accessKeyID: id, secretKey: secret.New(key)}
}

var (
	exampleKey  = documented("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
	exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
)

// The worked examples of the S3 API Reference ("Signature calculations for the
// Authorization header: transferring payload in a single chunk"), and of the test
// suite in the IAM User Guide those whose path and headers can be sent on as they are.
func TestDocumentedSignatures(t *testing.T) {
	suiteKey := documented("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
	suiteTime := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	s3 := func(target string, header http.Header) message {
		path, query, _ := strings.Cut(target, "?")
		return message{method: http.MethodGet, host: "examplebucket.s3.amazonaws.com", rawPath: path, rawQuery: query, header: header,
			payload: awsapi.PayloadAbsent, name: "s3", region: "us-east-1"}
	}
	suite := func(method, target, body string, header http.Header) message {
		path, query, _ := strings.Cut(target, "?")
		return message{method: method, host: "example.amazonaws.com", rawPath: path, rawQuery: query, header: header, body: []byte(body),
			payload: awsapi.PayloadAbsent, name: "service", region: "us-east-1", doubleEncode: true}
	}
	for _, c := range []struct {
		name, signature string
		m               message
		cred            *Credential
		at              time.Time
	}{
		{"GET object", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", s3("/test.txt", http.Header{"Range": {"bytes=0-9"}}), exampleKey, exampleTime},
		{"GET bucket lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", s3("/?lifecycle", nil), exampleKey, exampleTime},
		{"GET bucket", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", s3("/?max-keys=2&prefix=J", nil), exampleKey, exampleTime},
		{"get-vanilla", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", suite("GET", "/", "", nil), suiteKey, suiteTime},
		{"get-vanilla-query-order-key-case", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", suite("GET", "/?Param2=value2&Param1=value1", "", nil), suiteKey, suiteTime},
		{"post-vanilla", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", suite("POST", "/", "", nil), suiteKey, suiteTime},
	} {
		req, err := build(t.Context(), c.m, nil, c.cred, c.at)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if auth := req.Header.Get("Authorization"); !strings.HasSuffix(auth, ", Signature="+c.signature) {
			t.Errorf("%s: %s", c.name, auth)
		}
	}
}

// The worked examples of chunks ("... transferring payload in multiple chunks"), with
// and without trailer: 65 KiB of the letter a.
func TestDocumentedChunks(t *testing.T) {
	object := strings.Repeat("a", 66560)
	placeholder := strings.Repeat("0", 64)
	came := func(size string, data string) string {
		return size + ";chunk-signature=" + placeholder + "\r\n" + data
	}
	body := came("10400", object) + "\r\n" + came("0", "")
	m := message{method: http.MethodPut, host: "s3.amazonaws.com", rawPath: "/examplebucket/chunkObject.txt", name: "s3", region: "us-east-1", streams: true,
		payload: awsapi.PayloadStreamingSigned, contentSHA256: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", length: int64(len(body) + 2),
		chunks: awschunked.Declared{Form: awschunked.Signed, Length: 66560},
		header: http.Header{"Content-Encoding": {"aws-chunked"}, "X-Amz-Decoded-Content-Length": {"66560"}, "X-Amz-Storage-Class": {"REDUCED_REDUNDANCY"}}}
	req, err := build(t.Context(), m, strings.NewReader(body+"\r\n"), exampleKey, exampleTime)
	if err != nil {
		t.Fatal(err)
	}
	if auth := req.Header.Get("Authorization"); req.ContentLength != 66824 || !strings.HasSuffix(auth, ", Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9") {
		t.Errorf("%d bytes, %s", req.ContentLength, auth)
	}
	want := "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + object[:65536] + "\r\n" +
		"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + object[65536:] + "\r\n" +
		"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
	if sent, err := io.ReadAll(req.Body); err != nil || string(sent) != want {
		t.Errorf("%d bytes, %v", len(sent), err)
	}

	m.payload, m.contentSHA256 = awsapi.PayloadStreamingSignedTrailer, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	m.chunks = awschunked.Declared{Form: awschunked.SignedTrailer, Length: 66560, Trailers: []string{"x-amz-checksum-crc32c"}}
	m.header.Set("X-Amz-Trailer", "x-amz-checksum-crc32c")
	body += "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:" + placeholder + "\r\n\r\n"
	sent, length, chunks, err := encoded(m, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	// The example's request is signed without its Content-Length.
	req = &http.Request{Method: m.method, Host: m.host, Header: m.header, ContentLength: -1}
	req.Header.Set("X-Amz-Content-Sha256", m.contentSHA256)
	if err := authorize(t.Context(), req, m, m.contentSHA256, exampleKey, exampleTime); err != nil {
		t.Fatal(err)
	}
	if auth := req.Header.Get("Authorization"); !strings.HasSuffix(auth, ", Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e") {
		t.Error(auth)
	}
	if err := chunks.start(req, m, exampleKey); err != nil {
		t.Fatal(err)
	}
	want = "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + object[:65536] + "\r\n" +
		"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + object[65536:] + "\r\n" +
		"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n" +
		"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
	if text, err := io.ReadAll(sent); err != nil || string(text) != want || int64(len(text)) != length {
		t.Errorf("%d bytes of %d, %v", len(text), length, err)
	}
}

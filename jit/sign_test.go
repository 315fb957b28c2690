package jit

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/refusal"
)

const (
	trailer = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
	helloID = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
)

func testCredential(t *testing.T, s *awstest.Server) *Credential {
	t.Helper()
	if err := s.AddKey(awstest.Key{ID: "ASIATEST", Secret: "sec", Token: "tok", Account: awstest.Account}); err != nil {
		t.Fatal(err)
	}
	return &Credential{accessKeyID: "ASIATEST", secretKey: secret.New("sec"), sessionToken: secret.New("tok")}
}

func s3Message(method, target string) message {
	path, query, _ := strings.Cut(target, "?")
	return message{method: method, host: "acme-dev-reports.s3.us-east-1.amazonaws.com", rawPath: path, rawQuery: query,
		header: http.Header{}, payload: awsapi.PayloadAbsent, name: "s3", region: "us-east-1"}
}

func send(t *testing.T, s *awstest.Server, m message, body io.Reader) (*http.Response, awstest.Received) {
	t.Helper()
	s.Forget()
	req, err := sign(t.Context(), m, body, testCredential(t, s), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Transport().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp, s.Requests()[0]
}

func TestSignPayloadForms(t *testing.T) {
	s, _ := startAWS(t, awstest.Config{})
	streamed := func(p awsapi.Payload, n int64) message {
		m := s3Message("PUT", "/k")
		m.payload, m.streams, m.length = p, true, n
		return m
	}
	hash := streamed(awsapi.PayloadHash, 5)
	hash.contentSHA256 = helloID
	lie := hash
	lie.contentSHA256 = strings.Repeat("0", 64)
	sut := streamed(awsapi.PayloadStreamingUnsignedTrailer, int64(len(trailer)))
	sut.contentSHA256, sut.chunks = "STREAMING-UNSIGNED-PAYLOAD-TRAILER", awschunked.Declared{Form: awschunked.UnsignedTrailer, Length: 5, Trailers: []string{"x-amz-checksum-crc32"}}
	sut.header = http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32"}, "X-Amz-Decoded-Content-Length": {"5"}, "Content-Encoding": {"aws-chunked"}}
	sutChunked := sut
	sutChunked.length = -1
	judged := streamed(awsapi.PayloadAbsent, 0)
	judged.streams, judged.body = false, []byte("hello")
	unsignedJudged := judged
	unsignedJudged.payload = awsapi.PayloadUnsigned
	tests := []struct {
		name, body, sum string
		m               message
		status          int
	}{
		{"hash", "hello", helloID, hash, 200},
		{"hash that lies", "hello", lie.contentSHA256, lie, 400},
		{"unsigned", "hello", "UNSIGNED-PAYLOAD", streamed(awsapi.PayloadUnsigned, 5), 200},
		{"unsigned chunked", "hello", "UNSIGNED-PAYLOAD", streamed(awsapi.PayloadUnsigned, -1), 200},
		{"absent", "hello", "UNSIGNED-PAYLOAD", streamed(awsapi.PayloadAbsent, 5), 200},
		{"more than announced", "hello, and more", "UNSIGNED-PAYLOAD", streamed(awsapi.PayloadUnsigned, 5), 200},
		{"trailer", trailer, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", sut, 200},
		{"trailer chunked", trailer, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", sutChunked, 200},
		{"judged", "hello", helloID, judged, 200},
		{"judged, unsigned by the client", "hello", helloID, unsignedJudged, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, got := send(t, s, tt.m, strings.NewReader(tt.body))
			if resp.StatusCode != tt.status || got.Header.Get("X-Amz-Content-Sha256") != tt.sum {
				t.Errorf("status %d (%s), x-amz-content-sha256 %s", resp.StatusCode, got.ErrorCode, got.Header.Get("X-Amz-Content-Sha256"))
			}
			if n := tt.m.length; n > 0 && got.BodyLength != n {
				t.Errorf("%d bytes arrived", got.BodyLength)
			}
			if _, ok := got.Header["User-Agent"]; ok {
				t.Error("net/http's own User-Agent was sent")
			}
		})
	}
}

func TestSignSendsTheExactTarget(t *testing.T) {
	s, _ := startAWS(t, awstest.Config{})
	for _, target := range []string{
		"/2026/q3.csv", "//leading", "/a//b", "/a%2Fb", "/a%20b", "/a+b", "/a/../b", "/./x", "/%E2%82%AC", "/(x)!'*", "/a:b@c;d=e,f$g&h",
		"/k?x-id=GetObject", "/?list-type=2&prefix=a%20b&delimiter=%2F", "/?prefix=&list-type=2", "/?prefix=a+b", "/?uploads", "/%2e%2E/x", "/~",
	} {
		resp, got := send(t, s, s3Message("GET", target), nil)
		if got.Target != target {
			t.Errorf("%s arrived as %s", target, got.Target)
		}
		if got.KeyID == "" {
			t.Errorf("%s: status %d, %s", target, resp.StatusCode, got.ErrorCode)
		}
	}
	for _, path := range []string{"/a b", "/a#b", "/a\r\nb", "/ä", "x", "", "/%zz//", "//%zz", "/a\x7f"} {
		m := s3Message("GET", "/")
		m.rawPath = path
		req, err := sign(t.Context(), m, nil, testCredential(t, s), time.Now())
		if err == nil && req.URL.RequestURI() != path {
			t.Errorf("%q became %q", path, req.URL.RequestURI())
		}
		if strings.ContainsAny(path, " #\r\n\x7f") && err == nil {
			t.Errorf("%q was signed", path)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	s, _ := startAWS(t, awstest.Config{})
	cred := testCredential(t, s)
	if _, err := Sign(t.Context(), awsapi.Canonical{}, nil, cred, time.Now()); err == nil {
		t.Error("the zero Canonical was signed")
	}
	mismatch := s3Message("POST", "/")
	mismatch.payload, mismatch.contentSHA256, mismatch.body = awsapi.PayloadHash, helloID, []byte("other")
	stream := s3Message("POST", "/")
	stream.name, stream.doubleEncode, stream.streams, stream.length = "polly", true, true, 5
	for name, m := range map[string]message{"digest of another body": mismatch, "stream without a digest": stream, "no payload form": {method: "GET", host: "h", rawPath: "/", name: "s3", region: "r"}} {
		if _, err := sign(t.Context(), m, nil, cred, time.Now()); err == nil || refusal.Of(err).Reason != refusal.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	judged := s3Message("PUT", "/k")
	judged.body = []byte("hello")
	req, err := sign(t.Context(), judged, strings.NewReader("hellO"), cred, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Transport().RoundTrip(req); err == nil {
		t.Error("other bytes than those judged were sent")
	}
	cred.Wipe()
	if _, err := sign(t.Context(), s3Message("GET", "/k"), nil, cred, time.Now()); err == nil || refusal.Of(err).Reason != refusal.Credentials {
		t.Errorf("a wiped credential signed: %v", err)
	}
}

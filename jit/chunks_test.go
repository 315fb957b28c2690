package jit

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/internal/awstest"
)

// clientChunks is data as a client behind the gateway sends it, in chunks of size
// with a placeholder's signatures, and the message that says so.
func clientChunks(form awschunked.Form, data string, size int) (message, string) {
	extension := ";chunk-signature=" + strings.Repeat("c", 64)
	m := s3Message(http.MethodPut, "/k")
	m.streams, m.contentSHA256, m.payload = true, form.String(), map[awschunked.Form]awsapi.Payload{
		awschunked.UnsignedTrailer: awsapi.PayloadStreamingUnsignedTrailer, awschunked.Signed: awsapi.PayloadStreamingSigned, awschunked.SignedTrailer: awsapi.PayloadStreamingSignedTrailer,
	}[form]
	m.header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(data)))
	m.chunks = awschunked.Declared{Form: form, Length: int64(len(data))}
	if form == awschunked.UnsignedTrailer {
		extension = ""
	}
	var b strings.Builder
	for rest := data; rest != ""; {
		n := min(size, len(rest))
		fmt.Fprintf(&b, "%x%s\r\n%s\r\n", n, extension, rest[:n])
		rest = rest[n:]
	}
	b.WriteString("0" + extension + "\r\n")
	if form != awschunked.Signed {
		m.header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		m.chunks.Trailers = []string{"x-amz-checksum-crc32"}
		b.WriteString("x-amz-checksum-crc32:" + base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(data)))) + "\r\n")
	}
	if form == awschunked.SignedTrailer {
		b.WriteString("x-amz-trailer-signature:" + strings.Repeat("c", 64) + "\r\n")
	}
	b.WriteString("\r\n")
	m.length = int64(b.Len())
	return m, b.String()
}

var chunkForms = []awschunked.Form{awschunked.UnsignedTrailer, awschunked.Signed, awschunked.SignedTrailer}

// Chunks of whatever size arrive in a chain that AWS verifies, with the length that
// was announced. Unsigned ones arrive as they came.
func TestSignChunks(t *testing.T) {
	s, _ := startAWS(t, awstest.Config{})
	for _, form := range chunkForms {
		for _, n := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 200_000} {
			for _, unknown := range []bool{false, true} {
				m, body := clientChunks(form, strings.Repeat("d", n), 9000)
				if unknown {
					m.length = -1
				}
				resp, got := send(t, s, m, iotest.HalfReader(strings.NewReader(body)))
				if resp.StatusCode != 200 || got.Header.Get("X-Amz-Content-Sha256") != form.String() || strings.Contains(string(got.Body), "cccc") {
					t.Fatalf("%s, %d bytes: %d %s", form, n, resp.StatusCode, got.ErrorCode)
				}
				if form != awschunked.UnsignedTrailer && got.Header.Get("Content-Length") != fmt.Sprint(got.BodyLength) {
					t.Errorf("%s, %d bytes: Content-Length %s, Transfer-Encoding %s", form, n, got.Header.Get("Content-Length"), got.Header.Get("Transfer-Encoding"))
				}
				if form == awschunked.UnsignedTrailer && string(got.Body) != body {
					t.Errorf("%d bytes came out changed", n)
				}
			}
		}
	}
}

// A body that is not what its headers say never becomes a complete request.
func TestSignChunksThatLie(t *testing.T) {
	s, _ := startAWS(t, awstest.Config{})
	cred := testCredential(t, s)
	for _, form := range chunkForms {
		for _, n := range []int{5, chunkSize, 3 * chunkSize} {
			m, body := clientChunks(form, strings.Repeat("d", n), n)
			for what, lie := range map[string]string{
				"cut":                  body[:len(body)-1],
				"cut before the end":   body[:n],
				"goes on":              body + "0",
				"a byte more":          strings.Replace(body, "d\r\n0", "dd\r\n0", 1),
				"nothing":              "",
				"no last chunk":        strings.Replace(body, "\r\n0", "\r\n1", 1),
				"a second, empty body": body + body[strings.LastIndex(body, "\r\n0")+2:],
			} {
				for _, unknown := range []bool{false, true} {
					m.length = int64(len(lie))
					if unknown {
						m.length = -1
					}
					if m.length == 0 {
						continue // refused by awsapi
					}
					s.Forget()
					req, err := sign(t.Context(), m, strings.NewReader(lie), cred, time.Now())
					if err != nil {
						t.Fatal(err)
					}
					resp, err := s.Transport().RoundTrip(req)
					var own *awschunked.Error
					if err == nil || !errors.As(err, &own) {
						t.Errorf("%s of %d, %s: %v", form, n, what, err)
					}
					if err == nil {
						_ = resp.Body.Close()
					}
					if got := s.Requests(); len(got) != 0 {
						t.Errorf("%s of %d, %s: AWS got a whole request of %d bytes", form, n, what, got[0].BodyLength)
					}
				}
			}
		}
	}
}

// Nothing is chunked that was not declared, and no chunk signed without a beginning.
func TestSignChunksRefuses(t *testing.T) {
	s, _ := startAWS(t, awstest.Config{})
	cred := testCredential(t, s)
	for _, form := range chunkForms {
		m, body := clientChunks(form, "hello", 5)
		m.chunks = awschunked.Declared{}
		if _, err := sign(t.Context(), m, strings.NewReader(body), cred, time.Now()); err == nil {
			t.Errorf("%s was signed without a declaration", form)
		}
		m, body = clientChunks(form, "hello", 5)
		m.streams = false
		if _, err := sign(t.Context(), m, strings.NewReader(body), cred, time.Now()); err == nil {
			t.Errorf("%s of a judged body was signed", form)
		}
	}
	m, body := clientChunks(awschunked.Signed, "hello", 5)
	if sent, _, _, err := encoded(m, strings.NewReader(body)); err != nil {
		t.Error(err)
	} else if out, err := io.ReadAll(sent); err == nil || len(out) > 0 {
		t.Errorf("%q, %v", out, err)
	}
	// The key of the chain outlives neither a good end nor a bad one.
	for _, text := range []string{body, body[:20]} {
		sent, _, chunks, err := encoded(m, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(http.MethodPut, "https://h/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := chunks.start(req, m, cred); err == nil {
			t.Error("a chain began with no signature")
		}
		req.Header.Set("Authorization", "Signature="+strings.Repeat("0", 64))
		req.Header.Set("X-Amz-Date", "20130524T000000Z")
		if err := chunks.start(req, m, cred); err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(sent)
		if _, again := sent.Read(make([]byte, 1)); (err == nil) != (text == body) || again == nil || strings.Trim(string(chunks.key), "\x00") != "" {
			t.Errorf("%v, then %v", err, again)
		}
	}
}

// A body of any length is signed in the memory of one chunk.
func TestSignChunksMemory(t *testing.T) {
	const size = 64 << 20
	m, _ := clientChunks(awschunked.Signed, "", 1)
	m.chunks.Length = size
	extension := ";chunk-signature=" + strings.Repeat("c", 64) + "\r\n"
	sent, length, chunks, err := encoded(m, io.MultiReader(strings.NewReader(fmt.Sprintf("%x%s", size, extension)), io.LimitReader(zeros{}, size), strings.NewReader("\r\n0"+extension+"\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	chunks.key, chunks.date, chunks.previous = []byte("k"), "20130524T000000Z", strings.Repeat("0", 64)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := io.Copy(io.Discard, sent)
	runtime.ReadMemStats(&after)
	if n != length || err != nil {
		t.Fatal(n, length, err)
	}
	// 1,024 chunks, each of them 64 KiB: what is left over is the strings that are signed.
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

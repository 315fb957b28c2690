package gateway_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
)

const (
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	signedChunks    = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
)

// chunks is data as a client sends it that signs with a placeholder.
func chunks(form, data string) string {
	extension := ";chunk-signature=" + clientSignature
	if form == unsignedTrailer {
		extension = ""
	}
	var b strings.Builder
	for part := range slices.Chunk([]byte(data), 10_000) {
		fmt.Fprintf(&b, "%x%s\r\n%s\r\n", len(part), extension, part)
	}
	b.WriteString("0" + extension + "\r\n")
	if form != signedChunks {
		b.WriteString("x-amz-checksum-crc32:" + base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(data)))) + "\r\n")
	}
	if form == signedTrailer {
		b.WriteString("x-amz-trailer-signature:" + clientSignature + "\r\n")
	}
	return b.String() + "\r\n"
}

// upload is the request that bears them.
func (c *tunnel) upload(form string, length int, body string, header ...string) string {
	header = append(header, "X-Amz-Content-Sha256: "+form, fmt.Sprint("X-Amz-Decoded-Content-Length: ", length))
	if form != signedChunks {
		header = append(header, "X-Amz-Trailer: x-amz-checksum-crc32")
	}
	return c.request(http.MethodPut, "/acme-dev-reports/chunks", body, header...)
}

// inHTTPChunks frames a request without its length, as botocore does.
func inHTTPChunks(request string) string {
	head, body, _ := strings.Cut(request, "\r\n\r\n")
	lines := slices.DeleteFunc(strings.Split(head, "\r\n"), func(s string) bool { return strings.HasPrefix(s, "Content-Length:") })
	return strings.Join(lines, "\r\n") + fmt.Sprintf("\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

// What a client sent in chunks that prove nothing arrives as the same object, in
// chunks whose signatures AWS has verified; unsigned chunks arrive as they were.
func TestChunksArrive(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := r.tunnel(t, s3Host, r.token())
	for _, form := range []string{unsignedTrailer, signedChunks, signedTrailer} {
		for _, data := range []string{"", "hello", strings.Repeat("0123456789", 20_000)} {
			for _, coding := range []string{"", "Content-Encoding: aws-chunked"} { // mc sends none
				for _, frame := range []func(string) string{func(s string) string { return s }, inHTTPChunks} {
					r.aws.Forget()
					header := []string{"X-Amz-Meta-A: b"}
					if coding != "" {
						header = append(header, coding)
					}
					body := chunks(form, data)
					a := c.raw(t, http.MethodPut, frame(c.upload(form, len(data), body, header...)))
					passed(t, a, http.StatusOK)
					_, calls := r.upstream()
					if len(calls) != 1 {
						t.Fatalf("%d calls", len(calls))
					}
					x := calls[0]
					if x.Header.Get("X-Amz-Content-Sha256") != form || x.Header.Get("X-Amz-Decoded-Content-Length") != fmt.Sprint(len(data)) ||
						x.Header.Get("Content-Encoding") != strings.TrimPrefix(coding, "Content-Encoding: ") {
						t.Errorf("%s: %v", form, x.Header)
					}
					if form == unsignedTrailer && string(x.Body) != body || strings.Contains(string(x.Body), clientSignature) {
						t.Errorf("%s: %q arrived", form, x.Body)
					}
					wantNoClientCredentials(t, x)
					got := c.do(t, http.MethodGet, "/acme-dev-reports/chunks", "")
					passed(t, got, http.StatusOK)
					if string(got.body) != data {
						t.Errorf("%s: %d bytes were stored, want %d", form, len(got.body), len(data))
					}
					if d := response(t, r, a); d.RequestBody.Size != int64(len(body)) {
						t.Errorf("%+v", d.RequestBody)
					}
				}
			}
		}
	}
}

func response(t *testing.T, r *rig, a answer) *event.Response {
	t.Helper()
	return data[*event.Response](t, r.exchange(t, a.id()))
}

// before is s up to where sep comes last.
func before(s, sep string) string {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i]
	}
	return s
}

// An upload that is not what its headers say is broken off: AWS never has the whole
// of it, the client is told, and so is the record.
func TestChunksThatLie(t *testing.T) {
	r := newRig(t, rigOptions{})
	object := strings.Repeat("0123456789", 20_000)
	for _, form := range []string{unsignedTrailer, signedChunks, signedTrailer} {
		body := chunks(form, object)
		for _, lie := range []struct {
			name, body string
			length     int
			says       string
		}{
			{"a broken chunk", strings.Replace(body, "2710", "2711", 1), len(object), "CRLF"},
			{"a broken chunk at the end", before(body, "2710") + "2711" + body[strings.LastIndex(body, "2710")+4:], len(object), "more than"},
			{"a longer object", body, len(object) - 1, "more than"},
			{"a shorter object", body, len(object) + 1, "holds 200000 bytes"},
			{"no end", body[:len(body)-2], len(object), "breaks off"},
			{"more behind the end", body + "0\r\n\r\n", len(object), "behind its end"},
			{"another checksum", strings.Replace(body, "x-amz-checksum-crc32:", "x-amz-checksum-crc32c:", 1), len(object), "not announce"},
			{"no trailer", before(body, "x-amz-checksum") + "\r\n", len(object), "lacks a trailer"},
			{"a wrong checksum", strings.Replace(body, "0123456789", "0123456798", 1), len(object), "not the checksum"},
			{"no trailer signature", before(body, "x-amz-trailer-signature") + "\r\n", len(object), "lacks x-amz-trailer-signature"},
		} {
			trailing := strings.Contains(lie.name, "trailer") || strings.Contains(lie.name, "checksum")
			if trailing && (form == signedChunks || strings.Contains(lie.name, "signature") && form != signedTrailer) {
				continue
			}
			for _, frame := range []func(string) string{func(s string) string { return s }, inHTTPChunks} {
				t.Run(form+"/"+lie.name, func(t *testing.T) {
					r.aws.Forget()
					c := r.tunnel(t, s3Host, r.token())
					a := c.raw(t, http.MethodPut, frame(c.upload(form, lie.length, lie.body)))
					refused(t, a, http.StatusBadRequest, "malformed")
					if !strings.Contains(string(a.body), lie.says) {
						t.Errorf("%s", a.body)
					}
					if _, calls := r.upstream(); len(calls) != 0 {
						t.Errorf("AWS has the whole request: %d bytes, answered %d", calls[0].BodyLength, calls[0].Status)
					}
					d := data[*event.Aborted](t, r.wantKinds(t, a.id(), event.KindRequest, event.KindDecision, event.KindCredential, event.KindAborted))
					if d.Stage != "send" || d.ErrorCode != "malformed" || !strings.Contains(d.ErrorMessage, lie.says) {
						t.Errorf("%+v", d)
					}
				})
			}
		}
	}
	passed(t, r.tunnel(t, s3Host, r.token()).do(t, http.MethodHead, "/acme-dev-reports/chunks", ""), http.StatusNotFound)
}

// A client that leaves in the middle of an upload ends it, whichever framing says how
// much was still to come.
func TestChunksAreCut(t *testing.T) {
	r := newRig(t, rigOptions{})
	object := strings.Repeat("0123456789", 20_000)
	for _, form := range []string{unsignedTrailer, signedChunks, signedTrailer} {
		for _, frame := range []func(string) string{func(s string) string { return s }, inHTTPChunks} {
			r.aws.Forget()
			c := r.tunnel(t, s3Host, r.token())
			whole := frame(c.upload(form, len(object), chunks(form, object)))
			_, err := io.WriteString(c, whole[:len(whole)-20])
			must(t, err)
			must(t, c.CloseWrite())
			a := c.read(t, http.MethodPut)
			refused(t, a, http.StatusServiceUnavailable, "unavailable")
			if _, calls := r.upstream(); len(calls) != 0 {
				t.Errorf("%s: AWS has the whole request", form)
			}
			d := data[*event.Aborted](t, r.wantKinds(t, a.id(), event.KindRequest, event.KindDecision, event.KindCredential, event.KindAborted))
			if d.Stage != "send" || d.ErrorCode != "unavailable" || !strings.Contains(d.ErrorMessage, "client went away") {
				t.Errorf("%s: %+v", form, d)
			}
		}
	}
}

// What contradicts itself is refused before anything is sent.
func TestChunkHeadersThatLie(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := r.tunnel(t, s3Host, r.token())
	for name, request := range map[string]string{
		"length":   c.upload(signedChunks, 1000, chunks(signedChunks, "hello")),
		"coding":   c.request(http.MethodPut, "/acme-dev-reports/k", "hello", "Content-Encoding: aws-chunked", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD"),
		"no chunk": c.request(http.MethodPut, "/acme-dev-reports/k", "", "X-Amz-Content-Sha256: "+signedChunks, "X-Amz-Decoded-Content-Length: 0"),
		"trailer":  c.upload(signedChunks, 5, chunks(signedChunks, "hello"), "X-Amz-Trailer: x-amz-checksum-crc32"),
	} {
		a := c.raw(t, http.MethodPut, request)
		refused(t, a, http.StatusBadRequest, "malformed")
		r.wantKinds(t, a.id(), event.KindRefused)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	r.nothingSent(t)
}

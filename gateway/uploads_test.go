package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/event"
)

const uploadHost = "acme-dev-reports.s3.us-east-1.amazonaws.com"

func (c *tunnel) putHead(key string, length int, more ...string) string {
	return fmt.Sprintf("PUT /%s HTTP/1.1\r\nHost: %s\r\n%s\r\nX-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\nContent-Length: %d\r\n%s\r\n", key, uploadHost, c.signature("dev"), length, lines(more))
}

// A client that waits with its body is told to go on once the request may be sent,
// and not before: what is denied is never uploaded.
func TestExpectIsHeldUntilDecided(t *testing.T) {
	r := newRig(t, rigOptions{policy: `rules:
  - {name: inbox, who: {groups: [ai-agents]}, targets: [dev], actions: ["s3:PutObject"], resources: ["arn:aws:s3:::acme-dev-reports/inbox/*"], effect: allow}
`})
	token := r.token()
	first := func(c *tunnel, key string) string {
		_, err := io.WriteString(c, c.putHead(key, 5, "Expect: 100-continue"))
		must(t, err)
		line, err := c.r.ReadString('\n')
		must(t, err)
		return strings.TrimSpace(line)
	}
	if got := first(r.tunnel(t, uploadHost, token), "elsewhere/k"); got != "HTTP/1.1 403 Forbidden" {
		t.Errorf("denied: the first line is %q", got)
	}
	r.nothingSent(t)
	c := r.tunnel(t, uploadHost, token)
	if got := first(c, "inbox/k"); got != "HTTP/1.1 100 Continue" {
		t.Fatalf("allowed: the first line is %q", got)
	}
	if sts, _ := r.upstream(); len(sts) != 1 {
		t.Errorf("the client was told to go on before there was a credential: %d calls of STS", len(sts))
	}
	_, err := c.r.ReadString('\n') // ends the interim answer
	must(t, err)
	_, err = io.WriteString(c, "hello")
	must(t, err)
	passed(t, c.read(t, http.MethodPut), http.StatusOK)
}

// Where AWS refuses an upload that the client announced, the client is not told to go
// on: it gets AWS's answer, and not a byte of the body is read.
func TestExpectIsPassedOn(t *testing.T) {
	expected := make(chan string, 1)
	r, _ := newScripted(t, rigOptions{}, func(w net.Conn, req *http.Request) bool {
		expected <- req.Header.Get("Expect")
		_, _ = io.WriteString(w, whole("403 Forbidden", "application/xml", "<Error><Code>AccessDenied</Code></Error>", "Connection: close"))
		return false
	})
	c := r.tunnel(t, uploadHost, r.token())
	_, err := io.WriteString(c, c.putHead("k", 8<<20, "Expect: 100-continue"))
	must(t, err)
	line, err := c.r.ReadString('\n')
	must(t, err)
	if got := strings.TrimSpace(line); got != "HTTP/1.1 403 Forbidden" {
		t.Errorf("the first line is %q", got)
	}
	if got := <-expected; got != "100-continue" {
		t.Errorf("AWS was sent Expect: %q", got)
	}
}

// AWS may answer before an upload has ended. The answer is carried, and what is on
// record of the body is what AWS was sent until then.
func TestAnswerBeforeTheUploadEnds(t *testing.T) {
	const size = 8 << 20
	r, _ := newScripted(t, rigOptions{}, func(w net.Conn, req *http.Request) bool {
		// All that the client sends before it waits: the gateway then waits for more.
		_, _ = io.CopyN(io.Discard, req.Body, 1<<20)
		_, _ = io.WriteString(w, whole("403 Forbidden", "application/xml", "<Error><Code>AccessDenied</Code><Message>no</Message></Error>", "Connection: close"))
		// Closing with bytes unread would reset the connection and take the answer along.
		_, _ = io.Copy(io.Discard, bufio.NewReader(w))
		return false
	})
	c := r.tunnel(t, uploadHost, r.token())
	_, err := io.WriteString(c, c.putHead("k", size))
	must(t, err)
	_, err = io.WriteString(c, strings.Repeat("x", 1<<20))
	must(t, err)
	a := c.read(t, http.MethodPut)
	if a.StatusCode != http.StatusForbidden || a.reason() != "" || !strings.Contains(string(a.body), "AccessDenied") {
		t.Fatalf("%d %s %s", a.StatusCode, a.reason(), a.body)
	}
	d := data[*event.Response](t, r.exchange(t, a.id()))
	if d.Status != http.StatusForbidden || d.RequestBody == nil || d.RequestBody.Size > 1<<20 {
		t.Errorf("on record is %+v, body %+v", d.Status, d.RequestBody)
	}
}

// AWS's answer to an upload that still comes may itself come in pieces. It is had
// whole before the upload is ended: a broken body breaks the connection under it, and
// in place of a 404 the client would be told of an answer that could not be masked, by
// a status that it tries again.
func TestAnswerInPiecesBeforeTheUploadEnds(t *testing.T) {
	const size, more = 64 << 20, 16 << 20
	begun := make(chan struct{})
	answer := whole("404 Not Found", "application/xml", "<Error><Code>NoSuchBucket</Code><Message>no</Message></Error>", "Connection: close")
	head := strings.Index(answer, "<Error>") + 3
	r, _ := newScripted(t, rigOptions{}, func(w net.Conn, req *http.Request) bool {
		_, _ = io.CopyN(io.Discard, req.Body, 1<<20)
		_, _ = io.WriteString(w, answer[:head])
		close(begun)
		_, _ = io.CopyN(io.Discard, req.Body, more)
		_, _ = io.WriteString(w, answer[head:])
		_, _ = io.Copy(io.Discard, bufio.NewReader(w))
		return false
	})
	c := r.tunnel(t, uploadHost, r.token())
	_, err := io.WriteString(c, c.putHead("k", size)+strings.Repeat("x", 1<<20))
	must(t, err)
	<-begun
	_, err = io.WriteString(c, strings.Repeat("x", more))
	must(t, err)
	if a := c.read(t, http.MethodPut); a.StatusCode != http.StatusNotFound || !strings.Contains(string(a.body), "NoSuchBucket") {
		t.Errorf("%d %s %s", a.StatusCode, a.reason(), a.body)
	}
}

// A client that writes all of its body before it reads gets the refusal all the same,
// and the connection is not reset under it.
func TestRefusedUploadIsDrained(t *testing.T) {
	const size = 20 << 20
	for name, o := range map[string]func(t *testing.T) *rig{
		"by policy": func(t *testing.T) *rig {
			return newRig(t, rigOptions{policy: "rules: []"})
		},
		"by AWS": func(t *testing.T) *rig {
			r, _ := newScripted(t, rigOptions{}, func(w net.Conn, _ *http.Request) bool {
				_, _ = io.WriteString(w, whole("403 Forbidden", "application/xml", "<Error><Code>AccessDenied</Code></Error>", "Connection: close"))
				_, _ = io.Copy(io.Discard, bufio.NewReader(w)) // as S3 does; else its own answer is reset
				return false
			})
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := o(t)
			c := r.tunnel(t, uploadHost, r.token())
			_, err := io.WriteString(c, c.putHead("k", size))
			must(t, err)
			piece := strings.Repeat("x", 1<<20)
			for sent := 0; sent < size; sent += len(piece) {
				if _, err := io.WriteString(c, piece); err != nil {
					t.Fatalf("after %d bytes: %v", sent, err)
				}
			}
			if a := c.read(t, http.MethodPut); a.StatusCode != http.StatusForbidden || a.err != nil {
				t.Errorf("%d %v", a.StatusCode, a.err)
			}
		})
	}
}

// The same where the upload comes in chunks, and the gateway waited for the next when AWS
// answered: net/http reads no more of such a body. What comes behind it is part of no
// other request, whatever it looks like.
func TestRefusedChunksAreDrained(t *testing.T) {
	const size, piece = 20 << 20, 1 << 20
	const next = "\r\n0\r\n\r\nGET /other HTTP/1.1\r\nHost: " + uploadHost + "\r\n"
	requests := make(chan string, 8)
	r, _ := newScripted(t, rigOptions{}, func(w net.Conn, req *http.Request) bool {
		requests <- req.Method
		_, _ = io.CopyN(io.Discard, req.Body, piece)
		_, _ = io.WriteString(w, whole("404 Not Found", "application/xml", "<Error><Code>NoSuchBucket</Code></Error>"))
		_, _ = io.Copy(io.Discard, bufio.NewReader(w))
		return false
	})
	c := r.tunnel(t, uploadHost, r.token())
	_, err := io.WriteString(c, fmt.Sprintf("PUT /k HTTP/1.1\r\nHost: %s\r\n%s\r\nX-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nX-Amz-Trailer: x-amz-checksum-crc32\r\n"+
		"X-Amz-Decoded-Content-Length: %d\r\nContent-Encoding: aws-chunked\r\nTransfer-Encoding: chunked\r\n\r\n", uploadHost, c.signature("dev"), size))
	must(t, err)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", piece, strings.Repeat("x", piece)) // of aws-chunked
	chunk = fmt.Sprintf("%x\r\n%s\r\n", len(chunk), chunk)
	_, err = io.WriteString(c, chunk)
	must(t, err)
	_, err = c.r.Peek(1) // the answer: nobody reads now but who throws away
	must(t, err)
	for sent := piece; sent < size; sent += piece {
		if _, err := io.WriteString(c, chunk); err != nil {
			t.Fatalf("after %d bytes: %v", sent, err)
		}
	}
	_, _ = io.WriteString(c, next+c.signature("dev")+"\r\n\r\n")
	if a := c.read(t, http.MethodPut); a.StatusCode != http.StatusNotFound || a.err != nil {
		t.Errorf("%d %v", a.StatusCode, a.err)
	}
	if rest, _ := io.ReadAll(c.r); len(rest) > 0 || len(requests) != 1 {
		t.Errorf("what came behind was taken for a request: %d reached AWS, and the client was told %q", len(requests), rest)
	}
}

// Ending the read of an upload looks to net/http as if its client had left. The answer
// that ended it is recorded and told all the same.
func TestRefusedUploadIsRecorded(t *testing.T) {
	r, _ := newScripted(t, rigOptions{policy: bodiesPolicy, extra: "record: {bodies: full}"}, func(w net.Conn, req *http.Request) bool {
		_, _ = io.CopyN(io.Discard, req.Body, 64<<10)
		_, _ = io.WriteString(w, whole("404 Not Found", "application/xml", "<Error><Code>NoSuchBucket</Code><Message>"+strings.Repeat("no ", 30<<10)+"</Message></Error>"))
		_, _ = io.Copy(io.Discard, bufio.NewReader(w))
		return false
	})
	for range 20 { // a third of them failed
		c := r.tunnel(t, uploadHost, r.token())
		_, err := io.WriteString(c, c.putHead("k", 8<<20)+strings.Repeat("x", 64<<10))
		must(t, err)
		if a := c.read(t, http.MethodPut); a.StatusCode != http.StatusNotFound || a.reason() != "" {
			t.Fatalf("%d %s", a.StatusCode, a.reason())
		}
		_ = c.Close()
	}
}

// AWS refuses an upload and closes with most of it unread: the connection is reset under
// what is still written, and the answer, which came before, is told.
func TestAnswerBeforeTheReset(t *testing.T) {
	const size = 8 << 20
	r, _ := newScripted(t, rigOptions{}, func(w net.Conn, req *http.Request) bool {
		_, _ = io.CopyN(io.Discard, req.Body, 64<<10)
		_, _ = io.WriteString(w, whole("403 Forbidden", "application/xml", "<Error><Code>AccessDenied</Code></Error>", "Connection: close"))
		return false
	})
	for range 40 { // one in twelve failed
		c := r.tunnel(t, uploadHost, r.token())
		go func() { _, _ = io.WriteString(c, c.putHead("k", size)+strings.Repeat("x", size)) }()
		if a := c.read(t, http.MethodPut); a.StatusCode != http.StatusForbidden || a.reason() != "" {
			t.Fatalf("%d %s", a.StatusCode, a.reason())
		}
		_ = c.Close()
	}
}

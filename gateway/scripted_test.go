package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/awstest"
)

// scripted is an AWS of which the test writes the answers, byte for byte. STS
// calls go on to the simulated AWS, so that credentials are real.
type scripted struct {
	ln     net.Listener
	aws    *awstest.Server
	answer func(w net.Conn, r *http.Request) (keep bool) // nil: everything goes on to the simulated AWS

	mu   sync.Mutex
	seen []seen
	wait sync.WaitGroup
}

// seen is one request, and which connection it came on.
type seen struct {
	conn int
	host string
	body string // of small requests that went on to the simulated AWS
}

// newScripted starts a rig behind a scripted AWS.
func newScripted(t *testing.T, o rigOptions, answer func(w net.Conn, r *http.Request) bool) (*rig, *scripted) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &scripted{ln: ln, answer: answer}
	o.endpoint = "http://" + ln.Addr().String()
	t.Cleanup(func() { // after the rig's own cleanup, which ends the connections
		_ = ln.Close()
		s.wait.Wait()
	})
	r := newRig(t, o)
	s.aws = r.aws
	s.wait.Go(func() {
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.wait.Go(func() { s.serve(c, n) })
		}
	})
	return r, s
}

func (s *scripted) serve(c net.Conn, n int) {
	defer func() { _ = c.Close() }()
	br := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		x := seen{conn: n, host: req.Host}
		if s.answer != nil && !strings.HasPrefix(req.Host, "sts.") {
			s.note(x)
			if !s.answer(c, req) {
				return
			}
			continue
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		x.body = string(body)
		s.note(x)
		req.URL.Scheme, req.URL.Host, req.RequestURI = "https", req.Host, ""
		req.Body = io.NopCloser(strings.NewReader(x.body))
		resp, err := s.aws.Transport().RoundTrip(req)
		if err != nil {
			return
		}
		err = resp.Write(c)
		_ = resp.Body.Close()
		if err != nil {
			return
		}
	}
}

func (s *scripted) note(x seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, x)
}

// calls are the requests that were not for STS.
func (s *scripted) calls() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []seen
	for _, x := range s.seen {
		if !strings.HasPrefix(x.host, "sts.") {
			out = append(out, x)
		}
	}
	return out
}

// say is a script that reads the request and answers text as it is.
func say(text string, keep bool) func(net.Conn, *http.Request) bool {
	return func(w net.Conn, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, text)
		return keep
	}
}

// whole is a complete answer.
func whole(status, contentType, body string, header ...string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n%s", status, contentType, len(body), lines(header), body)
}

package mitm_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/mitm"
)

const get = "GET /a%2Fb?x=1 HTTP/1.1\r\nHost: " + host + "\r\n"

func TestInnerRequestsRefused(t *testing.T) {
	var served atomic.Int64
	r := start(t, intercepting(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) })))
	h := "\r\nHost: " + host + "\r\n"
	for name, c := range map[string]struct {
		raw  string
		want int
	}{
		"absolute form, https":    {"GET https://evil.example/x HTTP/1.1" + h + "\r\n", 400},
		"absolute form, own host": {"GET https://" + host + "/x HTTP/1.1" + h + "\r\n", 400},
		"absolute form, http":     {"GET http://evil.example/x HTTP/1.1" + h + "\r\n", 400},
		"file":                    {"GET file:///etc/passwd HTTP/1.1" + h + "\r\n", 400},
		"user information":        {"GET foo:@evil.example/x HTTP/1.1" + h + "\r\n", 400},
		"authority form":          {"GET evil.example:443 HTTP/1.1" + h + "\r\n", 400},
		"nested CONNECT":          {"CONNECT evil.example:443 HTTP/1.1" + h + "\r\n", 400},
		"nested CONNECT, path":    {"CONNECT /x HTTP/1.1" + h + "\r\n", 400},
		"query only":              {"GET ?Action=ListUsers HTTP/1.1" + h + "\r\n", 400},
		"OPTIONS *":               {"OPTIONS * HTTP/1.1" + h + "\r\n", 400},
		"HTTP/2 preface":          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
		"no version":              {"GET /x\r\n\r\n", 400},
		"HTTP/3.0":                {"GET /x HTTP/3.0" + h + "\r\n", 505},
		"another host":            {"GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421},
		"a bucket below":          {"GET /x HTTP/1.1\r\nHost: evil." + host + "\r\n\r\n", 421},
		"another port":            {"GET /x HTTP/1.1\r\nHost: " + host + ":80\r\n\r\n", 421},
		"trailing dot":            {"GET /x HTTP/1.1\r\nHost: " + host + ".\r\n\r\n", 421},
		"port twice":              {"GET /x HTTP/1.1\r\nHost: " + host + ":443:443\r\n\r\n", 421},
		"empty host":              {"GET /x HTTP/1.1\r\nHost:\r\n\r\n", 421},
		"HTTP/1.0 without host":   {"GET /x HTTP/1.0\r\n\r\n", 421},
		"no host":                 {"GET /x HTTP/1.1\r\n\r\n", 400},
		"two hosts":               {"GET /x HTTP/1.1" + h + "Host: " + host + "\r\n\r\n", 400},
		"odd host":                {"GET /x HTTP/1.1\r\nHost: a/b@c\r\n\r\n", 400},
		"websocket":               {get + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 400},
		"h2c":                     {get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 400},
		"HTTP2-Settings alone":    {get + "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 400},
		"trailers":                {"PUT /x HTTP/1.1" + h + "Transfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n0\r\nX-A: b\r\n\r\n", 400},
		"space before the colon":  {get + "X-A : b\r\n\r\n", 400},
		"header without a colon":  {get + "X-A\r\n\r\n", 400},
		"folded first header":     {"GET /x HTTP/1.1\r\n folded: x\r\nHost: " + host + "\r\n\r\n", 400},
		"bare CR in a header":     {get + "X-A: b\rX-B: c\r\n\r\n", 400},
		"NUL in a header":         {get + "X-A: b\x00c\r\n\r\n", 400},
		"control in the target":   {"GET /x\x01 HTTP/1.1" + h + "\r\n", 400},
		"length twice, differing": {"PUT /x HTTP/1.1" + h + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
		"length with a sign":      {"PUT /x HTTP/1.1" + h + "Content-Length: +1\r\n\r\na", 400},
		"unknown coding":          {"PUT /x HTTP/1.1" + h + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		"coding twice":            {"PUT /x HTTP/1.1" + h + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
		"huge head":               {get + "X-A: " + strings.Repeat("x", 68<<10) + "\r\n\r\n", 431},
	} {
		t.Run(name, func(t *testing.T) {
			conn := r.tls()
			resp, _ := exchange(t, conn, c.raw)
			if resp.StatusCode != c.want {
				t.Errorf("answered %d, want %d", resp.StatusCode, c.want)
			}
			if rest := wantClosed(t, conn); rest != "" {
				t.Errorf("after the refusal came %q", rest)
			}
		})
	}
	if n := served.Load(); n != 0 {
		t.Errorf("the handler ran %d times", n)
	}
}

// What the handler sees: the raw target, the CONNECT host, the body.
func TestInnerRequestsServed(t *testing.T) {
	r := start(t, intercepting(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s %s %v %s", r.Method, r.RequestURI, r.Host, body, err, r.Header.Get("X-A"))
	})))
	h := " HTTP/1.1\r\nHost: " + host + "\r\n"
	for raw, want := range map[string]string{
		get + "\r\n":                           "GET /a%2Fb?x=1 " + host + "  <nil> ",
		"GET //evil.example/../x" + h + "\r\n": "GET //evil.example/../x " + host + "  <nil> ",
		"GET / HTTP/1.1\r\nHost: " + strings.ToUpper(host) + "\r\n\r\n":          "GET / " + host + "  <nil> ",
		"GET / HTTP/1.1\r\nHost: " + host + ":443\r\n\r\n":                       "GET / " + host + "  <nil> ",
		"GET / HTTP/1.0\r\nHost: " + host + "\r\n\r\n":                           "GET / " + host + "  <nil> ",
		"PUT /k" + h + "Content-Length: 3\r\n\r\nabc":                            "PUT /k " + host + " abc <nil> ",
		"PUT /k" + h + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n": "PUT /k " + host + " abc <nil> ",
		"PUT /k" + h + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc":       "PUT /k " + host + " abc <nil> ",
		// RFC 9112, section 6.3: chunked overrides the length. The handler gets one body,
		// and no Content-Length that says otherwise.
		"PUT /k" + h + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n": "PUT /k " + host + " abc <nil> ",
		// RFC 9112, section 5.2: net/http makes one line of a folded value.
		get + "X-A: b\r\n c\r\n\r\n": "GET /a%2Fb?x=1 " + host + "  <nil> b c",
	} {
		resp, body := r.inside(raw)
		if resp.StatusCode != 200 || body != want {
			t.Errorf("%q was answered %d %q, want %q", raw, resp.StatusCode, body, want)
		}
	}
}

func TestKeepAlive(t *testing.T) {
	r := start(t, intercepting(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && r.URL.Path == "/unread" {
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s%s", r.URL.Path, body)
	})))
	c := r.tls()
	br := bufio.NewReader(c)
	for i := range 20 {
		write(t, c, fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\n\r\nok", i, host))
		if _, body := answer(t, br); body != fmt.Sprintf("/%dok", i) {
			t.Fatalf("request %d was answered %q", i, body)
		}
	}
	// A short body that the handler left alone is not the next request.
	write(t, c, "PUT /unread HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 30\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: ")
	answer(t, br)
	write(t, c, get+"\r\n")
	if _, body := answer(t, br); body != "/a/b" {
		t.Errorf("after an unread body came %q", body)
	}
	// Nor a long one.
	write(t, c, fmt.Sprintf("PUT /unread HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", host, 1<<20))
	answer(t, br)
	if rest := wantClosed(t, c); rest != "" {
		t.Errorf("after a long unread body came %q", rest)
	}
	if n := r.admits.Load(); n != 1 {
		t.Errorf("%d CONNECTs", n)
	}
}

func TestExpectContinue(t *testing.T) {
	r := start(t, intercepting(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})), func(p *mitm.Proxy) { p.StallTimeout = time.Minute })
	put := func(path string) string {
		return "PUT " + path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
	}
	c := r.tls()
	write(t, c, put("/take"))
	if head := readHead(t, c); head != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("before the body came %q", head)
	}
	if _, body := exchange(t, c, "abc"); body != "abc" {
		t.Errorf("the body came back as %q", body)
	}
	// Refused by the handler, and before it: no 100, the body stays where it is.
	for _, raw := range []string{put("/refuse"), strings.Replace(put("/refuse"), host, "evil.example", 1)} {
		c := r.tls()
		write(t, c, raw)
		begin := time.Now()
		if head := readHead(t, c); !strings.HasPrefix(head, "HTTP/1.1 4") {
			t.Errorf("a refusal came as %q", head)
		}
		if d := time.Since(begin); d > 30*time.Second { // the client holds its body back until it has heard
			t.Errorf("the refusal waited %v for the body", d)
		}
		must(t, c.Close())
	}
}

// Each flushed event reaches the client before the next is made.
func TestStreaming(t *testing.T) {
	next := make(chan struct{})
	r := start(t, intercepting(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 5 {
			_, _ = fmt.Fprintf(w, "event %d\n", i)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			<-next
		}
	})))
	c := r.tls()
	write(t, c, get+"\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	body := bufio.NewReader(resp.Body)
	for i := range 5 {
		line, err := body.ReadString('\n')
		if err != nil || line != fmt.Sprintf("event %d\n", i) {
			t.Errorf("event %d came as %q, %v", i, line, err)
		}
		next <- struct{}{}
	}
	must(t, resp.Body.Close())
}

// A client that leaves while its request is decided cancels it, once its body is read.
func TestClientGone(t *testing.T) {
	read, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	r := start(t, intercepting(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		read <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})))
	for _, raw := range []string{get + "\r\n", "PUT / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 3\r\n\r\nabc"} {
		c := r.tls()
		write(t, c, raw)
		soon(t, "the body is read", read)
		must(t, c.Close())
		soon(t, "the request is cancelled", gone)
	}
}

// A panic costs its own request; other tunnels, and the process, go on.
func TestPanicInHandler(t *testing.T) {
	r := start(t, intercepting(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			panic("secret")
		case "/midway":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})))
	other := r.tls()
	br := bufio.NewReader(other)
	for _, path := range []string{"/panic", "/midway"} {
		c := r.tls()
		write(t, c, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		// A body that was cut must not look finished.
		if got := wantClosed(t, c); strings.Contains(got, "secret") || strings.HasSuffix(got, "0\r\n\r\n") {
			t.Errorf("%s was answered %q", path, got)
		}
		write(t, other, get+"\r\n")
		if resp, _ := answer(t, br); resp.StatusCode != 200 {
			t.Errorf("another tunnel was answered %d", resp.StatusCode)
		}
	}
}

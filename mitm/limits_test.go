package mitm_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/mitm"
)

const short = 150 * time.Millisecond

// A client that stops at any stage is cut, with one timeout short at a time.
func TestSlowClients(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/read":
			_, _ = io.Copy(io.Discard, r.Body)
		case "/endless":
			for chunk := make([]byte, 64<<10); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	})
	header := func(p *mitm.Proxy) { p.HeaderTimeout = short }
	handshake := func(p *mitm.Proxy) { p.HandshakeTimeout = short }
	idle := func(p *mitm.Proxy) { p.IdleTimeout = short }
	stall := func(p *mitm.Proxy) { p.StallTimeout = short }
	put := func(path, h string) string {
		return "PUT " + path + " HTTP/1.1\r\nHost: " + h + "\r\nContent-Length: 9\r\n\r\nabc"
	}
	for name, c := range map[string]struct {
		change func(*mitm.Proxy)
		raw    string
		open   func(*rig) net.Conn
	}{
		"nothing at all":        {header, "", (*rig).dial},
		"half a CONNECT":        {header, "CONNECT " + host, (*rig).dial},
		"half a header":         {header, "CONNECT " + host + ":443 HTTP/1.1\r\nX: ", (*rig).dial},
		"half a body outside":   {header, "POST http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 9\r\n\r\nabc", (*rig).dial},
		"half a chunk outside":  {header, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", (*rig).dial},
		"half a CONNECT's body": {header, "CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", (*rig).dial},
		"no ClientHello":        {handshake, "", func(r *rig) net.Conn { return r.connect(host + ":443") }},
		"half a ClientHello":    {handshake, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", func(r *rig) net.Conn { return r.connect(host + ":443") }},
		"no request":            {idle, "", func(r *rig) net.Conn { return r.tls() }},
		"half a request":        {header, "GET / HT", func(r *rig) net.Conn { return r.tls() }},
		"half a head":           {header, get, func(r *rig) net.Conn { return r.tls() }},
		"no second request":     {idle, get + "\r\n", func(r *rig) net.Conn { return r.tls() }},
		"half a body, read":     {stall, put("/read", host), func(r *rig) net.Conn { return r.tls() }},
		"half a body, unread":   {stall, put("/unread", host), func(r *rig) net.Conn { return r.tls() }},
		"half a body, refused":  {stall, put("/read", "evil.example"), func(r *rig) net.Conn { return r.tls() }},
		"half a chunk, refused": {stall, "PUT / HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", func(r *rig) net.Conn { return r.tls() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, intercepting(echo), c.change, func(p *mitm.Proxy) {
				if name == "no request" {
					p.HeaderTimeout = short
				}
			})
			conn := c.open(r)
			write(t, conn, c.raw)
			wantClosed(t, conn)
		})
	}
}

// A client that reads nothing is cut once its buffers are full.
func TestSlowReader(t *testing.T) {
	cut := make(chan struct{})
	r := start(t, intercepting(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(cut)
		for chunk := make([]byte, 64<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})), func(p *mitm.Proxy) { p.StallTimeout = short })
	write(t, r.tls(), get+"\r\n")
	soon(t, "the answer is given up", cut)
}

// A body that comes in drops, and an answer after a long silence, are not cut: only
// silence within a body is.
func TestPatientClients(t *testing.T) {
	const limit = 500 * time.Millisecond
	r := start(t, intercepting(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n != 10 {
			t.Errorf("read %d, %v", n, err)
		}
		<-time.After(2 * limit) // a person is asked
		if err := r.Context().Err(); err != nil {
			t.Errorf("the request ended meanwhile: %v", err)
		}
		_, _ = io.WriteString(w, "done")
	})), func(p *mitm.Proxy) {
		p.StallTimeout, p.HeaderTimeout, p.HandshakeTimeout, p.IdleTimeout = limit, limit, 4*limit, limit
	})
	c := r.tls()
	write(t, c, "PUT / HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 10\r\n\r\n")
	for range 10 {
		<-time.After(limit / 5)
		write(t, c, "x")
	}
	if _, body := answer(t, bufio.NewReader(c)); body != "done" {
		t.Errorf("answered %q", body)
	}
}

func TestConnectionLimits(t *testing.T) {
	for name, change := range map[string]func(*mitm.Proxy){
		"all":         func(p *mitm.Proxy) { p.MaxConns, p.MaxConnsPerAddr = 3, 100 },
		"one address": func(p *mitm.Proxy) { p.MaxConns, p.MaxConnsPerAddr = 100, 3 },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, intercepting(nobody), change)
			open := []net.Conn{r.tls(), r.tls(), r.tls()}
			over := r.dial()
			if _, err := io.WriteString(over, "CONNECT "+host+":443 HTTP/1.1\r\nHost: x\r\n\r\n"); err == nil {
				if got, _ := io.ReadAll(over); len(got) > 0 {
					t.Errorf("a connection over the limit was answered %q", got)
				}
			}
			must(t, open[0].Close())
			// The place is free once the proxy has seen it.
			for deadline := time.Now().Add(patient); ; {
				c := r.dial()
				_, _ = io.WriteString(c, "CONNECT "+host+":443 HTTP/1.1\r\nHost: x\r\n\r\n")
				got, _ := bufio.NewReader(c).ReadString('\n')
				_ = c.Close()
				if strings.Contains(got, " 200 ") {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the place of a closed connection stays taken")
				}
			}
		})
	}
}

// Shutdown lets what is under way finish, closes what is idle, and takes no more.
func TestShutdownDrains(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r := start(t, intercepting(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			close(entered)
			<-leave
		}
		_, _ = io.WriteString(w, "done")
	})))
	busy, idle, early := r.tls(), r.tls(), r.connect(host+":443")
	exchange(t, idle, get+"\r\n")
	write(t, busy, "GET /long HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
	soon(t, "the request is under way", entered)

	over := make(chan error, 1)
	go func() { over <- r.proxy.Shutdown(context.Background()) }()
	if rest := wantClosed(t, idle); rest != "" {
		t.Errorf("an idle tunnel got %q", rest)
	}
	if c, err := net.Dial("tcp", r.addr); err == nil {
		_ = c.SetDeadline(time.Now().Add(patient))
		_, _ = io.WriteString(c, "CONNECT "+host+":443 HTTP/1.1\r\nHost: x\r\n\r\n")
		if got, _ := io.ReadAll(c); len(got) > 0 {
			t.Errorf("a new connection was answered %q", got)
		}
		_ = c.Close()
	}
	// A tunnel whose handshake comes only now is not served any more.
	if late := tls.Client(early, &tls.Config{RootCAs: r.ca.pool, ServerName: host}); late.Handshake() == nil {
		if got := wantClosed(t, late); got != "" {
			t.Errorf("a late tunnel got %q", got)
		}
	}
	select {
	case err := <-over:
		t.Fatalf("Shutdown did not wait: %v", err)
	default:
	}
	close(leave)
	br := bufio.NewReader(busy)
	if resp, body := answer(t, br); body != "done" || !resp.Close {
		t.Errorf("the open request got %q, close %v", body, resp.Close)
	}
	must(t, <-over)
}

// Past its deadline Shutdown cuts: requests, handshakes and tunnels.
func TestShutdownCuts(t *testing.T) {
	entered := make(chan struct{})
	r := start(t, intercepting(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})))
	busy, early := r.tls(), r.connect(host+":443")
	write(t, busy, get+"\r\n")
	soon(t, "the request is under way", entered)
	ctx, cancel := context.WithTimeout(context.Background(), short)
	defer cancel()
	if err := r.proxy.Shutdown(ctx); err == nil {
		t.Error("requests were cut, and Shutdown says nothing")
	}
	wantClosed(t, busy)
	wantClosed(t, early)
}

// A CONNECT that waits (an identity provider that is away) must not let open
// tunnels serve new requests during Shutdown.
func TestShutdownDoesNotWaitForAdmit(t *testing.T) {
	waiting, leave := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") })
	r := start(t, func(_ context.Context, c mitm.Connect) mitm.Admission {
		if c.Host != host {
			close(waiting)
			<-leave
		}
		return mitm.Admission{Action: mitm.Intercept, Handler: handler}
	})
	idle := r.tls()
	exchange(t, idle, get+"\r\n")
	write(t, r.dial(), "CONNECT slow.cloud.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
	soon(t, "the CONNECT waits", waiting)
	over := make(chan error, 1)
	go func() { over <- r.proxy.Shutdown(context.Background()) }()
	if rest := wantClosed(t, idle); rest != "" {
		t.Errorf("an idle tunnel got %q", rest)
	}
	close(leave)
	must(t, <-over)
}

package mitm_test

import (
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

var nobody = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// challenge is the admission of a gateway: no credentials, no tunnel.
func challenge(_ context.Context, c mitm.Connect) mitm.Admission {
	if len(c.ProxyAuthorization) == 0 {
		return mitm.Admission{Challenge: true, Message: "say who you are"}
	}
	return mitm.Admission{Action: mitm.Intercept, Handler: nobody}
}

func TestChallenge(t *testing.T) {
	r := start(t, challenge)
	c := r.dial()
	resp, body := exchange(t, c, "CONNECT "+host+":443 HTTP/1.1\r\nHost: "+host+":443\r\n\r\n")
	if resp.StatusCode != 407 || resp.Header.Get("Proxy-Authenticate") != `Basic realm="sallyport"` || body != "say who you are\n" {
		t.Errorf("answered %d, %q, %q", resp.StatusCode, resp.Header.Get("Proxy-Authenticate"), body)
	}
	if rest := wantClosed(t, c); rest != "" {
		t.Errorf("after the refusal came %q", rest)
	}
}

// Python's http.client sends CONNECT as HTTP/1.0 and without a Host header.
func TestConnectHTTP10(t *testing.T) {
	r := start(t, challenge)
	c := r.dial()
	write(t, c, "CONNECT "+host+":443 HTTP/1.0\r\nProxy-Authorization: Basic YTpi\r\n\r\n")
	if head := readHead(t, c); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Fatalf("answered %q", head)
	}
}

func TestConnectIsPassedOn(t *testing.T) {
	got := make(chan mitm.Connect, 1)
	r := start(t, func(_ context.Context, c mitm.Connect) mitm.Admission {
		got <- c
		return mitm.Admission{}
	})
	c := r.dial()
	resp, _ := exchange(t, c, "CONNECT STORE.cloud.example:8443 HTTP/1.1\r\nHost: evil.example:443\r\nUser-Agent: agent/1\r\nProxy-Authorization: Basic YTpi\r\nProxy-Authorization: Bearer x\r\n\r\n")
	if resp.StatusCode != 403 {
		t.Errorf("the zero admission was answered %d", resp.StatusCode)
	}
	connect := <-got
	if connect.Host != host || connect.Port != 8443 || connect.UserAgent != "agent/1" || connect.RemoteAddr.String() != c.LocalAddr().String() ||
		strings.Join(connect.ProxyAuthorization, "|") != "Basic YTpi|Bearer x" {
		t.Errorf("Admit was asked about %+v", connect)
	}
}

func TestHeadLimits(t *testing.T) {
	r := start(t, challenge)
	for _, c := range []struct {
		kib  int
		want int
	}{{60, 200}, {200, 431}} {
		token := strings.Repeat("x", c.kib<<10)
		conn := r.dial()
		write(t, conn, "CONNECT "+host+":443 HTTP/1.1\r\nHost: "+host+"\r\nProxy-Authorization: Basic ")
		_, _ = io.WriteString(conn, token+"\r\n\r\n") // refused, it may not be read to its end
		head := readHead(t, conn)
		if want := "HTTP/1.1 200 "; c.want == 200 && !strings.HasPrefix(head, want) {
			t.Errorf("a token of %d KiB was answered %q", c.kib, head)
		}
		if want := "HTTP/1.1 431 "; c.want == 431 && !strings.HasPrefix(head, want) {
			t.Errorf("a token of %d KiB was answered %q", c.kib, head)
		}
	}
	if n := r.admits.Load(); n != 1 {
		t.Errorf("Admit was asked %d times", n)
	}
}

// What Admit leaves out refuses: an action without what it needs included.
func TestZeroRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		admission mitm.Admission
		change    func(*mitm.Proxy)
	}{
		"nothing":              {},
		"unknown action":       {admission: mitm.Admission{Action: 7, Handler: nobody}},
		"no handler":           {admission: mitm.Admission{Action: mitm.Intercept}},
		"no certificates":      {mitm.Admission{Action: mitm.Intercept, Handler: nobody}, func(p *mitm.Proxy) { p.Certificate = nil }},
		"no dialer for tunnel": {mitm.Admission{Action: mitm.Tunnel}, func(p *mitm.Proxy) { p.Dial = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			change := c.change
			if change == nil {
				change = func(*mitm.Proxy) {}
			}
			r := start(t, func(context.Context, mitm.Connect) mitm.Admission { return c.admission }, change)
			resp, _ := r.ask("CONNECT " + host + ":443 HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
			if resp.StatusCode != 403 {
				t.Errorf("answered %d", resp.StatusCode)
			}
		})
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	if err := new(mitm.Proxy).Serve(t.Context(), ln); err == nil {
		t.Error("a proxy without Admit serves")
	}
	if _, err := ln.Accept(); err == nil {
		t.Error("its listener is still open")
	}
}

// Everything but a CONNECT with a good authority is refused before anybody is
// asked, and nothing is dialled: goproxy would fetch, or tunnel, most of these.
func TestRefusedAtTheDoor(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = listener.Close() }()
	go func() {
		if c, err := listener.Accept(); err == nil {
			t.Error("the proxy dialled")
			_ = c.Close()
		}
	}()
	here := listener.Addr().String()
	for _, raw := range []string{
		"GET http://" + here + "/ HTTP/1.1\r\nHost: " + here + "\r\n\r\n",
		"GET https://" + here + "/ HTTP/1.1\r\nHost: " + here + "\r\n\r\n",
		"GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + here + "\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: " + here + "\r\n\r\n",
		"GET http://" + here + "/ HTTP/1.1\r\nHost: " + here + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"CONNECT " + here + " HTTP/1.1\r\nHost: " + here + "\r\n\r\n",
		"CONNECT / HTTP/1.1\r\nHost: " + here + "\r\n\r\n",
		"CONNECT /x HTTP/1.1\r\nHost: " + host + ":443\r\n\r\n",
		"CONNECT * HTTP/1.1\r\nHost: " + host + ":443\r\n\r\n",
		"CONNECT http://" + host + ":443/ HTTP/1.1\r\nHost: " + host + ":443\r\n\r\n",
		"CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"CONNECT " + host + ".:443 HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"CONNECT " + host + ":0443 HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"CONNECT x@" + host + ":443 HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"CONNECT [" + host + "]:443 HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"CONNECT \u212Ams.cloud.example:443 HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"CONNECT " + host + ":443 HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n",
	} {
		r := start(t, intercepting(nobody))
		resp, body := r.ask(raw)
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q was answered %d %q", raw, resp.StatusCode, body)
		}
		if r.admits.Load() != 0 || r.dialled.Load() != 0 {
			t.Errorf("%q reached Admit %d times, Dial %d times", raw, r.admits.Load(), r.dialled.Load())
		}
	}
}

// A proxy on a TLS listener takes the same CONNECTs.
func TestHTTPSProxy(t *testing.T) {
	r := start(t, intercepting(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "inside") })))
	front := r.ca.leaf(t, time.Now().Add(time.Hour), "proxy.example")
	addr := r.serve(&tls.Config{Certificates: []tls.Certificate{*front}, MinVersion: tls.VersionTLS12})
	outer, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: r.ca.pool, ServerName: "proxy.example", NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		outer, err = tls.Dial("tcp", addr, &tls.Config{RootCAs: r.ca.pool, ServerName: "proxy.example"})
	}
	must(t, err)
	defer func() { _ = outer.Close() }()
	must(t, outer.SetDeadline(time.Now().Add(patient)))
	write(t, outer, "CONNECT "+host+":443 HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
	if head := readHead(t, outer); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Fatalf("answered %q", head)
	}
	inner := tls.Client(outer, &tls.Config{RootCAs: r.ca.pool, ServerName: host})
	if _, body := exchange(t, inner, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); body != "inside" {
		t.Errorf("inside came %q", body)
	}
}

// A panic while a client is being admitted, or given its certificate, costs that
// connection.
func TestPanicBeforeTheTunnel(t *testing.T) {
	r := start(t, func(_ context.Context, c mitm.Connect) mitm.Admission {
		switch c.Port {
		case 1:
			panic("admit")
		case 2:
			return mitm.Admission{Action: mitm.Tunnel}
		}
		return mitm.Admission{Action: mitm.Intercept, Handler: nobody}
	}, func(p *mitm.Proxy) {
		p.Certificate = func(context.Context, string) (*tls.Certificate, error) { panic("certificate") }
		p.Dial = func(context.Context, string, string) (net.Conn, error) { panic("dial") }
	})
	for _, port := range []string{"1", "2"} {
		c := r.dial()
		write(t, c, "CONNECT "+host+":"+port+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		if got := wantClosed(t, c); strings.Contains(got, " 200 ") {
			t.Errorf("a panic was answered %q", got)
		}
	}
	if err := tls.Client(r.connect(host+":443"), &tls.Config{RootCAs: r.ca.pool, ServerName: host}).Handshake(); err == nil {
		t.Error("a handshake without a certificate")
	}
}

// Plaintext, HTTP/2 without TLS, other names and no name: the tunnel is closed and
// the handler never runs.
func TestTunnelWithoutItsTLS(t *testing.T) {
	r := start(t, intercepting(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })))
	for _, raw := range []string{
		"GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"CONNECT evil.example:443 HTTP/1.1\r\n\r\n",
		"SSH-2.0-x\r\n",
		"\x16\x03\x01\x00\x05nothi",
		"\x80\x2e\x01\x03\x01", // SSLv2
	} {
		c := r.connect(host + ":443")
		write(t, c, raw)
		if got := wantClosed(t, c); strings.Contains(got, "HTTP/") {
			t.Errorf("%q was answered %q", raw, got)
		}
	}
	for _, name := range []string{
		"", "evil.example", "sub." + host, "cloud.example", host + ".evil.example", host + ":443", strings.Replace(host, "store", "st\u212Aore", 1),
	} {
		c := tls.Client(r.connect(host+":443"), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err := c.Handshake(); err == nil {
			t.Errorf("a handshake with SNI %q succeeds", name)
		}
	}
	c := tls.Client(r.connect(host+":443"), &tls.Config{RootCAs: r.ca.pool, ServerName: host, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	if err := c.Handshake(); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

// Case does not matter in names, and HTTP/2 is not negotiated.
func TestHandshake(t *testing.T) {
	r := start(t, intercepting(nobody))
	c := tls.Client(r.connect(host+":443"), &tls.Config{RootCAs: r.ca.pool, ServerName: strings.ToUpper(host), NextProtos: []string{"h2", "http/1.1"}})
	must(t, c.Handshake())
	if p := c.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Errorf("negotiated %q", p)
	}
	if err := tls.Client(r.connect(host+":443"), &tls.Config{RootCAs: r.ca.pool, ServerName: host, NextProtos: []string{"h2"}}).Handshake(); err == nil {
		t.Error("a client of HTTP/2 only is served")
	}
}

package mitm_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/mitm"
)

// tunnelled is a rig whose CONNECTs all lead to serve, on loopback.
func tunnelled(t *testing.T, serve func(net.Conn), change ...func(*mitm.Proxy)) *rig {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patient))
			serve(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-ended
	})
	return start(t, func(context.Context, mitm.Connect) mitm.Admission { return mitm.Admission{Action: mitm.Tunnel} },
		append([]func(*mitm.Proxy){func(p *mitm.Proxy) {
			p.Certificate = nil
			p.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if address != host+":443" {
					t.Errorf("dialled %s", address)
				}
				return new(net.Dialer).DialContext(ctx, network, ln.Addr().String())
			}
		}}, change...)...)
}

// Bytes pass untouched: TLS is between the client and the far end.
func TestTunnel(t *testing.T) {
	far := newAuthority(t)
	leaf := far.leaf(t, time.Now().Add(time.Hour), host)
	r := tunnelled(t, func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*leaf}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
		_, _ = io.Copy(s, s)
		_ = s.CloseWrite()
	})
	c := tls.Client(r.connect(host+":443"), &tls.Config{RootCAs: far.pool, ServerName: host, NextProtos: []string{"h2"}})
	must(t, c.Handshake())
	text := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
	go func() {
		_, _ = io.WriteString(c, text)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != text {
		t.Errorf("%d of %d bytes came back, %v", len(got), len(text), err)
	}
}

// The far end gets no byte from a client that does not name it.
func TestTunnelSNI(t *testing.T) {
	got := make(chan string, 16)
	r := tunnelled(t, func(c net.Conn) {
		b, _ := io.ReadAll(c)
		got <- string(b)
	})
	for _, name := range []string{"", "evil.example", "sub." + host, host + ":443"} {
		c := r.connect(host + ":443")
		if tls.Client(c, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake() == nil {
			t.Errorf("SNI %q passes", name)
		}
		if b := <-got; b != "" {
			t.Errorf("with SNI %q the far end got %q", name, b)
		}
	}
	for _, raw := range []string{"GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "SSH-2.0-x\r\n"} {
		c := r.connect(host + ":443")
		write(t, c, raw)
		if rest := wantClosed(t, c); rest != "" {
			t.Errorf("%q was answered %q", raw, rest)
		}
		if b := <-got; b != "" {
			t.Errorf("the far end got %q", b)
		}
	}
}

// Each side may end its direction and go on hearing the other.
func TestTunnelHalfClose(t *testing.T) {
	r := tunnelled(t, func(c net.Conn) {
		b, err := io.ReadAll(c) // ends with the client's half
		if err != nil || !strings.HasSuffix(string(b), "last words") {
			t.Errorf("the far end read %d bytes, %v", len(b), err)
		}
		_, _ = io.WriteString(c, "answer")
	})
	c := r.connect(host + ":443")
	write(t, c, string(clientHello(t))+"last words")
	must(t, c.(*net.TCPConn).CloseWrite())
	if got := wantClosed(t, c); got != "answer" {
		t.Errorf("the client read %q", got)
	}
}

func TestTunnelIdle(t *testing.T) {
	r := tunnelled(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, func(p *mitm.Proxy) { p.IdleTimeout = short })
	c := r.connect(host + ":443")
	write(t, c, string(clientHello(t)))
	wantClosed(t, c)
}

func TestTunnelWithoutHello(t *testing.T) {
	r := tunnelled(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, func(p *mitm.Proxy) { p.HandshakeTimeout = short })
	wantClosed(t, r.connect(host+":443"))
}

func TestTunnelUnreachable(t *testing.T) {
	r := start(t, func(context.Context, mitm.Connect) mitm.Admission { return mitm.Admission{Action: mitm.Tunnel} })
	if resp, _ := r.ask("CONNECT " + host + ":443 HTTP/1.1\r\nHost: x\r\n\r\n"); resp.StatusCode != 502 {
		t.Errorf("answered %d", resp.StatusCode)
	}
}

// Tunnels end with Shutdown, at whatever stage.
func TestTunnelShutdown(t *testing.T) {
	r := tunnelled(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	silent := r.connect(host + ":443")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	must(t, r.proxy.Shutdown(ctx))
	wantClosed(t, silent)
}

// clientHello is what crypto/tls says first to host.
func clientHello(t *testing.T) []byte {
	t.Helper()
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		_ = tls.Client(a, &tls.Config{ServerName: host}).Handshake()
		close(done)
	}()
	buf := make([]byte, 16<<10)
	n, err := b.Read(buf)
	must(t, err)
	_ = b.Close()
	_ = a.Close()
	<-done
	return buf[:n]
}

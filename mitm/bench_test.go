package mitm_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elazarl/goproxy"
)

// What a request of 0.3 KB and an answer of 1 KB cost by way of a kept tunnel, with
// 16 clients at once: through the Proxy, and through goproxy's own interception.
// The figure of interest is the ratio of the two on one machine.

func BenchmarkProxy(b *testing.B) {
	ours := newAuthority(b)
	f := benchFar(b, ours)
	u := upstream(b, "https", f.address(), ours.pool)
	r := start(b, intercepting(forward(u)))
	keepAlive(b, func() net.Conn { return r.tls() })
}

func BenchmarkBareGoproxy(b *testing.B) {
	ours := newAuthority(b)
	f := benchFar(b, ours)
	leaf := ours.leaf(b, time.Now().Add(time.Hour), host)
	g := goproxy.NewProxyHttpServer()
	g.Logger = quiet
	g.Tr = &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, f.address())
		},
		TLSClientConfig:     &tls.Config{RootCAs: ours.pool, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 256, DisableCompression: true,
	}
	b.Cleanup(g.Tr.CloseIdleConnections)
	g.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return &goproxy.ConnectAction{Action: goproxy.ConnectMitm, TLSConfig: func(string, *goproxy.ProxyCtx) (*tls.Config, error) {
			return &tls.Config{Certificates: []tls.Certificate{*leaf}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}, nil
		}}, host
	})
	s := httptest.NewServer(g)
	b.Cleanup(s.Close)
	r := &rig{tb: b, addr: s.Listener.Addr().String(), ca: ours}
	keepAlive(b, func() net.Conn { return r.tls() })
}

func benchFar(b *testing.B, ca *authority) *far {
	text := []byte(strings.Repeat("x", 1<<10))
	return newFar(b, ca.leaf(b, time.Now().Add(time.Hour), host), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(text)
	}))
}

// keepAlive shares b.N requests out to 16 tunnels.
func keepAlive(b *testing.B, open func() net.Conn) {
	const clients = 16
	raw := "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 300\r\n\r\n" + strings.Repeat("b", 300)
	var conns [clients]net.Conn
	for i := range conns {
		conns[i] = open()
		must(b, conns[i].SetDeadline(time.Now().Add(5*time.Minute)))
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var wait sync.WaitGroup
	for _, c := range conns {
		wait.Go(func() {
			br := bufio.NewReader(c)
			for left.Add(-1) >= 0 {
				if _, err := io.WriteString(c, raw); err != nil {
					b.Error(err)
					return
				}
				resp, err := http.ReadResponse(br, nil)
				if err != nil {
					b.Error(err)
					return
				}
				if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != 1<<10 {
					b.Errorf("%d bytes, %v", n, err)
					return
				}
			}
		})
	}
	wait.Wait()
	b.StopTimer()
	for _, c := range conns {
		_ = c.Close()
	}
}

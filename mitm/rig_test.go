package mitm_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/mitm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	host    = "store.cloud.example" // what the tests' CONNECTs go to
	patient = 15 * time.Second      // a socket that is silent for longer has hung
)

// authority is a certificate authority of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	must(tb, err)
	cert, err := x509.ParseCertificate(der)
	must(tb, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{cert, key, pool}
}

// leaf is a certificate for names that ends at end.
func (a *authority) leaf(tb testing.TB, end time.Time, names ...string) *tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	t := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: names, NotBefore: end.Add(-48 * time.Hour), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	must(tb, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// rig is a proxy on loopback, and a client's view of it.
type rig struct {
	tb      testing.TB
	proxy   *mitm.Proxy
	addr    string
	ca      *authority
	dialled atomic.Int64 // by the proxy, for tunnels
	admits  atomic.Int64
	served  sync.WaitGroup
}

// intercepting admits everybody to handler.
func intercepting(handler http.Handler) func(context.Context, mitm.Connect) mitm.Admission {
	return func(context.Context, mitm.Connect) mitm.Admission {
		return mitm.Admission{Action: mitm.Intercept, Handler: handler}
	}
}

// start serves a proxy with admit; change may alter it before it serves.
func start(tb testing.TB, admit func(context.Context, mitm.Connect) mitm.Admission, change ...func(*mitm.Proxy)) *rig {
	tb.Helper()
	r := &rig{tb: tb, ca: newAuthority(tb)}
	leaf := r.ca.leaf(tb, time.Now().Add(time.Hour), host)
	r.proxy = &mitm.Proxy{
		Admit: func(ctx context.Context, c mitm.Connect) mitm.Admission {
			r.admits.Add(1)
			return admit(ctx, c)
		},
		Certificate: func(context.Context, string) (*tls.Certificate, error) { return leaf, nil },
		Dial: func(context.Context, string, string) (net.Conn, error) {
			r.dialled.Add(1)
			return nil, errors.New("nothing is to be dialled")
		},
	}
	for _, f := range change {
		f(r.proxy)
	}
	r.addr = r.serve(nil)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if err := r.proxy.Shutdown(ctx); err != nil {
			tb.Errorf("shutdown: %v", err)
		}
		r.served.Wait()
	})
	return r
}

// serve opens a listener for the proxy, under TLS if config is given.
func (r *rig) serve(config *tls.Config) string {
	r.tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(r.tb, err)
	addr := ln.Addr().String()
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	r.served.Go(func() {
		if err := r.proxy.Serve(context.Background(), ln); err != nil {
			r.tb.Errorf("serve: %v", err)
		}
	})
	return addr
}

// dial opens a raw connection to the proxy.
func (r *rig) dial() net.Conn {
	r.tb.Helper()
	c, err := net.Dial("tcp", r.addr)
	must(r.tb, err)
	must(r.tb, c.SetDeadline(time.Now().Add(patient)))
	r.tb.Cleanup(func() { _ = c.Close() })
	return c
}

// ask writes raw to the proxy and reads one answer.
func (r *rig) ask(raw string) (*http.Response, string) {
	r.tb.Helper()
	return exchange(r.tb, r.dial(), raw)
}

// connect opens a tunnel to target and gives the connection after the 200.
func (r *rig) connect(target string) net.Conn {
	r.tb.Helper()
	c := r.dial()
	write(r.tb, c, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n\r\n")
	if head := readHead(r.tb, c); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		r.tb.Fatalf("CONNECT %s was answered %q", target, head)
	}
	return c
}

// tls opens a tunnel to host and speaks TLS in it.
func (r *rig) tls() *tls.Conn {
	r.tb.Helper()
	c := tls.Client(r.connect(host+":443"), &tls.Config{RootCAs: r.ca.pool, ServerName: host})
	must(r.tb, c.Handshake())
	return c
}

// inside writes raw into a fresh tunnel and reads one answer.
func (r *rig) inside(raw string) (*http.Response, string) {
	r.tb.Helper()
	return exchange(r.tb, r.tls(), raw)
}

func write(tb testing.TB, c net.Conn, raw string) {
	tb.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		tb.Fatalf("write: %v", err)
	}
}

// readHead reads an answer's head and not a byte more.
func readHead(tb testing.TB, c net.Conn) string {
	tb.Helper()
	var head []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); {
		if _, err := c.Read(one); err != nil {
			tb.Fatalf("read a head: %v after %q", err, head)
		}
		head = append(head, one[0])
	}
	return string(head)
}

func exchange(tb testing.TB, c net.Conn, raw string) (*http.Response, string) {
	tb.Helper()
	write(tb, c, raw)
	return answer(tb, bufio.NewReader(c))
}

// answer reads one answer with its body.
func answer(tb testing.TB, br *bufio.Reader) (*http.Response, string) {
	tb.Helper()
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		tb.Fatalf("read an answer: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	must(tb, err)
	must(tb, resp.Body.Close())
	return resp, string(body)
}

// wantClosed reads until the peer has closed. What came before is given back.
func wantClosed(tb testing.TB, c net.Conn) string {
	tb.Helper()
	rest, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		tb.Fatalf("the connection is still open; it gave %q", rest)
	}
	return string(rest)
}

// soon waits for something to happen.
func soon(tb testing.TB, what string, done <-chan struct{}) {
	tb.Helper()
	select {
	case <-done:
	case <-time.After(patient):
		tb.Fatalf("waited in vain: %s", what)
	}
}

var quiet = log.New(io.Discard, "", 0)

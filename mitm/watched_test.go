package mitm_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/sallyport/sallyport/mitm"
)

// Whoever admitted a client may end its connection while it is open, whatever it
// carries, or before anything is carried; and hears of its end once.
func TestAdmittedIsCut(t *testing.T) {
	began, ended := make(chan io.Closer, 1), make(chan struct{}, 2)
	admit := func(action mitm.Action, h http.Handler, atOnce bool) func(context.Context, mitm.Connect) mitm.Admission {
		return func(context.Context, mitm.Connect) mitm.Admission {
			return mitm.Admission{Action: action, Handler: h, Began: func(c io.Closer) func() {
				if atOnce {
					_ = c.Close()
				}
				began <- c
				return func() { ended <- struct{}{} }
			}}
		}
	}
	served := make(chan struct{}, 1)
	waits := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		served <- struct{}{}
		<-r.Context().Done()
	})

	r := start(t, admit(mitm.Intercept, waits, false))
	c := r.tls()
	write(t, c, get+"\r\n")
	soon(t, "the request is served", served)
	must(t, (<-began).Close())
	wantClosed(t, c)
	soon(t, "the end is told", ended)

	far := tunnelled(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, func(p *mitm.Proxy) { p.Admit = admit(mitm.Tunnel, nil, false) })
	raw := far.connect(host + ":443")
	write(t, raw, string(clientHello(t)))
	must(t, (<-began).Close())
	wantClosed(t, raw)
	soon(t, "the end is told", ended)

	for _, action := range []mitm.Action{mitm.Intercept, mitm.Tunnel} {
		r := start(t, admit(action, waits, true))
		c := r.dial()
		write(t, c, "CONNECT "+host+":443 HTTP/1.1\r\nHost: x\r\n\r\n")
		<-began
		if got := wantClosed(t, c); got != "" {
			t.Errorf("a connection that was ended at once said %q", got)
		}
		soon(t, "the end is told", ended)
	}
	select {
	case <-served:
		t.Error("a request was served in a connection that was ended at once")
	case <-ended:
		t.Error("an end was told twice")
	default:
	}
}

package webhook_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/approvals/webhook"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/secret"
)

const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8G"

// receiver is somebody's server: it verifies signatures with the library of Standard
// Webhooks, and answers as it is told to.
type receiver struct {
	*httptest.Server
	got    chan map[string]any // the bodies whose signature is good
	ids    chan string
	answer atomic.Value // func(http.ResponseWriter, *http.Request)
	bad    atomic.Int32
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{got: make(chan map[string]any, 64), ids: make(chan string, 64)}
	r.answer.Store(func(http.ResponseWriter, *http.Request) {})
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var v map[string]any
		if verifier.Verify(body, req.Header) != nil || req.Method != http.MethodPost || json.Unmarshal(body, &v) != nil {
			r.bad.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.ids <- req.Header.Get("webhook-id")
		r.answer.Load().(func(http.ResponseWriter, *http.Request))(w, req)
		r.got <- v
	}))
	t.Cleanup(r.Close)
	return r
}

func newHook(t *testing.T, url string) *webhook.Hook {
	t.Helper()
	h, err := webhook.New(webhook.Options{URL: url, Secret: secret.New(key)})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func take[T any](t *testing.T, from chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// rig is a gateway that asks.
type rig struct {
	broker *approvals.Broker
	ids    *event.IDs
}

func newRig(t *testing.T) *rig {
	t.Helper()
	srv, err := bus.Start(t.Context(), bus.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	conn, err := bus.Connect(t.Context(), bus.Options{Role: bus.Gateway, InProcess: srv})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	r := &rig{ids: event.NewIDs(nil)}
	r.broker, err = approvals.NewBroker(t.Context(), approvals.Options{Conn: conn, Prefix: "sallyport", Verifier: &identity.Verifier{}, MaxPending: 50, IDs: r.ids, Source: "sallyport/test", Now: time.Now,
		Append: func(context.Context, ...event.Event) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.broker.Close)
	return r
}

func (r *rig) ask(t *testing.T, i int, expires time.Duration) approvals.Request {
	t.Helper()
	now := time.Now()
	q := approvals.Request{Approval: r.ids.New(), Digest: fmt.Sprintf("%064x", i), RequestID: r.ids.New(), SessionID: r.ids.New(), Who: event.UserIdentity{Issuer: "https://idp", Subject: "bot"},
		Service: "ec2", Operation: "TerminateInstances", Resources: []event.Resource{{ARN: "arn:aws:ec2:eu-west-1:111122223333:instance/<b>\u202ei-0abc", Type: "instance"}},
		Approvers: []approvals.Needed{{Groups: []string{"sre"}, Count: 1}}, Created: now, Expires: now.Add(expires)}
	if _, err := r.broker.Ask(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	return q
}

func (r *rig) notify(t *testing.T, i int, h *webhook.Hook) chan string {
	t.Helper()
	results := make(chan string, 64)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		r.broker.Notify(ctx, approvals.Feed{Name: bus.WebhookDurable(i), OutcomeFor: webhook.OutcomeFor, Deliver: h.Deliver, Count: func(s string) { results <- s }})
	})
	t.Cleanup(func() { cancel(); wait.Wait() })
	return results
}

// What waits and how it ends comes as the events that are on NATS, signed.
func TestDelivered(t *testing.T) {
	r, in := newRig(t), newReceiver(t)
	results := r.notify(t, 0, newHook(t, in.URL+"/hook?x=1"))
	q := r.ask(t, 1, 2*time.Second)
	e := take(t, in.got)
	data, _ := e["data"].(map[string]any)
	line, _ := e["summary"].(string)
	if e["type"] != "dev.sallyport.approval.pending.v1" || e["specversion"] != "1.0" || data["approval"] != q.Approval || data["digest"] != q.Digest || take(t, in.ids) != e["id"] {
		t.Errorf("%v", e)
	}
	if !strings.HasPrefix(line, `"bot" asks to terminate instance "<b>\u202ei-0abc"`) || !strings.Contains(line, q.Approval) {
		t.Errorf("%q", line)
	}
	if got := take(t, results); got != approvals.Delivered {
		t.Error(got)
	}
	e = take(t, in.got) // it expires
	data, _ = e["data"].(map[string]any)
	if e["type"] != "dev.sallyport.approval.outcome.v1" || data["outcome"] != approvals.Expired || e["summary"] != "Approval "+q.Approval+" was expired" {
		t.Errorf("%v", e)
	}
	if n := in.bad.Load(); n != 0 {
		t.Errorf("%d signatures were bad", n)
	}
}

// One that fails is tried again with the same id; one that hangs holds up neither the
// other hook nor a request.
func TestFailsAndHangs(t *testing.T) {
	r, fails, hangs := newRig(t), newReceiver(t), newReceiver(t)
	release := make(chan struct{})
	hangs.answer.Store(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	r.notify(t, 1, newHook(t, hangs.URL))
	var n atomic.Int32
	fails.answer.Store(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	results := r.notify(t, 0, newHook(t, fails.URL))
	first, second := r.ask(t, 1, time.Minute), r.ask(t, 2, time.Minute)
	take(t, hangs.ids)
	for _, want := range []string{approvals.Retried, approvals.Delivered, approvals.Delivered} {
		if got := take(t, results); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
	a, b, c := take(t, fails.ids), take(t, fails.ids), take(t, fails.ids)
	if a != b || a == c {
		t.Errorf("ids %s, %s, %s", a, b, c)
	}
	for _, want := range []string{first.Approval, first.Approval, second.Approval} {
		if data := take(t, fails.got)["data"].(map[string]any); data["approval"] != want {
			t.Errorf("%v came, not %s", data["approval"], want)
		}
	}
	if len(hangs.ids) != 0 {
		t.Error("a hook that hangs has got a second delivery")
	}
}

// message is one as the feed would deliver it.
func message() approvals.Message {
	q := &approvals.Request{Approval: "01J00000000000000000000001", Digest: strings.Repeat("ab", 32)}
	return approvals.Message{Update: approvals.Update{Request: q}, ID: "01J00000000000000000000002", Event: []byte(`{"specversion":"1.0","data":{"n":12345678901234567890}}`)}
}

// What answers mean.
func TestAnswers(t *testing.T) {
	in := newReceiver(t)
	elsewhere := newReceiver(t)
	h := newHook(t, in.URL)
	for name, c := range map[string]struct {
		status int
		header string
		ok     bool
		final  bool
		after  time.Duration
	}{
		"ok": {status: 200, ok: true}, "no content": {status: 204, ok: true}, "gone": {status: 410, final: true}, "redirect": {status: 307}, "moved": {status: 301}, "not found": {status: 404},
		"later": {status: 503, header: "7", after: 7 * time.Second}, "much later": {status: 429, header: "999999999", after: 5 * time.Minute}, "never": {status: 429, header: "-1"},
	} {
		in.answer.Store(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			if c.header != "" {
				w.Header().Set("Retry-After", c.header)
			}
			w.WriteHeader(c.status)
		})
		err := h.Deliver(t.Context(), message())
		var retry *approvals.RetryError
		switch {
		case (err == nil) != c.ok, errors.Is(err, approvals.ErrUndeliverable) != c.final:
			t.Errorf("%s: %v", name, err)
		case errors.As(err, &retry) != (c.after > 0), retry != nil && retry.After != c.after:
			t.Errorf("%s: %+v", name, retry)
		}
	}
	if len(elsewhere.ids) != 0 || elsewhere.bad.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// TLS is verified, and errors show neither the URL nor the secret.
func TestErrorsShowNothing(t *testing.T) {
	in := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(in.Close)
	in.Config.ErrorLog = nil
	err := newHook(t, in.URL+"/services/SECRET-IN-PATH").Deliver(t.Context(), message())
	if err == nil || errors.Is(err, approvals.ErrUndeliverable) {
		t.Fatalf("a certificate of nobody was taken: %v", err)
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, err := range []error{err, newHook(t, closed.URL+"/SECRET-IN-PATH").Deliver(t.Context(), message())} {
		if err == nil || strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "whsec") || strings.Contains(err.Error(), "MfKQ") {
			t.Errorf("%v", err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(in.Certificate())
	h, err := webhook.New(webhook.Options{URL: in.URL, Secret: secret.New(key), Base: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Deliver(t.Context(), message()); err != nil {
		t.Error(err)
	}
}

// The numbers of an event stay as they are.
func TestPayloadKeepsTheEvent(t *testing.T) {
	body := make(chan string, 1)
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		body <- string(b)
	}))
	t.Cleanup(in.Close)
	if err := newHook(t, in.URL).Deliver(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if got := take(t, body); !strings.Contains(got, `"data":{"n":12345678901234567890}`) || !strings.Contains(got, `"summary":`) {
		t.Error(got)
	}
	for _, bad := range []string{"", "null", "[]", "{"} {
		m := message()
		m.Event = []byte(bad)
		if err := newHook(t, in.URL).Deliver(t.Context(), m); !errors.Is(err, approvals.ErrUndeliverable) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://hooks.example/x?y=z": true, "http://127.0.0.1:8080/x": true, "http://[::1]:1/": true, "http://localhost/x": true,
		"": false, "hooks.example": false, "http://hooks.example/": false, "http://localhost.evil.example/": false, "http://10.0.0.1/": false, "ftp://hooks.example/": false,
		"https://": false, "https://user:SECRET@hooks.example/": false, "https://hooks.example/#x": false, "https:hooks.example": false, "https://a b/SECRET": false,
	} {
		_, err := webhook.New(webhook.Options{URL: url, Secret: secret.New(key)})
		if (err == nil) != ok || err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", url, err)
		}
	}
	encoded := func(n int) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n)))
	}
	for s, ok := range map[string]bool{key: true, key + "\n": true, encoded(24): true, encoded(64): true, encoded(23): false, encoded(65): false, "": false, "whsec_": false, "whsec_!": false, strings.TrimPrefix(key, "whsec_"): false} {
		_, err := webhook.New(webhook.Options{URL: "https://hooks.example/", Secret: secret.New(s)})
		if (err == nil) != ok || err != nil && len(s) > 10 && strings.Contains(err.Error(), s[8:]) {
			t.Errorf("a secret of %d characters: %v", len(s), err)
		}
	}
}

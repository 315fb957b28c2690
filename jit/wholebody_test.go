package jit

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/awstest"
)

// lingering keeps the bodies that it was given, as net/http does for a moment.
type lingering struct {
	http.RoundTripper
	bodies []io.Reader
}

func (l *lingering) RoundTrip(r *http.Request) (*http.Response, error) {
	b := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, b); err != nil {
		return nil, err
	}
	l.bodies = append(l.bodies, r.Body)
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(b))
	return l.RoundTripper.RoundTrip(r)
}

// Who sends the request may look for its body's end after the answer has come.
func TestBodyOutlivesItsAnswer(t *testing.T) {
	s, _ := startAWS(t, awstest.Config{})
	l := &lingering{RoundTripper: s.Transport()}
	m, err := NewMinter(t.Context(), Options{Transport: l, Now: time.Now, Credentials: baseKey(awstest.BaseSecret)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Mint(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	if len(l.bodies) != 1 {
		t.Fatalf("%d requests", len(l.bodies))
	}
	if n, err := io.Copy(io.Discard, l.bodies[0]); n != 0 || err != nil {
		t.Errorf("%d %v", n, err)
	}
}

package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/server"
)

// Without the recorders that are required nothing goes through, and /readyz says why.
func TestReadyWithRecorders(t *testing.T) {
	sections := loopback + "\nrecord: {require_recorders: 1}\n"
	c := configure(t, startAWS(t), sections)
	s := start(t, c, server.RoleGateway)
	if status, body := get(t, s, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "require_recorders") {
		t.Errorf("without a recorder: %d %s", status, body)
	}
	if err := getItem(t, c, &url.URL{Scheme: "http", Host: s.Proxy.String()}); err == nil {
		t.Error("a request went through without a recorder")
	}
}

// The recorder of the same process is one.
func TestReadyWithItsOwnRecorder(t *testing.T) {
	c := configure(t, startAWS(t), loopback+"\nrecord: {require_recorders: 1}\n")
	s := start(t, c)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		status, body := get(t, s, "/readyz")
		if status == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d %s", status, body)
		}
	}
	if err := getItem(t, c, &url.URL{Scheme: "http", Host: s.Proxy.String()}); err != nil {
		t.Error(err)
	}
}

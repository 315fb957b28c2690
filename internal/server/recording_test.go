package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

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

package main

import (
	"strings"
	"testing"
)

// What is explained may be an agent's own: a key that clears the screen, or writes to the
// clipboard, is shown and does nothing.
func TestExplainedNamesAreHarmless(t *testing.T) {
	newUser(t)
	must(t, "init")
	write(t, "captured.http", "GET /acme-dev/a%1b%5b2Jb%0d%0aallow%e2%80%aec HTTP/1.1\r\nHost: s3.us-east-1.amazonaws.com\r\n\r\n")
	r := do(t, "policy", "explain", "--request", "captured.http")
	if strings.ContainsAny(r.stdout+r.stderr, "\x1b\r\u202e") || !strings.Contains(r.stdout, `arn:aws:s3:::acme-dev/a\x1b[2Jb\r\nallow\u202ec`) {
		t.Errorf("%+v", r)
	}
}

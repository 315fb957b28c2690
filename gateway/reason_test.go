package gateway_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const reasonHeader = "X-Sallyport-Stated-Reason: "

// tunnelSaying is a tunnel whose CONNECT has these header lines too.
func (r *rig) tunnelSaying(t *testing.T, host string, header ...string) *tunnel {
	t.Helper()
	resp, nc, _ := r.connect(t, host+":443", append(header, basic(r.token()))...)
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	c := tls.Client(nc, &tls.Config{ServerName: host, RootCAs: r.roots, MinVersion: tls.VersionTLS12, Time: r.clock.now})
	return &tunnel{Conn: c, r: bufio.NewReader(c), host: host}
}

// An agent says what a call is for, on its tunnel or with the call. Approvers see it, cut
// and masked; AWS never does, and it makes no other call of it.
func TestStatedReason(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 0s, max_pending_per_identity: 100"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	long := strings.Repeat("x", 300)
	for i, test := range []struct {
		connect, request []string
		want             string
	}{
		{nil, nil, ""},
		{[]string{"cleaning up"}, nil, "cleaning up"},
		{nil, []string{"cleaning up"}, "cleaning up"},
		{[]string{"the tunnel"}, []string{"the call"}, "the call"},
		{[]string{"r%C3%A4umt%20auf"}, nil, "räumt auf"},
		{[]string{"100% sure"}, nil, "100% sure"},
		{[]string{"%ff%fe"}, nil, "\uFFFD"},
		{[]string{"a%0A%1b[2Jb"}, nil, "a\n\x1b[2Jb"}, // whoever shows it escapes it
		{[]string{long}, nil, long[:255] + "…"},
		{[]string{strings.Repeat("x", 5000)}, nil, "(a text of 5000 bytes, which is too long to be shown)"},
		{[]string{"one", "two"}, nil, ""},
		{nil, []string{"one", "two"}, ""},
	} {
		lines := func(values []string) (out []string) {
			for _, v := range values {
				out = append(out, reasonHeader+v)
			}
			return out
		}
		c := r.tunnelSaying(t, dynamoHost, lines(test.connect)...)
		header := append(lines(test.request), jsonCall("DynamoDB_20120810.PutItem")...)
		refused(t, c.do(t, http.MethodPost, "/", fmt.Sprintf(putItem, fmt.Sprint(i)), header...), http.StatusForbidden, "pending")
		if p := pendingOf(t, pending()); p.Reason != test.want {
			t.Errorf("%q %q: approvers see %q, want %q", test.connect, test.request, p.Reason, test.want)
		}
	}
	r.nothingSent(t)
}

// No secret gets to approvers by it, whole or in part.
func TestStatedReasonIsMasked(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 0s, max_pending_per_identity: 100"})
	pending := newApprover(t, r).messages("pending")
	for i, text := range []string{"with " + secretKey, strings.Repeat("x", 245) + " " + secretKey, "%41" + secretKey[1:]} {
		c := r.tunnelSaying(t, dynamoHost, reasonHeader+text)
		refused(t, c.do(t, http.MethodPost, "/", fmt.Sprintf(putItem, fmt.Sprint(i)), jsonCall("DynamoDB_20120810.PutItem")...), http.StatusForbidden, "pending")
		if p := pendingOf(t, pending()); p.Reason == "" || strings.Contains(p.Reason, secretKey[:8]) {
			t.Errorf("%q", p.Reason)
		}
	}
	if strings.Contains(r.log.String(), secretKey) {
		t.Error("it is logged")
	}
}

// Another reason is no other call, and AWS does not hear of it.
func TestStatedReasonStaysHere(t *testing.T) {
	r := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 0s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	send := func(reason string) answer {
		return r.tunnelSaying(t, dynamoHost, reasonHeader+"reason-canary").do(t, http.MethodPost, "/", fmt.Sprintf(putItem, "x"), append(jsonCall("DynamoDB_20120810.PutItem"), reasonHeader+reason)...)
	}
	refused(t, send("reason-canary one"), http.StatusForbidden, "pending")
	a.accepted(pendingOf(t, pending()), "allow")
	passed(t, send("reason-canary two"), http.StatusOK)
	for _, x := range r.aws.Requests() {
		if text := fmt.Sprintf("%+v", x); strings.Contains(strings.ToLower(text), "canary") || strings.Contains(strings.ToLower(text), "stated-reason") {
			t.Errorf("reached AWS: %s", text)
		}
	}
}

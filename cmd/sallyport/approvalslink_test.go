package main

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/sallyport/sallyport/approvals"
)

// A code goes to the gateway with the person's own token, and nowhere else.
func TestApprovalsLink(t *testing.T) {
	a := newAsking(t)
	token := must(t, "token", "--approver")
	write(t, "me.jwt", token)
	args := []string{"approvals", "link", "abcd-efgh-2345-6722", "--token-file", "me.jwt"}
	r := do(t, args...)
	if r.code != exitFailed || !strings.Contains(r.stderr, "no gateway is running that links accounts: it takes approvals.slack") {
		t.Errorf("without a gateway: %+v", r)
	}
	got := make(chan approvals.Redemption, 1)
	var reply atomic.Pointer[string]
	say := func(text string) { reply.Store(&text) }
	say(`{"accepted":true,"until":"2026-11-27T09:00:00Z"}`)
	if _, err := a.conn.QueueSubscribe("sallyport.approvals.link", "gateway", func(m *nats.Msg) {
		in, err := approvals.ParseRedemption(m.Data)
		if err != nil {
			t.Errorf("%s: %v", m.Data, err)
		}
		got <- in
		_ = m.Respond([]byte(*reply.Load()))
	}); err != nil {
		t.Fatal(err)
	}
	if err := a.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if out := must(t, args...); out != "linked until 2026-11-27T09:00:00Z: press the button again\n" {
		t.Error(out)
	}
	if in := <-got; in.Code != "ABCDEFGH23456722" || in.Token != strings.TrimSpace(token) {
		t.Errorf("%+v", in)
	}
	for text, want := range map[string]string{`{"accepted":false,"error":"another address\u001b[2J"}`: `not accepted: another address\x1b[2J`, `{}`: "not accepted", `x`: "malformed"} {
		say(text)
		r := do(t, args...)
		<-got
		if r.code != exitFailed || !strings.Contains(r.stderr, want) || strings.Contains(r.stderr, "eyJ") {
			t.Errorf("%s: %+v", text, r)
		}
	}
	if r := do(t, "approvals", "link"); r.code != exitUsage {
		t.Errorf("without a code: %+v", r)
	}
}

package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/revocation"
)

// kept is what gateways of a test were told to stop.
type kept struct {
	mu  sync.Mutex
	all []revocation.Revocation
}

// gateway takes orders on the bus of a.
func (k *kept) gateway(t *testing.T, a *asking, name string) {
	t.Helper()
	l, err := revocation.NewList(t.Context(), revocation.Options{
		Conn: a.conn, Prefix: "sallyport", Source: name, Targets: []string{"dev"}, Now: time.Now,
		Session: func(string) (revocation.Caller, bool) { return revocation.Caller{}, false },
		Enforce: func(_ context.Context, r revocation.Revocation) revocation.Ended {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.all = append(k.all, r)
			return revocation.Ended{Sessions: 1, Tunnels: 2, Requests: 1, Approvals: []string{"x"}}
		},
		Record: func(context.Context, revocation.Revocation, revocation.Ended) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
}

func TestRevoke(t *testing.T) {
	a := newAsking(t)
	if r := do(t, "revoke", "--subject", "bot", "--reason", "x"); r.code != exitFailed || !strings.Contains(r.stderr, "no gateway is running") {
		t.Errorf("%+v", r)
	}
	k := &kept{}
	k.gateway(t, a, "sallyport/one")
	out := must(t, "revoke", "--subject", "bot", "--issuer", "https://idp.example", "--reason", "leaked", "--for", "90m", "--gateways", "1")
	if out != "revoked on 1 gateway: 1 session closed, 2 tunnels and 1 request cut, 1 approval ended\n" {
		t.Error(out)
	}
	k.mu.Lock()
	if r := k.all[0]; r.Subject != "bot" || r.Issuer != "https://idp.example" || r.Reason != "leaked" || r.Until.Sub(r.At) != 90*time.Minute {
		t.Errorf("%+v", r)
	}
	k.mu.Unlock()
	if out := must(t, "revoke", "--subject", "bot", "--issuer", "https://idp.example", "--reason", "mended", "--lift", "--json", "--gateways", "1"); !strings.Contains(out, `"accepted":true`) {
		t.Error(out)
	}
	for _, test := range []struct {
		code int
		want string
		args []string
	}{
		{exitFailed, "1 of 2 gateways", []string{"--target", "dev", "--reason", "x", "--gateways", "2"}},
		{exitFailed, "has refused: this gateway has no such target", []string{"--target", "prod", "--reason", "x", "--gateways", "1"}},
		{exitFailed, "no such session", []string{"--session", "01J0000000000000000000000A", "--reason", "x", "--gateways", "1"}},
		{exitUsage, "reason", []string{"--subject", "bot"}},
		{exitUsage, "one of", []string{"--reason", "x"}},
		{exitUsage, "one of", []string{"--subject", "bot", "--target", "dev", "--reason", "x"}},
		{exitUsage, "issuer", []string{"--target", "dev", "--issuer", "i", "--reason", "x"}},
		{exitUsage, "for", []string{"--subject", "bot", "--reason", "x", "--for", "-1h"}},
		{exitFailed, "operator", []string{"--subject", "bot", "--reason", "x", "--creds", "state/nats/approver.creds"}},
	} {
		r := do(t, append([]string{"revoke"}, test.args...)...)
		if r.code != test.code || !strings.Contains(r.stderr, test.want) {
			t.Errorf("%v: %+v, want %q", test.args, r, test.want)
		}
		clean(t, r)
	}
}

package server

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/policy"
)

// A changed policy counts from the next request on; one that is not valid, or is
// gone, changes nothing and raises an alarm, once.
func TestPolicyIsReloaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rule := func(effect string) string {
		return "rules:\n  - {name: r, who: {subjects: [\"*\"]}, targets: [\"*\"], actions: [\"s3:*\"], effect: " + effect + "}\n"
	}
	write(rule("allow"))
	var log bytes.Buffer
	p, err := newLivePolicy([]string{file}, func() (*policy.Engine, error) { return policy.Load([]string{file}) },
		slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	in := policy.Input{Subject: "bot", Target: "dev", Call: &awsapi.Call{Service: "s3", Operation: "GetObject",
		Actions: []awsapi.Action{{Name: "s3:GetObject", Level: awsapi.Read, Resources: []awsapi.Resource{{ARN: "arn:aws:s3:::b/k"}}}}}}
	expect := func(what string, want policy.Effect, failures float64) {
		t.Helper()
		if d := p.Decide(in); d.Effect != want || testutil.ToFloat64(p.failures) != failures {
			t.Errorf("%s: %s, %v failures: %s", what, d.Effect, testutil.ToFloat64(p.failures), d.Reason)
		}
	}
	expect("at first", policy.Allow, 0)
	write(rule("deny"))
	p.reload(t.Context(), false)
	expect("after a change", policy.Deny, 0)
	version := p.current.Load().Version()
	write(rule("alow"))
	p.reload(t.Context(), false)
	p.reload(t.Context(), false)
	expect("after a bad change", policy.Deny, 1)
	if !strings.Contains(log.String(), "policy.yaml:2") || p.current.Load().Version() != version {
		t.Errorf("version %s; log: %s", p.current.Load().Version(), log.String())
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p.reload(t.Context(), false)
	expect("without the file", policy.Deny, 2)

	// The loop does the same, at ticks and signals.
	ctx, cancel := context.WithCancel(t.Context())
	tick, hup, done := make(chan time.Time), make(chan os.Signal), make(chan struct{})
	go func() { p.run(ctx, tick, hup); close(done) }()
	write(rule("allow"))
	tick <- time.Time{}
	hup <- os.Interrupt // taken only when the tick was served
	cancel()
	<-done
	expect("after a tick", policy.Allow, 2)
}

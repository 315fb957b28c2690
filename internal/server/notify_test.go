package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sallyport/sallyport/internal/server"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8G"

// An agent's call that asks is told to a webhook, and to Slack, which refuses; neither
// holds up the agent or the end of the process.
func TestNotifiers(t *testing.T) {
	told := make(chan map[string]any, 8)
	verifier, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var v map[string]any
		if verifier.Verify(body, r.Header) != nil || json.Unmarshal(body, &v) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		told <- v
	}))
	t.Cleanup(hook.Close)
	slack := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":false,"error":"invalid_auth"}`)
	}))
	t.Cleanup(slack.Close)
	c := configure(t, startAWS(t), loopback+fmt.Sprintf(`
approvals:
  hold: 0s
  approver_issuers: [{issuer: "https://idp.example", audience: approvers}]
  slack: {bot_token_file: bot.token, app_token_file: app.token, channel: C0123ABCD}
  webhooks: [{url: %q, secret_file: hook.secret}]`, hook.URL))
	dir := filepath.Dir(c.Path())
	for name, text := range map[string]string{
		"policy.yaml": strings.Replace(policyText, "effect: allow", "effect: ask, approvers: {groups: [sre]}", 1),
		"bot.token":   "xoxb-1-hunter2\n", "app.token": "xapp-1-hunter2\n", "hook.secret": hookSecret + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := options(c)
	o.SlackAPI = slack.URL + "/"
	s, err := server.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := getItem(t, c, &url.URL{Scheme: "http", Host: s.Proxy.String()}); err == nil || !strings.Contains(err.Error(), "approv") {
		t.Fatalf("the agent got %v", err)
	}
	select {
	case e := <-told:
		if line, _ := e["summary"].(string); e["type"] != "dev.sallyport.approval.pending.v1" || !strings.HasPrefix(line, `"agent" asks to `) {
			t.Errorf("%v", e)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the webhook was told nothing")
	}
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("stopped in %s", time.Since(began))

	for name, bad := range map[string]string{"bot.token": "xapp-1-hunter2", "app.token": "hunter2", "hook.secret": "whsec_hunter2"} {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := server.Start(t.Context(), o); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "approvals.") {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				_ = s.Close()
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

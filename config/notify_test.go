package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/strictyaml"
)

const approverIssuer = "approver_issuers: [{issuer: 'https://i.example', audience: b}]"

// Each must be refused at its key.
func TestNotifiersRefused(t *testing.T) {
	hooks := func(n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("{url: 'https://h.example/%d', secret_file: s}", i))
		}
		return "webhooks: [" + strings.Join(out, ", ") + "]"
	}
	const slack = "slack: {bot_token_file: b, app_token_file: a, channel: C0123ABCD"
	for text, key := range map[string]string{
		slack + "}":                                           "",
		slack + ", link_for: 5m}":                             "",
		slack + ", link_for: 25h}":                            "approvals.slack.link_for",
		slack + ", link_for: 1m}":                             "approvals.slack.link_for",
		slack + ", token: xoxb-1}":                            "approvals.slack.token",
		"slack: {}":                                           "",
		"slack: {bot_token_file: b, channel: C0123ABCD}":      "approvals.slack",
		"slack: {bot_token_file: b, app_token_file: a}":       "approvals.slack",
		strings.Replace(slack, "C0123ABCD", "'#general'}", 1): "approvals.slack.channel",
		strings.Replace(slack, "C0123ABCD", "D0123ABCD}", 1):  "approvals.slack.channel",
		hooks(8): "",
		hooks(9): "approvals.webhooks",
		"webhooks: [{url: 'https://h.example/', secret_file: s}, {url: 'https://h.example/', secret_file: s}]": "approvals.webhooks[1].url",
		"webhooks: [{url: 'http://h.example/', secret_file: s}]":                                               "approvals.webhooks[0].url",
		"webhooks: [{url: 'https://u:hunter2@h.example/', secret_file: s}]":                                    "approvals.webhooks[0].url",
		"webhooks: [{url: 'https://h.example/'}]":                                                              "approvals.webhooks[0].secret_file",
		"webhooks: [{secret_file: s}]":                                                                         "approvals.webhooks[0].url",
	} {
		_, err := Parse("f", []byte(minimal+"approvals: {"+approverIssuer+", "+text+"}\n"))
		var problems strictyaml.Problems
		errors.As(err, &problems)
		if key == "" && err != nil || key != "" && !slices.ContainsFunc(problems, func(p strictyaml.Problem) bool { return p.Path == key && p.Line > 0 }) {
			t.Errorf("%s: no problem at %q: %v", text, key, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: a secret is in the message", text)
		}
	}
	if _, err := Parse("f", []byte(minimal+"approvals: {"+slack+"}}\n")); err == nil || !strings.Contains(err.Error(), "approvals.slack: a Slack account counts by the person") {
		t.Errorf("Slack without an issuer of approvers: %v", err)
	}
}

// What the files hold is looked at, and not shown.
func TestNotifiersFiles(t *testing.T) {
	dir := t.TempDir()
	text := minimal + "approvals: {" + approverIssuer + ", slack: {bot_token_file: bot, app_token_file: app, channel: C0123ABCD}, webhooks: [{url: 'https://h.example/', secret_file: hook}]}\n"
	c, err := Parse(filepath.Join(dir, "f.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, content string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("policy.yaml", "rules: []", 0o600)
	good := map[string]string{"bot": "xoxb-1-2-hunter2\n", "app": "xapp-1-hunter2\n", "hook": "whsec_" + strings.Repeat("aGVs", 8) + "\n"}
	for name, content := range good {
		write(name, content, 0o600)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{"bot": "approvals.slack.bot_token_file", "app": "approvals.slack.app_token_file", "hook": "approvals.webhooks[0].secret_file"}
	for name, key := range keys {
		for _, bad := range []string{"", "hunter2", good[map[string]string{"bot": "app", "app": "hook", "hook": "bot"}[name]], strings.TrimSpace(good[name]) + " x"} {
			write(name, bad, 0o600)
			if err := c.Check(); err == nil || !strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s holding %q: %v", name, bad, err)
			}
		}
		write(name, good[name], 0o644)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "others can read it") {
			t.Errorf("%s that others can read: %v", name, err)
		}
		write(name, good[name], 0o600)
	}
}

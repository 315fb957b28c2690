package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/approvals/webhook"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/secret"
)

// Slack is an app of a Slack workspace, connected by Socket Mode (docs/approvals.md has
// its manifest). Default: none.
type Slack struct {
	// BotTokenFile has the bot's token (xoxb-), and nobody else may read it.
	BotTokenFile string `yaml:"bot_token_file"`
	// AppTokenFile has the app-level token (xapp-) with the scope connections:write.
	AppTokenFile string `yaml:"app_token_file"`
	// Channel is the id of the channel, C0123ABCD, which the bot must be in.
	Channel string `yaml:"channel"`
	// LinkFor is how long a Slack account speaks for the person who linked it, 5m to
	// 24h. Groups are as fresh as the token they were linked with. Default 24h.
	LinkFor time.Duration `yaml:"link_for"`
}

// On reports that people are asked in Slack.
func (s Slack) On() bool { return s.BotTokenFile != "" || s.AppTokenFile != "" || s.Channel != "" }

// Webhook is one HTTP server that is told of approvals, after Standard Webhooks.
type Webhook struct {
	// URL is https, or http to this machine. Required.
	URL string `yaml:"url"`
	// SecretFile has whsec_ and base64 of 24 to 64 random bytes, and nobody else may
	// read it. Required.
	SecretFile string `yaml:"secret_file"`
}

var slackChannel = regexp.MustCompile(`^[CG][A-Z0-9]{6,30}$`)

func (c *Config) validateNotifiers() {
	if s := c.Approvals.Slack; s.On() {
		switch {
		case s.BotTokenFile == "" || s.AppTokenFile == "" || s.Channel == "":
			c.doc.Errorf("approvals.slack", "bot_token_file, app_token_file and channel belong together; set all, or none")
		case len(c.Approvals.ApproverIssuers) == 0:
			c.doc.Errorf("approvals.slack", "a Slack account counts by the person it is linked to, and approver_issuers names nobody who could say who that is (the trial issuer knows no e-mail addresses)")
		}
		if s.Channel != "" && !slackChannel.MatchString(s.Channel) {
			c.doc.Errorf("approvals.slack.channel", "expected the channel's id, such as C0123ABCD: it stands at the end of the channel's details")
		}
	}
	if d := c.Approvals.Slack.LinkFor; d < 5*time.Minute || d > 24*time.Hour {
		c.doc.Errorf("approvals.slack.link_for", "%s is out of bounds; write 5m to 24h", d)
	}
	hooks := c.Approvals.Webhooks
	if len(hooks) > bus.MaxWebhooks {
		c.doc.Errorf("approvals.webhooks", "there are %d; at most %d can be told", len(hooks), bus.MaxWebhooks)
	}
	if len(hooks) > 0 && !c.CanApprove() {
		c.doc.Errorf("approvals.webhooks", "approver_issuers names nobody who could approve, so there is nothing to tell")
	}
	for i, h := range hooks {
		at := fmt.Sprintf("approvals.webhooks[%d]", i)
		if err := webhook.CheckURL(h.URL); err != nil {
			c.doc.Errorf(at+".url", "%s", err)
		} else if slices.ContainsFunc(hooks[:i], func(o Webhook) bool { return o.URL == h.URL }) {
			c.doc.Errorf(at+".url", "is listed twice; remove one")
		}
		if h.SecretFile == "" {
			c.doc.Errorf(at+".secret_file", "name a file with whsec_ and base64 of 24 to 64 random bytes")
		}
	}
}

// SlackToken checks the kind of a token of Slack by how it begins, and gives it without
// space around it. The error holds nothing of it.
func SlackToken(prefix string, file []byte) (secret.String, error) {
	text := strings.TrimSpace(string(file))
	if !strings.HasPrefix(text, prefix) || len(text) > 1024 || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return secret.String{}, fmt.Errorf("holds no token that begins with %s", prefix)
	}
	return secret.New(text), nil
}

// The beginnings of Slack's tokens (docs.slack.dev/authentication/tokens).
const (
	SlackBotToken = "xoxb-"
	SlackAppToken = "xapp-"
)

// checkSecret says what is wrong with the content of a file that holds a secret.
func (k pathKind) checkSecret(file []byte) string {
	var err error
	switch k {
	case slackBot:
		_, err = SlackToken(SlackBotToken, file)
	case slackApp:
		_, err = SlackToken(SlackAppToken, file)
	case hookSecret:
		_, err = webhook.CheckSecret(secret.New(string(file)))
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

package server

import (
	"context"
	"fmt"
	"net/url"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/approvals/slack"
	"github.com/sallyport/sallyport/approvals/webhook"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/internal/privatefile"
	"github.com/sallyport/sallyport/internal/secret"
)

// notify tells people of approvals outside of NATS, where that is configured. What it
// tells, and whether that arrives, decides about no request.
func (s *Server) notify(ctx context.Context, b *approvals.Broker) error {
	c := s.opts.Config.Approvals
	if !c.Slack.On() && len(c.Webhooks) == 0 {
		return nil
	}
	told := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sallyport_notifications_total",
		Help: "Tries to tell of an approval, by who was told (slack, webhook-0, ...) and what became of it: delivered, retried or dropped."}, []string{"to", "result"})
	s.registry.MustRegister(told)
	count := func(to string) func(string) {
		for _, result := range []string{approvals.Delivered, approvals.Retried, approvals.Dropped} {
			told.WithLabelValues(to, result)
		}
		return func(result string) { told.WithLabelValues(to, result).Inc() }
	}
	var runs []func(context.Context)
	if c.Slack.On() {
		n, err := s.slack(ctx, b, count(bus.SlackDurable))
		if err != nil {
			return err
		}
		s.onStop("Slack's codes", func(context.Context) error { n.Close(); return nil })
		runs = append(runs, n.Run)
	}
	for i, w := range c.Webhooks {
		name := bus.WebhookDurable(i)
		h, err := newWebhook(w, s.opts)
		if err != nil {
			return fmt.Errorf("approvals.webhooks[%d]: %w", i, err)
		}
		f := approvals.Feed{Name: name, OutcomeFor: webhook.OutcomeFor, Deliver: h.Deliver, Count: count(name)}
		runs = append(runs, func(ctx context.Context) { b.Notify(ctx, f) })
		if u, err := url.Parse(w.URL); err == nil {
			s.opts.Log.InfoContext(ctx, "a webhook is told of approvals", "feed", name, "host", u.Host) // the rest of the URL may be secret
		}
	}
	run, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	for _, f := range runs {
		wait.Go(func() { f(run) })
	}
	s.onStop("notifications of approvals", func(context.Context) error { cancel(); wait.Wait(); return nil })
	return nil
}

func (s *Server) slack(ctx context.Context, b *approvals.Broker, count func(string)) (*slack.Notifier, error) {
	c := s.opts.Config.Approvals.Slack
	bot, err := slackToken("bot", c.BotTokenFile, config.SlackBotToken)
	if err != nil {
		return nil, err
	}
	app, err := slackToken("app", c.AppTokenFile, config.SlackAppToken)
	if err != nil {
		return nil, err
	}
	return slack.New(ctx, slack.Options{Broker: b, Consumer: bus.SlackDurable, BotToken: bot, AppToken: app, Channel: c.Channel, LinkFor: c.LinkFor,
		APIURL: s.opts.SlackAPI, Count: count, Now: s.opts.Now, Log: s.opts.Log})
}

func slackToken(what, path, prefix string) (secret.String, error) {
	file, err := privatefile.Read(path)
	if err != nil {
		return secret.String{}, fmt.Errorf("approvals.slack.%s_token_file: %w", what, err)
	}
	defer clear(file)
	token, err := config.SlackToken(prefix, file)
	if err != nil {
		return token, fmt.Errorf("approvals.slack.%s_token_file: %s %w", what, path, err)
	}
	return token, nil
}

func newWebhook(w config.Webhook, o Options) (*webhook.Hook, error) {
	file, err := privatefile.Read(w.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("secret_file: %w", err)
	}
	defer clear(file)
	return webhook.New(webhook.Options{URL: w.URL, Secret: secret.New(string(file)), Now: o.Now})
}

package slack

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/slack-go/slack"

	"github.com/sallyport/sallyport/approvals"
)

// passing are errors of Slack's Web API that are over after a while.
var passing = map[string]bool{
	"internal_error": true, "fatal_error": true, "service_unavailable": true, "request_timeout": true, "ratelimited": true, "rate_limited": true, "team_added_to_org": true,
}

// classify says whether trying again may help. What it makes of an error can be
// logged: it has Slack's code, and nothing of what was sent.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var limited *slack.RateLimitedError
	var status slack.StatusCodeError
	var refused slack.SlackErrorResponse
	switch {
	case errors.As(err, &limited):
		return &approvals.RetryError{After: limited.RetryAfter, Err: errors.New("slack: rate limited")}
	case errors.As(err, &status) && !status.Retryable(),
		errors.As(err, &refused) && !passing[refused.Err]:
		return fmt.Errorf("%w: slack: %s", approvals.ErrUndeliverable, cause(err))
	}
	return errors.New("slack: " + cause(err))
}

// cause is an error without the URL that was called: a socket's has a ticket in it.
func cause(err error) string {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Op + ": " + at.Err.Error()
	}
	return err.Error()
}

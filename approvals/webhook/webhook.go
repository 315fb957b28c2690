// Package webhook tells any HTTP server what waits for an approval and how it ended.
// Each delivery is the CloudEvent that is on NATS, with a line of plain text added,
// signed as Standard Webhooks 1.0 says
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
//
// It accepts https URLs, and http to this machine alone; it follows no redirects, and
// takes nothing from the answer but its status. A webhook cannot answer an approval.
package webhook

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/internal/secret"
)

// The bounds of a delivery.
const (
	deliverTime = 10 * time.Second // of one try, the answer included
	maxRetry    = 5 * time.Minute  // that a Retry-After can ask for
	// OutcomeFor is how long an outcome is worth telling.
	OutcomeFor = time.Hour
)

// Options make a Hook. URL and Secret are required.
type Options struct {
	URL    string
	Secret secret.String     // whsec_ and base64 of 24 to 64 bytes, see CheckSecret
	Now    func() time.Time  // nil: time.Now
	Base   http.RoundTripper // nil: one of its own, with the system's roots and HTTPS_PROXY
}

// Hook delivers to one URL. Use New.
type Hook struct {
	url    string
	signer *standardwebhooks.Webhook
	client *http.Client
	now    func() time.Time
}

// New makes a Hook. It connects to nothing.
func New(o Options) (*Hook, error) {
	if err := CheckURL(o.URL); err != nil {
		return nil, err
	}
	key, err := CheckSecret(o.Secret)
	if err != nil {
		return nil, err
	}
	signer, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		return nil, errors.New("the webhook's secret cannot be used")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Base == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost, t.MaxResponseHeaderBytes = 1, 64<<10
		o.Base = t
	}
	return &Hook{url: o.URL, signer: signer, now: o.Now, client: &http.Client{
		Transport: o.Base, Timeout: deliverTime,
		// Elsewhere is not where the operator sent it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// CheckURL says why a text is no URL for a webhook, without showing it: secrets stand
// in such URLs.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return errors.New("expected https://host/path")
	case u.User != nil:
		return errors.New("must not hold a user or a password; receivers know us by the signature")
	case u.Fragment != "":
		return errors.New("has a fragment, which is never sent")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errors.New("must be an https URL, as others could read what is asked; http is for this machine alone")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must be an https URL")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// CheckSecret gives the key of a secret (Standard Webhooks, "Symmetric": whsec_ and
// base64 of 24 to 64 random bytes). Its errors hold nothing of it.
func CheckSecret(s secret.String) ([]byte, error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(s.Reveal()), "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("a webhook's secret is whsec_ and base64 of 24 to 64 random bytes: echo whsec_$(head -c 32 /dev/urandom | base64)")
	}
	return key, nil
}

// Deliver is an approvals.Feed's Deliver: one try.
func (h *Hook) Deliver(ctx context.Context, m approvals.Message) error {
	body, err := payload(m)
	if err != nil {
		return fmt.Errorf("%w: %w", approvals.ErrUndeliverable, err)
	}
	now := h.now()
	signature, err := h.signer.Sign(m.ID, now, body)
	if err != nil {
		return fmt.Errorf("%w: it could not be signed", approvals.ErrUndeliverable)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: its URL cannot be used", approvals.ErrUndeliverable)
	}
	req.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	req.Header.Set("User-Agent", "sallyport")
	req.Header.Set(standardwebhooks.HeaderWebhookID, m.ID) // the same each time: receivers tell repetitions by it
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	resp, err := h.client.Do(req)
	if err != nil {
		return errors.New("the webhook: " + cause(err))
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 16<<10)) // so that the connection can be used again
	return h.judge(resp)
}

// judge says what an answer means. Standard Webhooks: 2xx is delivered, 410 is to stop,
// and all others are to be tried again.
func (h *Hook) judge(resp *http.Response) error {
	err := fmt.Errorf("the webhook answered %d", resp.StatusCode)
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode <= 299:
		return nil
	case resp.StatusCode == http.StatusGone:
		return fmt.Errorf("%w: %w", approvals.ErrUndeliverable, err)
	}
	if after, bad := strconv.Atoi(resp.Header.Get("Retry-After")); bad == nil && after > 0 {
		return &approvals.RetryError{After: min(time.Duration(min(after, 1<<20))*time.Second, maxRetry), Err: err}
	}
	return err
}

// payload is the CloudEvent with one more attribute (CloudEvents 1.0, "Extension
// Context Attributes"): summary.
func payload(m approvals.Message) ([]byte, error) {
	var event map[string]json.RawMessage
	if err := json.Unmarshal(m.Event, &event); err != nil || event == nil {
		return nil, errors.New("the event is malformed")
	}
	line, err := json.Marshal(m.Line())
	if err != nil {
		return nil, errors.New("the event cannot be told in a line")
	}
	event["summary"] = line
	return json.Marshal(event)
}

// cause is an error without the URL, in which a secret may stand.
func cause(err error) string {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

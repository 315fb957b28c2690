package launch

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/secret"
)

// DeviceLogin has a person log in, in a browser on whatever device, by the OAuth 2.0
// device authorization grant (RFC 8628), and gives their ID token. Nothing listens here
// and no browser is started, so that it works over ssh. Each Token is a new login.
type DeviceLogin struct {
	Issuer string
	CAFile string   // PEM roots of a private provider
	ID     string   // of a public client that may use the grant: the token's audience
	Scopes []string // nil: openid, email and profile
	// Prompt tells the person where to go and which code to enter there. Both texts are
	// the provider's.
	Prompt func(uri, code string)
}

// maxInterval is how long the provider may have us wait between two questions.
const maxInterval = time.Minute

// Token implements TokenSource.
func (d DeviceLogin) Token(ctx context.Context) (secret.String, time.Time, error) {
	var none secret.String
	client, err := identity.NewClient(d.CAFile)
	if err != nil {
		return none, time.Time{}, fmt.Errorf("log in: %w", err)
	}
	defer client.CloseIdleConnections()
	meta, err := identity.Discover(ctx, client, d.Issuer)
	if err != nil {
		return none, time.Time{}, fmt.Errorf("log in: %w", err)
	}
	if meta.DeviceEndpoint == "" || meta.TokenEndpoint == "" {
		return none, time.Time{}, fmt.Errorf("log in: %s offers no device authorization (RFC 8628); get a token in another way, and give it with --token-file", d.Issuer)
	}
	if !httpsPage(meta.DeviceEndpoint) {
		return none, time.Time{}, errors.New("log in: the device authorization endpoint is not an https URL")
	}
	config := oauth2.Config{ClientID: d.ID, Scopes: d.Scopes,
		Endpoint: oauth2.Endpoint{DeviceAuthURL: meta.DeviceEndpoint, TokenURL: meta.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams}}
	if config.Scopes == nil {
		config.Scopes = []string{"openid", "email", "profile"}
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, client)
	device, err := config.DeviceAuth(ctx)
	if err != nil {
		return none, time.Time{}, notLoggedIn(ctx, err)
	}
	if !httpsPage(device.VerificationURI) || device.UserCode == "" || device.DeviceCode == "" {
		return none, time.Time{}, errors.New("log in: the provider names no https page and code")
	}
	device.Interval = min(max(device.Interval, 0), int64(maxInterval/time.Second))
	d.Prompt(device.VerificationURI, device.UserCode)
	got, err := config.DeviceAccessToken(ctx, device)
	if err != nil {
		return none, time.Time{}, notLoggedIn(ctx, err)
	}
	id, _ := got.Extra("id_token").(string)
	if id == "" {
		return none, time.Time{}, errors.New("log in: the provider gave no ID token; ask for the scope openid")
	}
	return fromText(id)
}

func httpsPage(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != ""
}

// notLoggedIn is an error without the provider's whole answer, which oauth2's text holds.
func notLoggedIn(ctx context.Context, err error) error {
	var refused *oauth2.RetrieveError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("log in: nobody entered the code in time")
	case errors.As(err, &refused) && refused.ErrorCode == "access_denied":
		return errors.New("log in: it was refused there")
	case errors.As(err, &refused) && refused.ErrorCode == "expired_token":
		return errors.New("log in: nobody entered the code in time")
	case errors.As(err, &refused) && refused.Response != nil:
		return fmt.Errorf("log in: the provider answered %d (%+.80q)", refused.Response.StatusCode, refused.ErrorCode)
	}
	return errors.New("log in: the provider could not be asked, or its answer is not understood")
}

package gateway_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/oidctest"
)

func TestConnectWithoutToken(t *testing.T) {
	r := newRig(t, rigOptions{})
	for name, header := range map[string][]string{
		"none":           nil,
		"empty password": {"Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("a:"))},
		"no colon":       {"Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("a"))},
		"two":            {basic(r.token()), basic(r.token())},
		"other scheme":   {"Proxy-Authorization: Digest x"},
	} {
		resp, _, _ := r.connect(t, s3Host+":443", header...)
		if resp.StatusCode != http.StatusProxyAuthRequired || !strings.HasPrefix(resp.Header.Get("Proxy-Authenticate"), "Basic ") {
			t.Errorf("%s: %s %v", name, resp.Status, resp.Header)
		}
	}
	list := r.stored(t, "sallyport.events.none.>")
	if len(list) != 5 {
		t.Fatalf("%v on record, want 5 refusals", kinds(list))
	}
	if d := list[0].Data.(*event.Refused); d.Status != http.StatusProxyAuthRequired || d.Host != s3Host || d.SourceIPAddress != "127.0.0.1" {
		t.Errorf("%+v", d)
	}
	r.nothingSent(t)
}

// A token that is wrong gets a tunnel, and a refusal inside it that the client's
// SDK can show.
func TestBadTokens(t *testing.T) {
	r := newRig(t, rigOptions{})
	other, err := oidctest.New()
	must(t, err)
	defer other.Close()
	claims := r.claims()
	good := r.idp.Token(claims)
	cut := strings.LastIndexByte(good, '.')
	for name, token := range map[string]string{
		"garbage":           "not-a-token",
		"placeholder":       placeholderSecret,
		"wrong audience":    r.idp.Token(oidctest.With(claims, map[string]any{"aud": "another-service"})),
		"no audience":       r.idp.Token(oidctest.With(claims, map[string]any{"aud": nil})),
		"expired":           r.idp.Token(oidctest.With(claims, map[string]any{"exp": r.clock.now().Add(-2 * time.Minute).Unix()})),
		"not yet valid":     r.idp.Token(oidctest.With(claims, map[string]any{"nbf": r.clock.now().Add(5 * time.Minute).Unix()})),
		"too old":           r.idp.Token(oidctest.With(claims, map[string]any{"iat": r.clock.now().Add(-2 * time.Hour).Unix()})),
		"no subject":        r.idp.Token(oidctest.With(claims, map[string]any{"sub": nil})),
		"other issuer":      other.Token(other.Claims("agent-1", audience, r.clock.now())),
		"other's key":       other.Token(claims),
		"alg none":          r.idp.Sign(oidctest.Token{Alg: "none", Claims: claims}),
		"HS256 of root":     r.idp.Sign(oidctest.Token{Alg: "HS256", Key: r.idp.RootPEM(), Claims: claims}),
		"signature cut off": good[:cut+1],
		"signature changed": good[:cut+1] + strings.Repeat("A", len(good)-cut-1),
	} {
		t.Run(name, func(t *testing.T) {
			a := r.tunnel(t, dynamoHost, token).getItem(t)
			refused(t, a, http.StatusForbidden, "identity")
			if !strings.Contains(string(a.body), `"message":"sallyport: `) || a.Header.Get("X-Amzn-Errortype") == "" {
				t.Errorf("not DynamoDB's shape: %s", a.body)
			}
			d := data[*event.Refused](t, r.unidentified(t))
			if d.ErrorCode != "identity" || d.UserIdentity.Subject != "" || d.UserIdentity.Label != label || d.SessionID != "" {
				t.Errorf("%+v", d)
			}
			if len(token) > 20 && strings.Contains(string(a.body)+r.log.String(), token) {
				t.Error("the token is in the answer or the log")
			}
		})
	}
	if n := len(other.Requests()); n > 0 {
		t.Errorf("an issuer that only a token names was asked %d times", n)
	}
	r.nothingSent(t)
}

// unidentified is the last refusal without an identity.
func (r *rig) unidentified(t *testing.T) []event.Event {
	t.Helper()
	list := r.follow(t, "sallyport.events.none.>", func(event.Event) bool { return true })
	return list[len(list)-1:]
}

// A tunnel outlives its token; its requests do not.
func TestTokenExpiresInsideTheTunnel(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := r.tunnel(t, dynamoHost, r.idp.Token(oidctest.With(r.claims(), map[string]any{
		"groups": []string{"ai-agents"}, "exp": r.clock.now().Add(3 * time.Minute).Unix(),
	})))
	passed(t, c.getItem(t), http.StatusOK)
	r.clock.advance(2 * time.Minute)
	passed(t, c.getItem(t), http.StatusOK)
	r.aws.Forget()
	r.clock.advance(3 * time.Minute) // past the minute of leeway
	a := c.getItem(t)
	refused(t, a, http.StatusForbidden, "identity")
	if !strings.Contains(string(a.body), "expired") {
		t.Errorf("%s", a.body)
	}
	r.nothingSent(t)
	r.clock.advance(-5 * time.Minute) // it is not the tunnel that was wrong
	passed(t, c.getItem(t), http.StatusOK)
}

func TestGroupsDecide(t *testing.T) {
	r := newRig(t, rigOptions{})
	for name, token := range map[string]string{
		"no group":      r.tokenOf("agent-2"),
		"another group": r.tokenOf("agent-2", "humans"),
		"a prefix":      r.tokenOf("agent-2", "ai-agents-2", "ai"),
	} {
		a := r.tunnel(t, dynamoHost, token).getItem(t)
		refused(t, a, http.StatusForbidden, "denied")
		list := r.wantKinds(t, a.id(), event.KindRequest, event.KindDecision)
		if d := data[*event.Decision](t, list); d.Effect != "deny" || d.ErrorCode != "denied" || d.UserIdentity.Subject != "agent-2" {
			t.Errorf("%s: %+v", name, d)
		}
	}
	r.nothingSent(t)
}

// The IdP is away: unknown keys are no keys.
func TestIssuerAway(t *testing.T) {
	r := newRig(t, rigOptions{})
	token := r.token()
	r.idp.Stop()
	a := r.tunnel(t, dynamoHost, token).getItem(t)
	refused(t, a, http.StatusServiceUnavailable, "unavailable")
	r.nothingSent(t)
	must(t, r.idp.Start())
	r.clock.advance(2 * time.Minute) // the pause between two tries
	passed(t, r.tunnel(t, dynamoHost, token).getItem(t), http.StatusOK)
	// Known keys go on working; unknown ones do not.
	r.idp.Stop()
	passed(t, r.tunnel(t, dynamoHost, r.tokenOf("agent-9", "ai-agents")).getItem(t), http.StatusOK)
	r.aws.Forget()
	must(t, r.idp.Rotate())
	a = r.tunnel(t, dynamoHost, r.token()).getItem(t)
	if a.StatusCode != http.StatusServiceUnavailable && a.StatusCode != http.StatusForbidden {
		t.Errorf("a token of unknown keys got %d", a.StatusCode)
	}
	r.nothingSent(t)
}

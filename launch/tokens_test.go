package launch

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/oidctest"
	"github.com/sallyport/sallyport/internal/secret"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func jwtUntil(exp time.Time, id string) string {
	claims := fmt.Sprintf(`{"exp":%d,"jti":%q}`, exp.Unix(), id)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// scripted is a source under the test's control.
type scripted struct {
	mu  sync.Mutex
	now time.Time
	ttl time.Duration
	n   int
	err error
}

func (s *scripted) Token(context.Context) (secret.String, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.err != nil {
		return secret.String{}, time.Time{}, s.err
	}
	return fromText(jwtUntil(s.now.Add(s.ttl), fmt.Sprint(s.n)))
}

func (s *scripted) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *scripted) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func TestCached(t *testing.T) {
	s := &scripted{now: t0, ttl: 100 * time.Second}
	c := Cached(s, s.clock)
	get := func() (secret.String, error) {
		token, _, err := c.Token(context.Background())
		return token, err
	}
	at := func(d time.Duration) { s.set(func() { s.now = t0.Add(d) }) }
	first, err := get()
	if err != nil {
		t.Fatal(err)
	}
	at(79 * time.Second)
	if again, _ := get(); again.Reveal() != first.Reveal() || s.n != 1 {
		t.Errorf("renewed before 80 %% of its life (%d fetches)", s.n)
	}
	s.set(func() { s.err = errors.New("away") })
	at(80 * time.Second)
	if again, err := get(); err != nil || again.Reveal() != first.Reveal() || s.n != 2 {
		t.Errorf("the provider is away, the token still holds: %v, %d fetches", err, s.n)
	}
	at(85 * time.Second)
	if _, err := get(); err != nil || s.n != 2 {
		t.Errorf("asked again too soon: %d fetches, %v", s.n, err)
	}
	at(100 * time.Second)
	if _, err := get(); err == nil {
		t.Error("an expired token was given out while the provider is away")
	}
	s.set(func() { s.err = nil })
	if again, err := get(); err != nil || again.Reveal() == first.Reveal() {
		t.Errorf("not renewed: %v", err)
	}
}

func TestCachedFetchesOnceForMany(t *testing.T) {
	s := &scripted{now: t0, ttl: time.Hour}
	c := Cached(s, s.clock)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, _, err := c.Token(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s.n != 1 {
		t.Errorf("%d fetches", s.n)
	}
}

func TestFileAndEnvTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	for _, id := range []string{"1", "2"} { // replaced from outside
		want := jwtUntil(t0, id)
		if err := os.WriteFile(file, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		token, expires, err := FileTokens(file).Token(context.Background())
		if err != nil || token.Reveal() != want || !expires.Equal(t0) {
			t.Errorf("%v %v", expires, err)
		}
		t.Setenv("SALLYPORT_TEST_TOKEN", want)
		if token, _, err := EnvTokens("SALLYPORT_TEST_TOKEN").Token(context.Background()); err != nil || token.Reveal() != want {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "hunter2-opaque", "a.b.c", "e30.e30.c2ln", "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":1e99}`)) + ".x"} {
		_ = os.WriteFile(file, []byte(bad), 0o600)
		if _, _, err := FileTokens(file).Token(context.Background()); err == nil || (bad != "" && strings.Contains(err.Error(), bad)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, _, err := FileTokens(file + ".none").Token(context.Background()); err == nil {
		t.Error("no file, no error")
	}
	if _, _, err := EnvTokens("SALLYPORT_TEST_UNSET").Token(context.Background()); err == nil {
		t.Error("no variable, no error")
	}
}

func TestTrialTokens(t *testing.T) {
	trial, err := identity.OpenTrial(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return t0 }
	token, expires, err := TrialTokens{Trial: trial, Subject: "me", TTL: 10 * time.Minute, Now: now}.Token(context.Background())
	if err != nil || !expires.Equal(t0.Add(10*time.Minute)) {
		t.Fatalf("%v %v", expires, err)
	}
	v, err := identity.NewVerifier([]identity.IssuerConfig{trial.IssuerConfig()}, identity.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(context.Background(), token); err != nil {
		t.Error(err)
	}
}

func TestGitHubTokens(t *testing.T) {
	want := jwtUntil(t0, "gh")
	status := 200
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer request-token" || r.URL.Query().Get("audience") != "sallyport" || r.URL.Query().Get("api-version") != "2" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"count":1,"value":%q}`, want)
	}))
	defer s.Close()
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", s.URL+"/token?api-version=2")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token")
	g, err := GitHubTokensFromEnv("sallyport")
	if err != nil {
		t.Fatal(err)
	}
	g.Client = s.Client()
	if token, _, err := g.Token(context.Background()); err != nil || token.Reveal() != want {
		t.Error(err)
	}
	status = 403
	if _, _, err := g.Token(context.Background()); err == nil || strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "request-token") {
		t.Errorf("%v", err)
	}
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the request token was sent over http")
	}))
	defer plain.Close()
	g.RequestURL = plain.URL
	if _, _, err := g.Token(context.Background()); err == nil {
		t.Error("http was accepted")
	}
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "")
	if _, err := GitHubTokensFromEnv("sallyport"); err == nil || !strings.Contains(err.Error(), "id-token: write") {
		t.Errorf("%v", err)
	}
}

func TestClientCredentials(t *testing.T) {
	is, err := oidctest.New()
	if err != nil {
		t.Fatal(err)
	}
	defer is.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, is.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	good := ClientCredentials{Issuer: is.URL, CAFile: ca, ID: is.ClientID, Secret: secret.New(is.ClientSecret), Audience: "sallyport"}
	v, err := identity.NewVerifier([]identity.IssuerConfig{{Issuer: is.URL, Audience: "sallyport", CAFile: ca}}, identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	byURL := good
	byURL.Issuer, byURL.TokenURL = "", is.URL+oidctest.TokenPath
	for name, c := range map[string]ClientCredentials{"discovery": good, "token URL": byURL} {
		token, expires, err := c.Token(context.Background())
		if err != nil || !expires.After(time.Now()) {
			t.Fatalf("%s: %v %v", name, expires, err)
		}
		if p, err := v.Verify(context.Background(), token); err != nil || p.Subject != "client:agent" {
			t.Errorf("%s: %v %v", name, p, err)
		}
	}
	for name, edit := range map[string]func(*ClientCredentials){
		"wrong secret": func(c *ClientCredentials) { c.Secret = secret.New("not-the-secret") },
		"plain http":   func(c *ClientCredentials) { c.TokenURL = "http://127.0.0.1:1/token" },
		"untrusted":    func(c *ClientCredentials) { c.CAFile = "" },
		"other issuer": func(c *ClientCredentials) { c.Issuer += "/other" },
	} {
		c := good
		edit(&c)
		if _, _, err := c.Token(context.Background()); err == nil || strings.Contains(err.Error(), "secret\"") || strings.Contains(err.Error(), c.Secret.Reveal()) {
			t.Errorf("%s: %v", name, err)
		} else if name == "wrong secret" && !strings.Contains(err.Error(), "401") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A person logs in on another device: what comes is their ID token, for the client.
func TestDeviceLogin(t *testing.T) {
	is, err := oidctest.New()
	if err != nil {
		t.Fatal(err)
	}
	defer is.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, is.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	is.Person = func(client string) map[string]any {
		return oidctest.With(is.Claims("ann", client, time.Now()), map[string]any{"name": "Ann"})
	}
	var told []string
	d := DeviceLogin{Issuer: is.URL, CAFile: ca, ID: "approvers", Prompt: func(uri, code string) { told = append(told, uri, code) }}
	v, err := identity.NewVerifier([]identity.IssuerConfig{{Issuer: is.URL, Audience: "approvers", CAFile: ca}}, identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	token, expires, err := d.Token(t.Context())
	if err != nil || !expires.After(time.Now()) || len(told) != 2 || told[0] != is.URL+"/activate" || told[1] != "WDJB-MJHT" {
		t.Fatalf("%v %v %q", expires, err, told)
	}
	if p, err := v.Verify(t.Context(), token); err != nil || p.Subject != "ann" || !p.Person {
		t.Errorf("%+v %v", p, err)
	}
	is.Person = func(string) map[string]any { return nil }
	if _, _, err := d.Token(t.Context()); err == nil || err.Error() != "log in: it was refused there" {
		t.Errorf("refused: %v", err)
	}
	for name, c := range map[string]struct {
		edit func(*DeviceLogin)
		want string
	}{
		"no openid": {func(d *DeviceLogin) { d.Scopes = []string{"email"} }, "invalid_request"},
		"untrusted": {func(d *DeviceLogin) { d.CAFile = "" }, "discovery"},
		"no grant":  {func(*DeviceLogin) { is.SetDiscovery("device_authorization_endpoint", nil) }, "offers no device authorization"},
		"http":      {func(*DeviceLogin) { is.SetDiscovery("device_authorization_endpoint", "http://127.0.0.1:1/") }, "not an https URL"},
	} {
		bad := d
		bad.Prompt = func(string, string) { t.Errorf("%s: somebody was asked", name) }
		c.edit(&bad)
		if _, _, err := bad.Token(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret words") {
			t.Errorf("%s: %v", name, err)
		}
		is.SetDiscovery("device_authorization_endpoint", is.URL+oidctest.DevicePath)
	}
	is.Person = nil
	ctx, cancel := context.WithCancel(t.Context())
	d.Prompt = func(string, string) { cancel() }
	if _, _, err := d.Token(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v", err)
	}
}

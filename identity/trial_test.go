package identity_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/refusal"
)

func TestTrial(t *testing.T) {
	dir := t.TempDir()
	clk := newClock()
	trial, err := identity.OpenTrial(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "keys", "trial-issuer.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("key file: %v %v", info.Mode(), err)
	}
	v, err := identity.NewVerifier([]identity.IssuerConfig{trial.IssuerConfig()}, identity.Options{Now: clk.now})
	if err != nil {
		t.Fatal(err)
	}
	token, err := trial.Token("me", []string{"ai-agents"}, "", 0, clk.now())
	if err != nil {
		t.Fatal(err)
	}
	p, err := v.Verify(context.Background(), token)
	if err != nil {
		t.Fatal(err)
	}
	if p.Subject != "me" || p.Issuer != identity.TrialIssuer || !slices.Equal(p.Groups, []string{"ai-agents"}) ||
		!p.Expires.Equal(clk.now().Add(time.Hour)) || len(p.TokenID) != 26 {
		t.Errorf("%+v", p)
	}

	same, err := identity.OpenTrial(dir)
	if err != nil {
		t.Fatal(err)
	}
	token, _ = same.Token("me", nil, "", time.Minute, clk.now())
	if _, err := v.Verify(context.Background(), token); err != nil {
		t.Errorf("the reopened issuer is another: %v", err)
	}
	clk.add(2*time.Minute + time.Second)
	if _, err := v.Verify(context.Background(), token); refusal.Of(err).Reason != refusal.Identity {
		t.Errorf("expired: %v", err)
	}
	approver, _ := same.Token("me", nil, identity.ApproverAudience, 0, clk.now())
	if _, err := v.Verify(context.Background(), approver); refusal.Of(err).Reason != refusal.Identity {
		t.Errorf("an approver's token passed as an agent's: %v", err)
	}
	stranger, err := identity.OpenTrial(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	forged, _ := stranger.Token("me", nil, "", 0, clk.now())
	if _, err := v.Verify(context.Background(), forged); refusal.Of(err).Reason != refusal.Identity {
		t.Errorf("another key's token passed: %v", err)
	}

	for name, mint := range map[string]func() error{
		"two hours":   func() error { _, err := trial.Token("me", nil, "", 2*time.Hour, clk.now()); return err },
		"negative":    func() error { _, err := trial.Token("me", nil, "", -1, clk.now()); return err },
		"no subject":  func() error { _, err := trial.Token("", nil, "", 0, clk.now()); return err },
		"bad subject": func() error { _, err := trial.Token("a\n", nil, "", 0, clk.now()); return err },
		"bad group":   func() error { _, err := trial.Token("a", []string{"g\u200b"}, "", 0, clk.now()); return err },
		"zero":        func() error { _, err := new(identity.Trial).Token("a", nil, "", 0, clk.now()); return err },
	} {
		if mint() == nil {
			t.Errorf("%s: a token was made", name)
		}
	}
}

func TestTrialKeyRefused(t *testing.T) {
	for want, spoil := range map[string]func(path string) error{
		"chmod 600":  func(path string) error { return os.Chmod(path, 0o640) },
		"no PEM key": func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
		"plain file": func(path string) error {
			if err := os.Rename(path, path+".real"); err != nil {
				return err
			}
			return os.Symlink(path+".real", path)
		},
	} {
		dir := t.TempDir()
		if _, err := identity.OpenTrial(dir); err != nil {
			t.Fatal(err)
		}
		if err := spoil(filepath.Join(dir, "keys", "trial-issuer.key")); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.OpenTrial(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// Processes that start together must end up with one key.
func TestTrialOpenedTogether(t *testing.T) {
	dir, clk := t.TempDir(), newClock()
	trials := make([]*identity.Trial, 8)
	var wg sync.WaitGroup
	for i := range trials {
		wg.Go(func() {
			var err error
			if trials[i], err = identity.OpenTrial(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	v, err := identity.NewVerifier([]identity.IssuerConfig{trials[0].IssuerConfig()}, identity.Options{Now: clk.now})
	if err != nil {
		t.Fatal(err)
	}
	for i, trial := range trials {
		token, _ := trial.Token("me", nil, "", 0, clk.now())
		if _, err := v.Verify(context.Background(), token); err != nil {
			t.Errorf("%d has another key", i)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "keys", "*")); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
}

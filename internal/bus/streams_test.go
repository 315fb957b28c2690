package bus

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// plain is an external NATS server without users, whose administrator is the test.
func plain(t *testing.T) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	ns, err := server.NewServer(&server.Options{JetStream: true, StoreDir: t.TempDir(), Port: server.RANDOM_PORT, Host: "127.0.0.1", NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	nc, err := nats.Connect("", nats.InProcessServer(ns))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

func TestEnsureStreamsMakesAndAccepts(t *testing.T) {
	nc, js := plain(t)
	for range 2 { // the second finds what the first made
		if err := EnsureStreams(t.Context(), nc, StreamOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := js.Stream(t.Context(), EventsStream)
	if err != nil {
		t.Fatal(err)
	}
	if c := s.CachedInfo().Config; c.Discard != jetstream.DiscardNew || !c.DenyDelete || !c.DenyPurge || c.AllowRollup || c.Storage != jetstream.FileStorage {
		t.Errorf("%+v", c)
	}
	if err := s.Purge(context.WithoutCancel(t.Context())); err == nil {
		t.Error("the stream can be purged")
	}
}

// A stream that could lose or rewrite events is refused, not used and not changed.
func TestEnsureStreamsRefusesForeignSettings(t *testing.T) {
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"memory storage":  func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"discard old":     func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld; c.MaxMsgs = 10 },
		"may be purged":   func(c *jetstream.StreamConfig) { c.DenyPurge = false },
		"may be deleted":  func(c *jetstream.StreamConfig) { c.DenyDelete = false },
		"roll-up":         func(c *jetstream.StreamConfig) { c.AllowRollup = true; c.DenyPurge = false },
		"max age":         func(c *jetstream.StreamConfig) { c.MaxAge = 1e12 },
		"other subjects":  func(c *jetstream.StreamConfig) { c.Subjects = []string{"sallyport.events.none.>"} },
		"more subjects":   func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "other.>") },
		"work queue":      func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
		"one per subject": func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			nc, js := plain(t)
			c := eventsConfig(StreamOptions{Prefix: "sallyport"})
			change(&c)
			if _, err := js.CreateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if err := EnsureStreams(t.Context(), nc, StreamOptions{}); err == nil || !strings.Contains(err.Error(), "could lose events") {
				t.Errorf("accepted, or refused for another reason: %v", err)
			}
		})
	}
}

// Behind a gateway's file the stream of events need not sync each message, and one of
// an earlier version, which does, goes on. What approvals are kept in always syncs.
func TestOnlyEventsAreAcknowledgedEarly(t *testing.T) {
	nc, js := plain(t)
	o := StreamOptions{Async: true}
	for range 2 {
		if err := EnsureStreams(t.Context(), nc, o); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]jetstream.PersistModeType{EventsStream: jetstream.AsyncPersistMode, ApprovalsStream: jetstream.DefaultPersistMode, "KV_" + PendingBucket: jetstream.DefaultPersistMode} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CachedInfo().Config.PersistMode; got != want {
			t.Errorf("stream %s has persist mode %s, want %s", name, got, want)
		}
	}
	if early, err := AcknowledgesEarly(t.Context(), nc); err != nil || !early {
		t.Error(early, err)
	}
	nc, _ = plain(t)
	for _, o := range []StreamOptions{{}, {Async: true}} { // made by an earlier version, then found
		if err := EnsureStreams(t.Context(), nc, o); err != nil {
			t.Fatal(err)
		}
	}
	if early, err := AcknowledgesEarly(t.Context(), nc); err != nil || early {
		t.Error(early, err)
	}
}

// The stream of approvals and the bucket are held to their settings, too.
func TestEnsureStreamsChecksApprovals(t *testing.T) {
	for name, c := range map[string]func() jetstream.StreamConfig{
		"approvals that may be purged": func() jetstream.StreamConfig {
			c := approvalsConfig(StreamOptions{Prefix: "sallyport"})
			c.DenyPurge = false
			return c
		},
		"state with a history": func() jetstream.StreamConfig {
			c := pendingConfig(StreamOptions{})
			c.MaxMsgsPerSubject = 5
			return c
		},
		"state that is forgotten soon": func() jetstream.StreamConfig {
			c := pendingConfig(StreamOptions{})
			c.MaxAge = pendingAge / 100
			return c
		},
		"revocations that end by themselves": func() jetstream.StreamConfig {
			c := revokedConfig(StreamOptions{})
			c.MaxAge = pendingAge
			return c
		},
		"revocations in memory": func() jetstream.StreamConfig {
			c := revokedConfig(StreamOptions{})
			c.Storage = jetstream.MemoryStorage
			return c
		},
		"state in memory": func() jetstream.StreamConfig {
			c := pendingConfig(StreamOptions{})
			c.Storage = jetstream.MemoryStorage
			return c
		},
		"state that is acknowledged early": func() jetstream.StreamConfig {
			c := pendingConfig(StreamOptions{})
			c.PersistMode = jetstream.AsyncPersistMode
			return c
		},
		"approvals that are acknowledged early": func() jetstream.StreamConfig {
			c := approvalsConfig(StreamOptions{Prefix: "sallyport"})
			c.PersistMode = jetstream.AsyncPersistMode
			return c
		},
		"state of other subjects": func() jetstream.StreamConfig {
			c := pendingConfig(StreamOptions{})
			c.Subjects = []string{"other.>"}
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			nc, js := plain(t)
			if _, err := js.CreateStream(t.Context(), c()); err != nil {
				t.Fatal(err)
			}
			if err := EnsureStreams(t.Context(), nc, StreamOptions{}); err == nil || !strings.Contains(err.Error(), "could lose") {
				t.Errorf("accepted, or refused for another reason: %v", err)
			}
		})
	}
}

// Another stream that takes our subjects away is an error too.
func TestEnsureStreamsRefusesAnOverlap(t *testing.T) {
	nc, js := plain(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ROGUE", Subjects: []string{"sallyport.>"}}); err != nil {
		t.Fatal(err)
	}
	if err := EnsureStreams(t.Context(), nc, StreamOptions{}); err == nil {
		t.Error("a stream that overlaps ours was accepted")
	}
}

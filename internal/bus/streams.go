package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
)

// dedupeWindow is how long the server remembers event ids. It shows a repeated id as
// an error, and keeps out what a gateway publishes again after a crash; what comes
// again later than that is in the stream twice, and recorders leave it out.
const dedupeWindow = 2 * time.Minute

// StreamOptions are what of the streams is configurable.
type StreamOptions struct {
	Prefix   string // subject prefix; "" is sallyport
	Replicas int    // 0 is 1
	// Async makes the stream of events one that acknowledges before it has synced,
	// because gateways have events in a file of their own. Only for the embedded server,
	// whose sync interval is SyncInterval. The other streams sync always.
	Async bool
}

// EnsureStreams makes the streams of events and of approvals and the buckets of
// pending approvals and of revocations, or checks those that are there. One with other
// settings is an error and stays as it is: it may be somebody else's, and changing it
// needs a decision. The gateway's own user may look but not make; on an external server
// whoever administers it makes them.
func EnsureStreams(ctx context.Context, nc *nats.Conn, o StreamOptions) error {
	if o.Prefix == "" {
		o.Prefix = "sallyport"
	}
	if err := event.ValidPrefix(o.Prefix); err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("JetStream: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for _, s := range []struct {
		want  jetstream.StreamConfig
		check func(have, want jetstream.StreamConfig) error
	}{{eventsConfig(o), checkStream}, {approvalsConfig(o), checkStream}, {pendingConfig(o), checkPending}, {revokedConfig(o), checkRevoked}} {
		stream, err := js.Stream(ctx, s.want.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			if stream, err = js.CreateStream(ctx, s.want); err != nil {
				return fmt.Errorf("make stream %s (on an external NATS, let its administrator make it): %w", s.want.Name, err)
			}
		}
		if err != nil {
			return fmt.Errorf("look at stream %s: %w", s.want.Name, err)
		}
		if err := s.check(stream.CachedInfo().Config, s.want); err != nil {
			return err
		}
	}
	return nil
}

// AcknowledgesEarly reports that the server acknowledges events before they are on its
// disk, where they are SyncInterval later.
func AcknowledgesEarly(ctx context.Context, nc *nats.Conn) (bool, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return false, fmt.Errorf("JetStream: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	stream, err := js.Stream(ctx, EventsStream)
	if err != nil {
		return false, fmt.Errorf("look at stream %s: %w", EventsStream, err)
	}
	return stream.CachedInfo().Config.PersistMode == jetstream.AsyncPersistMode, nil
}

func eventsConfig(o StreamOptions) jetstream.StreamConfig {
	c := appendOnly(o, EventsStream, "Sallyport events: append only", o.Prefix+".events.>")
	if o.Async {
		c.PersistMode = jetstream.AsyncPersistMode
	}
	return c
}

func approvalsConfig(o StreamOptions) jetstream.StreamConfig {
	return appendOnly(o, ApprovalsStream, "Sallyport approvals: what waits, and how it ended",
		o.Prefix+".approvals.pending.*", o.Prefix+".approvals.outcome.*")
}

func appendOnly(o StreamOptions, name, description string, subjects ...string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        name,
		Description: description,
		Subjects:    subjects,
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew, // full means refused, never the oldest forgotten
		MaxMsgs:     -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1,
		Replicas:   max(o.Replicas, 1),
		Duplicates: dedupeWindow,
		DenyDelete: true, DenyPurge: true,
	}
}

// pendingConfig is the stream of a key-value bucket as nats.go makes one (ADR-8 of
// NATS), so that every replica of the gateway finds it by its name.
func pendingConfig(o StreamOptions) jetstream.StreamConfig {
	c := bucketConfig(o, PendingBucket, "Sallyport: the state of approvals")
	c.MaxAge = pendingAge
	return c
}

// revokedConfig keeps what is revoked until it is lifted, however long that is.
func revokedConfig(o StreamOptions) jetstream.StreamConfig {
	return bucketConfig(o, RevokedBucket, "Sallyport: what operators have revoked")
}

func bucketConfig(o StreamOptions, bucket, description string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        "KV_" + bucket,
		Description: description,
		Subjects:    []string{"$KV." + bucket + ".>"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		MaxMsgs:     -1, MaxBytes: -1, MaxMsgsPerSubject: 1, MaxMsgSize: -1, MaxConsumers: -1,
		Replicas:    max(o.Replicas, 1),
		Duplicates:  dedupeWindow,
		AllowRollup: true, DenyDelete: true, AllowDirect: true,
	}
}

// pendingAge is how long a state is kept after its last change: longer than any
// approval may wait.
const pendingAge = 48 * time.Hour

func checkPending(have, want jetstream.StreamConfig) error {
	switch {
	case !slices.Equal(have.Subjects, want.Subjects), have.Storage != want.Storage, have.MaxMsgsPerSubject != 1,
		have.Discard != want.Discard, have.Retention != want.Retention, !have.AllowDirect, have.PersistMode != jetstream.DefaultPersistMode, have.NoAck, have.Sealed,
		have.MaxAge != 0 && have.MaxAge < pendingAge, have.Mirror != nil, len(have.Sources) > 0, have.RePublish != nil, have.SubjectTransform != nil,
		have.Replicas < want.Replicas:
		return fmt.Errorf("stream %s exists with settings that could lose or show the state of approvals or revocations: it must be that of a key-value bucket in files with history 1, discard new, direct get and a max_age of %s or more, persist_mode default, without mirror, sources, republish or transform, with %d replicas; change them, or use another NATS account", want.Name, pendingAge, want.Replicas)
	}
	return nil
}

// checkRevoked is checkPending for the other bucket, whose values must not end.
func checkRevoked(have, want jetstream.StreamConfig) error {
	if age := have.MaxAge; age != 0 {
		return fmt.Errorf("stream %s exists with a max_age of %s, which could lose revocations: they would end by themselves; set it to 0, or use another NATS account", want.Name, age)
	}
	return checkPending(have, want)
}

// checkStream names every setting of an existing stream by which an event could
// be lost, rewritten or acknowledged without being kept. Limits that only lead
// to refusals (bytes, message size) are the administrator's.
func checkStream(have, want jetstream.StreamConfig) error {
	var bad []string
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			bad = append(bad, fmt.Sprintf(format, args...))
		}
	}
	expect(slices.Equal(have.Subjects, want.Subjects), "subjects must be %s", strings.Join(want.Subjects, ", "))
	expect(have.Storage == jetstream.FileStorage, "storage must be file")
	expect(have.Retention == jetstream.LimitsPolicy, "retention must be limits")
	expect(have.Discard == jetstream.DiscardNew, "discard must be new")
	expect(have.DenyDelete, "deny_delete must be set")
	expect(have.DenyPurge, "deny_purge must be set")
	expect(!have.AllowRollup, "allow_rollup_hdrs must be off")
	expect(!have.AllowMsgTTL, "allow_msg_ttl must be off")
	expect(!have.NoAck, "no_ack must be off")
	expect(!have.Sealed, "it must not be sealed")
	// Gateways have events in a file until they are settled, so that both modes do:
	// see AcknowledgesEarly.
	expect(have.PersistMode == jetstream.DefaultPersistMode || have.Name == EventsStream, "persist_mode must be default")
	expect(have.MaxAge == 0, "max_age must be 0")
	expect(have.MaxMsgsPerSubject <= 0, "max_msgs_per_subject must be unlimited")
	expect(have.Duplicates > 0, "duplicate_window must be above 0")
	expect(have.Mirror == nil && len(have.Sources) == 0, "it must not be a mirror or have sources")
	expect(have.RePublish == nil && have.SubjectTransform == nil, "it must not republish or transform subjects")
	expect(have.Replicas >= want.Replicas, "replicas must be at least %d", want.Replicas)
	if bad != nil {
		return fmt.Errorf("stream %s exists with settings that could lose events: %s; change them, or use another NATS account", have.Name, strings.Join(bad, "; "))
	}
	return nil
}

package revocation

import (
	"context"
	"encoding/json"

	"github.com/nats-io/nats.go/jetstream"
)

// mend puts back what a value that no gateway wrote has overwritten. NATS sends a
// server's answer to whatever subject its user names, without asking whether that user
// may publish there: so any of them can have one written into the bucket, and a gateway
// that starts later would not learn what stood there.
//
// Only what is in force is put back: what is known to be lifted may have been revoked
// since. A gateway that was away and does not know vouches for nobody. One that was here
// has had every order, and leaves the key to whoever knows it.
func (l *List) mend(ctx context.Context, v jetstream.KeyValueEntry, reading bool) {
	key, revision := v.Key(), v.Revision()
	l.o.Log.ErrorContext(ctx, "a value in the bucket of revocations is no revocation; no gateway wrote it", "key", key, "revision", revision)
	now := l.o.Now()
	l.mu.Lock()
	var r Revocation
	e := l.known[key]
	inForce := e != nil && e.r.InForce(now)
	switch {
	case e != nil && revision <= e.revision: // it is gone already
		l.mu.Unlock()
		return
	case inForce:
		r = e.r
	case reading && isKey(key):
		l.lost[key] = max(revision, l.lost[key])
	}
	l.mu.Unlock()
	if !inForce {
		return
	}
	l.begin(func() {
		text, err := json.Marshal(r)
		if err != nil {
			return // texts and times always marshal
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
		defer cancel()
		// Over that very value alone: a later order, or another gateway, may be faster.
		written, err := l.kv.Update(ctx, key, text, revision)
		if err != nil {
			l.o.Log.WarnContext(ctx, "a revocation was not put back", "what", r.What(), "cause", err.Error())
			return
		}
		l.learn(key, r, written)
		l.o.Log.WarnContext(ctx, "a revocation was put back", "what", r.What())
	})
}

// found ends the not knowing about a key.
func (l *List) found(key string, revision uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if revision > l.lost[key] {
		delete(l.lost, key)
	}
}

// unreadable is a key of which nobody here knows what it said, "" for none.
func (l *List) unreadable() string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for key := range l.lost {
		return key
	}
	return ""
}

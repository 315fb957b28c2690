package approvals

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
)

// Vote counts what the person of a link said where the link's account is. It is held
// to all that an answer with a token is held to; a grant cannot be given. The record
// is what it led to; an error is for the person, and is on record as a refused answer.
func (l *Links) Vote(ctx context.Context, link Link, approval, digest, decision, reason string) (Record, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	r, err := l.vote(ctx, link, approval, digest, decision, reason)
	if err != nil {
		l.Refuse(ctx, link, approval, err)
		return Record{}, errors.New(why(err))
	}
	l.b.o.Log.InfoContext(ctx, "an approval was answered", "approval", approval, "decision", decision, "issuer", link.Issuer, "subject", link.Subject, "via", l.o.Medium, "state", string(r.State))
	return r, nil
}

func (l *Links) vote(ctx context.Context, link Link, approval, digest, decision, reason string) (Record, error) {
	now := l.b.o.Now()
	switch {
	case !link.holds(now):
		return Record{}, ErrNotLinked
	case !event.ValidID(approval) || !validDigest(digest):
		return Record{}, errors.New("the button names no approval")
	case len(reason) > MaxReason:
		return Record{}, fmt.Errorf("the reason has %d bytes, the limit is %d", len(reason), MaxReason)
	}
	if err := l.b.stopped(ctx, link.Issuer, link.Subject); err != nil {
		return Record{}, err
	}
	v := Vote{Issuer: link.Issuer, Subject: link.Subject, Email: link.Email, Groups: link.Groups, Decision: decision, Reason: l.b.text(reason), Via: l.o.Medium, At: now}
	return l.b.change(ctx, approval, digest, func(r *Record) error { return r.Vote(v, nil, l.b.o.Now()) })
}

// Refuse puts on record that an answer of an account was refused; link is the zero
// value where nobody is known.
func (l *Links) Refuse(ctx context.Context, link Link, approval string, err error) {
	var who *identity.Principal
	if link.Subject != "" {
		who = &identity.Principal{Issuer: link.Issuer, Subject: link.Subject, Groups: link.Groups}
	}
	l.b.audit(ctx, approval, who, err)
}

// IsPending reports that an approval waits still.
func (b *Broker) IsPending(ctx context.Context, approval, digest string) (bool, error) {
	r, _, err := b.store.get(ctx, digest)
	if errors.Is(err, errNone) {
		return false, nil
	}
	return err == nil && r.Request.Approval == approval && r.State == StatePending && b.o.Now().Before(r.Request.Expires), err
}

// Keep keeps what a medium must know of an approval (where it was posted) for two
// days, where every gateway finds it. value may have 256 KiB.
func (l *Links) Keep(ctx context.Context, approval string, value []byte) error {
	if !event.ValidID(approval) || len(value) > 256<<10 {
		return errors.New("approvals: this cannot be kept")
	}
	if _, err := l.b.store.kv.Put(ctx, l.o.Medium+".message."+approval, value); err != nil {
		return fmt.Errorf("keep where an approval was posted: %w", err)
	}
	return nil
}

// Kept is what Keep got; nil is nothing.
func (l *Links) Kept(ctx context.Context, approval string) ([]byte, error) {
	if !event.ValidID(approval) {
		return nil, nil
	}
	entry, err := l.b.store.kv.Get(ctx, l.o.Medium+".message."+approval)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read where an approval was posted: %w", err)
	}
	return entry.Value(), nil
}

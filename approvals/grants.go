package approvals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
)

// grants is what the bucket's watch said of grants.
type grants struct {
	taking sync.Mutex // one at a time here, so that only other gateways are in the way

	mu    sync.Mutex
	known map[string]knownGrant // by key
	begun chan struct{}         // closed when the next one begins; nil: nobody waits for that
}

type knownGrant struct {
	record   GrantRecord
	revision uint64
}

func (b *Broker) learnGrant(g GrantRecord, revision uint64) {
	b.grants.mu.Lock()
	defer b.grants.mu.Unlock()
	key := g.key()
	old, known := b.grants.known[key]
	if known && revision <= old.revision {
		return
	}
	if !known && !b.o.Now().Before(g.Leave.Until) { // forgotten, and the watch comes late
		return
	}
	if b.grants.known == nil {
		b.grants.known = map[string]knownGrant{}
	}
	b.grants.known[key] = knownGrant{g, revision}
	if !known && b.grants.begun != nil {
		close(b.grants.begun)
		b.grants.begun = nil
	}
}

// GrantBegun is closed when the next grant begins, of whatever session.
func (b *Broker) GrantBegun() <-chan struct{} {
	b.grants.mu.Lock()
	defer b.grants.mu.Unlock()
	if b.grants.begun == nil {
		b.grants.begun = make(chan struct{})
	}
	return b.grants.begun
}

// Withdraw ends an approval that nobody needs any more.
func (b *Broker) Withdraw(ctx context.Context, approval, digest string) error {
	_, err := b.change(ctx, approval, digest, func(r *Record) error {
		if !r.Cancel(b.o.Now()) {
			return ErrEnded
		}
		return nil
	})
	return err
}

// begin opens the grant that an approval left, once its own call was let through. A
// key that is there already was ended before it began, and stays as it is.
func (b *Broker) begin(ctx context.Context, r Record) {
	if r.Grant == nil || r.Grant.Left < 2 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTime)
	defer cancel()
	g := newGrantRecord(r)
	revision, err := b.store.putGrant(ctx, g, 0)
	if err == nil {
		b.learnGrant(g, revision)
	} else if !errors.Is(err, errConflict) { // people are asked again
		b.o.Log.ErrorContext(ctx, "a grant could not be begun; it lets nothing through", "approval", g.Request.Approval, "cause", err.Error())
	}
}

// UseGrant takes the leave for a call, asked for by r, from a grant of its session.
// Of any number that do, on any gateway, no more get it than the grant says. It gives
// the grant after that, or ErrNoGrant: then people must be asked.
func (b *Broker) UseGrant(ctx context.Context, r Request, call *awsapi.Call) (GrantRecord, error) {
	keys := b.grantsFor(r, call)
	if len(keys) == 0 {
		return GrantRecord{}, ErrNoGrant
	}
	b.grants.taking.Lock()
	defer b.grants.taking.Unlock()
	for _, key := range keys {
		var refused error
		g, err := b.changeGrant(ctx, key, nil, func(g *GrantRecord) error { refused = g.Take(r, call, b.o.Now()); return refused })
		if err == nil {
			b.o.Log.InfoContext(ctx, "a grant let a call through", "approval", g.Request.Approval, "requestID", r.RequestID, "left", g.Leave.Left)
			return g, nil
		}
		if refused == nil && !errors.Is(err, errNone) {
			return GrantRecord{}, err
		}
	}
	return GrantRecord{}, ErrNoGrant
}

// grantsFor are the keys of grants that would cover a call as far as is known here,
// the oldest first. The store has the last word.
func (b *Broker) grantsFor(r Request, call *awsapi.Call) []string {
	b.grants.mu.Lock()
	defer b.grants.mu.Unlock()
	var keys []string
	for key, k := range b.grants.known {
		if g := k.record; g.Request.SessionID == r.SessionID && g.Take(r, call, b.o.Now()) == nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// changeGrant makes one step of a grant's and gives it after that. fallback, if set,
// stands for one that is not there.
func (b *Broker) changeGrant(ctx context.Context, key string, fallback *GrantRecord, step func(*GrantRecord) error) (GrantRecord, error) {
	for range attempts {
		g, revision, err := b.store.getGrant(ctx, key)
		if errors.Is(err, errNone) && fallback != nil {
			g, err = *fallback, nil
		}
		if err != nil {
			return GrantRecord{}, err
		}
		if err := step(&g); err != nil {
			return g, err
		}
		if revision, err = b.store.putGrant(ctx, g, revision); errors.Is(err, errConflict) {
			continue
		} else if err != nil {
			return GrantRecord{}, err
		}
		b.learnGrant(g, revision)
		return g, nil
	}
	return GrantRecord{}, errConflict
}

// revoke ends the grant of an approval at once, also before it began.
func (b *Broker) revoke(ctx context.Context, approval, digest string, v Vote) error {
	g, begun := b.grantOf(approval)
	var fallback *GrantRecord
	if !begun {
		r, _, err := b.store.get(ctx, digest)
		if err != nil && !errors.Is(err, errNone) {
			return err
		}
		if err != nil || r.Request.Approval != approval || r.Grant == nil || r.State != StateApproved && r.State != StateUsed {
			return fmt.Errorf("%w, or there is none with this id and digest", ErrGrantEnded)
		}
		g = newGrantRecord(r)
		fallback = &g
	}
	if g.Request.Digest != digest {
		return fmt.Errorf("%w, or there is none with this id and digest", ErrGrantEnded)
	}
	g, err := b.changeGrant(ctx, g.key(), fallback, func(g *GrantRecord) error { return g.Revoke(v, b.o.Now()) })
	if err != nil {
		return err
	}
	b.o.Log.InfoContext(ctx, "a grant was revoked", "approval", approval, "issuer", v.Issuer, "subject", v.Subject)
	d := &event.ApprovalOutcome{Common: common(&g.Request, v.At), Approval: approval, Digest: digest, Outcome: Revoked, Approvers: Votes(append(slices.Clone(g.Votes), v)), At: v.At}
	if err := b.publish(context.WithoutCancel(ctx), "outcome", approval, d); err != nil {
		b.o.Log.ErrorContext(ctx, "the end of a grant could not be published; it has ended", "approval", approval, "cause", err.Error())
	}
	return nil
}

func (b *Broker) grantOf(approval string) (GrantRecord, bool) {
	b.grants.mu.Lock()
	defer b.grants.mu.Unlock()
	for key, k := range b.grants.known {
		if strings.HasSuffix(key, "."+approval) {
			return k.record, true
		}
	}
	return GrantRecord{}, false
}

// Look is sent as an Answer is, and decides nothing: its Reply says what is left of
// the grant of an approval. It needs no token, since it tells hardly more than the
// stream of approvals does.
type Look struct {
	Approval string `json:"approval"`
	Decision string `json:"decision"` // lookDecision
}

const lookDecision = "look"

// look answers a Look; false is for messages that are none.
func (b *Broker) look(approval string, data []byte) (Reply, bool) {
	var a Look
	if len(data) > MaxAnswer || json.Unmarshal(data, &a) != nil || a.Decision != lookDecision {
		return Reply{}, false
	}
	if g, ok := b.grantOf(approval); ok && g.Live(b.o.Now()) {
		return Reply{Accepted: true, Grant: &event.GrantLeft{Left: g.Leave.Left, Until: g.Leave.Until}}, true
	} else if ok {
		return Reply{Error: ErrGrantEnded.Error()}, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.known {
		if r := k.record; r.Request.Approval == approval && r.State == StateApproved && r.Grant != nil {
			return Reply{Accepted: true, Grant: &event.GrantLeft{Left: r.Grant.Left, Until: r.Grant.Until}}, true
		}
	}
	return Reply{Error: ErrGrantEnded.Error() + ", or there was none"}, true
}

// sweepGrants forgets those whose time is over; the bucket does so later.
func (b *Broker) sweepGrants() {
	now := b.o.Now()
	b.grants.mu.Lock()
	defer b.grants.mu.Unlock()
	for key, k := range b.grants.known {
		if !now.Before(k.record.Leave.Until) {
			delete(b.grants.known, key)
		}
	}
}

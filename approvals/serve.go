package approvals

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/secret"
)

// answerTime is how long verifying an answer may take, the issuer's keys included.
const answerTime = 10 * time.Second

// serve runs do beside its caller, a subscription: verifying a token may have to
// fetch keys. The error, where it cannot run, is for whoever sent the message.
func (b *Broker) serve(ctx context.Context, do func(context.Context)) error {
	select {
	case b.answers <- struct{}{}:
	default:
		return errors.New("the gateway is busy with other answers; try again")
	}
	b.mu.Lock() // against Close, which waits for what has begun
	defer b.mu.Unlock()
	select {
	case <-b.closed:
		<-b.answers
		return errors.New(ErrClosed.Error() + "; try again")
	default:
	}
	b.wait.Go(func() {
		defer func() { <-b.answers }()
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		do(ctx)
	})
	return nil
}

// identify proves whose token an approver sent. The principal is given with an
// error too, where the token itself was good.
func (b *Broker) identify(ctx context.Context, token secret.String) (*identity.Principal, error) {
	p, err := b.o.Verifier.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := b.stopped(ctx, p.Issuer, p.Subject); err != nil {
		return p, err
	}
	if !p.Person && !b.o.AllowServiceAccounts {
		return p, errors.New("the token is a program's, or has neither a verified e-mail address nor a name: only people approve, unless approvals.allow_service_accounts is set")
	}
	return p, nil
}

func (b *Broker) stopped(ctx context.Context, issuer, subject string) error {
	if b.o.Stopped == nil {
		return nil
	}
	return b.o.Stopped(ctx, issuer, subject)
}

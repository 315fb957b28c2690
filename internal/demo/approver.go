package demo

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/bus"
)

// approve is a person at another terminal: it waits for one request, shows it as
// `sallyport approvals show` does, and agrees. What it says goes to say.
func (d *demonstration) approve(ctx context.Context, say func(headline string)) error {
	conn, err := bus.Connect(ctx, bus.Options{Role: bus.Approver, URL: d.nats, CredsFile: filepath.Join(d.stateDir, "nats", "approver.creds")})
	if err != nil {
		return err
	}
	defer conn.Close()
	client, err := approvals.NewClient(approvals.ClientOptions{Conn: conn})
	if err != nil {
		return err
	}
	trial, err := identity.OpenTrial(d.stateDir)
	if err != nil {
		return err
	}
	token, err := trial.Token("demo-approver", []string{"sre"}, identity.ApproverAudience, 10*time.Minute, time.Now())
	if err != nil {
		return err
	}
	found := make(chan approvals.Request, 1)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	following, stop := context.WithCancel(ctx)
	defer stop()
	take := func(r approvals.Request) {
		select {
		case found <- r:
			stop()
		default:
		}
	}
	if err := client.Follow(following, func(list []approvals.Request) error {
		for _, r := range list {
			take(r)
		}
		return nil
	}, func(u approvals.Update) error {
		if u.Request != nil {
			take(*u.Request)
		}
		return nil
	}, nil); err != nil {
		return err
	}
	select {
	case r := <-found:
		say(approvals.Summarize(r).Headline)
		return client.Answer(ctx, approvals.Answer{Approval: r.Approval, Digest: r.Digest, Decision: approvals.Allow, Token: token.Reveal(), Reason: "the quarter is over"})
	default:
		return fmt.Errorf("nobody was asked: %w", ctx.Err())
	}
}

package approvals

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
)

// Stream is where what waits and how it ended is published.
const Stream = "SALLYPORT_APPROVALS"

const publishTime = 5 * time.Second

// announce makes it known that a request waits: on record, and to approvers.
func (b *Broker) announce(ctx context.Context, r Record) error {
	q := &r.Request
	d := &event.ApprovalPending{
		Common: common(q, q.Created),
		Operation: event.Operation{
			Target: q.Target, Service: q.Service, EventName: q.Operation, AWSRegion: q.Region, RecipientAccountID: q.Account, Actions: q.Actions, AccessLevel: q.AccessLevel,
		},
		Approval: q.Approval, Digest: q.Digest, Email: q.Email, RoleARN: q.RoleARN, Resources: q.Resources, ResourcesOmitted: q.ResourcesOmitted,
		RequestParameters: q.Parameters, RequestParametersOmitted: q.ParametersOmitted, RequestBody: q.RequestBody, Risk: q.Risk, Rules: q.Rules,
		PolicyVersion: q.PolicyVersion, Extent: q.Extent, Earlier: q.Earlier, Reason: q.Reason, Created: q.Created, Expires: q.Expires,
	}
	d.Enrichment = q.Enrichment
	for _, n := range q.Approvers {
		d.Approvers = append(d.Approvers, event.Needed(n))
	}
	return b.publish(ctx, "pending", q.Approval, d)
}

// voteOf is the last vote of a record, for the record: an allow that is not yet enough
// is nowhere else.
func voteOf(r *Record) event.Data {
	v := r.Votes[len(r.Votes)-1]
	return &event.ApprovalVote{Common: common(&r.Request, v.At), Approval: r.Request.Approval, Digest: r.Request.Digest, Vote: event.Vote(v), State: string(r.State)}
}

// voted records votes that did not end the wait.
func (b *Broker) voted(ctx context.Context, r Record, votes []event.Data) {
	if len(votes) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTime)
	defer cancel()
	if err := b.o.Append(ctx, b.events(votes)...); err != nil {
		b.o.Log.ErrorContext(ctx, "a vote could not be recorded", "approval", r.Request.Approval, "cause", err.Error())
	}
}

func (b *Broker) events(data []event.Data) []event.Event {
	out := make([]event.Event, len(data))
	for i, d := range data {
		out[i] = event.Event{ID: b.o.IDs.New(), Source: b.o.Source, Time: b.o.Now(), Data: d}
	}
	return out
}

// ended makes an end known, and the vote that brought it about. The state is in the
// bucket already, and holds whether or not anybody hears of it.
func (b *Broker) ended(ctx context.Context, r Record, revision uint64, vote ...event.Data) {
	b.learn(r, revision)
	o, _ := r.Outcome()
	d := &event.ApprovalOutcome{Common: common(&r.Request, o.At), Approval: o.Approval, Digest: o.Digest, Outcome: o.Outcome, Approvers: Votes(o.Approvers), Grant: (*event.Grant)(o.Grant), At: o.At}
	if err := b.publish(context.WithoutCancel(ctx), "outcome", o.Approval, d, vote...); err != nil {
		b.o.Log.ErrorContext(ctx, "the outcome of an approval could not be published", "approval", o.Approval, "outcome", o.Outcome, "cause", err.Error())
	}
}

// publish records d, behind what came before it, and tells approvers of it.
func (b *Broker) publish(ctx context.Context, what, approval string, d event.Data, before ...event.Data) error {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	events := b.events(append(before, d))
	e := events[len(events)-1]
	if err := b.o.Append(ctx, events...); err != nil {
		return fmt.Errorf("record what waits: %w", err)
	}
	text, err := event.Encode(e)
	if err != nil {
		return err
	}
	_, err = b.js.PublishMsg(ctx, &nats.Msg{Subject: b.o.Prefix + ".approvals." + what + "." + approval, Data: text},
		jetstream.WithMsgID(e.ID), jetstream.WithExpectStream(Stream))
	if err != nil {
		return fmt.Errorf("tell approvers: %w", err)
	}
	return nil
}

func common(q *Request, at time.Time) event.Common {
	return event.Common{RequestID: q.RequestID, SessionID: q.SessionID, EventTime: at, UserIdentity: q.Who}
}

// Votes is how events show who agreed.
func Votes(in []Vote) []event.Vote {
	out := make([]event.Vote, len(in))
	for i, v := range in {
		out[i] = event.Vote(v)
	}
	return out
}

package approvals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/terminal"
)

const (
	replyTime = 10 * time.Second
	readTime  = 30 * time.Second // of reading what there is
	// lookBack is how far back the stream is read for what is pending. No approval
	// waits longer.
	lookBack = 24 * time.Hour
	// abandoned is when the server forgets the consumer of a command that has ended.
	abandoned = 30 * time.Second
)

// What an approver is told when it is not about the approval itself.
var (
	ErrNoGateway = errors.New("no gateway is running that takes answers; the request ends when it expires")
	ErrNoStream  = errors.New("this NATS server has no stream " + Stream + ": no gateway has used it, or it is another server")
	ErrForbidden = errors.New("NATS does not permit this user to do that: it takes the credentials of an approver, state_dir/nats/approver.creds")
	ErrNoAnswer  = errors.New("nobody answered in time; whether the decision counted is not known: look at it again")
	ErrUnknown   = errors.New("there is no such approval")
)

// RefusedError is the gateway's refusal of an answer. Reason is the gateway's
// sentence, harmless on a terminal.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "not accepted: " + e.Reason }

// ClientOptions make a Client. Conn is required.
type ClientOptions struct {
	Conn   *nats.Conn       // of an approver, its inbox prefix _INBOX.approver
	Prefix string           // of subjects; "" is sallyport
	Now    func() time.Time // nil: time.Now
	// Timeout is how long the gateway has to reply to an answer; 0 is 10 s.
	Timeout time.Duration
}

// Client is an approver's side of NATS. It is safe for concurrent use.
type Client struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	prefix  string
	now     func() time.Time
	timeout time.Duration

	mu      sync.Mutex
	waiting map[*attempt]bool
}

// attempt is something that NATS may forbid. It says so beside the answer, on the
// connection: without looking there a client would wait until it gives up.
type attempt struct {
	subject string // or its beginning, when it ends in a dot
	cancel  context.CancelCauseFunc
}

// NewClient makes a client of a connection, which stays the caller's to close.
func NewClient(o ClientOptions) (*Client, error) {
	c := &Client{conn: o.Conn, prefix: o.Prefix, now: o.Now, timeout: o.Timeout, waiting: map[*attempt]bool{}}
	if c.timeout == 0 {
		c.timeout = replyTime
	}
	if c.prefix == "" {
		c.prefix = "sallyport"
	}
	if c.now == nil {
		c.now = time.Now
	}
	if o.Conn == nil {
		return nil, errors.New("approvals: no connection")
	}
	if err := event.ValidPrefix(c.prefix); err != nil {
		return nil, err
	}
	var err error
	if c.js, err = jetstream.New(o.Conn); err != nil {
		return nil, fmt.Errorf("approvals: %w", err)
	}
	before := o.Conn.ErrorHandler()
	o.Conn.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if !c.forbidden(err) && before != nil {
			before(nc, sub, err)
		}
	})
	return c, nil
}

// Connected reports that NATS is there: what was heard of it is not old.
func (c *Client) Connected() bool { return c.conn.IsConnected() }

// forbidden ends the attempts that a permission violation is about.
func (c *Client) forbidden(err error) (ours bool) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for a := range c.waiting {
		if strings.Contains(err.Error(), `Publish to "`+a.subject) {
			a.cancel(ErrForbidden)
			ours = true
		}
	}
	return ours
}

// attempt gives a context that ends after d, or as soon as NATS forbids to publish
// to subject.
func (c *Client) attempt(ctx context.Context, subject string, d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, stop := context.WithTimeoutCause(ctx, d, ErrNoAnswer)
	a := &attempt{subject, cancel}
	c.mu.Lock()
	c.waiting[a] = true
	c.mu.Unlock()
	return ctx, func() {
		c.mu.Lock()
		delete(c.waiting, a)
		c.mu.Unlock()
		stop()
		cancel(nil)
	}
}

// Pending lists what can be answered now, the oldest first. bad, if set, is told of
// messages that are none.
func (c *Client) Pending(ctx context.Context, bad func(error)) ([]Request, error) {
	var open []Request
	err := c.untilDone(ctx, func(ctx context.Context) error {
		return c.Follow(ctx, func(list []Request) error {
			open = list
			return errDone
		}, func(Update) error { return nil }, bad)
	})
	return open, err
}

var errDone = errors.New("done")

// untilDone calls a reader that is to end with errDone. One that its context ended
// has not seen everything.
func (*Client) untilDone(ctx context.Context, read func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	err := read(ctx)
	switch {
	case errors.Is(err, errDone):
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("read what is pending: not done after %s", readTime)
	case err == nil:
		return ctx.Err()
	}
	return err
}

// Get is one approval, ended or not; its outcome is nil while it has none.
// ErrUnknown when there is none.
func (c *Client) Get(ctx context.Context, id string) (Request, *Outcome, error) {
	if !event.ValidID(id) {
		return Request{}, nil, ErrUnknown
	}
	var request *Request
	var outcome *Outcome
	var damaged error
	base := c.prefix + ".approvals."
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{base + "pending." + id, base + "outcome." + id}, DeliverPolicy: jetstream.DeliverAllPolicy}
	err := c.untilDone(ctx, func(ctx context.Context) error {
		return c.read(ctx, cfg, func(u Update, err error) error {
			switch {
			case err != nil:
				damaged = err
			case u.Request != nil && request == nil: // the first: what was asked cannot change
				request = u.Request
			case u.Outcome != nil && outcome == nil:
				outcome = u.Outcome
			}
			return nil
		}, func() error { return errDone })
	})
	switch {
	case err != nil:
		return Request{}, nil, err
	case request == nil && damaged != nil:
		return Request{}, nil, damaged
	case request == nil:
		return Request{}, nil, ErrUnknown
	}
	return *request, outcome, nil
}

// Follow calls begin once with what can be answered now, the oldest first, and then
// fn with everything that happens, until ctx ends (then nil) or one of them fails.
// bad, if set, is told of messages that are none.
func (c *Client) Follow(ctx context.Context, begin func([]Request) error, fn func(Update) error, bad func(error)) error {
	open := map[string]Request{}
	known := map[string]bool{}
	live := false
	return c.read(ctx, c.recent(), func(u Update, err error) error {
		if err != nil {
			if bad != nil {
				bad(err)
			}
			return nil
		}
		id := u.Approval()
		switch {
		case u.Outcome != nil:
			known[id] = true
			delete(open, id)
		case known[id]: // it has ended, or this is not what was asked first
			return nil
		default:
			known[id] = true
			open[id] = *u.Request
		}
		if live {
			return fn(u)
		}
		return nil
	}, func() error {
		live = true
		list := make([]Request, 0, len(open))
		for _, r := range open {
			if c.now().Before(r.Expires) {
				list = append(list, r)
			}
		}
		slices.SortFunc(list, func(a, b Request) int { return strings.Compare(a.Approval, b.Approval) })
		return begin(list)
	})
}

// recent reads both kinds of messages as far back as something can be pending.
func (c *Client) recent() jetstream.OrderedConsumerConfig {
	from := c.now().Add(-lookBack)
	base := c.prefix + ".approvals."
	return jetstream.OrderedConsumerConfig{FilterSubjects: []string{base + "pending.*", base + "outcome.*"}, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &from}
}

// read calls fn for each message that the consumer gives, and current once
// everything that was there has been read. It returns nil only when ctx ends.
func (c *Client) read(ctx context.Context, cfg jetstream.OrderedConsumerConfig, fn func(Update, error) error, current func() error) error {
	cfg.InactiveThreshold = abandoned
	cfg.MaxResetAttempts = -1
	creating, done := c.attempt(ctx, "$JS.API.CONSUMER.CREATE."+Stream, replyTime)
	cons, err := c.js.OrderedConsumer(creating, Stream, cfg)
	cause := context.Cause(creating)
	done()
	if err != nil {
		return c.explain(ctx, "read what is pending", err, cause)
	}
	left := cons.CachedInfo().NumPending
	iter, err := cons.Messages()
	if err != nil {
		return fmt.Errorf("read what is pending: %w", err)
	}
	stop := context.AfterFunc(ctx, iter.Stop)
	defer stop()
	defer iter.Stop()
	if left == 0 {
		if err := current(); err != nil {
			return err
		}
	}
	for behind := left > 0; ; {
		m, err := iter.Next()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, jetstream.ErrNoHeartbeat) { // NATS is away, and will be back
			continue
		}
		if err != nil {
			return fmt.Errorf("read what is pending: %w", err)
		}
		if err := fn(DecodeMessage(c.prefix, m.Subject(), m.Data())); err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("read what is pending: %w", err)
		}
		if behind && meta.NumPending == 0 {
			behind = false
			if err := current(); err != nil {
				return err
			}
		}
	}
}

// Answer sends a decision and waits for what the gateway says to it: nil when it
// was accepted, *RefusedError when not.
func (c *Client) Answer(ctx context.Context, a Answer) error {
	if !event.ValidID(a.Approval) {
		return ErrUnknown
	}
	body, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	if len(body) > MaxAnswer {
		return fmt.Errorf("the answer has %d bytes, and may have %d: shorten its reason, or use a token with fewer claims", len(body), MaxAnswer)
	}
	_, err = c.request(ctx, a.Approval, body)
	return err
}

// request sends what concerns an approval and reads the reply, *RefusedError where
// that is none that accepts.
func (c *Client) request(ctx context.Context, approval string, body []byte) (Reply, error) {
	subject := c.prefix + ".approvals.answer." + approval
	waiting, done := c.attempt(ctx, subject, c.timeout)
	defer done()
	msg, err := c.conn.RequestWithContext(waiting, subject, body)
	if err != nil {
		return Reply{}, c.explain(ctx, "answer", err, context.Cause(waiting))
	}
	var reply Reply
	if json.Unmarshal(msg.Data, &reply) != nil {
		return Reply{}, errors.New("the gateway's reply to the answer is malformed; whether the decision counted is not known: look at it again")
	}
	if !reply.Accepted {
		return Reply{}, &RefusedError{terminal.Escape(reply.Error, MaxReason)}
	}
	return reply, nil
}

// Link redeems a code that a chat service showed: until the time that it gives, the
// account that the code was made for speaks for whoever the token is of. A refusal is
// a *RefusedError.
func (c *Client) Link(ctx context.Context, r Redemption) (until time.Time, err error) {
	body, err := json.Marshal(r)
	if err != nil {
		return time.Time{}, fmt.Errorf("write the message: %w", err)
	}
	if len(body) > maxLink {
		return time.Time{}, fmt.Errorf("the message has %d bytes, and may have %d: use a token with fewer claims", len(body), maxLink)
	}
	subject := c.prefix + ".approvals.link"
	waiting, done := c.attempt(ctx, subject, c.timeout)
	defer done()
	msg, err := c.conn.RequestWithContext(waiting, subject, body)
	if errors.Is(err, nats.ErrNoResponders) {
		return time.Time{}, errors.New("no gateway is running that links accounts: it takes approvals.slack")
	}
	if err != nil {
		return time.Time{}, c.explain(ctx, "answer", err, context.Cause(waiting))
	}
	var reply RedemptionReply
	if json.Unmarshal(msg.Data, &reply) != nil {
		return time.Time{}, errors.New("the gateway's reply is malformed; whether the account was linked is not known: press the button again")
	}
	if !reply.Accepted {
		return time.Time{}, &RefusedError{terminal.Escape(reply.Error, MaxReason)}
	}
	return reply.Until, nil
}

// explain finds the reason behind an error of NATS. ctx is the caller's own.
func (c *Client) explain(ctx context.Context, doing string, err, cause error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(cause, ErrForbidden):
		return ErrForbidden
	case errors.Is(err, nats.ErrNoResponders) && doing == "answer":
		return ErrNoGateway
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		return ErrNoStream
	case errors.Is(cause, ErrNoAnswer), errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		if doing == "answer" {
			return ErrNoAnswer
		}
		return fmt.Errorf("%s: NATS did not answer in %s", doing, replyTime)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

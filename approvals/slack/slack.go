// Package slack asks people in a Slack channel: it posts what waits for an approval,
// takes the press of a button as an answer, and says in the message how it ended.
//
// Slack proves which of its accounts pressed a button; who that is, a link says, which
// needs the person's own OIDC token (approvals.Links). It accepts buttons of its own
// channel and workspace alone, and refuses guests, bots, people of other workspaces,
// and accounts without a confirmed address. Whatever an agent wrote is shown in
// elements that Slack does not parse. Slack that is away holds up no request.
package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/internal/secret"
)

const medium = "slack"

// Options configure a Notifier. All but APIURL, Count, Now and Log are required.
type Options struct {
	Broker   *approvals.Broker
	Consumer string        // of the stream of approvals, see approvals.Feed
	BotToken secret.String // xoxb-
	AppToken secret.String // xapp-, with the scope connections:write
	Channel  string        // the channel's id: C0123ABCD
	LinkFor  time.Duration // how long an account stays linked to a person
	APIURL   string        // of Slack's Web API, with a slash at its end; "" is Slack's
	Count    func(result string)
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil discards
}

// Notifier is the gateway's side of Slack. Use New.
type Notifier struct {
	o     Options
	api   *slack.Client
	links *approvals.Links
	team  atomic.Value // string: the bot's workspace, once Slack has said it
	busy  chan struct{}
	codes *lru.Cache[approvals.Account, *rate.Limiter]
}

// The bounds of what Slack can cause.
const (
	maxClicks  = 16 // handled at once; more are left
	clickTime  = 30 * time.Second
	callTime   = 10 * time.Second // of one call to Slack
	reconnect  = 30 * time.Second // after Slack refused the app's token
	maxMessage = 1 << 20          // bytes on the socket
	codeEvery  = 20 * time.Second // codes of one account, after the first three
	outcomeFor = 24 * time.Hour   // how long a message's buttons are worth taking away
)

// New makes a Notifier and takes codes of people who link their account, until Close.
// It asks nothing of Slack: that begins with Run.
func New(ctx context.Context, o Options) (*Notifier, error) {
	if o.Broker == nil || o.Consumer == "" || o.BotToken.IsZero() || o.AppToken.IsZero() || o.Channel == "" || o.LinkFor <= 0 {
		return nil, errors.New("slack: an option is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	codes, err := lru.New[approvals.Account, *rate.Limiter](4096)
	if err != nil {
		return nil, fmt.Errorf("slack: %w", err)
	}
	options := []slack.Option{
		slack.OptionAppLevelToken(o.AppToken.Reveal()),
		slack.OptionHTTPClient(&http.Client{Timeout: callTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}),
		slack.OptionLog(log.New(io.Discard, "", 0)), // its debugging shows messages
	}
	if o.APIURL != "" {
		options = append(options, slack.OptionAPIURL(o.APIURL))
	}
	n := &Notifier{o: o, api: slack.New(o.BotToken.Reveal(), options...), busy: make(chan struct{}, maxClicks), codes: codes}
	n.links, err = o.Broker.Links(ctx, approvals.LinkOptions{Medium: medium, For: o.LinkFor, Email: n.email})
	return n, err
}

// Close stops taking codes.
func (n *Notifier) Close() { n.links.Close() }

// Run posts and listens until ctx ends. It returns once everything it began is done.
func (n *Notifier) Run(ctx context.Context) {
	var wait sync.WaitGroup
	wait.Go(func() {
		n.o.Broker.Notify(ctx, approvals.Feed{Name: n.o.Consumer, OutcomeFor: outcomeFor, Deliver: n.deliver, Count: n.o.Count})
	})
	wait.Go(func() { n.listen(ctx, &wait) })
	wait.Wait()
}

// listen keeps a socket open. The library connects again by itself, except where
// Slack refuses the token: somebody may mend that while we run.
func (n *Notifier) listen(ctx context.Context, wait *sync.WaitGroup) {
	for ctx.Err() == nil {
		err := n.connect(ctx, wait)
		if ctx.Err() != nil {
			return
		}
		n.o.Log.ErrorContext(ctx, "Slack does not let us listen: buttons do nothing", "cause", cause(err))
		t := time.NewTimer(reconnect)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

func (n *Notifier) connect(ctx context.Context, wait *sync.WaitGroup) error {
	if err := n.learnTeam(ctx); err != nil {
		return err
	}
	client := socketmode.New(n.api, socketmode.OptionReadLimit(maxMessage), socketmode.OptionLog(log.New(io.Discard, "", 0)))
	run, stop := context.WithCancel(ctx)
	defer stop()
	wait.Go(func() {
		for {
			select {
			case e := <-client.Events:
				n.event(run, client, e, wait)
			case <-run.Done():
				return
			}
		}
	})
	return client.RunContext(run)
}

// learnTeam asks which workspace the bot belongs to.
func (n *Notifier) learnTeam(ctx context.Context) error {
	if n.team.Load() != nil {
		return nil
	}
	me, err := n.api.AuthTestContext(ctx)
	if err != nil {
		return err
	}
	if me.TeamID == "" {
		return errors.New("auth.test names no workspace")
	}
	n.team.Store(me.TeamID)
	return nil
}

// ourTeam is the bot's workspace; "" before Slack has said it.
func (n *Notifier) ourTeam() string {
	team, _ := n.team.Load().(string)
	return team
}

// posted is what is kept of a message: where it is, and what it shows below its title.
type posted struct {
	Channel string          `json:"channel"`
	TS      string          `json:"ts"`
	Body    json.RawMessage `json:"body"`
}

// deliver posts what waits, and says in its message how it ended.
func (n *Notifier) deliver(ctx context.Context, m approvals.Message) error {
	kept, err := n.links.Kept(ctx, m.Approval())
	if err != nil {
		return err
	}
	var p posted
	if kept != nil && (json.Unmarshal(kept, &p) != nil || p.Channel == "" || p.TS == "") {
		return fmt.Errorf("%w: where it was posted is damaged", approvals.ErrUndeliverable)
	}
	switch {
	case m.Request != nil && kept == nil:
		return n.post(ctx, *m.Request, m.Line())
	case m.Outcome != nil && kept != nil:
		return n.close(ctx, p, *m.Outcome, m.Line())
	}
	return nil // posted before, or never
}

func (n *Notifier) post(ctx context.Context, r approvals.Request, line string) error {
	if ok, err := n.o.Broker.IsPending(ctx, r.Approval, r.Digest); err != nil || !ok {
		return err
	}
	body := body(r)
	blocks := append([]slack.Block{title(waits(r))}, body...)
	blocks = append(blocks, buttons(r))
	channel, ts, err := n.api.PostMessageContext(ctx, n.o.Channel, message(line, blocks)...)
	if err != nil {
		return classify(err)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("keep where an approval was posted: %w", err)
	}
	kept, err := json.Marshal(posted{channel, ts, text})
	if err != nil {
		return fmt.Errorf("keep where an approval was posted: %w", err)
	}
	return n.links.Keep(ctx, r.Approval, kept)
}

// close takes the buttons away and says how it ended.
func (n *Notifier) close(ctx context.Context, p posted, o approvals.Outcome, line string) error {
	var body slack.Blocks
	if err := json.Unmarshal(p.Body, &body); err != nil {
		return fmt.Errorf("%w: what was posted is damaged", approvals.ErrUndeliverable)
	}
	blocks := append([]slack.Block{title(ended(o))}, body.BlockSet...)
	blocks = append(blocks, verdict(o))
	_, _, _, err := n.api.UpdateMessageContext(ctx, p.Channel, p.TS, message(line, blocks)...)
	return classify(err)
}

// message is the options of a message. line stands where blocks are not shown: in
// notifications.
func message(line string, blocks []slack.Block) []slack.MsgOption {
	return []slack.MsgOption{
		slack.MsgOptionText(plain(line), false), slack.MsgOptionBlocks(blocks...), slack.MsgOptionParse(false), slack.MsgOptionDisableMarkdown(),
		slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
	}
}

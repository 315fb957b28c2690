package slack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/approvals"
)

// event takes what comes over the socket. Slack wants to hear within 3 s that it came,
// so that is said first.
func (n *Notifier) event(ctx context.Context, client *socketmode.Client, e socketmode.Event, wait *sync.WaitGroup) {
	switch e.Type {
	case socketmode.EventTypeConnected:
		n.o.Log.InfoContext(ctx, "connected to Slack")
	case socketmode.EventTypeConnectionError:
		if failed, ok := e.Data.(*slack.ConnectionErrorEvent); ok {
			n.o.Log.WarnContext(ctx, "no connection to Slack; buttons wait", "cause", cause(failed.ErrorObj), "after", failed.Backoff)
		}
	}
	if e.Request == nil || e.Request.EnvelopeID == "" {
		return
	}
	if err := client.AckCtx(ctx, e.Request.EnvelopeID, nil); err != nil {
		n.o.Log.WarnContext(ctx, "Slack could not be told that a button was taken", "cause", cause(err))
	}
	i, ok := e.Data.(slack.InteractionCallback)
	if !ok {
		return
	}
	select {
	case n.busy <- struct{}{}:
	default:
		n.o.Log.WarnContext(ctx, "too many buttons at once; one was left", "user", i.User.ID)
		return
	}
	wait.Go(func() {
		defer func() { <-n.busy }()
		// An answer that has begun is finished when the socket goes.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clickTime)
		defer cancel()
		n.interact(ctx, i)
	})
}

// interact handles a button, or a form that was sent.
func (n *Notifier) interact(ctx context.Context, i slack.InteractionCallback) {
	switch i.Type {
	case slack.InteractionTypeBlockActions:
		if len(i.ActionCallback.BlockActions) != 1 || i.Channel.ID != n.o.Channel {
			n.o.Log.WarnContext(ctx, "a button of another channel was left", "user", i.User.ID)
			return
		}
		switch a := i.ActionCallback.BlockActions[0]; a.ActionID {
		case approve:
			n.answer(ctx, i, a.Value, approvals.Allow, "")
		case deny:
			if _, ok := n.who(ctx, i, a.Value); !ok {
				return
			}
			if _, err := n.api.OpenViewContext(ctx, i.TriggerID, form(a.Value)); err != nil {
				n.o.Log.WarnContext(ctx, "Slack did not show a form", "cause", cause(err))
				n.say(ctx, i, "The form could not be shown. Press the button again.")
			}
		}
	case slack.InteractionTypeViewSubmission:
		if i.View.CallbackID != denied {
			return
		}
		reason := ""
		if state := i.View.State; state != nil {
			reason = strings.TrimSpace(state.Values[reasonID][reasonID].Value)
		}
		n.answer(ctx, i, i.View.PrivateMetadata, approvals.Deny, reason)
	}
}

// answer counts a decision and tells its person what became of it.
func (n *Notifier) answer(ctx context.Context, i slack.InteractionCallback, about, decision, reason string) {
	link, ok := n.who(ctx, i, about)
	if !ok {
		return
	}
	approval, digest := parseValue(about)
	r, err := n.links.Vote(ctx, link, approval, digest, decision, reason)
	switch {
	case err != nil:
		n.say(ctx, i, "Not accepted: "+err.Error())
	case r.State == approvals.StatePending:
		n.say(ctx, i, "Accepted. It goes through when everybody who is needed has approved.")
	default:
		n.say(ctx, i, "Accepted.")
	}
}

// who is the person behind an account, or tells the account what to do.
func (n *Notifier) who(ctx context.Context, i slack.InteractionCallback, about string) (approvals.Link, bool) {
	approval, _ := parseValue(about)
	a := approvals.Account{Team: i.User.TeamID, User: i.User.ID}
	if a.Team == "" {
		a.Team = i.Team.ID
	}
	email, err := n.email(ctx, a)
	if err != nil {
		n.links.Refuse(ctx, approvals.Link{}, approval, err)
		n.say(ctx, i, "Not accepted: "+err.Error())
		return approvals.Link{}, false
	}
	link, err := n.links.Find(ctx, a)
	if err == nil && !approvals.SameMailbox(link.Email, email) { // the profile has changed since
		n.links.Refuse(ctx, link, approval, errors.New("the account's e-mail address is no longer that of the person it was linked to"))
		err = approvals.ErrNotLinked
	}
	switch {
	case err == nil:
		return link, true
	case !errors.Is(err, approvals.ErrNotLinked):
		n.o.Log.ErrorContext(ctx, "it could not be looked up who a Slack account is", "cause", err.Error())
		n.say(ctx, i, "Not accepted: the gateway cannot look up who you are. Try again.")
		return approvals.Link{}, false
	}
	n.o.Log.InfoContext(ctx, "a button was pressed by an account that is linked to nobody", "team", a.Team, "user", a.User, "approval", approval)
	if !n.mayHaveCode(a) {
		n.say(ctx, i, "You have got codes already. Use one, or wait a moment.")
		return approvals.Link{}, false
	}
	code, err := n.links.Code(ctx, a)
	if err != nil {
		n.o.Log.ErrorContext(ctx, "no code could be made", "cause", err.Error())
		n.say(ctx, i, "Not accepted: the gateway cannot make a code for you. Try again.")
		return approvals.Link{}, false
	}
	n.say(ctx, i, "Your Slack account is linked to nobody yet, so your answer does not count. On your machine, run\n\nsallyport approvals link "+code+
		"\n\nwith your own token, within 10 minutes, and press the button again. Give this code to nobody.")
	return approvals.Link{}, false
}

// mayHaveCode bounds the codes of one account.
func (n *Notifier) mayHaveCode(a approvals.Account) bool {
	limit := rate.NewLimiter(rate.Every(codeEvery), 3)
	if had, ok, _ := n.codes.PeekOrAdd(a, limit); ok {
		limit = had
	}
	return limit.AllowN(n.o.Now(), 1)
}

// email is the address of an account that Slack has confirmed. Guests, bots and people
// of other workspaces (shared channels) have none here.
func (n *Notifier) email(ctx context.Context, a approvals.Account) (string, error) {
	if team := n.ourTeam(); team == "" || a.Team != team {
		return "", errors.New("only accounts of the gateway's own Slack workspace may answer")
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	u, err := n.api.GetUserInfoContext(ctx, a.User)
	switch {
	case err != nil:
		n.o.Log.ErrorContext(ctx, "Slack did not say who an account is", "user", a.User, "cause", cause(err))
		return "", errors.New("it is not known who this account is: the app needs the scopes users:read and users:read.email")
	case u.ID != a.User || u.TeamID != a.Team || u.IsStranger:
		return "", errors.New("only accounts of the gateway's own Slack workspace may answer")
	case u.Deleted || u.IsBot || u.IsWorkflowBot || u.IsConnectorBot || u.IsRestricted || u.IsUltraRestricted || u.IsInvitedUser:
		return "", errors.New("guests, bots and accounts that are not active may not answer")
	case !u.IsEmailConfirmed || u.Profile.Email == "":
		return "", errors.New("this Slack account has no confirmed e-mail address, or the app lacks the scope users:read.email")
	}
	return u.Profile.Email, nil
}

// say tells one person something, in the channel, where nobody else sees it. A text of
// ours may have lines; what else is in it comes from the gateway, and is shown as code.
func (n *Notifier) say(ctx context.Context, i slack.InteractionCallback, text string) {
	block := slack.NewRichTextBlock("said", preformatted(cut(text, maxText)))
	if _, err := n.api.PostEphemeralContext(ctx, n.o.Channel, i.User.ID, slack.MsgOptionText(plain(text), false), slack.MsgOptionBlocks(block),
		slack.MsgOptionParse(false), slack.MsgOptionDisableMarkdown()); err != nil {
		n.o.Log.WarnContext(ctx, "a Slack user could not be told something", "user", i.User.ID, "cause", cause(fmt.Errorf("chat.postEphemeral: %w", err)))
	}
}

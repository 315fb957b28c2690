package bus

import (
	"fmt"
	"slices"

	"github.com/nats-io/jwt/v2"
)

// The streams.
const (
	EventsStream    = "SALLYPORT_EVENTS"
	ApprovalsStream = "SALLYPORT_APPROVALS"
)

// PendingBucket is the key-value bucket with the state of approvals. Only gateways
// may touch it: an approver who could write there would need no token.
const PendingBucket = "SALLYPORT_PENDING"

// RevokedBucket is the key-value bucket with what operators have revoked. Only
// gateways may touch it: whoever could write there could lift a revocation unseen.
const RevokedBucket = "SALLYPORT_REVOKED"

// Role is a user of the bus; each has its own creds file and inbox prefix
// _INBOX.<role>, so that none can read another's answers.
type Role string

// The roles.
const (
	Gateway  Role = "gateway"  // publishes events and requests to approve
	Recorder Role = "recorder" // consumes events
	Approver Role = "approver" // reads what is pending, answers it
	Operator Role = "operator" // revokes, and reads events
)

// Roles is every role, in the order of the documentation.
var Roles = []Role{Gateway, Recorder, Approver, Operator}

// RecorderDurable is the durable consumer of the first recorder. The operator
// may create consumers, to follow events, but neither change nor read this one:
// it could otherwise make the recorder skip what it should not see.
const RecorderDurable = "recorder"

// SlackDurable is the consumer of approvals that are posted to Slack.
const SlackDurable = "slack"

// MaxWebhooks is how many webhooks there may be: their consumers are named one by one
// in the permissions.
const MaxWebhooks = 8

// WebhookDurable is the consumer of approvals that the i-th webhook is told of.
func WebhookDurable(i int) string { return fmt.Sprintf("webhook-%d", i) }

// NotifierDurables are all consumers that gateways share to tell of approvals.
func NotifierDurables() []string {
	names := []string{SlackDurable}
	for i := range MaxWebhooks {
		names = append(names, WebhookDurable(i))
	}
	return names
}

// grant is what one role may do. Everything else is refused by the server.
type grant struct {
	pub, sub, denyPub []string
	responses         bool // may answer requests that it receives
}

// grants is the table of permissions. None may touch a stream itself
// ($JS.API.STREAM.* but INFO), another account ($SYS), or an inbox of others.
func grants(prefix string) map[Role]grant {
	const api = "$JS.API."
	consume := func(stream string) []string {
		return []string{
			api + "STREAM.INFO." + stream,
			api + "CONSUMER.INFO." + stream + ".*",
			api + "CONSUMER.CREATE." + stream + ".>",
			api + "CONSUMER.MSG.NEXT." + stream + ".*",
		}
	}
	bucket := func(name string) []string { // to read, write and watch it
		stream := "KV_" + name
		return []string{
			api + "STREAM.INFO." + stream,
			"$KV." + name + ".>",
			api + "DIRECT.GET." + stream + ".>",
			api + "CONSUMER.CREATE." + stream + ".>",
			api + "CONSUMER.INFO." + stream + ".*",
			api + "CONSUMER.DELETE." + stream + ".*",
			"$JS.FC." + stream + ".>", // to answer the watch's flow control
		}
	}
	// The consumers of notifiers are the gateway's alone: an approver who read from one
	// would take messages that Slack or a webhook then never gets.
	var notify, notNotify []string
	for _, name := range NotifierDurables() {
		create, next := api+"CONSUMER.CREATE."+ApprovalsStream+"."+name, api+"CONSUMER.MSG.NEXT."+ApprovalsStream+"."+name
		notify = append(notify, create, next, api+"CONSUMER.INFO."+ApprovalsStream+"."+name, "$JS.ACK."+ApprovalsStream+"."+name+".>")
		notNotify = append(notNotify, create, create+".>", next)
	}
	return map[Role]grant{
		Gateway: {
			pub: slices.Concat([]string{
				prefix + ".events.*.*.>",
				prefix + ".approvals.pending.*",
				prefix + ".approvals.outcome.*",
				api + "STREAM.INFO." + EventsStream, // to check the streams' settings
				api + "STREAM.INFO." + ApprovalsStream,
			}, bucket(PendingBucket), bucket(RevokedBucket), notify),
			sub: []string{
				"_INBOX.gateway.>", prefix + ".approvals.answer.*", prefix + ".approvals.link", prefix + ".control.revoke",
				prefix + ".recorders.*", prefix + ".alarms.*",
			},
			responses: true,
		},
		Recorder: {
			pub: append(consume(EventsStream), "$JS.ACK."+EventsStream+".>", prefix+".recorders.*", prefix+".alarms.*"),
			sub: []string{"_INBOX.recorder.>"},
		},
		Approver: {
			pub:     append(consume(ApprovalsStream), prefix+".approvals.answer.*", prefix+".approvals.link"),
			sub:     []string{"_INBOX.approver.>"},
			denyPub: notNotify,
		},
		Operator: {
			pub: append(consume(EventsStream), prefix+".control.revoke"),
			sub: []string{"_INBOX.operator.>", prefix + ".recorders.*", prefix + ".alarms.*"},
			denyPub: []string{
				api + "CONSUMER.CREATE." + EventsStream + "." + RecorderDurable,
				api + "CONSUMER.CREATE." + EventsStream + "." + RecorderDurable + ".>",
				api + "CONSUMER.MSG.NEXT." + EventsStream + "." + RecorderDurable,
			},
		},
	}
}

// template is a grant in NATS's form. It goes into the account's claims as a
// scoped signing key: a creds file has no permissions of its own, so that a
// changed table holds for old files too.
func (g grant) template() jwt.UserPermissionLimits {
	t := jwt.UserPermissionLimits{
		Permissions: jwt.Permissions{
			Pub: jwt.Permission{Allow: g.pub, Deny: g.denyPub},
			Sub: jwt.Permission{Allow: g.sub},
		},
		Limits:                 jwt.Limits{NatsLimits: jwt.NatsLimits{Subs: 256, Data: jwt.NoLimit, Payload: jwt.NoLimit}},
		AllowedConnectionTypes: jwt.StringList{jwt.ConnectionTypeStandard, jwt.ConnectionTypeInProcess},
	}
	if g.responses {
		t.Resp = &jwt.ResponsePermission{MaxMsgs: 1, Expires: responseTime}
	}
	return t
}

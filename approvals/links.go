package approvals

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/secret"
)

// CodeFor is how long a code can be redeemed.
const CodeFor = 10 * time.Minute

// maxLink bounds what is sent to redeem a code, in bytes.
const maxLink = 64 << 10

// Errors of links.
var (
	ErrNotLinked = errors.New("this account is linked to nobody, or its link has ended")
	ErrCode      = errors.New("this code is not known, was used, or is older than 10 minutes: press the button again for another one")
)

// Account is somebody's account of a chat service, as that service names it.
type Account struct {
	Team string `json:"team"`
	User string `json:"user"`
}

var accountID = regexp.MustCompile(`^[A-Z0-9]{1,32}$`)

func (a Account) valid() bool { return accountID.MatchString(a.Team) && accountID.MatchString(a.User) }

// Link says which person an account is: what a token said that was verified when they
// were linked. The zero value is nobody's.
type Link struct {
	Account
	Issuer  string    `json:"issuer"`
	Subject string    `json:"subject"`
	Email   string    `json:"email"` // verified by the issuer; never ""
	Groups  []string  `json:"groups,omitempty"`
	Until   time.Time `json:"until"` // from here on it says nothing
}

// code is what is kept of a code, under its SHA-256.
type code struct {
	Account
	Until time.Time `json:"until"`
}

// LinkOptions configure Links. All are required.
type LinkOptions struct {
	Medium string        // the chat service: slack
	For    time.Duration // how long a link lasts
	// Email is the address of an account that its service has confirmed; an error where
	// there is none, or where the account may not be linked.
	Email func(ctx context.Context, a Account) (string, error)
}

// Links knows which people the accounts of a chat service are. It is kept where the
// state of approvals is, so that every gateway knows the same. Use Broker.Links.
type Links struct {
	b   *Broker
	o   LinkOptions
	sub *nats.Subscription
}

// Links listens for codes that people redeem, until Close.
func (b *Broker) Links(ctx context.Context, o LinkOptions) (*Links, error) {
	if o.Medium == "" || o.For <= 0 || o.Email == nil {
		return nil, errors.New("approvals: an option of links is missing")
	}
	l := &Links{b: b, o: o}
	run := context.WithoutCancel(ctx) // each has a time of its own
	var err error
	if l.sub, err = b.o.Conn.QueueSubscribe(b.o.Prefix+".approvals.link", "gateway", func(m *nats.Msg) { l.receive(run, m) }); err != nil {
		return nil, fmt.Errorf("listen for codes: %w", err)
	}
	return l, nil
}

// Close stops listening. Links stay.
func (l *Links) Close() { _ = l.sub.Unsubscribe() } // an error is a connection that has gone already

// Code makes a code that links an account, once, to whoever redeems it with a token.
// It has 80 random bits.
func (l *Links) Code(ctx context.Context, a Account) (string, error) {
	if !a.valid() {
		return "", ErrNotLinked
	}
	text := rand.Text()[:16]
	if err := l.put(ctx, l.codeKey(text), code{a, l.b.o.Now().Add(CodeFor)}); err != nil {
		return "", err
	}
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:], nil
}

// Find is whom an account is linked to; ErrNotLinked is nobody.
func (l *Links) Find(ctx context.Context, a Account) (Link, error) {
	if !a.valid() {
		return Link{}, ErrNotLinked
	}
	entry, err := l.b.store.kv.Get(ctx, l.linkKey(a))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Link{}, ErrNotLinked
	}
	if err != nil {
		return Link{}, fmt.Errorf("read who an account is: %w", err)
	}
	var link Link
	if strict(entry.Value(), &link) != nil || link.Account != a || !link.holds(l.b.o.Now()) || !l.b.o.Verifier.Trusts(link.Issuer) {
		return Link{}, ErrNotLinked
	}
	return link, nil
}

// holds reports that a link names somebody still.
func (l Link) holds(now time.Time) bool {
	return l.valid() && l.Issuer != "" && l.Subject != "" && l.Email != "" && now.Before(l.Until)
}

// Redemption is what a person sends to <prefix>.approvals.link: JSON of at most 65536
// bytes, without other members.
type Redemption struct {
	Code  string `json:"code"`  // as it was shown, upper or lower case, with or without -
	Token string `json:"token"` // the person's own OIDC token, for the audience of approvers
}

// RedemptionReply answers a Redemption. The zero value says that nothing was linked.
type RedemptionReply struct {
	Accepted bool      `json:"accepted"`
	Until    time.Time `json:"until,omitzero"`  // the end of the link
	Error    string    `json:"error,omitempty"` // why not, one sentence
}

// ParseRedemption reads a Redemption. Its errors hold nothing of it.
func ParseRedemption(b []byte) (Redemption, error) {
	var r Redemption
	if len(b) > maxLink {
		return r, fmt.Errorf("the message has %d bytes, the limit is %d", len(b), maxLink)
	}
	if strict(b, &r) != nil || r.Token == "" {
		return Redemption{}, errors.New("the message is not a JSON object with code and token")
	}
	r.Code = strings.ToUpper(strings.ReplaceAll(r.Code, "-", ""))
	if !codeText.MatchString(r.Code) {
		return Redemption{}, ErrCode
	}
	return r, nil
}

var codeText = regexp.MustCompile(`^[A-Z2-7]{16}$`)

func (l *Links) receive(ctx context.Context, m *nats.Msg) {
	err := l.b.serve(ctx, func(ctx context.Context) {
		link, who, err := l.redeem(ctx, m.Data)
		if err != nil {
			l.b.audit(ctx, "", who, err)
			l.b.reply(m, RedemptionReply{Error: why(err)})
			return
		}
		l.b.o.Log.InfoContext(ctx, "an account was linked", "medium", l.o.Medium, "team", link.Team, "user", link.User, "issuer", link.Issuer, "subject", link.Subject, "until", link.Until)
		l.b.reply(m, RedemptionReply{Accepted: true, Until: link.Until})
	})
	if err != nil {
		l.b.reply(m, RedemptionReply{Error: err.Error()})
	}
}

// redeem links the account that a code was made for to the person of a token. Who got
// somebody else to send their code has an account with another address.
func (l *Links) redeem(ctx context.Context, data []byte) (Link, *identity.Principal, error) {
	r, err := ParseRedemption(data)
	if err != nil {
		return Link{}, nil, err
	}
	p, err := l.b.identify(ctx, secret.New(r.Token))
	if err != nil {
		return Link{}, p, err
	}
	if !p.Person || !p.EmailVerified || p.Email == "" {
		return Link{}, p, errors.New("the token has no verified e-mail address, so it cannot be compared to the account's")
	}
	a, err := l.take(ctx, r.Code)
	if err != nil {
		return Link{}, p, err
	}
	email, err := l.o.Email(ctx, a)
	if err != nil {
		return Link{}, p, err
	}
	if !SameMailbox(email, p.Email) {
		return Link{}, p, fmt.Errorf("the account of %s that this code was made for has another e-mail address than the token: link only a code that you were shown yourself", l.o.Medium)
	}
	link := Link{Account: a, Issuer: p.Issuer, Subject: p.Subject, Email: p.Email, Groups: p.Groups, Until: l.b.o.Now().Add(l.o.For).UTC()}
	return link, p, l.put(ctx, l.linkKey(a), link)
}

// take uses a code up, whatever comes of it. Of two that take it one gets it: the
// deletion names the revision that was read.
func (l *Links) take(ctx context.Context, text string) (Account, error) {
	key := l.codeKey(text)
	entry, err := l.b.store.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Account{}, ErrCode
	}
	if err != nil {
		return Account{}, fmt.Errorf("read a code: %w", err)
	}
	if err := l.b.store.kv.Delete(ctx, key, jetstream.LastRevision(entry.Revision())); err != nil {
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
			return Account{}, ErrCode
		}
		return Account{}, fmt.Errorf("use a code up: %w", err)
	}
	var c code
	if strict(entry.Value(), &c) != nil || !c.valid() || !l.b.o.Now().Before(c.Until) {
		return Account{}, ErrCode
	}
	return c.Account, nil
}

func (l *Links) put(ctx context.Context, key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("keep a link: %w", err)
	}
	if _, err := l.b.store.kv.Put(ctx, key, value); err != nil {
		return fmt.Errorf("keep a link: %w", err)
	}
	return nil
}

func (l *Links) linkKey(a Account) string { return l.o.Medium + ".link." + a.Team + "." + a.User }

func (l *Links) codeKey(text string) string {
	sum := sha256.Sum256([]byte(text))
	return l.o.Medium + ".code." + hex.EncodeToString(sum[:])
}

// SameMailbox compares addresses without case, but only that of ASCII: Unicode has
// other letters that fold to the same (U+212A to k), and mailboxes that differ in them
// belong to different people. Nothing is the same as no address.
func SameMailbox(a, b string) bool {
	lower := func(s string) string {
		out := []byte(s)
		for i, c := range out {
			if c >= 'A' && c <= 'Z' {
				out[i] = c + 'a' - 'A'
			}
		}
		return string(out)
	}
	return a != "" && lower(a) == lower(b)
}

// strict reads one JSON object that says one thing: without members that into does not
// have, letter by letter, none of them twice, in UTF-8, and nothing behind it. Of two
// members encoding/json takes the last, and others the first.
func strict(b []byte, into any) error {
	return jsonv2.Unmarshal(b, into, jsonv2.RejectUnknownMembers(true))
}

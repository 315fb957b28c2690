// Package gateway knows the order of the stages, and is the only one that does:
// docs/request-walk.md is its map. It accepts CONNECTs and decrypted requests from
// mitm, and sends nothing to AWS but through send, which wants a permit (made only
// from an allowing decision) and a recorder.Receipt.
//
// The zero Gateway refuses everything; New checks that nothing is missing.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/jit"
	"github.com/sallyport/sallyport/mask"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/recorder"
)

// Limits of one request. They bound memory, and are stated in docs/operations.md.
const (
	// maxBuffered bounds the bodies that all requests together hold in memory.
	maxBuffered = 256 << 20
	// maxShare is how much of that one identity may hold.
	maxShare = 64 << 20
	// maxSpooled is how long a body may be that must be hashed before it is sent. It
	// is on disk, not in memory.
	maxSpooled = 1 << 30
	// maxDisk bounds what all requests together hold there, maxDiskShare one identity.
	maxDisk      = 8 << 30
	maxDiskShare = 2 << 30
	// maxStreams bounds the requests whose bodies stream at once, maxStreamsShare those of
	// one identity. Each holds a MiB and a half while its client does nothing: what is
	// hashed, masked and on its way to the record.
	maxStreams      = 2048
	maxStreamsShare = 256
	// reserveTimeout is how long a request waits for any of them.
	reserveTimeout = 2 * time.Second
	// recordTimeout is how long a request waits for its event to be durable.
	recordTimeout = 5 * time.Second
)

// Recorder makes events durable.
type Recorder interface {
	// Begin returns once all events are durable. An error means nothing may be sent.
	Begin(ctx context.Context, events ...event.Event) (*recorder.Receipt, error)
	// Append is for what happens after; it too returns only once durable.
	Append(ctx context.Context, events ...event.Event) error
	// Queue is for events that an Append or Begin of the same exchange follows, by whose
	// return they are durable. It waits while too much is under way.
	Queue(ctx context.Context, events ...event.Event) error
}

// Minter gets the credential for one call.
type Minter interface {
	Mint(ctx context.Context, r jit.Request) (*jit.Credential, error)
}

// Upstream gives the connection pool of one identity.
type Upstream interface {
	For(key string) http.RoundTripper
	CloseKey(key string)
}

// Policy decides; it may change between two calls.
type Policy interface {
	Decide(in policy.Input) policy.Decision
}

// Target is an AWS role that agents may name.
type Target struct {
	jit.Target
	Account   string // of the role
	Partition string
}

// Config is everything a Gateway needs. All fields but Log, Metrics and those of approvals are required.
type Config struct {
	Identifier  *awsapi.Identifier
	Verifier    *identity.Verifier
	Sessions    *identity.Sessions
	Revocations Revocations
	Policy      Policy
	Recorder    Recorder
	Minter      Minter
	Masker      *mask.Masker
	Upstream    Upstream
	IDs         *event.IDs
	Targets     map[string]Target
	Default     string   // name of the default target
	Tunnel      []string // host:port passed through untouched
	SpoolDir    string   // folder for bodies that must be read whole; "": the system's for temporary files
	Source      string   // CloudEvents source of this gateway
	// Record is what of bodies is recorded where no rule says otherwise. The zero value:
	// all of them.
	Record  policy.Record
	Now     func() time.Time
	Log     *slog.Logger
	Metrics *Metrics
	// Approvals asks people; nil refuses what needs them.
	Approvals Approvals
	Calls     Calls         // what became of approved calls; required with Approvals
	Hold      time.Duration // how long a request stays open for an answer
	Expires   time.Duration // how long people have to answer; required with Approvals
}

// Gateway serves the requests of agents.
type Gateway struct {
	Config
	tunnels  map[string]bool
	live     live
	suffixes []string // DNS suffixes below which AWS has its API endpoints
	memory   *pool
	disk     *pool
	streams  *pool         // requests
	beat     time.Duration // between heartbeats of a held request
	outlive  time.Duration // how long an approved call goes on without its client
	open     open          // exchanges that are being served
	refused  *rate.Limiter // events of refusals before an identity is known

	enriching    *pool // requests whose resources are read
	enrichWithin time.Duration
}

// New checks the configuration. All problems are returned at once.
func New(c Config) (*Gateway, error) {
	var problems []error
	for name, missing := range map[string]bool{
		"Identifier": c.Identifier == nil, "Verifier": c.Verifier == nil, "Sessions": c.Sessions == nil,
		"Revocations": c.Revocations == nil, "Policy": c.Policy == nil, "Recorder": c.Recorder == nil, "Minter": c.Minter == nil,
		"Masker": c.Masker == nil, "Upstream": c.Upstream == nil, "IDs": c.IDs == nil,
		"Expires": c.Approvals != nil && c.Expires <= 0,
		"Calls":   c.Approvals != nil && c.Calls == nil,
		"Now":     c.Now == nil, "Source": c.Source == "", "Targets": len(c.Targets) == 0,
	} {
		if missing {
			problems = append(problems, fmt.Errorf("gateway: %s is not set", name))
		}
	}
	if _, ok := c.Targets[c.Default]; !ok {
		problems = append(problems, fmt.Errorf("gateway: the default target %q is not a target", c.Default))
	}
	g := &Gateway{Config: c, tunnels: map[string]bool{}, memory: newPool(maxBuffered, maxShare), disk: newPool(maxDisk, maxDiskShare), streams: newPool(maxStreams, maxStreamsShare), beat: heartbeat, outlive: outliveTime, refused: rate.NewLimiter(10, 100)}
	g.enriching, g.enrichWithin = newPool(maxEnriching, maxEnrichingShare), enrichTimeout
	if c.Identifier != nil {
		g.suffixes = c.Identifier.DNSSuffixes()
	}
	for _, t := range c.Tunnel {
		g.tunnels[t] = true
	}
	if g.Log == nil {
		g.Log = slog.New(slog.DiscardHandler)
	}
	if g.Metrics == nil {
		g.Metrics = NewMetrics(nil)
	}
	return g, errors.Join(problems...)
}

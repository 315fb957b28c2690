// Package archive copies a recorder's store into a bucket of an S3-compatible object
// store while the recorder runs: closed segments and packs, the Merkle log as far as it
// covers them, and checkpoints. A downloaded copy verifies by itself.
//
// Objects are written once. An object that is there already with other content is never
// overwritten: it is an alarm. The two objects that follow the log, log/checkpoint and
// log/.state/treeState, only ever go forward.
package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport/recorder"
)

const (
	passEvery = time.Minute
	firstWait = 2 * time.Second // after a pass that failed; doubles up to passMost
	passMost  = 5 * time.Minute
	putTime   = 10 * time.Minute // for one object
)

// Options of an Archive.
type Options struct {
	Bucket    string
	Prefix    string // of every key; "" is none
	Endpoint  string // URL of the store; "" is AWS
	Region    string // "" is the profile's, and us-east-1 where there is an Endpoint
	PathStyle bool   // the bucket in the path instead of the host name
	Profile   string // of the SDK's shared configuration; "" is its default chain

	Credentials aws.CredentialsProvider // instead of the chain; nil uses Profile
	HTTPClient  aws.HTTPClient          // nil is the SDK's
	Store       *recorder.Store         // required; stays its caller's
	Log         *slog.Logger            // nil discards
	Metrics     prometheus.Registerer   // nil keeps the metrics unregistered
}

// Archive copies one store. Use New; one goroutine at a time may use it.
type Archive struct {
	client *s3.Client
	bucket string
	prefix string
	store  *recorder.Store
	log    *slog.Logger
	m      *metrics

	begun     bool
	size      uint64              // lines that the archive's log covers
	tiled     uint64              // lines whose tiles were put
	anchored  uint64              // size of the last checkpoint that was put
	there     map[string]int64    // segments and packs that are in the bucket, bytes
	conflicts map[string]struct{} // keys that have other content
}

// New reads the SDK's configuration; it does not reach the bucket yet.
func New(ctx context.Context, o Options) (*Archive, error) {
	if o.Bucket == "" || o.Store == nil {
		return nil, errors.New("archive: Bucket and Store must be set")
	}
	var opts []func(*config.LoadOptions) error
	if o.Profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(o.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("find the identity for record.archive (aws.base_profile %q): %w", o.Profile, err)
	}
	// Built from what is here: AWS_ENDPOINT_URL and the like in our environment must not
	// send the record elsewhere.
	so := s3.Options{Region: o.Region, Credentials: o.Credentials, HTTPClient: o.HTTPClient, UsePathStyle: o.PathStyle}
	if so.Region == "" {
		so.Region = cfg.Region
	}
	if so.Credentials == nil {
		so.Credentials = cfg.Credentials
	}
	if so.HTTPClient == nil {
		so.HTTPClient = cfg.HTTPClient
	}
	if o.Endpoint != "" {
		so.BaseEndpoint = aws.String(o.Endpoint)
		if so.Region == "" {
			so.Region = "us-east-1"
		}
	}
	if so.Region == "" {
		return nil, errors.New("record.archive.region: name the bucket's region")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Archive{client: s3.New(so), bucket: o.Bucket, prefix: o.Prefix, store: o.Store, log: o.Log, m: newMetrics(o.Metrics),
		there: map[string]int64{}, conflicts: map[string]struct{}{}}, nil
}

// Run makes a pass every minute until ctx ends, and after one that failed sooner, then
// ever later. Nothing of it stops the recorder.
func (a *Archive) Run(ctx context.Context) {
	wait := time.Duration(0)
	failing := firstWait
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		err := a.Pass(ctx)
		if ctx.Err() != nil {
			return
		}
		if wait = passEvery; err == nil {
			failing = firstWait
			continue
		}
		a.log.Warn("archive: behind, trying again", "error", err, "wait", failing)
		wait, failing = failing, min(2*failing, passMost)
	}
}

// Pass copies all that is closed and not archived yet. Objects with other content are no
// error of it; they are told once, and the archive's log/checkpoint stays as it is.
func (a *Archive) Pass(ctx context.Context) error {
	err := a.pass(ctx)
	if err != nil && ctx.Err() == nil {
		a.m.errors.Inc()
	}
	return err
}

func (a *Archive) pass(ctx context.Context) error {
	if err := a.begin(ctx); err != nil {
		return err
	}
	// First of all, since it is what a recorder cannot take back: small, and also where
	// the files are behind.
	if err := a.anchor(ctx); err != nil {
		return err
	}
	closed, err := a.store.Closed()
	if err != nil {
		return err
	}
	if err := a.files(ctx, closed); err != nil {
		return err
	}
	if c := closed.Checkpoint; closed.Compressing == 0 && c.Size > a.size {
		return a.advance(ctx, c)
	}
	return nil
}

// anchor puts the latest checkpoint under its size. Another one of the same size is a
// second history of one log.
func (a *Archive) anchor(ctx context.Context) error {
	c, err := a.store.Checkpoint()
	if err != nil {
		return err
	}
	if c.Size == a.anchored {
		return nil
	}
	if err := a.once(ctx, checkpointName(c.Size), c.Text); err != nil {
		return err
	}
	a.anchored = c.Size
	return nil
}

func checkpointName(size uint64) string { return "checkpoints/" + strconv.FormatUint(size, 10) }

// files puts segments and packs, and counts those that wait.
func (a *Archive) files(ctx context.Context, closed recorder.Closed) error {
	var waiting []recorder.ClosedFile
	for _, f := range closed.Files {
		size, there := a.there[f.Name]
		switch _, known := a.conflicts[f.Name]; {
		case known:
		case !there:
			waiting = append(waiting, f)
		case size != f.Size && !rewritten(f, size):
			a.conflict(f.Name, fmt.Sprintf("it has %d bytes, and the recorder's file %d", size, f.Size))
		}
	}
	left := len(waiting) + closed.Compressing
	a.m.lag.Set(float64(left))
	for _, f := range waiting {
		if err := a.file(ctx, f); err != nil {
			return err
		}
		left--
		a.m.lag.Set(float64(left))
	}
	return nil
}

// rewritten says that a pack is in the bucket with what retention or forget have taken
// out of the recorder's since.
func rewritten(f recorder.ClosedFile, archived int64) bool { return f.Pack && archived > f.Size }

// advance archives the log up to a checkpoint, itself last: whoever downloads meanwhile
// has an older one whose lines and tiles are there.
func (a *Archive) advance(ctx context.Context, c recorder.LogCheckpoint) error {
	if c.Size > a.tiled {
		err := a.store.LogFiles(a.tiled, c.Size, func(name string, b []byte) error { return a.once(ctx, name, b) })
		if err != nil {
			return err
		}
		if err := a.once(ctx, checkpointName(c.Size), c.Text); err != nil {
			return err
		}
		a.tiled = c.Size
	}
	if len(a.conflicts) > 0 {
		return nil // what is there may be all that is left of the true record
	}
	state, err := c.State()
	if err != nil {
		return err
	}
	if err := errors.Join(a.replace(ctx, recorder.LogStateFile, state), a.replace(ctx, recorder.CheckpointFile, c.Text)); err != nil {
		return err
	}
	a.size = c.Size
	return nil
}

// conflict raises the alarm, on record too, once for each object and start.
func (a *Archive) conflict(name, what string) {
	if _, known := a.conflicts[name]; known {
		return
	}
	a.conflicts[name] = struct{}{}
	a.m.conflicts.Inc()
	a.log.Error("archive: ALARM: the bucket and the recorder have different records; nothing is overwritten", "object", a.prefix+name, "detail", what)
	if err := a.store.Alarm(recorder.CodeArchive, fmt.Sprintf("the archive's %s is another: %s", a.prefix+name, what)); err != nil {
		a.log.Error("archive: the alarm is not on record", "error", err)
	}
}

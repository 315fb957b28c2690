package jit

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/refusal"
)

const (
	// duration is what is asked of STS, its minimum; the session policy's
	// deadline is the shorter limit.
	duration = 900 * time.Second
	// maxClockError is how far STS's clock may be from ours. The deadline in the
	// session policy is by our clock, so a larger error makes it meaningless.
	maxClockError  = 5 * time.Minute
	defaultTimeout = 10 * time.Second
)

// Options are what NewMinter needs.
type Options struct {
	BaseProfile string                  // profile of the gateway's own identity; "" is the SDK's default chain
	Credentials aws.CredentialsProvider // instead of the chain (trials, tests); nil uses BaseProfile
	Transport   http.RoundTripper       // to STS; required, so that aws.endpoint and ca_file hold for STS too
	Now         func() time.Time        // required
	Timeout     time.Duration           // of one Mint with its retry; 0 means 10 s
	Log         *slog.Logger            // nil discards
}

// Minter gets credentials from STS. Its zero value refuses.
type Minter struct {
	base    aws.CredentialsProvider
	client  *sts.Client
	now     func() time.Time
	timeout time.Duration
	log     *slog.Logger
	pause   func(context.Context) error // before the one retry
}

// NewMinter finds the gateway's own identity; it does not use it yet.
func NewMinter(ctx context.Context, o Options) (*Minter, error) {
	if o.Transport == nil || o.Now == nil {
		return nil, errors.New("jit: Transport and Now must be set")
	}
	m := &Minter{base: o.Credentials, now: o.Now, timeout: o.Timeout, log: o.Log, pause: pauseBriefly}
	if m.timeout <= 0 {
		m.timeout = defaultTimeout
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.base == nil {
		var opts []func(*config.LoadOptions) error
		if o.BaseProfile != "" {
			opts = append(opts, config.WithSharedConfigProfile(o.BaseProfile))
		}
		cfg, err := config.LoadDefaultConfig(ctx, opts...)
		if err != nil {
			return nil, fmt.Errorf("find the gateway's own AWS identity (aws.base_profile %q): %w; give it a profile in ~/.aws/config that exists, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role of its instance, task or pod", o.BaseProfile, err)
		}
		m.base = cfg.Credentials
	}
	// Built from nothing but what is here: AWS_ENDPOINT_URL_STS and the like in
	// our environment must not send the gateway's own signature elsewhere.
	m.client = sts.New(sts.Options{
		Credentials: m.base,
		HTTPClient: &http.Client{Transport: wholeBody{o.Transport}, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
		Retryer: aws.NopRetryer{},
	})
	return m, nil
}

// Check reports whether the gateway has an identity of its own at all, as a
// sentence for the operator. It does not call STS.
func (m *Minter) Check(ctx context.Context) error {
	if _, err := m.base.Retrieve(ctx); err != nil {
		return baseError(err)
	}
	return nil
}

// Request is what a credential is for.
type Request struct {
	Target    Target
	Call      *awsapi.Call
	Scope     Scope  // how far the credential may reach; "" is refused
	SessionID string // ULID
	RequestID string // ULID
	// WebIdentityToken is the agent's verified token. It is used only where the
	// target has WebIdentity, which refuses without it.
	WebIdentityToken secret.String
}

var ulid = regexp.MustCompile(`^[0-9A-Za-z]{26}$`)

// Mint calls AssumeRole or AssumeRoleWithWebIdentity for one call and checks what comes back. A throttled call
// is tried once more within the timeout; nothing else is. Errors are
// *refusal.Error.
func (m *Minter) Mint(ctx context.Context, r Request) (*Credential, error) {
	if m == nil || m.client == nil {
		return nil, refusal.New(refusal.Credentials, "the gateway has no STS client")
	}
	if !ulid.MatchString(r.SessionID) || !ulid.MatchString(r.RequestID) {
		return nil, refusal.New(refusal.Credentials, "the session or request id is not a ULID")
	}
	want, err := r.Target.role()
	if err != nil {
		return nil, refusal.Wrap(refusal.Credentials, err, "target %s has no valid role_arn; the operator must mend it", r.Target.Name)
	}
	now := m.now()
	policy, err := SessionPolicy(r.Call, r.Target, r.Scope, now)
	if err != nil {
		return nil, err
	}
	if r.Target.WebIdentity {
		return m.mintWebIdentity(ctx, r, want, policy)
	}
	identity := "sp-" + r.SessionID + "-" + r.RequestID
	in := &sts.AssumeRoleInput{
		RoleArn: aws.String(r.Target.RoleARN), RoleSessionName: aws.String(identity + "-" + suffix()),
		SourceIdentity: aws.String(identity), DurationSeconds: aws.Int32(int32(duration / time.Second)), Policy: aws.String(policy.Text),
	}
	if r.Target.ExternalID != "" {
		in.ExternalId = aws.String(r.Target.ExternalID)
	}
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	if _, err := m.base.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, refusal.Wrap(refusal.Unavailable, err, "the gateway's own AWS identity could not be had in time; nothing was sent to AWS")
		}
		return nil, baseError(err)
	}
	region := stsRegion(r.Call, r.Target, want.partition)
	out, err := m.assume(ctx, in, region)
	if err != nil {
		return nil, explain(err, r.Target, region)
	}
	if out == nil {
		out = &sts.AssumeRoleOutput{}
	}
	return m.accept(out.Credentials, out.AssumedRoleUser, r.Target, want, *in.RoleSessionName, policy)
}

func (m *Minter) assume(ctx context.Context, in *sts.AssumeRoleInput, region string) (*sts.AssumeRoleOutput, error) {
	inRegion := func(o *sts.Options) { o.Region = region }
	out, err := m.client.AssumeRole(ctx, in, inRegion)
	if !throttled(err) {
		return out, err
	}
	m.log.WarnContext(ctx, "STS throttles AssumeRole", "region", region)
	if m.pause(ctx) != nil {
		return nil, err
	}
	return m.client.AssumeRole(ctx, in, inRegion)
}

// accept checks STS's answer: what came could be stale, or another role's.
func (m *Minter) accept(c *types.Credentials, user *types.AssumedRoleUser, t Target, want role, session string, policy Policy) (*Credential, error) {
	if c == nil || user == nil {
		return nil, refusal.New(refusal.Unavailable, "STS gave an answer without a credential; nothing was sent to AWS")
	}
	if aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" || aws.ToString(c.SessionToken) == "" || c.Expiration == nil {
		return nil, refusal.New(refusal.Unavailable, "STS gave an incomplete credential; nothing was sent to AWS")
	}
	cred := &Credential{
		Expires: *c.Expiration, accessKeyID: *c.AccessKeyId, secretKey: secret.New(*c.SecretAccessKey), sessionToken: secret.New(*c.SessionToken),
		sessionPolicy: policy, roleARN: t.RoleARN, assumedARN: aws.ToString(user.Arn),
	}
	expected := fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/%s", want.partition, want.account, want.name, session)
	if cred.assumedARN != expected {
		cred.Wipe()
		return nil, refusal.New(refusal.Credentials, "STS gave a credential of another role than target %s names; nothing was sent to AWS", t.Name)
	}
	now := m.now()
	if off := cred.Expires.Sub(now) - duration; off > maxClockError || off < -maxClockError || !cred.Expires.After(now) {
		cred.Wipe()
		return nil, refusal.New(refusal.Unavailable, "the credential from STS expires at %s, 900 s were asked for at %s: the gateway's clock is wrong or the answer is stale; nothing was sent to AWS",
			cred.Expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return cred, nil
}

// partitionDefault is the region whose STS is asked where neither the call nor
// the target names one.
var partitionDefault = map[string]string{
	"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1", "aws-iso": "us-iso-east-1",
	"aws-iso-b": "us-isob-east-1", "aws-iso-e": "eu-isoe-west-1", "aws-iso-f": "us-isof-south-1", "aws-eusc": "eusc-de-east-1",
}

func stsRegion(call *awsapi.Call, t Target, partition string) string {
	switch {
	case call != nil && call.Region != "" && call.Partition == partition && regionName.MatchString(call.Region):
		return call.Region
	case len(t.Regions) > 0:
		return t.Regions[0]
	}
	return partitionDefault[partition]
}

var regionName = regexp.MustCompile(`^[a-z]{2,5}(-[a-z]+)+-[0-9]+$`)

// suffix makes the session name unguessable: a resource policy in a foreign
// account could name a session ARN that is known before it exists. 35 bits.
func suffix() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))[:7]
}

// pauseBriefly waits 100 to 300 ms, so that gateways that were throttled
// together do not come back together.
func pauseBriefly(ctx context.Context) error {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(200*time.Millisecond)))
	if err != nil {
		return fmt.Errorf("jit: %w", err)
	}
	t := time.NewTimer(100*time.Millisecond + time.Duration(n.Int64()))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

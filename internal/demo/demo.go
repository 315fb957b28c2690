// Package demo does the main job in one process: a simulated AWS that verifies
// signatures and session policies, a gateway with its recorder and embedded NATS,
// and an agent made of the real AWS SDK that talks to it through its proxy socket.
// Everything is on loopback and in a temporary folder.
package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/server"
	"github.com/sallyport/sallyport/recorder"
)

// Options of a demonstration. Out is required.
type Options struct {
	Out     io.Writer
	Keep    bool   // leave it up, with its folder, until ctx ends
	Command string // how sallyport is started in a shell, in any folder; "" is sallyport
}

// policyFile is the demonstration's policy.
const policyFile = `rules:
  - name: read-dev
    who: {groups: [ai-agents]}
    targets: [dev]
    actions: ["s3:Get*", "s3:List*", "secretsmanager:GetSecretValue"]
    effect: allow
  - name: read-customers
    who: {groups: [ai-agents]}
    targets: [dev]
    actions: ["dynamodb:GetItem"]
    resources: ["arn:aws:dynamodb:*:*:table/Customers"]
    effect: allow
    mask: ["Item.ssn.S"]
  - name: writes-ask
    who: {groups: [ai-agents]}
    targets: [dev]
    actions: ["s3:PutObject"]
    resources: ["arn:aws:s3:::acme-dev-*"]
    effect: ask
    approvers: {groups: [sre]}
  - name: no-deletes
    who: {groups: ["*"]}
    targets: ["*"]
    actions: ["*:Delete*"]
    effect: deny
`

const configFile = `state_dir: %[1]s
proxy: {listen: "%[5]s"}
aws: {endpoint: "%[2]s", ca_file: %[3]s}
identity: {local: true}
targets:
  dev: {role_arn: "arn:aws:iam::%[4]s:role/agent-dev", regions: [us-east-1], default: true}
nats: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
`

// Run runs the demonstration. An error means that something did not come out as
// it should.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return fmt.Errorf("make the demonstration's folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	aws, err := awstest.Start(awstest.Config{})
	if err != nil {
		return fmt.Errorf("start the simulated AWS: %w", err)
	}
	defer func() { err = errors.Join(err, aws.Close()) }()
	conf, err := configure(dir, aws, "127.0.0.1:0")
	if err != nil {
		return err
	}
	s, err := server.Start(ctx, server.Options{
		Config: conf, Base: &server.BaseKey{ID: awstest.BaseKeyID, Secret: secret.New(awstest.BaseSecret)},
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	})
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			err = errors.Join(err, s.Close())
		}
	}()

	d := &demonstration{out: o.Out, aws: aws, proxy: s.Proxy.String(), nats: s.NATS, dir: dir, stateDir: conf.StateDir}
	if o.Keep { // other terminals find the gateway by its configuration
		if _, err := configure(dir, aws, s.Proxy.String()); err != nil {
			return err
		}
	}
	d.say("Sallyport in one process: a simulated AWS, the gateway on %s, an agent with the AWS SDK.\n", d.proxy)
	if err := d.agent(ctx); err != nil {
		return err
	}
	if err := d.upstream(); err != nil {
		return err
	}
	if !o.Keep {
		closed = true
		if err := s.Close(); err != nil { // drains the recorder
			return err
		}
		return d.record(ctx)
	}
	if err := d.awaitRecord(ctx); err != nil {
		return err
	}
	if err := d.record(ctx); err != nil {
		return err
	}
	d.say("\nIt stays up until Ctrl-C, which removes its folder. In another terminal:\n  cd %[1]s\n  %[2]s run -- aws s3 ls\n  %[2]s run -- aws s3 cp sallyport.yaml s3://acme-dev-reports/      # waits for\n  %[2]s approvals watch\n  %[2]s sessions show\n", dir, cmp.Or(o.Command, "sallyport"))
	return s.Wait(ctx)
}

func configure(dir string, aws *awstest.Server, proxy string) (*config.Config, error) {
	root := filepath.Join(dir, "simulated-aws.crt")
	files := map[string][]byte{
		root:                                 aws.RootPEM(),
		filepath.Join(dir, "policy.yaml"):    []byte(policyFile),
		filepath.Join(dir, "sallyport.yaml"): fmt.Appendf(nil, configFile, filepath.Join(dir, "state"), aws.URL(), root, awstest.Account, proxy),
	}
	for path, text := range files {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, fmt.Errorf("write the demonstration's configuration: %w", err)
		}
	}
	return config.Load(filepath.Join(dir, "sallyport.yaml"))
}

type demonstration struct {
	out      io.Writer
	aws      *awstest.Server
	proxy    string
	nats     string
	dir      string
	stateDir string
	steps    int
}

func (d *demonstration) say(format string, args ...any) {
	fmt.Fprintf(d.out, format+"\n", args...)
}

// token is the agent's identity: what an OIDC provider would give it.
func (d *demonstration) token() (string, error) {
	trial, err := identity.OpenTrial(d.stateDir)
	if err != nil {
		return "", err
	}
	t, err := trial.Token("demo-agent", []string{"ai-agents"}, identity.TrialAudience, 10*time.Minute, time.Now())
	return t.Reveal(), err
}

// upstream shows what the simulated AWS received, and proves that nothing of the
// agent's own credentials was in it.
func (d *demonstration) upstream() error {
	var minted, calls int
	for _, r := range d.aws.Requests() {
		if strings.HasPrefix(r.Host, "sts.") {
			minted++
		} else {
			calls++
		}
		if strings.Contains(string(r.Head), placeholderSecret) || strings.Contains(string(r.Head), "Credential=dev/") {
			return errors.New("the agent's placeholder reached AWS")
		}
	}
	d.say("\nWhat reached AWS: %d AssumeRole calls and %d signed requests, each with a credential of its own;", minted, calls)
	d.say("every signature and session policy was verified there, and no byte of the agent's placeholder keys arrived.")
	return nil
}

func (d *demonstration) records() recorder.Records {
	return recorder.Records{Dir: filepath.Join(d.stateDir, "records")}
}

// recordTime is how long the recorder may take to write and to sign its last lines: both
// take moments, but where everything else on the machine wants its turn.
const recordTime = 30 * time.Second

// awaitRecord waits until the recorder has the ends of all calls.
func (d *demonstration) awaitRecord(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	for {
		if s, err := d.session(); err == nil {
			calls := 0
			for _, c := range recorder.Gather(s.Events) {
				if c.Result() != recorder.ResultOpen {
					calls++
				}
			}
			if calls == d.steps {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("the recorder did not get everything in time")
		case <-tick.C:
		}
	}
}

func (d *demonstration) session() (*recorder.Session, error) {
	list, _, err := d.records().List()
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if s.User.Label == label {
			return d.records().Read(s.Session)
		}
	}
	return nil, errors.New("there is no record of the agent's session")
}

// verified verifies the record once the recorder, if it runs, has signed all of it.
func (d *demonstration) verified(ctx context.Context) (*recorder.Report, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(recordTime); ; {
		report, err := d.records().Verify(ctx, recorder.VerifyOptions{})
		if err != nil || !report.OK || report.Log.Unsigned == 0 || time.Now().After(end) {
			return report, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// record prints the session as an auditor reads it, verifies the record, and checks
// that no secret is in any file that was written.
func (d *demonstration) record(ctx context.Context) error {
	s, err := d.session()
	if err != nil {
		return err
	}
	d.say("\nThe record of the session, as `sallyport sessions show` tells it:\n")
	if err := recorder.WriteStory(d.out, s); err != nil {
		return err
	}
	if len(s.Problems) > 0 {
		return fmt.Errorf("the record is damaged: %w", s.Problems[0])
	}
	report, err := d.verified(ctx)
	if err != nil {
		return err
	}
	d.say("\nThe record, as `sallyport sessions verify` finds it:\n")
	if err := recorder.WriteReport(d.out, report); err != nil {
		return err
	}
	if !report.OK {
		return errors.New("the record does not verify")
	}
	found, err := search(d.stateDir, []byte(secretValue), []byte(ssn))
	if err != nil {
		return err
	}
	if found != "" {
		return fmt.Errorf("a secret is in %s", found)
	}
	d.say("\nNo secret value is in any file under state_dir: records, NATS store, logs.")
	return nil
}

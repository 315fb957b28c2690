package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/launch"
)

// tokenFlags say who answers.
type tokenFlags struct {
	file, subject string
	login
}

func (t *tokenFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&t.file, "token-file", "", "read your OIDC token, for the audience of approvers, from this file")
	c.Flags().StringVar(&t.subject, "subject", trialApprover, "who the trial issuer says you are, without --token-file")
	t.login.add(c)
}

// token is read when it is needed, so that a long watch sends no old one. The
// trial issuer, which can be anyone, puts its approver into the groups that r asks.
func (t *tokenFlags) token(ctx context.Context, conf *config.Config, r approvals.Request) (secret.String, error) {
	if t.login.wanted() {
		return t.login.token(ctx, t.file)
	}
	if t.file != "" {
		token, _, err := launch.FileTokens(t.file).Token(ctx)
		return token, err
	}
	if conf == nil {
		return secret.String{}, errors.New("whose answer is it? Give --token-file with your OIDC token, or log in with --issuer and --client-id")
	}
	trial, err := trialOf(conf)
	if errors.Is(err, errTrialOff) {
		return secret.String{}, fmt.Errorf("%w and give it with --token-file, or log in with --issuer and --client-id", err)
	}
	if err != nil {
		return secret.String{}, err
	}
	var groups []string
	for _, n := range r.Approvers {
		groups = append(groups, n.Groups...)
	}
	slices.Sort(groups)
	return trial.Token(t.subject, slices.Compact(groups), identity.ApproverAudience, 5*time.Minute, time.Now())
}

// answerFlags are what approve and deny share.
type answerFlags struct {
	nats           natsFlags
	token          tokenFlags
	reason, digest string
	json           bool
}

func (f *answerFlags) add(c *cobra.Command) {
	f.nats.add(c)
	f.token.add(c)
	c.Flags().StringVar(&f.reason, "reason", "", "why, for the agent and the record")
	mayBeEmpty(c, "reason")
	c.Flags().StringVar(&f.digest, "digest", "", "answer only if this is the request's digest, as list --json gave it")
	c.Flags().BoolVar(&f.json, "json", false, "say what was sent as JSON")
}

// sent is what --json says.
type sent struct {
	Approval string           `json:"approval"`
	Digest   string           `json:"digest"`
	Decision string           `json:"decision"`
	Grant    *approvals.Grant `json:"grant,omitempty"`
	Accepted bool             `json:"accepted"`
	Error    string           `json:"error,omitempty"`
}

func newApprovalsApprove() *cobra.Command {
	var f answerFlags
	var g grantFlags
	var yes bool
	c := &cobra.Command{
		Use:   "approve APPROVAL",
		Short: "Let a request through",
		Long: `Let a request through, once, after showing what it is. On a terminal it asks first;
elsewhere it takes --yes, or --digest with the digest of what you have seen. The
answer holds for exactly what was shown: the gateway takes no other digest.

With --for and --count further calls of the session go through, that long and that
often: the same operation on the same resources or, with --action and --resource, what
needs no more than these. It says in words what that is, and asks. None of them may be
riskier than this one, or need others to approve.`,
		Example: `  sallyport approvals approve 01JQZX4T4S8F3W5G6H7J8K9M0N
  sallyport approvals approve K9M0N --for 15m --count 3 --reason "clean-up of dev"
  sallyport approvals approve K9M0N --for 15m --count 20 --action ec2:TerminateInstances \
      --resource 'arn:aws:ec2:eu-west-1:111122223333:instance/*'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			usage := func(format string, a ...any) error {
				return &usageError{fmt.Errorf(format, a...), cmd.CommandPath()}
			}
			grant, err := g.grant(cmd)
			if err != nil {
				return usage("%w", err)
			}
			if !yes && (f.digest == "" || grant != nil) && !isTerminal(cmd.InOrStdin()) {
				if grant != nil {
					return usage("a grant is read before it is given, and there is no terminal to ask on: give --yes if you have")
				}
				return usage("there is no terminal to ask on: give --yes, or --digest with the digest of what you have seen")
			}
			return f.answer(cmd, args[0], approvals.Allow, grant, !yes && (f.digest == "" || grant != nil))
		},
	}
	f.add(c)
	g.add(c)
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func newApprovalsDeny() *cobra.Command {
	var f answerFlags
	c := &cobra.Command{
		Use:   "deny APPROVAL",
		Short: "Refuse a request; one deny ends it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.answer(cmd, args[0], approvals.Deny, nil, false)
		},
	}
	f.add(c)
	return c
}

// answer shows a request and sends the decision about what it showed.
func (f *answerFlags) answer(cmd *cobra.Command, id, decision string, grant *approvals.Grant, ask bool) error {
	if len(f.reason) > approvals.MaxReason {
		return &usageError{fmt.Errorf("--reason has %d bytes, and may have %d", len(f.reason), approvals.MaxReason), cmd.CommandPath()}
	}
	a, err := f.nats.approver(cmd)
	if err != nil {
		return err
	}
	defer a.close()
	r, outcome, err := a.find(cmd.Context(), id)
	if err != nil {
		return err
	}
	if outcome != nil || !time.Now().Before(r.Expires) {
		return fmt.Errorf("too late: it is %s", standing(r, outcome, time.Now()))
	}
	if f.digest != "" && f.digest != r.Digest {
		return fmt.Errorf("its digest is %s, not the one given: look at it again", r.Digest)
	}
	show := cmd.OutOrStdout()
	if f.json {
		show = cmd.ErrOrStderr()
	}
	if err := approvals.Summarize(r).Write(show, columns(show)); err != nil {
		return err
	}
	if err := showGrant(show, r, grant); err != nil {
		return err
	}
	if ask {
		if err := confirm(cmd.Context(), cmd.InOrStdin(), show); err != nil {
			return err
		}
	}
	token, err := f.token.token(cmd.Context(), a.conf, r)
	if err != nil {
		return err
	}
	err = a.Answer(cmd.Context(), approvals.Answer{Approval: r.Approval, Digest: r.Digest, Decision: decision, Token: token.Reveal(), Reason: f.reason, Grant: grant})
	if f.json {
		s := sent{Approval: r.Approval, Digest: r.Digest, Decision: decision, Grant: grant, Accepted: err == nil}
		if err != nil {
			s.Error = err.Error()
		}
		return errors.Join(err, writeJSON(cmd.OutOrStdout(), s))
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(show, "\n%s: accepted%s\n", map[string]string{approvals.Allow: "approve", approvals.Deny: "deny"}[decision], more(r, decision))
	return err
}

// more says what an allow does not do alone.
func more(r approvals.Request, decision string) string {
	people := 0
	for _, n := range r.Approvers {
		people = max(people, n.Count)
	}
	if decision == approvals.Allow && (people > 1 || len(r.Approvers) > 1) {
		return "; it goes through when everybody who is needed has approved"
	}
	return ""
}

// isTerminal tells of a reader or a writer. It is a variable for tests.
var isTerminal = func(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

var errNotConfirmed = errors.New("not approved: nothing was sent")

// confirm asks for a whole word: a key pressed too often is no decision.
func confirm(ctx context.Context, in io.Reader, out io.Writer) error {
	fmt.Fprint(out, "\nType yes to approve: ")
	line := make(chan string, 1)
	go func() { // a read from a terminal cannot be broken off
		text, err := bufio.NewReader(in).ReadString('\n')
		line <- cmp.Or(strings.TrimSpace(text), fmt.Sprint(err))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(out)
		return errNotConfirmed
	case text := <-line:
		if text != "yes" {
			return errNotConfirmed
		}
		return nil
	}
}

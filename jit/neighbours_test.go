package jit

import (
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/internal/awstest"
	"github.com/sallyport/sallyport/internal/iameval"
)

// answerable leaves out what the sample's random values cannot say, and resources
// whose template in the catalog is no single ARN or ends in a half-known name.
func answerable(a awsapi.Action, r awsapi.Resource) bool {
	f := strings.SplitN(r.ARN, ":", 6)
	account := len(f) < 6 || f[4] == "" || f[4] == "*" || f[4] == "aws" || accountID.MatchString(f[4])
	if a.Name == "iam:CreateServiceLinkedRole" && r.ARN == "*" || a.Name == "iam:PassRole" && len(f) == 6 && f[4] == "*" && !r.Partial {
		return false // see TestServiceExceptions; a template with a star in place of the account
	}
	return account && !strings.Contains(r.ARN, ", arn:") && !strings.Contains(r.ARN, ":package-group/") &&
		(!a.Dependent || nameable(r))
}

// For every operation in the sample: its session policy allows each of its actions
// on each of its resources, and nothing of its random neighbours (100 each;
// 1,000 with SALLYPORT_ORACLE), by an
// evaluator that shares no code with the writer.
func TestEveryOperationIsAllowedAndNoNeighbour(t *testing.T) {
	var actions []string
	eachOracle(t, func(call *awsapi.Call) {
		for _, a := range call.Actions {
			actions = append(actions, a.Name)
		}
	})
	slices.Sort(actions)
	actions = slices.Compact(actions)

	random := rand.New(rand.NewPCG(11, 13))
	neighbours := 100
	if os.Getenv("SALLYPORT_ORACLE") != "" {
		neighbours = 1000
	}
	seen, details, asked := map[string]bool{}, map[Detail]int{}, 0
	eachOracle(t, func(call *awsapi.Call) {
		operation := call.Service + ":" + call.Operation
		if len(call.Actions) == 0 {
			return
		}
		target := targetOf(call)
		made, err := SessionPolicy(call, target, ScopeRequest, testNow)
		if err != nil {
			if !tooLarge[operation] && actsAsCaller[call.Service][call.Operation] == "" {
				t.Errorf("%s: %v", operation, err)
			}
			return
		}
		p, err := iameval.Parse(made.Text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", operation, err, made.Text)
		}
		for _, a := range call.Actions {
			for _, r := range a.Resources {
				if !answerable(a, r) {
					continue
				}
				if q := questionOf(a.Name, r); p.Evaluate(q) != iameval.Allowed {
					t.Errorf("%s: %s on %s is denied by %s", operation, a.Name, q.Resource, made.Text)
				}
			}
		}
		if seen[operation] {
			return
		}
		seen[operation] = true
		details[made.Detail]++
		for range neighbours {
			a := call.Actions[random.IntN(len(call.Actions))]
			q := questionOf(a.Name, a.Resources[random.IntN(len(a.Resources))])
			mutate(random, &q, actions)
			asked++
			if !within(call, target, made.Detail, q) && p.Evaluate(q) == iameval.Allowed {
				t.Errorf("%s (%s): a neighbour is allowed: %+v by %s", operation, made.Detail, q, made.Text)
				return
			}
		}
	})
	t.Logf("%d operations, %d neighbours; %v", len(seen), asked, details)
}

// tooLarge are the operations whose policy fits no session policy even at the
// coarsest:
// dozens of dependent actions of EC2, each on resources of its own.
var tooLarge = map[string]bool{
	"drs:StartRecovery": true, "mgn:StartCutover": true, "mgn:StartTest": true, "m2:CreateEnvironment": true,
	"memorydb:CreateCluster": true, "resiliencehub:StartAppAssessment": true,
}

// targetOf is a target whose perimeter has the accounts that the call names: the
// gateway refuses others before a policy is made.
func targetOf(call *awsapi.Call) Target {
	t := testTarget
	t.Accounts = []string{awstest.Account}
	for _, a := range call.Actions {
		for _, r := range a.Resources {
			if f := strings.SplitN(r.ARN, ":", 6); len(f) == 6 && accountID.MatchString(f[4]) && !slices.Contains(t.Accounts, f[4]) {
				t.Accounts = append(t.Accounts, f[4])
			}
		}
	}
	t.RoleARN = "arn:" + call.Partition + ":iam::" + awstest.Account + ":role/agent-dev"
	return t
}

// questionOf is what AWS asks for one action on one resource: what is not known
// has some value.
func questionOf(action string, r awsapi.Resource) iameval.Request {
	arn := r.ARN
	if r.Partial && arn != "*" {
		arn = strings.ReplaceAll(strings.ReplaceAll(arn, "*", "some-1"), "-??????", "-Ab3dE6")
	}
	q := iameval.Request{Action: action, Resource: arn, Now: testNow, Context: map[string][]string{}}
	f := strings.SplitN(arn, ":", 6)
	switch {
	case len(f) == 6 && f[4] != "" && f[4] != "some-1":
		q.Context["aws:ResourceAccount"] = []string{f[4]}
	case action == "ec2:RunInstances" && len(f) == 6 && f[4] == "":
		q.Context["aws:ResourceAccount"], q.Context["ec2:Owner"] = []string{"137112412989"}, []string{"amazon"}
	case arn != "*":
		q.Context["aws:ResourceAccount"] = []string{awstest.Account}
	}
	return q
}

const foreign = "999988887777"

func mutate(random *rand.Rand, q *iameval.Request, actions []string) {
	at := random.IntN(len(q.Resource) + 1)
	switch random.IntN(7) {
	case 0: // another action, often of the same service
		prefix, _, _ := strings.Cut(q.Action, ":")
		i, _ := slices.BinarySearch(actions, prefix+":")
		if random.IntN(2) == 0 {
			i = random.IntN(len(actions))
		}
		q.Action = actions[(i+random.IntN(40))%len(actions)]
	case 1: // a sibling: one character changed
		if at < len(q.Resource) {
			b := []byte(q.Resource)
			b[at] = "abcxyz019-/:*?"[random.IntN(14)]
			q.Resource = string(b)
		}
	case 2: // one more
		q.Resource = q.Resource[:at] + string("aZ0-/:*"[random.IntN(7)]) + q.Resource[at:]
	case 3: // a prefix or what lies below
		if random.IntN(2) == 0 {
			q.Resource = q.Resource[:at]
		} else {
			q.Resource += []string{"/x", ":x", "x", "-1", "/*"}[random.IntN(5)]
		}
	case 4:
		q.Context["aws:ResourceAccount"] = []string{foreign}
	case 5: // the same in another account's name
		q.Resource = strings.ReplaceAll(q.Resource, awstest.Account, foreign)
		q.Context["aws:ResourceAccount"] = []string{foreign}
	case 6:
		q.Now = testNow.Add(testTarget.TTL + time.Duration(random.Int64N(int64(24*time.Hour))))
	}
}

// within reports that a question is the call itself: its action, on what the call
// says of the resource, in the target's accounts and in time.
func within(call *awsapi.Call, t Target, detail Detail, q iameval.Request) bool {
	if !q.Now.Before(testNow.Add(t.TTL)) {
		return false
	}
	for _, a := range call.Actions {
		if !strings.EqualFold(a.Name, q.Action) {
			continue
		}
		for _, r := range a.Resources {
			text := regexp.QuoteMeta(r.ARN)
			if r.Partial || r.ARN == "*" {
				text = strings.ReplaceAll(strings.ReplaceAll(text, `\*`, ".*"), `-\?\?\?\?\?\?`, "-......")
			}
			f := strings.SplitN(r.ARN, ":", 6)
			if detail == Types && onlyType(r) {
				text = regexp.QuoteMeta(strings.Join(f[:5], ":")) + ":.*"
			}
			if !regexp.MustCompile(`(?s)^` + text + `$`).MatchString(q.Resource) {
				continue
			}
			account := q.Context["aws:ResourceAccount"]
			aws := len(f) == 6 && f[4] == "aws"
			image := len(q.Context["ec2:Owner"]) > 0 && strings.Contains(r.ARN, "::")
			if aws || image || len(account) == 0 || slices.Contains(t.Accounts, account[0]) {
				return true
			}
		}
	}
	return false
}

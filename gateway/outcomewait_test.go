package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sallyport/sallyport/approvals"
)

// While the first is on its way a retry neither asks nor sends: it waits. One that
// cannot wait as long is told so.
func TestRetryWaitsForTheOutcome(t *testing.T) {
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	r.leaves(t, a, a.messages("pending"), s, "inv-1")
	one := r.start(t, "x", "inv-1")
	requests := follow(t, r.js(t), "SALLYPORT_EVENTS", "sallyport.events.*.*.request")
	requests()
	requests()
	s.answer <- whole("200 OK", jsonOne, stored)
	given(t, one.read(t, http.MethodPost), http.StatusOK, stored)
	s.sentTimes(t, 1)
}

func TestRetryThatCannotWait(t *testing.T) {
	t.Parallel()
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 3s"})
	a := newApprover(t, r)
	r.leaves(t, a, a.messages("pending"), s, "inv-1")
	x := r.again(t, "inv-1")
	refused(t, x, http.StatusForbidden, "pending")
	if !strings.Contains(string(x.body), "its outcome is not there yet") {
		t.Errorf("%s", x.body)
	}
	s.answer <- whole("200 OK", jsonOne, stored)
	given(t, r.again(t, "inv-1"), http.StatusOK, stored)
	s.sentTimes(t, 1)
}

// The retry may come to another gateway, before the outcome is there and after.
func TestRetryThroughAnotherGateway(t *testing.T) {
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	other := newRig(t, rigOptions{policy: askPolicy, approvals: "hold: 20s", joins: r, endpoint: "http://" + s.ln.Addr().String()})
	a := newApprover(t, r)
	r.leaves(t, a, a.messages("pending"), s, "inv-1")
	waiting := other.start(t, "x", "inv-1")
	requests := follow(t, r.js(t), "SALLYPORT_EVENTS", "sallyport.events.*.*.request")
	requests()
	requests()
	s.answer <- whole("200 OK", jsonOne, stored)
	given(t, waiting.read(t, http.MethodPost), http.StatusOK, stored)
	given(t, other.again(t, "inv-1"), http.StatusOK, stored)
	s.sentTimes(t, 1)
}

// Two attempts of one SDK call wait at once, since the gateway did not see the first
// leave: one is sent, and both get its answer.
func TestAttemptsThatWaitTogether(t *testing.T) {
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	requests := follow(t, r.js(t), "SALLYPORT_EVENTS", "sallyport.events.*.*.request")
	one := r.start(t, "x", "inv-1")
	p := pendingOf(t, pending())
	two := r.start(t, "x", "inv-1")
	requests()
	requests()
	a.accepted(p, approvals.Allow)
	s.answer <- whole("200 OK", jsonOne, stored)
	given(t, one.read(t, http.MethodPost), http.StatusOK, stored)
	given(t, two.read(t, http.MethodPost), http.StatusOK, stored)
	s.sentTimes(t, 1)
}

// A token that expires while a retry waits gets nothing.
func TestRetryIsJudgedAgainAfterTheWait(t *testing.T) {
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	r.leaves(t, a, a.messages("pending"), s, "inv-1")
	retry := r.start(t, "x", "inv-1")
	r.waitLog(t, "a retry waits for the outcome")
	r.clock.advance(55 * time.Minute) // the agent's token is good for 50
	s.answer <- whole("200 OK", jsonOne, stored)
	refused(t, retry.read(t, http.MethodPost), http.StatusForbidden, "identity")
	s.sentTimes(t, 1)
}

// No more than a few retries wait at once.
func TestRetriesThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	r.leaves(t, a, a.messages("pending"), s, "inv-1")
	const most = 8
	answers := make(chan answer, 2*most)
	started := 0
	start := func() {
		c := r.start(t, "x", "inv-1")
		go func() { answers <- c.read(t, http.MethodPost) }()
		started++
	}
	for range most - 1 {
		start()
	}
	for turnedAway := false; !turnedAway; { // those at the door may not be counted yet
		if start(); started == 2*most {
			t.Fatal("there is no bound")
		}
		select {
		case x := <-answers:
			refused(t, x, http.StatusForbidden, "pending")
			turnedAway = true
		case <-time.After(time.Second):
		}
	}
	s.answer <- whole("200 OK", jsonOne, stored)
	for range started - 1 {
		given(t, <-answers, http.StatusOK, stored)
	}
	s.sentTimes(t, 1)
}

// The real SDK: its attempt times out while AWS works, and the next one, which it makes by
// itself, gets the answer.
func TestSDKRetriesByItself(t *testing.T) {
	t.Parallel()
	r, s := newSlow(t, rigOptions{policy: askPolicy, approvals: "hold: 20s"})
	a := newApprover(t, r)
	pending := a.messages("pending")
	c := r.sdk(r.token(), "dev")
	hc, ok := c.HTTPClient.(*http.Client)
	if !ok {
		t.Fatalf("%T", c.HTTPClient)
	}
	hc.Timeout = 5 * time.Second
	c.Retryer = func() aws.Retryer { return retry.NewStandard() }
	done := make(chan error, 1)
	var out *dynamodb.PutItemOutput
	go func() {
		var err error
		out, err = dynamodb.NewFromConfig(c).PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: aws.String("Customers"), Item: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "c-9"}},
		})
		done <- err
	}()
	a.accepted(pendingOf(t, pending()), approvals.Allow)
	s.arrived(t)
	r.waitLog(t, "has left; the call is seen through") // by the SDK's own time limit
	s.answer <- whole("200 OK", jsonOne, stored)
	must(t, <-done)
	if n, ok := out.Attributes["note"].(*types.AttributeValueMemberS); !ok || n.Value != "done once" {
		t.Errorf("%+v", out.Attributes)
	}
	if attempts, ok := retry.GetAttemptResults(out.ResultMetadata); !ok || len(attempts.Results) < 2 {
		t.Errorf("%d attempts", len(attempts.Results))
	}
	s.sentTimes(t, 1)
}

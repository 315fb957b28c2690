package gateway_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/event"
)

// slow is an AWS that answers when the test says so.
type slow struct {
	*scripted
	came   chan struct{} // a call has arrived
	answer chan string   // what it is answered, byte for byte; "" breaks the connection
}

func newSlow(t *testing.T, o rigOptions) (*rig, *slow) {
	t.Helper()
	s := &slow{came: make(chan struct{}, 100), answer: make(chan string, 100)}
	r, script := newScripted(t, o, func(w net.Conn, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		s.came <- struct{}{}
		select {
		case text := <-s.answer:
			_, _ = io.WriteString(w, text)
			return text != ""
		case <-t.Context().Done():
			return false
		}
	})
	s.scripted = script
	return r, s
}

func (s *slow) arrived(t *testing.T) {
	t.Helper()
	select {
	case <-s.came:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing reached AWS")
	}
}

func (s *slow) sentTimes(t *testing.T, want int) {
	t.Helper()
	if n := len(s.calls()); n != want {
		t.Errorf("%d calls reached AWS, want %d", n, want)
	}
}

const (
	stored  = `{"Attributes":{"note":{"S":"done once"}}}`
	jsonOne = "application/x-amz-json-1.0"
)

// start sends the call of an SDK and does not wait. invocation "" sends no id.
func (r *rig) start(t *testing.T, note, invocation string, header ...string) *tunnel {
	t.Helper()
	c := r.tunnel(t, dynamoHost, r.token())
	header = append(header, jsonCall("DynamoDB_20120810.PutItem")...)
	if invocation != "" {
		header = append(header, "Amz-Sdk-Invocation-Id: "+invocation)
	}
	_, err := fmt.Fprint(c, c.request(http.MethodPost, "/", fmt.Sprintf(putItem, note), header...))
	must(t, err)
	return c
}

func (r *rig) again(t *testing.T, invocation string) answer {
	t.Helper()
	return r.start(t, "x", invocation).read(t, http.MethodPost)
}

// leaves approves a call, and has its client leave once AWS has it.
func (r *rig) leaves(t *testing.T, a *approver, pending func() event.Event, s *slow, invocation string) *event.ApprovalPending {
	t.Helper()
	c := r.start(t, "x", invocation)
	p := pendingOf(t, pending())
	a.accepted(p, approvals.Allow)
	s.arrived(t)
	must(t, c.Close())
	r.waitLog(t, `has left; the call is seen through","requestID":"`+p.RequestID)
	return p
}

// given fails unless a is the stored answer of another exchange.
func given(t *testing.T, a answer, status int, body string) {
	t.Helper()
	passed(t, a, status)
	if string(a.body) != body {
		t.Errorf("got %s, want %s", a.body, body)
	}
}

func (r *rig) js(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(r.nats)
	must(t, err)
	return js
}

package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/bus"
	"github.com/sallyport/sallyport/jit"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/recorder"
)

// The only way to AWS wants a permit and a receipt, both of this exchange and
// both unused. The zero Minter behind it refuses by itself, so getting as far as
// it is the other error.
func TestSendWantsPermitAndReceipt(t *testing.T) {
	srv, err := bus.Start(t.Context(), bus.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown()
	conn, err := bus.Connect(t.Context(), bus.Options{Role: bus.Gateway, InProcess: srv})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	publisher, err := recorder.NewPublisher(recorder.PublisherOptions{Conn: conn, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close(t.Context())
	ids := event.NewIDs(time.Now)
	session := &identity.Session{ID: ids.New()}
	receipt := func(exchange string) *recorder.Receipt {
		t.Helper()
		r, err := publisher.Begin(t.Context(), event.Event{ID: ids.New(), Source: "test", Time: time.Now(),
			Data: &event.Request{Common: event.Common{RequestID: exchange, SessionID: session.ID, EventTime: time.Now()}}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	call := someCall(t)
	h := &handler{Gateway: &Gateway{Config: Config{Minter: &jit.Minter{}, Now: time.Now}}}
	used := receipt("01ARZ3NDEKTSV4RRFFQ69G5FAV")
	used.Use()
	own := ids.New()
	for name, test := range map[string]struct {
		p       *permit
		r       *recorder.Receipt
		allowed bool
	}{
		"both":                       {&permit{call: call}, receipt(own), true},
		"no permit":                  {nil, receipt(own), false},
		"an empty permit":            {&permit{}, receipt(own), false},
		"a permit that was used":     {&permit{call: call, sent: true}, receipt(own), false},
		"no receipt":                 {&permit{call: call}, nil, false},
		"an empty receipt":           {&permit{call: call}, &recorder.Receipt{}, false},
		"another request's receipt":  {&permit{call: call}, receipt(ids.New()), false},
		"a receipt that was used":    {&permit{call: call}, used, false},
		"a receipt of the same used": {&permit{call: call}, spent(receipt(own)), false},
	} {
		t.Run(name, func(t *testing.T) {
			x := &exchange{id: own, session: session}
			resp, err := h.send(t.Context(), x, test.p, test.r)
			if err == nil {
				_ = resp.Body.Close()
				t.Fatal("sent")
			}
			if stopped := strings.Contains(err.Error(), "without a fresh permit"); stopped == test.allowed {
				t.Errorf("%v", err)
			}
			if test.allowed {
				if _, err := h.send(t.Context(), x, test.p, test.r); !strings.Contains(err.Error(), "without a fresh permit") {
					t.Errorf("a second time: %v", err)
				}
			}
		})
	}
}

func spent(r *recorder.Receipt) *recorder.Receipt { r.Use(); return r }

// Nothing but an allowing decision makes a permit.
func TestPermitWantsAllow(t *testing.T) {
	h := &handler{Gateway: &Gateway{}}
	for name, d := range map[string]*policy.Decision{"none": nil, "the zero decision": {}, "deny": {Effect: policy.Deny}, "an effect that is not known": {Effect: 99}} {
		if p, err := h.permit(&exchange{decision: d, call: someCall(t)}); err == nil || p != nil {
			t.Errorf("%s: %v %v", name, p, err)
		}
	}
}

func someCall(t *testing.T) *awsapi.Call {
	t.Helper()
	id, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	head, err := id.Head(awsapi.Request{Method: http.MethodGet, Host: "s3.us-east-1.amazonaws.com", Target: "/bucket/key", Header: http.Header{}})
	if err != nil {
		t.Fatal(err)
	}
	call, err := head.Call(nil)
	if err != nil {
		t.Fatal(err)
	}
	return call
}

// A gateway that lacks a part is not made, and the error names every part.
func TestNewNamesWhatIsMissing(t *testing.T) {
	_, err := New(Config{})
	if err == nil {
		t.Fatal("an empty configuration passed")
	}
	for _, name := range []string{"Identifier", "Verifier", "Sessions", "Policy", "Recorder", "Minter", "Masker", "Upstream", "IDs", "Now", "Source", "Targets", "default target"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
}

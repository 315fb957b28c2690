package gateway

import (
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/policy"
)

// A panic in a read costs that read, and neither the request nor the process.
func TestPanicInARead(t *testing.T) {
	ids, err := awsapi.New()
	if err != nil {
		t.Fatal(err)
	}
	// Without a policy the first thing that a read does is a panic.
	h := &handler{Gateway: &Gateway{Config: Config{Identifier: ids, IDs: event.NewIDs(nil), Now: time.Now, Log: slog.New(slog.DiscardHandler)}, enriching: newPool(1, 1), enrichWithin: time.Minute}}
	x := &exchange{
		id: h.IDs.New(), r: &http.Request{}, session: &identity.Session{Issuer: "i", Subject: "s"}, caller: &caller{principal: &identity.Principal{}},
		target: Target{Partition: "aws"}, decision: &policy.Decision{},
		call: &awsapi.Call{Partition: "aws", Region: "us-east-1", Actions: []awsapi.Action{{Resources: []awsapi.Resource{{ARN: "arn:aws:rds:us-east-1:111122223333:db:x"}}}}},
	}
	x.target.Accounts = []string{"111122223333"}
	for range 2 { // and its place is free again
		if e := h.enrich(t.Context(), x); !slices.Equal(e.Notes, []string{"rds:ListTagsForResource: internal error"}) {
			t.Errorf("%+v", e)
		}
	}
}

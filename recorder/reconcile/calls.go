package reconcile

import (
	"time"

	"github.com/sallyport/sallyport/event"
)

// Call is one request that went, or may have gone, to AWS: what of its events the
// join needs.
type Call struct {
	ID           string // the exchange, a ULID
	Session      string
	Who          event.UserIdentity
	Time         time.Time // of the request
	EventSource  string
	EventName    string
	Region       string
	Account      string
	Resources    []string // ARNs
	AccessKeyID  string   // "" where none was minted: then nothing was sent
	RoleARN      string
	SessionName  string
	Sent         bool   // AWS may have got it
	Status       int    // of AWS's answer; 0: none is known
	AWSRequestID string // AWS's id of it; "": not known
}

// Calls gathers calls from events, in any order. The zero value is empty.
type Calls struct{ by map[string]*Call }

// Add takes one event.
func (c *Calls) Add(e event.Event) {
	switch e.Kind() {
	case event.KindRequest, event.KindCredential, event.KindResponse, event.KindAborted:
	default:
		return
	}
	if c.by == nil {
		c.by = map[string]*Call{}
	}
	call := c.by[e.Exchange()]
	if call == nil {
		call = &Call{ID: e.Exchange(), Session: e.Session()}
		c.by[call.ID] = call
	}
	switch d := e.Data.(type) {
	case *event.Request:
		call.Who, call.Time = d.UserIdentity, d.EventTime
		call.EventSource, call.EventName, call.Region, call.Account = d.EventSource, d.EventName, d.AWSRegion, d.RecipientAccountID
		for _, r := range d.Resources {
			call.Resources = append(call.Resources, r.ARN)
		}
	case *event.Credential:
		call.AccessKeyID, call.RoleARN, call.SessionName, call.Sent = d.AccessKeyID, d.RoleARN, d.RoleSessionName, true
		if call.Time.IsZero() {
			call.Time = d.EventTime
		}
	case *event.Response:
		call.Status, call.AWSRequestID = d.Status, d.AWSRequestID
	case *event.Aborted:
		if d.Stage == "credential" { // nothing was sent with it
			call.Sent = false
		}
	}
}

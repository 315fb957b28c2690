package approvals

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/sallyport/sallyport/event"
)

// Request is what a human needs to decide: the data of an approval.pending
// message. Texts that an agent or AWS controls are masked before they get here;
// whoever shows them must escape them for the medium (a terminal, HTML, Slack).
type Request struct {
	Approval          string             `json:"approval"`  // ULID
	Digest            string             `json:"digest"`    // hex SHA-256 of the canonical call, see Digest
	RequestID         string             `json:"requestID"` // the exchange that asked first, a ULID
	SessionID         string             `json:"sessionID"` // a ULID
	Who               event.UserIdentity `json:"userIdentity"`
	Email             string             `json:"email,omitempty"` // verified e-mail of the requester's token
	Target            string             `json:"target"`
	RoleARN           string             `json:"roleARN"`
	Account           string             `json:"recipientAccountId,omitempty"`
	Region            string             `json:"awsRegion,omitempty"`
	Service           string             `json:"service"`
	Operation         string             `json:"eventName"`
	Actions           []string           `json:"actions"` // IAM actions, primary first
	AccessLevel       string             `json:"accessLevel"`
	Resources         []event.Resource   `json:"resources,omitempty"`
	ResourcesOmitted  int                `json:"resourcesOmitted,omitempty"`  // how many more there are
	Parameters        map[string]any     `json:"requestParameters,omitempty"` // masked
	ParametersOmitted *event.Digest      `json:"requestParametersOmitted,omitempty"`
	RequestBody       *event.Digest      `json:"requestBody,omitempty"` // of a body that is no parameter: an object, a file
	Enrichment        *event.Enrichment  `json:"enrichment,omitempty"`  // names and tags of resources: whoever's who may tag
	Risk              event.Risk         `json:"risk"`
	Rules             []string           `json:"rules"`     // that ask
	Approvers         []Needed           `json:"approvers"` // every entry must be satisfied
	PolicyVersion     string             `json:"policyVersion"`
	Extent            string             `json:"extent,omitempty"`  // see Extent; "" where a grant cannot be for the same again
	Earlier           *event.Earlier     `json:"earlier,omitempty"` // the same call, let through before with an outcome that nobody knows
	Reason            string             `json:"reason,omitempty"`  // the agent's stated reason: untrusted
	Created           time.Time          `json:"created"`
	Expires           time.Time          `json:"expires"` // from here on no answer counts and nothing may be sent
}

// Bounded is r cut to what fits into a record: of many resources the first, and in
// place of large parameters their size and digest.
func (r Request) Bounded() Request {
	if n := len(r.Resources); n > event.MaxResources {
		r.Resources, r.ResourcesOmitted = r.Resources[:event.MaxResources], n-event.MaxResources
		r.Extent = "" // of what is not shown nobody can grant more
	}
	r.Enrichment = r.Enrichment.Bounded()
	if len(r.Parameters) == 0 {
		return r
	}
	text, err := json.Marshal(r.Parameters)
	if err != nil || len(text) > maxParameters {
		sum := sha256.Sum256(text)
		r.Parameters, r.ParametersOmitted = nil, &event.Digest{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(text))}
	}
	return r
}

// maxParameters is the most bytes of parameters that a request shows, as JSON.
const maxParameters = 256 << 10

// Needed is one demand for approvers: Count distinct people, each in one of Groups.
// One person may satisfy several entries. The zero value is satisfied by nobody.
type Needed struct {
	Groups []string `json:"groups"`
	Count  int      `json:"count"`
}

// The decisions of an Answer.
const (
	Allow  = "allow"
	Deny   = "deny"
	Revoke = "revoke" // ends the grant that an approval left
)

// Answer is what an approver sends to <prefix>.approvals.answer.<approval>: JSON of
// at most MaxAnswer bytes, without other members.
type Answer struct {
	Approval string `json:"approval"`         // ULID; that of the subject
	Digest   string `json:"digest"`           // that of the request which the approver saw
	Decision string `json:"decision"`         // Allow, Deny or Revoke
	Token    string `json:"token"`            // the approver's own OIDC token
	Reason   string `json:"reason,omitempty"` // shown to the agent; at most MaxReason bytes
	Grant    *Grant `json:"grant,omitempty"`  // nil: once
}

// MaxAnswer and MaxReason bound an answer, in bytes.
const (
	MaxAnswer = 64 << 10
	MaxReason = 1024
)

// Reply answers an Answer. The zero value says that it was not accepted.
type Reply struct {
	Accepted bool             `json:"accepted"`
	Error    string           `json:"error,omitempty"` // why not, one sentence
	Grant    *event.GrantLeft `json:"grant,omitempty"` // to a Look alone
}

// The outcomes of an approval: the terminal states that are published.
const (
	Approved  = "approved"
	Denied    = "denied"
	Expired   = "expired"
	Cancelled = "cancelled"
	// Revoked follows Approved: its grant was ended. The last of the approvers did it.
	Revoked = "revoked"
)

// Outcome is how an approval ended: the data of an approval.outcome message.
type Outcome struct {
	Approval  string    `json:"approval"`
	Digest    string    `json:"digest"`
	Outcome   string    `json:"outcome"`             // Approved, Denied, Expired or Cancelled; later Revoked
	Approvers []Vote    `json:"approvers,omitempty"` // every vote, in the order in which they came
	Grant     *Grant    `json:"grant,omitempty"`     // what was left beyond one call, from At on; nil: nothing
	At        time.Time `json:"at"`
}

// Vote is one approver's verified answer. It never holds the token.
type Vote struct {
	Issuer   string    `json:"issuer"`
	Subject  string    `json:"subject"`
	Email    string    `json:"email,omitempty"` // "" unless the issuer says that it is verified
	Groups   []string  `json:"groups,omitempty"`
	Decision string    `json:"decision"`
	Reason   string    `json:"reason,omitempty"`
	Via      string    `json:"via,omitempty"` // where it was given: "" on NATS, "slack"
	At       time.Time `json:"at"`
}

// State is where an approval stands. The zero value is none of them and lets
// nothing through.
type State string

// The states. Pending moves to one of the others once; approved alone moves once
// more, to used.
const (
	StatePending   State = "pending"
	StateApproved  State = Approved
	StateDenied    State = Denied
	StateExpired   State = Expired
	StateCancelled State = Cancelled
	StateUsed      State = "used"
)

// Record is the value of one key of the KV bucket: everything about an approval.
// Its methods are the state machine; they do no I/O and take the time from outside.
// The zero value is in no state and lets nothing through.
type Record struct {
	Request Request   `json:"request"`
	State   State     `json:"state"`
	Votes   []Vote    `json:"votes,omitempty"`
	Grant   *Leave    `json:"grant,omitempty"`  // what was left beyond one call, as it was given
	UsedBy  string    `json:"usedBy,omitempty"` // the exchange that was let through
	UsedAt  time.Time `json:"usedAt,omitzero"`
	Ended   time.Time `json:"ended,omitzero"` // when it was decided, expired or cancelled
	// Announced: people were told. Until then, Announcing is when a gateway last set
	// out to tell them in place of the one that began.
	Announced  bool      `json:"announced,omitempty"`
	Announcing time.Time `json:"announcing,omitzero"`
}

package event

import "time"

// UserIdentity is who called, as the token said.
type UserIdentity struct {
	Issuer  string   `json:"issuer,omitempty"`
	Subject string   `json:"subject,omitempty"`
	Groups  []string `json:"groups,omitempty"`
	Label   string   `json:"label,omitempty"` // the session's label: chosen by the agent, untrusted
}

// Common is in the data of every event.
type Common struct {
	RequestID       string       `json:"requestID,omitempty"` // the exchange, a ULID; "" for session events
	SessionID       string       `json:"sessionID,omitempty"` // a ULID; "" before an identity is known
	EventTime       time.Time    `json:"eventTime"`           // when it happened
	UserIdentity    UserIdentity `json:"userIdentity"`
	SourceIPAddress string       `json:"sourceIPAddress,omitempty"`
	UserAgent       string       `json:"userAgent,omitempty"`
	// Enriches is the exchange that people are asked about, in events of a call that the
	// gateway makes itself to tell them more of its resources. No agent sent that call,
	// and none sees its answer. "" in all others.
	Enriches string `json:"enriches,omitempty"`
}

// Head returns the common part.
func (c *Common) Head() *Common { return c }

// Operation is which AWS operation it is, where that is known.
type Operation struct {
	EventSource        string   `json:"eventSource,omitempty"` // s3.amazonaws.com
	EventName          string   `json:"eventName,omitempty"`   // GetObject
	AWSRegion          string   `json:"awsRegion,omitempty"`
	RecipientAccountID string   `json:"recipientAccountId,omitempty"`
	Service            string   `json:"service,omitempty"`     // catalog id: s3, elbv2
	Actions            []string `json:"actions,omitempty"`     // IAM actions, primary first
	AccessLevel        string   `json:"accessLevel,omitempty"` // of the primary action: List, Read, ...
	Target             string   `json:"target,omitempty"`      // name of the configured target
}

// Resource is what the operation is done to.
type Resource struct {
	ARN       string `json:"ARN"`
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"`
}

// Digest stands for bytes that are not in the event.
type Digest struct {
	SHA256 string `json:"sha256"` // hex; "" where a stream was not hashed
	Size   int64  `json:"size"`   // bytes; -1 unknown
}

// Finding is one place that masking changed.
type Finding struct {
	Path   string `json:"path"`            // where: SecretString, Item.ssn.S
	Source string `json:"source"`          // why: aws, rule, detector, text
	Rule   string `json:"rule,omitempty"`  // the policy rule or the detector
	Count  int    `json:"count,omitempty"` // how many values
}

// SessionOpened is the data of session.opened.
type SessionOpened struct {
	Common
	TokenID string    `json:"tokenID,omitempty"` // the token's jti
	Expires time.Time `json:"expires,omitzero"`  // of the token
}

// Kind implements Data.
func (*SessionOpened) Kind() Kind { return KindSessionOpened }

// SessionClosed is the data of session.closed.
type SessionClosed struct {
	Common
	Reason string `json:"reason,omitempty"` // idle, age, shutdown, revoked
}

// Kind implements Data.
func (*SessionClosed) Kind() Kind { return KindSessionClosed }

// Request is the data of request.
type Request struct {
	Common
	Operation
	Protocol          string         `json:"protocol,omitempty"` // rest-xml, json, ...
	Method            string         `json:"method,omitempty"`
	Host              string         `json:"host,omitempty"`
	Path              string         `json:"path,omitempty"`   // percent-encoded, as judged
	Digest            string         `json:"digest,omitempty"` // hex SHA-256 of the canonical call
	RealKeySeen       bool           `json:"realKeySeen,omitempty"`
	RequestParameters map[string]any `json:"requestParameters,omitempty"`
	// RequestParametersOmitted is there instead of parameters that were too
	// large: the digest and size of their JSON.
	RequestParametersOmitted *Digest    `json:"requestParametersOmitted,omitempty"`
	Resources                []Resource `json:"resources,omitempty"`
	ResourcesOmitted         int        `json:"resourcesOmitted,omitempty"` // how many more there were
	RequestBody              *Digest    `json:"requestBody,omitempty"`
	// RequestBodyRecorded is of a body that was read whole before the request was
	// judged; of one that streams it is in the event that ends the exchange.
	RequestBodyRecorded *Recorded `json:"requestBodyRecorded,omitempty"`
}

// Kind implements Data.
func (*Request) Kind() Kind { return KindRequest }

// Decision is the data of decision.
type Decision struct {
	Common
	Operation
	Effect        string   `json:"effect"` // allow, ask, deny
	Rules         []string `json:"rules,omitempty"`
	Risk          *Risk    `json:"risk,omitempty"`
	PolicyVersion string   `json:"policyVersion,omitempty"` // digest of the policy text
	Mask          []string `json:"mask,omitempty"`          // paths to mask
	MaskAs        string   `json:"maskAs,omitempty"`        // how they and the rest are replaced; "" is redact
	Unmask        []string `json:"unmask,omitempty"`
	Approval      string   `json:"approval,omitempty"`  // the approval that was asked for
	Approvers     []Vote   `json:"approvers,omitempty"` // who let it through
	OutcomeOf     string   `json:"outcomeOf,omitempty"` // nothing was sent: the agent gets the outcome of this exchange, a ULID
	// Grant is what is left of the grant that let it through; nil where people were asked.
	Grant        *GrantLeft `json:"grant,omitempty"`
	ErrorCode    string     `json:"errorCode,omitempty"` // what the agent gets, when it was denied
	ErrorMessage string     `json:"errorMessage,omitempty"`
}

// Kind implements Data.
func (*Decision) Kind() Kind { return KindDecision }

// Risk is how much harm the call could do.
type Risk struct {
	Score   int      `json:"score"` // 0 to 100
	Reasons []string `json:"reasons,omitempty"`
}

// Credential is the data of credential. It has the access key id, which AWS
// logs too, and no place for a secret.
type Credential struct {
	Common
	Target          string    `json:"target,omitempty"`
	RoleARN         string    `json:"roleArn"`
	RoleSessionName string    `json:"roleSessionName,omitempty"`
	SessionPolicy   string    `json:"sessionPolicy,omitempty"` // JSON text
	Scope           string    `json:"scope,omitempty"`         // request, action, service or role
	PolicyDetail    string    `json:"policyDetail,omitempty"`  // what the session policy left out to fit: full, without-deny, ...
	AccessKeyID     string    `json:"accessKeyId"`
	Expires         time.Time `json:"expires,omitzero"`
}

// Kind implements Data.
func (*Credential) Kind() Kind { return KindCredential }

// Response is the data of response.
type Response struct {
	Common
	Operation
	Status       int       `json:"status"`                 // HTTP status of AWS's answer
	AWSRequestID string    `json:"awsRequestID,omitempty"` // AWS's own id, to find its log line
	ErrorCode    string    `json:"errorCode,omitempty"`
	ErrorMessage string    `json:"errorMessage,omitempty"`
	Findings     []Finding `json:"findings,omitempty"`
	// FindingsOmitted is how many more there were.
	FindingsOmitted int     `json:"findingsOmitted,omitempty"`
	ResponseBody    *Digest `json:"responseBody,omitempty"` // as the agent got it
	RequestBody     *Digest `json:"requestBody,omitempty"`  // of a streamed body, known only now
	OutcomeOf       string  `json:"outcomeOf,omitempty"`    // AWS gave this answer to this exchange, a ULID, before
	// ResponseBodyRecorded and RequestBodyRecorded (of a streamed body) say what body
	// events hold of them.
	ResponseBodyRecorded *Recorded `json:"responseBodyRecorded,omitempty"`
	RequestBodyRecorded  *Recorded `json:"requestBodyRecorded,omitempty"`
}

// Kind implements Data.
func (*Response) Kind() Kind { return KindResponse }

// Aborted is the data of aborted: after the request was recorded, and before an
// answer was complete.
type Aborted struct {
	Common
	Operation
	Stage        string  `json:"stage,omitempty"`     // record, credential, send, mask, answer; lost: of a gateway that was killed
	Status       int     `json:"status,omitempty"`    // of AWS's answer, where one had begun
	ErrorCode    string  `json:"errorCode,omitempty"` // a refusal's reason
	ErrorMessage string  `json:"errorMessage,omitempty"`
	ResponseBody *Digest `json:"responseBody,omitempty"` // what had been passed on to the agent
	RequestBody  *Digest `json:"requestBody,omitempty"`  // what had been read of a streamed body
	// ResponseBodyRecorded and RequestBodyRecorded are as in Response.
	ResponseBodyRecorded *Recorded `json:"responseBodyRecorded,omitempty"`
	RequestBodyRecorded  *Recorded `json:"requestBodyRecorded,omitempty"`
}

// Kind implements Data.
func (*Aborted) Kind() Kind { return KindAborted }

// Refused is the data of refused: no decision of policy was reached.
type Refused struct {
	Common
	Operation
	Method       string `json:"method,omitempty"`
	Host         string `json:"host,omitempty"`
	Path         string `json:"path,omitempty"`
	RealKeySeen  bool   `json:"realKeySeen,omitempty"`
	Status       int    `json:"status,omitempty"` // HTTP status the agent got
	ErrorCode    string `json:"errorCode"`        // the refusal's reason: identity, malformed, ...
	ErrorMessage string `json:"errorMessage,omitempty"`
	// Repeated counts further refusals that this one stands for, where they are
	// rate-limited.
	Repeated int `json:"repeated,omitempty"`
}

// Kind implements Data.
func (*Refused) Kind() Kind { return KindRefused }

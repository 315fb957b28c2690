package export

import "github.com/sallyport/sallyport/event"

// The names below are OCSF's (Open Cybersecurity Schema Framework, API Activity,
// class 6003 of category 6, Application Activity, with the profiles cloud and
// security_control). What it has no name for stands in unmapped, under ours.

type ocsfEvent struct {
	Metadata       ocsfMetadata        `json:"metadata"`
	CategoryUID    int                 `json:"category_uid"`
	CategoryName   string              `json:"category_name"`
	ClassUID       int                 `json:"class_uid"`
	ClassName      string              `json:"class_name"`
	ActivityID     int                 `json:"activity_id"`
	ActivityName   string              `json:"activity_name"`
	TypeUID        int                 `json:"type_uid"`
	TypeName       string              `json:"type_name"`
	Time           int64               `json:"time"` // ms since 1970
	SeverityID     int                 `json:"severity_id"`
	Severity       string              `json:"severity"`
	StatusID       int                 `json:"status_id"`
	Status         string              `json:"status"`
	StatusCode     string              `json:"status_code,omitempty"`
	StatusDetail   string              `json:"status_detail,omitempty"`
	Message        string              `json:"message"`
	ActionID       int                 `json:"action_id"`
	Action         string              `json:"action"`
	DispositionID  int                 `json:"disposition_id"`
	Disposition    string              `json:"disposition"`
	IsAlert        bool                `json:"is_alert"`
	RiskScore      *int                `json:"risk_score,omitempty"`
	Actor          ocsfActor           `json:"actor"`
	API            ocsfAPI             `json:"api"`
	SrcEndpoint    ocsfEndpoint        `json:"src_endpoint"`
	DstEndpoint    *ocsfEndpoint       `json:"dst_endpoint,omitempty"`
	Cloud          ocsfCloud           `json:"cloud"`
	HTTPRequest    *ocsfHTTPRequest    `json:"http_request,omitempty"`
	HTTPResponse   *ocsfHTTPResponse   `json:"http_response,omitempty"`
	Resources      []ocsfResource      `json:"resources,omitempty"`
	Authorizations []ocsfAuthorization `json:"authorizations,omitempty"`
	Unmapped       ocsfUnmapped        `json:"unmapped"`
}

type ocsfMetadata struct {
	Version        string      `json:"version"`
	Product        ocsfProduct `json:"product"`
	UID            string      `json:"uid"`                       // of the call's first event
	CorrelationUID string      `json:"correlation_uid,omitempty"` // the session
	OriginalTime   string      `json:"original_time"`
	LogName        string      `json:"log_name"`
	LogProvider    string      `json:"log_provider"` // the gateway
	Profiles       []string    `json:"profiles"`
}

type ocsfProduct struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
	Version    string `json:"version,omitempty"`
}

type ocsfActor struct {
	User    ocsfUser     `json:"user"`
	Session *ocsfSession `json:"session,omitempty"`
	IDP     *ocsfEntity  `json:"idp,omitempty"`
}

type ocsfUser struct {
	UID           string       `json:"uid,omitempty"`
	Name          string       `json:"name,omitempty"`
	Groups        []ocsfEntity `json:"groups,omitempty"`
	TypeID        int          `json:"type_id"`
	Type          string       `json:"type"`
	CredentialUID string       `json:"credential_uid,omitempty"` // the access key id that was minted
}

type ocsfEntity struct {
	UID  string `json:"uid,omitempty"`
	Name string `json:"name,omitempty"`
}

type ocsfSession struct {
	UID    string `json:"uid"`
	Issuer string `json:"issuer,omitempty"`
}

type ocsfAPI struct {
	Operation string        `json:"operation"`
	Service   *ocsfEntity   `json:"service,omitempty"`
	Request   ocsfEntity    `json:"request"`
	Response  *ocsfResponse `json:"response,omitempty"`
}

type ocsfResponse struct {
	Code         int    `json:"code,omitempty"`
	Error        string `json:"error,omitempty"`
	ErrorMessage string `json:"error_message,omitempty"`
}

type ocsfEndpoint struct {
	IP       string `json:"ip,omitempty"`
	Hostname string `json:"hostname,omitempty"`
	Name     string `json:"name,omitempty"`
}

type ocsfCloud struct {
	Provider string       `json:"provider"`
	Region   string       `json:"region,omitempty"`
	Account  *ocsfAccount `json:"account,omitempty"`
}

type ocsfAccount struct {
	UID    string `json:"uid"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type"`
}

type ocsfHTTPRequest struct {
	Method    string   `json:"http_method,omitempty"`
	URL       *ocsfURL `json:"url,omitempty"`
	UserAgent string   `json:"user_agent,omitempty"`
}

type ocsfURL struct {
	Scheme   string `json:"scheme"`
	Hostname string `json:"hostname,omitempty"`
	Path     string `json:"path"`
}

type ocsfHTTPResponse struct {
	Code int `json:"code"`
}

type ocsfResource struct {
	UID    string `json:"uid"`
	Type   string `json:"type,omitempty"`
	Region string `json:"region,omitempty"`
}

type ocsfAuthorization struct {
	Decision string     `json:"decision"`
	Policy   ocsfPolicy `json:"policy"`
}

type ocsfPolicy struct {
	Name      string `json:"name"`
	Version   string `json:"version,omitempty"`
	IsApplied bool   `json:"is_applied"`
}

// ocsfUnmapped is what OCSF has no place for.
type ocsfUnmapped struct {
	Result       string         `json:"result"`
	Label        string         `json:"label,omitempty"`
	Target       string         `json:"target,omitempty"`
	Actions      []string       `json:"actions,omitempty"`
	AccessLevel  string         `json:"accessLevel,omitempty"`
	RiskReasons  []string       `json:"riskReasons,omitempty"`
	Approval     string         `json:"approval,omitempty"`
	Approvers    []event.Vote   `json:"approvers,omitempty"`
	Digest       string         `json:"digest,omitempty"`
	RoleARN      string         `json:"roleArn,omitempty"`
	AWSRequestID string         `json:"awsRequestID,omitempty"`
	Masked       int            `json:"masked"`
	RealKeySeen  bool           `json:"realKeySeen,omitempty"`
	Parameters   map[string]any `json:"requestParameters,omitempty"`
	RequestBody  *event.Digest  `json:"requestBody,omitempty"`
	ResponseBody *event.Digest  `json:"responseBody,omitempty"`
}

package catalog

// Index is what must be known before a service is: partitions, services and the
// host names that lead to them.
type Index struct {
	Partitions []Partition   `json:"partitions"`
	Services   []ServiceInfo `json:"services"`
	Hosts      []Host        `json:"hosts"`
}

// Partition is one AWS partition. DNSSuffix is shared by aws and aws-us-gov; the
// region tells them apart.
type Partition struct {
	ID           string   `json:"id"`
	Regions      []string `json:"regions"`
	GlobalRegion string   `json:"implicitGlobalRegion"` // region that stands for services without one
	DNSSuffix    string   `json:"dnsSuffix"`            // amazonaws.com
	DualStack    string   `json:"dualStackDnsSuffix"`   // api.aws
}

// ServiceInfo is the head of a service.
type ServiceInfo struct {
	ID              string   `json:"id"`                 // botocore name: elbv2
	FullName        string   `json:"fullName"`           // AWS Security Token Service
	EndpointPrefix  string   `json:"endpointPrefix"`     // first label of its hosts
	IAMPrefixes     []string `json:"iamPrefixes"`        // action prefixes: elasticloadbalancing
	SigningNames    []string `json:"signingNames"`       // first is the default
	Protocols       []string `json:"protocols"`          // all that clients speak to it
	JSONVersion     string   `json:"jsonVersion"`        // of application/x-amz-json-
	TargetPrefix    string   `json:"targetPrefix"`       // X-Amz-Target: <prefix>.<operation>
	RPCName         string   `json:"rpcName"`            // /service/<name>/operation/<operation>
	APIVersions     []string `json:"apiVersions"`        // accepted values of Version in query protocols
	XMLNamespace    string   `json:"xmlNamespace"`       // of query and rest-xml answers
	QueryCompatible bool     `json:"awsQueryCompatible"` // json service that once spoke query
	SigV4A          bool     `json:"sigv4a"`             // signs with SigV4A alone where both are offered
	Offset          int      `json:"offset"`             // of the bindings in the archive
	Bindings        int      `json:"bindings"`           // bytes, compressed
	Details         int      `json:"details"`            // bytes, compressed; directly behind
	Shapes          int      `json:"shapes"`             // bytes, compressed; directly behind
}

// Host is a pattern of host names, without the suffix. {r} stands for a region
// of the partition, {a} for a 12-digit account, {v} for one label the caller
// chooses; everything else is literal.
type Host struct {
	Pattern       string `json:"p"`
	Suffix        string `json:"s"`  // the DNS suffix below which it lies
	Service       int    `json:"i"`  // index into Index.Services
	Partition     int    `json:"q"`  // index into Index.Partitions
	SigningName   string `json:"n"`  // "" = the service's default
	SigningRegion string `json:"g"`  // "" = the region in the name
	Prefix        string `json:"x"`  // operation host prefix that is part of Pattern: "data-", "{AccountId}."
	Base          string `json:"b"`  // path in front of every operation's: /v2
	FIPS          bool   `json:"f"`  //
	DualStack     bool   `json:"ds"` //
}

// Operation is how an operation is bound to HTTP.
type Operation struct {
	Name              string   `json:"-"`
	Method            string   `json:"method"`
	Path              string   `json:"path"` // {Label} one segment, {Label+} greedy
	Query             Pairs    `json:"query"`
	Labels            Pairs    `json:"labels"` // label -> member
	QueryMembers      Bindings `json:"queryMembers"`
	HeaderMembers     Bindings `json:"headerMembers"` // a key ending in * is a prefix
	Payload           string   `json:"payload"`
	HostPrefix        string   `json:"hostPrefix"`
	AuthType          string   `json:"authtype"` // none: unsigned
	Auth              []string `json:"auth"`
	StreamingInput    bool     `json:"streamingInput"`
	StreamingOutput   bool     `json:"streamingOutput"`
	EventStreamInput  bool     `json:"eventStreamInput"`
	EventStreamOutput bool     `json:"eventStreamOutput"`
	Permissionless    bool     `json:"permissionless"`
	Context           Pairs    `json:"contextParams"`
	Input             *int32   `json:"input"` // index into Service.Shapes; nil: it takes no input
	Deprecated        bool     `json:"deprecated"`
	// RequestCompression: clients may compress the body (Smithy, "requestCompression
	// trait"). Any other operation's body is never anything but what its bytes say.
	RequestCompression bool      `json:"requestcompression"`
	Parsed             []Segment `json:"-"` // Path in segments
}

// Binding says which member a query parameter or header carries.
type Binding struct {
	Wire     string `json:"-"`
	Member   string `json:"member"`
	Required bool   `json:"required"`
}

// Segment is one path segment of a binding.
type Segment struct {
	Text   string // literal text, or the label's name
	Label  bool
	Greedy bool // takes one or more segments
}

// Detail is what an operation needs, and what in it is secret.
type Detail struct {
	IAM             []Action            `json:"iam"`
	ArnMembers      []string            `json:"arnMembers"`
	Idempotency     Pairs               `json:"idempotencyMembers"`
	SensitiveInput  map[string][]Member `json:"sensitiveInput"`  // by protocol
	SensitiveOutput map[string][]Member `json:"sensitiveOutput"` // by protocol
	SecretOutput    map[string][]Member `json:"secretOutput"`    // by protocol
	RecursiveOutput []Recursion         `json:"recursiveOutput"`
	RecursiveInput  []Recursion         `json:"recursiveInput"`
	ResultWrapper   string              `json:"resultWrapper"` // element around a query answer
	IAMNote         string              `json:"iamNote"`
}

// Action is one IAM action and how its resources are found in the request.
type Action struct {
	Action      string         `json:"action"`
	Level       string         `json:"level"`
	Resources   []ResourceType `json:"resources"`
	Bind        Pairs          `json:"bind"`        // ARN variable -> member expression
	GuessedBind Pairs          `json:"guessedBind"` // the same, by name only
	ARNs        Pairs          `json:"arns"`        // resource type -> expression that is the ARN
	ARN         string         `json:"arn"`         // expression that is the ARN, whatever the type
	When        *Condition     `json:"when"`        // only if it holds for the input
	Also        bool           `json:"also"`        // not the primary action
}

// ResourceType is an IAM resource type of an action.
type ResourceType struct {
	Name     string `json:"name"`
	Required bool   `json:"required"`
	ARN      string `json:"arn"` // template with ${Variables}
}

// Condition is a test on the input: op is Exists, NotExists, IContains or
// INotContains; lhs a member expression.
type Condition struct {
	LHS string     `json:"lhs"`
	Op  string     `json:"op"`
	RHS string     `json:"rhs"`
	And *Condition `json:"andCondition"`
}

// Member is a place in an input or output, as found on the wire.
type Member struct {
	Path   string `json:"path"`   // dotted wire names, * for an element; "" the whole body
	Member string `json:"member"` // the same in model names
	In     string `json:"in"`     // body, payload, header, prefixHeaders, uri, querystring, status
	Type   string `json:"type"`   // string, blob, structure, map, map-key, ...
	XML    string `json:"xml"`    // element path below the response root, @x an attribute
	Param  string `json:"param"`  // form parameter of query input, * for indices
	Kind   string `json:"kind"`   // what kind of secret, for SecretOutput
}

// Recursion says where a path re-enters a shape: the paths that lead below
// Shape apply again below At.
type Recursion struct {
	At    string `json:"at"`
	Shape string `json:"shape"`
}

package awsapi

import (
	"net/http"
	"sync"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/internal/awschunked"
	"github.com/sallyport/sallyport/refusal"
)

// MaxBody is how many bytes of a body that is judged are read; a longer one is
// refused. Objects (s3:PutObject and the like) are not judged and have no limit.
const MaxBody = 16 << 20

// Protocol is an AWS protocol, by the catalog's name for it.
type Protocol string

// The protocols of the Smithy AWS family. JSON stands for JSON 1.0 and 1.1.
const (
	Query    Protocol = "query"
	EC2      Protocol = "ec2"
	JSON     Protocol = "json"
	RestJSON Protocol = "rest-json"
	RestXML  Protocol = "rest-xml"
	CBOR     Protocol = "smithy-rpc-v2-cbor"
)

// AccessLevel is AWS's own word for what an action does (Service Authorization
// Reference). It is not a risk judgement: kms:Decrypt is Write there.
type AccessLevel string

// The access levels. The zero value is unknown and matches no rule's `access`.
const (
	List        AccessLevel = "List"
	Read        AccessLevel = "Read"
	Tagging     AccessLevel = "Tagging"
	Write       AccessLevel = "Write"
	Permissions AccessLevel = "Permissions management"
)

// Call is one AWS API request, understood: which operation, on what, with which
// parameters. It is made by Head.Call and never changed after.
type Call struct {
	Partition      string // aws, aws-cn, aws-us-gov, ...
	Service        string // catalog id, the botocore name: s3, dynamodb, elbv2
	EventSource    string // CloudTrail's: s3.amazonaws.com
	Region         string // the region the request is for; "" where it has none
	SigningName    string // SigV4 credential scope's service
	SigningRegion  string // SigV4 credential scope's region
	Operation      string // API operation: GetObject
	Protocol       Protocol
	Actions        []Action // primary first; at least one, except for Permissionless calls
	Permissionless bool     // needs no IAM permission (sts:GetCallerIdentity)
	Classes        []Class  // sorted
	Twins          []string // other "service:Operation" that the same bytes could mean, see data README "Not decidable"

	// StreamingOutput and EventStreamOutput are true where the answer is an
	// object body or an event stream instead of one document.
	StreamingOutput   bool
	EventStreamOutput bool

	uncarried    *refusal.Error
	canonical    Canonical
	ownerHeaders []string // see WithBucketOwner
	detail       *catalog.Detail
	twinDetails  []*catalog.Detail // of Twins
	params       *params
}

// Params are the input members by their names in AWS's model, whatever the wire
// format and wherever in the request they came, as JSON-like values: map[string]any,
// []any, string, json.Number, bool, nil. Blobs are in base64, times as they came;
// bodies that stream are left out. The caller must not change the map.
func (c *Call) Params() map[string]any {
	if c.params == nil {
		return nil
	}
	return c.params.document()
}

// params makes the document of a call's parameters when it is first asked for.
type params struct {
	doc  *document
	once sync.Once
	all  map[string]any
}

func (p *params) document() map[string]any {
	p.once.Do(func() {
		if p.doc != nil {
			p.all = p.doc.object(0)
		}
	})
	return p.all
}

// Uncarried is nil, or why the gateway cannot sign and send the call although it
// knows what it is: two-way event streams, S3 on Outposts and Object Lambda, SigV4A's
// signed chunks, signed chunks for anything but an S3 object.
// Such a call can be explained and recorded; its Canonical is the zero value.
func (c *Call) Uncarried() *refusal.Error { return c.uncarried }

// Canonical returns the request as judged: the only thing jit signs.
func (c *Call) Canonical() Canonical { return c.canonical }

// Action is one IAM action that the call needs, with what it is done to.
type Action struct {
	Name      string // service:Action, as in an IAM policy: s3:GetObject
	Level     AccessLevel
	Resources []Resource // never empty: an action without resource types has one Resource with ARN "*"
	Dependent bool       // AWS documents it as needed beside the primary action (iam:PassRole)
}

// Resource is what an action is done to.
type Resource struct {
	// ARN is the resource's ARN. A segment that the request does not tell is
	// `*`, and then Partial is true. It is data, not a pattern: a `*` or `?`
	// that came from the request's own text is in ARN as it came, and only
	// Partial says whether a `*` is ours.
	ARN     string
	Type    string // IAM resource type: object, table; "" for "*"
	Account string // account id in the ARN or the host; "" unknown
	Partial bool
}

// Payload is how the client declared its body in x-amz-content-sha256.
type Payload int

// The payload forms that can be carried. The zero value is not one of them.
const (
	_ Payload = iota
	// PayloadAbsent: no x-amz-content-sha256 (every service but S3; curl).
	PayloadAbsent
	// PayloadHash: 64 hex digits, the SHA-256 of the body.
	PayloadHash
	// PayloadUnsigned: UNSIGNED-PAYLOAD.
	PayloadUnsigned
	// PayloadStreamingUnsignedTrailer: STREAMING-UNSIGNED-PAYLOAD-TRAILER, an
	// aws-chunked body with a checksum trailer inside.
	PayloadStreamingUnsignedTrailer
	// PayloadStreamingSigned: STREAMING-AWS4-HMAC-SHA256-PAYLOAD, an aws-chunked body
	// in which each chunk's signature is made with that of the one before, the first
	// with the request's. Only S3 takes it.
	PayloadStreamingSigned
	// PayloadStreamingSignedTrailer: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, with a
	// checksum trailer and its signature at the end.
	PayloadStreamingSignedTrailer
)

// Canonical is the request that was judged, in the form in which it is signed
// and sent: nothing else of what the client sent goes on. Only this package
// makes one; the zero value is signed by nobody.
type Canonical struct {
	method, host  string
	rawPath       string // percent-encoded exactly as received
	rawQuery      string // as received, less authentication parameters
	header        []field
	payload       Payload
	contentSHA256 string // the client's x-amz-content-sha256, "" when absent
	body          []byte // the whole body, nil when it streams
	streams       bool
	contentLength int64  // of a streaming body as declared, -1 for chunked
	spooledSHA256 string // see WithBody
	chunks        awschunked.Declared
	upload        *upload // of a form upload, nil for everything else
	signingName   string
	signingRegion string
	regionSet     string // SigV4A's, in place of signingRegion; "" for SigV4
	doubleEncode  bool   // every service but S3 encodes the path twice when signing
}

// field is one header that goes on; its name is as net/http writes it.
type field struct{ name, value string }

// Method is the HTTP method.
func (c Canonical) Method() string { return c.method }

// Host is the AWS host name, lower case, without a port.
func (c Canonical) Host() string { return c.host }

// RawPath is the percent-encoded path, byte for byte as judged.
func (c Canonical) RawPath() string { return c.rawPath }

// RawQuery is the query string as judged, without authentication parameters.
func (c Canonical) RawQuery() string { return c.rawQuery }

// Header are the headers that go on, in a map of the caller's own. Content-Length,
// Host and everything about authentication are not among them.
func (c Canonical) Header() http.Header {
	out := make(http.Header, len(c.header)+6) // the signer adds its own
	values := make([]string, len(c.header))
	for i, f := range c.header {
		values[i] = f.value
		out[f.name] = values[i : i+1 : i+1]
	}
	return out
}

// Payload is the form of the body.
func (c Canonical) Payload() Payload { return c.payload }

// ContentSHA256 is the client's x-amz-content-sha256; "" when it sent none.
func (c Canonical) ContentSHA256() string { return c.contentSHA256 }

// Body is the judged body; nil when Streams.
func (c Canonical) Body() []byte { return c.body }

// Streams reports that the body is an object that is not judged and passes
// through as it comes.
func (c Canonical) Streams() bool { return c.streams }

// ContentLength is the body's length in bytes, -1 when unknown (chunked).
func (c Canonical) ContentLength() int64 { return c.contentLength }

// NeedsHash reports a body that streams and whose hash must be in the signature: it
// has to be read to its end before the request can be signed. S3 takes a body that is
// not signed; other services do so only where the client says so.
func (c Canonical) NeedsHash() bool {
	return c.streams && c.payload == PayloadAbsent && c.doubleEncode && c.contentLength != 0 && c.spooledSHA256 == ""
}

// WithBody is c for a body that NeedsHash and was read whole: its SHA-256 in hex and
// its length in bytes.
func (c Canonical) WithBody(sha256 string, size int64) Canonical {
	if c.NeedsHash() {
		c.spooledSHA256, c.contentLength = sha256, size
	}
	return c
}

// SpooledSHA256 is the hash that WithBody was given, "" for none.
func (c Canonical) SpooledSHA256() string { return c.spooledSHA256 }

// DataLength is how many bytes the body carries, -1 when that is not known: an
// aws-chunked body's without its chunks.
func (c Canonical) DataLength() int64 {
	if c.chunks.Form != awschunked.None {
		return c.chunks.Length
	}
	return c.contentLength
}

// Chunks is what the headers declare of an aws-chunked body; its zero value is that
// of every other body. It was checked against the headers: they agree.
func (c Canonical) Chunks() awschunked.Declared { return c.chunks }

// SigningName and SigningRegion are the SigV4 credential scope.
func (c Canonical) SigningName() string { return c.signingName }

// SigningRegion is the region of the SigV4 credential scope.
func (c Canonical) SigningRegion() string { return c.signingRegion }

// RegionSet is "*" for a request that is signed with SigV4A for every region, and ""
// for one that is signed with SigV4 for SigningRegion.
func (c Canonical) RegionSet() string { return c.regionSet }

// DoubleEncodePath is false for S3 and its kin, whose canonical URI is the path
// encoded once (SigV4, "Create a canonical request").
func (c Canonical) DoubleEncodePath() bool { return c.doubleEncode }

// IsZero reports the zero value, which must not be signed.
func (c Canonical) IsZero() bool { return c.host == "" }

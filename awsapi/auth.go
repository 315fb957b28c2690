package awsapi

import (
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// scope is the credential scope that the client signed for. It is a claim: it
// must agree with the host, and is otherwise used for nothing but the region of
// names that have none.
type scope struct {
	region, service string
	set             bool // SigV4A: region is a region set ("*", "us-east-1,eu-west-1")
}

const (
	sigV4  = "AWS4-HMAC-SHA256"
	sigV4A = "AWS4-ECDSA-P256-SHA256"
)

// authQuery are the query parameters of presigned URLs: SigV4's (IAM User Guide,
// "Authenticating requests: query parameters") and, with presignedV2, S3's old ones.
// They say who asks, not what for.
var authQuery = set("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature",
	"x-amz-security-token", "x-amz-region-set")

// presignedV2 mark a presigned URL of signature version 2.
var presignedV2 = set("signature", "awsaccesskeyid")

// withoutAuth takes the parameters of a presigned URL out of the query, and
// returns the scope that they claim. A parameter of authentication that comes
// twice, in another case, or beside an Authorization header is refused: two
// readers could see two callers.
func withoutAuth(query []pair, signed bool) (rest []pair, s scope, presigned *refusal.Error, err error) {
	seen := map[string]bool{}
	v2 := false
	for _, p := range query {
		v2 = v2 || presignedV2[strings.ToLower(p.key)]
	}
	for _, p := range query {
		l := strings.ToLower(p.key)
		if !authQuery[l] && !(v2 && (presignedV2[l] || l == "expires")) {
			rest = append(rest, p)
			continue
		}
		if signed {
			return nil, s, nil, refusal.New(refusal.Malformed, "the request is signed twice, in the Authorization header and in the query (%s); send one", clip(p.key))
		}
		if seen[l] {
			return nil, s, nil, duplicate("query", p.key)
		}
		seen[l] = true
		switch l {
		case "x-amz-credential":
			if s, err = credentialScope(p.value, s.set, s.region); err != nil {
				return nil, s, nil, err
			}
		case "x-amz-algorithm":
			s.set = s.set || p.value == sigV4A
		}
		presigned = refusal.New(refusal.Unidentified, "presigned URLs (%s in the query) are not carried by this gateway; make the call through the SDK or CLI instead", clip(p.key))
	}
	return rest, s, presigned, nil
}

// credentialScope reads KEY/DATE/REGION/SERVICE/aws4_request, for SigV4A without
// the region. The access key id names a target and may hold anything but a slash.
func credentialScope(cred string, asymmetric bool, regions string) (scope, error) {
	f := strings.Split(cred, "/")
	if asymmetric && len(f) == 4 && f[3] == "aws4_request" && f[2] != "" {
		return scope{region: regions, service: f[2], set: true}, nil
	}
	if len(f) != 5 || f[4] != "aws4_request" || f[2] == "" || f[3] == "" {
		return scope{}, refusal.New(refusal.Malformed, "the request's Credential is not KEY/DATE/REGION/SERVICE/aws4_request")
	}
	return scope{region: f[2], service: f[3]}, nil
}

// readAuth finds the scope in the Authorization header. What is not carried is
// told by the second result: the request is identified all the same. No
// Authorization is no scope: the client's signature is worth nothing here.
func readAuth(h http.Header) (scope, *refusal.Error, error) {
	values := h.Values("Authorization")
	if len(values) > 1 {
		return scope{}, nil, refusal.New(refusal.Malformed, "the request has %d Authorization headers; send one", len(values))
	}
	if len(values) == 0 {
		return scope{}, nil, nil
	}
	v := values[0]
	alg, rest, _ := strings.Cut(v, " ")
	var uncarried *refusal.Error
	regions := ""
	switch {
	case alg == sigV4:
	case alg == sigV4A:
		set := h.Values("X-Amz-Region-Set")
		if len(set) != 1 {
			return scope{}, nil, refusal.New(refusal.Malformed, "a SigV4A request must have one X-Amz-Region-Set header, this one has %d", len(set))
		}
		regions = set[0]
		uncarried = refusal.New(refusal.Unidentified, "SigV4A (%s) is not carried by this gateway; use a regional endpoint with ordinary SigV4, not a multi-region access point", sigV4A)
	case strings.EqualFold(alg, "Bearer"):
		return scope{}, refusal.New(refusal.Unidentified, "bearer tokens of AWS services are not carried by this gateway; sign with placeholder AWS credentials instead"), nil
	case alg == "AWS":
		return scope{}, refusal.New(refusal.Unidentified, "signature version 2 is not carried by this gateway; configure the client for SigV4"), nil
	default:
		return scope{}, nil, refusal.New(refusal.Malformed, "the Authorization header is of a form that this gateway does not know; use SigV4 (%s)", sigV4)
	}
	cred := ""
	for part := range strings.SplitSeq(rest, ",") {
		k, val, ok := strings.Cut(strings.TrimSpace(part), "=")
		if ok && k == "Credential" {
			if cred != "" {
				return scope{}, nil, refusal.New(refusal.Malformed, "the Authorization header names two Credentials")
			}
			cred = val
		}
	}
	s, err := credentialScope(cred, uncarried != nil, regions)
	if err == nil && s.set != (uncarried != nil) {
		err = refusal.New(refusal.Malformed, "the Authorization header's Credential does not have the form of its algorithm")
	}
	return s, uncarried, err
}

// signedChunks are the forms of aws-chunked bodies in which each chunk is signed
// (S3 API reference, "Signature calculations: transferring payload in chunks").
var signedChunks = map[string]bool{
	"STREAMING-AWS4-HMAC-SHA256-PAYLOAD": true, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": true,
	"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD": true, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER": true,
}

// readPayload reads x-amz-content-sha256. A form that is known and not carried is
// told by the third result.
func readPayload(h http.Header) (Payload, string, *refusal.Error, error) {
	values := h.Values("X-Amz-Content-Sha256")
	switch {
	case len(values) == 0:
		return PayloadAbsent, "", nil, nil
	case len(values) > 1:
		return 0, "", nil, refusal.New(refusal.Malformed, "the request has %d x-amz-content-sha256 headers; send one", len(values))
	}
	v := values[0]
	switch {
	case v == "UNSIGNED-PAYLOAD":
		return PayloadUnsigned, v, nil, nil
	case v == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		return PayloadStreamingUnsignedTrailer, v, nil, nil
	case isHex(v, 64):
		return PayloadHash, v, nil, nil
	case strings.HasPrefix(v, "STREAMING-AWS4-HMAC-SHA256-EVENTS"):
		return 0, v, refusal.New(refusal.Unidentified, "signed event streams are not carried by this gateway"), nil
	case signedChunks[v]:
		return 0, v, refusal.New(refusal.Unidentified, "chunk-signed bodies (%s) are not carried by this gateway; let the client send UNSIGNED-PAYLOAD, a plain hash or a checksum trailer", clip(v)), nil
	}
	return 0, "", nil, refusal.New(refusal.Malformed, "x-amz-content-sha256 is neither a SHA-256 in hex nor a form this gateway knows")
}

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

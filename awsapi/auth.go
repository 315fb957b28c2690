package awsapi

import (
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/awschunked"
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

// credentialScope reads KEY/DATE/REGION/SERVICE/aws4_request, for SigV4A without
// the region. The access key id names a target and may hold anything but a slash.
func credentialScope(cred string, asymmetric bool, regions string) (scope, error) {
	_, rest, _ := strings.Cut(cred, "/")
	_, rest, _ = strings.Cut(rest, "/")
	rest, ok := strings.CutSuffix(rest, "/aws4_request")
	region, service, regional := strings.Cut(rest, "/")
	switch {
	case ok && asymmetric && !regional && rest != "":
		return scope{region: regions, service: rest, set: true}, nil
	case !ok || !regional || region == "" || service == "" || strings.Contains(service, "/"):
		return scope{}, refusal.New(refusal.Malformed, "the request's Credential is not KEY/DATE/REGION/SERVICE/aws4_request")
	}
	return scope{region: region, service: service}, nil
}

// readAuth finds the scope in the Authorization header. No Authorization is no scope:
// the client's signature is worth nothing here.
func readAuth(h http.Header) (scope, error) {
	values := h.Values("Authorization")
	if len(values) > 1 {
		return scope{}, refusal.New(refusal.Malformed, "the request has %d Authorization headers; send one", len(values))
	}
	if len(values) == 0 {
		return scope{}, nil
	}
	v := values[0]
	alg, rest, _ := strings.Cut(v, " ")
	regions, asymmetric := "", false
	switch {
	case alg == sigV4:
	case alg == sigV4A:
		set := h.Values("X-Amz-Region-Set")
		if len(set) != 1 {
			return scope{}, refusal.New(refusal.Malformed, "a SigV4A request must have one X-Amz-Region-Set header, this one has %d", len(set))
		}
		regions, asymmetric = set[0], true
	case strings.EqualFold(alg, "Bearer"), alg == "AWS":
		// A bearer key of an AWS service (Bedrock's), or signature version 2: they claim
		// nothing of interest, and what is sent has our signature in their place.
		return scope{}, nil
	default:
		return scope{}, refusal.New(refusal.Malformed, "the Authorization header is of a form that this gateway does not know; use SigV4 (%s)", sigV4)
	}
	cred := ""
	for part := range strings.SplitSeq(rest, ",") {
		k, val, ok := strings.Cut(strings.TrimSpace(part), "=")
		if ok && k == "Credential" {
			if cred != "" {
				return scope{}, refusal.New(refusal.Malformed, "the Authorization header names two Credentials")
			}
			cred = val
		}
	}
	s, err := credentialScope(cred, asymmetric, regions)
	if err == nil && s.set != asymmetric {
		err = refusal.New(refusal.Malformed, "the Authorization header's Credential does not have the form of its algorithm")
	}
	return s, err
}

// chunkedPayloads are the aws-chunked forms that can be carried.
var chunkedPayloads = map[awschunked.Form]Payload{
	awschunked.UnsignedTrailer: PayloadStreamingUnsignedTrailer,
	awschunked.Signed:          PayloadStreamingSigned,
	awschunked.SignedTrailer:   PayloadStreamingSignedTrailer,
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
	form := awschunked.FormOf(v)
	switch {
	case v == "UNSIGNED-PAYLOAD":
		return PayloadUnsigned, v, nil, nil
	case chunkedPayloads[form] != 0:
		return chunkedPayloads[form], v, nil, nil
	case isHex(v, 64):
		return PayloadHash, v, nil, nil
	case strings.HasPrefix(v, "STREAMING-AWS4-HMAC-SHA256-EVENTS"):
		return 0, v, refusal.New(refusal.Unidentified, "signed event streams are not carried by this gateway"), nil
	case form != awschunked.None:
		return 0, v, refusal.New(refusal.Unidentified, "bodies with SigV4A chunks (%s) are not carried by this gateway; use a regional endpoint with ordinary SigV4", v), nil
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

package awsapi

import (
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// scope is the credential scope that the client signed for. It is a claim: it
// must agree with the host, and is otherwise used for nothing but the region of
// names that have none.
type scope struct{ region, service string }

const sigV4 = "AWS4-HMAC-SHA256"

// readAuth finds the scope in the Authorization header, and refuses forms of
// authentication that are not carried. No Authorization is no scope: the
// client's signature is worth nothing here.
func readAuth(h http.Header, query []pair) (scope, error) {
	values := h.Values("Authorization")
	if len(values) > 1 {
		return scope{}, refusal.New(refusal.Malformed, "the request has %d Authorization headers; send one", len(values))
	}
	for _, p := range query {
		switch strings.ToLower(p.key) {
		case "x-amz-signature", "x-amz-algorithm", "x-amz-credential", "x-amz-signedheaders", "x-amz-security-token", "signature", "awsaccesskeyid":
			if len(values) > 0 {
				return scope{}, refusal.New(refusal.Malformed, "the request is signed twice, in the Authorization header and in the query (%s); send one", clip(p.key))
			}
			return scope{}, refusal.New(refusal.Unidentified, "presigned URLs (%s in the query) are not carried by this gateway; make the call through the SDK or CLI instead", clip(p.key))
		}
	}
	if len(values) == 0 {
		return scope{}, nil
	}
	v := values[0]
	alg, rest, _ := strings.Cut(v, " ")
	switch {
	case alg == sigV4:
	case strings.HasPrefix(alg, "AWS4-ECDSA"):
		return scope{}, refusal.New(refusal.Unidentified, "SigV4A (%s) is not carried by this gateway; use a regional endpoint with ordinary SigV4, not a multi-region access point", clip(alg))
	case strings.EqualFold(alg, "Bearer"):
		return scope{}, refusal.New(refusal.Unidentified, "bearer tokens of AWS services are not carried by this gateway; sign with placeholder AWS credentials instead")
	case alg == "AWS":
		return scope{}, refusal.New(refusal.Unidentified, "signature version 2 is not carried by this gateway; configure the client for SigV4")
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
	// The access key id names a target and may hold anything but a slash.
	f := strings.Split(cred, "/")
	if len(f) != 5 || f[4] != "aws4_request" || f[2] == "" || f[3] == "" {
		return scope{}, refusal.New(refusal.Malformed, "the Authorization header's Credential is not KEY/DATE/REGION/SERVICE/aws4_request")
	}
	return scope{region: f[2], service: f[3]}, nil
}

// readPayload reads x-amz-content-sha256.
func readPayload(h http.Header) (Payload, string, error) {
	values := h.Values("X-Amz-Content-Sha256")
	switch {
	case len(values) == 0:
		return PayloadAbsent, "", nil
	case len(values) > 1:
		return 0, "", refusal.New(refusal.Malformed, "the request has %d x-amz-content-sha256 headers; send one", len(values))
	}
	v := values[0]
	switch {
	case v == "UNSIGNED-PAYLOAD":
		return PayloadUnsigned, v, nil
	case v == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		return PayloadStreamingUnsignedTrailer, v, nil
	case isHex(v, 64):
		return PayloadHash, v, nil
	case strings.HasPrefix(v, "STREAMING-AWS4-HMAC-SHA256-EVENTS"):
		return 0, "", refusal.New(refusal.Unidentified, "signed event streams are not carried by this gateway")
	case strings.HasPrefix(v, "STREAMING-AWS4-"):
		return 0, "", refusal.New(refusal.Unidentified, "chunk-signed bodies (%s) are not carried by this gateway; let the client send UNSIGNED-PAYLOAD, a plain hash or a checksum trailer", clip(v))
	}
	return 0, "", refusal.New(refusal.Malformed, "x-amz-content-sha256 is neither a SHA-256 in hex nor a form this gateway knows")
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

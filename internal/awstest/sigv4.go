package awstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	hmacAlgorithm  = "AWS4-HMAC-SHA256"
	ecdsaAlgorithm = "AWS4-ECDSA-P256-SHA256"
)

// maxSkew is how far a request's date may be from the server's clock.
const maxSkew = 15 * time.Minute

// Key is an access key that the server knows.
type Key struct {
	ID, Secret string
	Token      string    // session token, "" for long-term keys
	Account    string    // whose key it is
	ARN        string    // principal, for GetCallerIdentity
	Policy     string    // session policy; "" allows everything
	Expires    time.Time // zero: never
	stsOnly    bool      // the gateway's own key: good for STS alone
	policy     *Policy
}

// scope is what the signature was made for.
type scope struct{ date, region, service string }

// verify checks the signature of a request (IAM User Guide, "Create a signed AWS
// API request") and the payload's digest, and returns the key it was made with.
func (s *Server) verify(r *Received, body []byte) (*Key, scope, error) {
	auth, err := one(r.Header, "Authorization")
	if err != nil {
		return nil, scope{}, err
	}
	if strings.Contains(r.Target, "X-Amz-Signature=") || strings.Contains(r.Target, "X-Amz-Algorithm=") {
		return nil, scope{}, fault(http.StatusBadRequest, "InvalidArgument", "Only one auth mechanism allowed")
	}
	algorithm, rest, _ := strings.Cut(auth, " ")
	if algorithm != hmacAlgorithm && algorithm != ecdsaAlgorithm {
		return nil, scope{}, fault(http.StatusBadRequest, "IncompleteSignature", "not an AWS4-HMAC-SHA256 or AWS4-ECDSA-P256-SHA256 signature")
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	credential := strings.Split(fields["Credential"], "/")
	if algorithm == ecdsaAlgorithm && len(credential) == 4 { // no region in the scope
		set, err := one(r.Header, "X-Amz-Region-Set")
		if err != nil {
			return nil, scope{}, err
		}
		credential = slices.Insert(credential, 2, set)
	}
	if len(credential) != 5 || credential[4] != "aws4_request" || fields["SignedHeaders"] == "" || fields["Signature"] == "" {
		return nil, scope{}, fault(http.StatusBadRequest, "IncompleteSignature", "Authorization header is incomplete")
	}
	sc := scope{date: credential[1], region: credential[2], service: credential[3]}
	key, err := s.key(credential[0], r.Header)
	if err != nil {
		return nil, sc, err
	}
	date, err := one(r.Header, "X-Amz-Date")
	if err != nil {
		return nil, sc, err
	}
	when, err := time.Parse("20060102T150405Z", date)
	if err != nil || !strings.HasPrefix(date, sc.date) {
		return nil, sc, fault(http.StatusForbidden, "SignatureDoesNotMatch", "X-Amz-Date and the scope's date disagree")
	}
	if skew := s.now().Sub(when); skew > maxSkew || skew < -maxSkew {
		return nil, sc, fault(http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
	}
	digest, err := payloadDigest(r, body, sc.service)
	if err != nil {
		return nil, sc, err
	}
	canonical, err := canonicalRequest(r, strings.Split(fields["SignedHeaders"], ";"), digest, isS3(sc.service))
	if err != nil {
		return nil, sc, err
	}
	if algorithm == ecdsaAlgorithm {
		toSign := ecdsaAlgorithm + "\n" + date + "\n" + strings.Join(slices.Delete(credential, 2, 3)[1:], "/") + "\n" + hexSHA256([]byte(canonical))
		return key, sc, verifyECDSA(key, toSign, fields["Signature"])
	}
	toSign := hmacAlgorithm + "\n" + date + "\n" + strings.Join(credential[1:], "/") + "\n" + hexSHA256([]byte(canonical))
	k := mac([]byte("AWS4"+key.Secret), sc.date)
	for _, part := range []string{sc.region, sc.service, "aws4_request", toSign} {
		k = mac(k, part)
	}
	if !hmac.Equal([]byte(hex.EncodeToString(k)), []byte(fields["Signature"])) {
		return nil, sc, fault(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	}
	return key, sc, nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text))
	return h.Sum(nil)
}

func isS3(service string) bool { return service == "s3" }

// key finds the key and checks that the session token is the one it came with.
func (s *Server) key(id string, h http.Header) (*Key, error) {
	s.mu.Lock()
	k := s.keys[id]
	s.mu.Unlock()
	token := strings.Join(h.Values("X-Amz-Security-Token"), ",")
	switch {
	case k == nil:
		return nil, fault(http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
	case !hmac.Equal([]byte(token), []byte(k.Token)):
		return nil, fault(http.StatusForbidden, "InvalidToken", "The provided token is malformed or otherwise invalid.")
	case !k.Expires.IsZero() && !s.now().Before(k.Expires):
		return nil, fault(http.StatusForbidden, "ExpiredToken", "The provided token has expired.")
	}
	return k, nil
}

// payloadDigest is the last line of the canonical request. A digest that the
// client claims is checked against the body.
func payloadDigest(r *Received, body []byte, service string) (string, error) {
	claimed := r.Header.Values("X-Amz-Content-Sha256")
	if len(claimed) > 1 {
		return "", fault(http.StatusBadRequest, "InvalidArgument", "x-amz-content-sha256 is there more than once")
	}
	actual := hexSHA256(body)
	switch {
	case len(claimed) == 0 && isS3(service):
		return "", fault(http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	case len(claimed) == 0:
		return actual, nil
	case slices.Contains([]string{"UNSIGNED-PAYLOAD", unsignedTrailer, signedChunks, signedTrailer}, claimed[0]):
		return claimed[0], nil
	case claimed[0] != actual:
		return "", fault(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	return actual, nil
}

func canonicalRequest(r *Received, signed []string, digest string, s3 bool) (string, error) {
	if !slices.IsSorted(signed) || !slices.Contains(signed, "host") {
		return "", fault(http.StatusForbidden, "SignatureDoesNotMatch", "SignedHeaders must be sorted and hold host")
	}
	// Whatever speaks to AWS must be covered by the signature.
	for name := range r.Header {
		lower := strings.ToLower(name)
		if (strings.HasPrefix(lower, "x-amz-") || lower == "content-type") && !slices.Contains(signed, lower) {
			return "", fault(http.StatusForbidden, "AccessDenied", "There were headers present in the request which were not signed: "+lower)
		}
	}
	var headers strings.Builder
	for _, name := range signed {
		values, ok := r.Header[http.CanonicalHeaderKey(name)]
		if !ok {
			return "", fault(http.StatusForbidden, "SignatureDoesNotMatch", "signed header is missing: "+name)
		}
		trimmed := make([]string, len(values))
		for i, v := range values {
			trimmed[i] = strings.Join(strings.Fields(v), " ")
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(trimmed, ","))
	}
	path, query, _ := strings.Cut(r.Target, "?")
	return strings.Join([]string{r.Method, canonicalPath(path, s3), canonicalQuery(query), headers.String(), strings.Join(signed, ";"), digest}, "\n"), nil
}

// canonicalPath encodes each segment once for S3; every other service encodes
// the path as it was sent a second time.
func canonicalPath(path string, s3 bool) string {
	segments := strings.Split(path, "/")
	for i, seg := range segments {
		if s3 {
			seg = unescape(seg, false)
		}
		segments[i] = escape(seg)
	}
	return strings.Join(segments, "/")
}

func canonicalQuery(query string) string {
	if query == "" {
		return ""
	}
	var pairs []string
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, escape(unescape(name, true))+"="+escape(unescape(value, true)))
	}
	// By name, then by value: "=" must not take part in the order of names.
	slices.SortFunc(pairs, func(a, b string) int {
		an, av, _ := strings.Cut(a, "=")
		bn, bv, _ := strings.Cut(b, "=")
		if c := strings.Compare(an, bn); c != 0 {
			return c
		}
		return strings.Compare(av, bv)
	})
	return strings.Join(pairs, "&")
}

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// escape is UriEncode of the AWS documentation.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(unreserved, s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

// unescape undoes percent-encoding; what is not a valid escape stays.
func unescape(s string, plus bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.WriteByte(v[0])
				i += 2
				continue
			}
		}
		if s[i] == '+' && plus {
			b.WriteByte(' ')
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func one(h http.Header, name string) (string, error) {
	v := h.Values(name)
	switch len(v) {
	case 0:
		return "", fault(http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token: "+name)
	case 1:
		return v[0], nil
	}
	return "", fault(http.StatusBadRequest, "InvalidArgument", name+" is there more than once")
}

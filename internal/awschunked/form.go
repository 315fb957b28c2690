package awschunked

// Form is a way in which a body is aws-chunked.
type Form int

// The forms. The zero value is a body that is not aws-chunked.
const (
	None                    Form = iota
	UnsignedTrailer              // STREAMING-UNSIGNED-PAYLOAD-TRAILER
	Signed                       // STREAMING-AWS4-HMAC-SHA256-PAYLOAD
	SignedTrailer                // STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
	AsymmetricSigned             // STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, SigV4A
	AsymmetricSignedTrailer      // STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER, SigV4A
)

var names = [...]string{
	UnsignedTrailer:         "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
	Signed:                  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
	SignedTrailer:           "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
	AsymmetricSigned:        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
	AsymmetricSignedTrailer: "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
}

// FormOf is the form that a value of x-amz-content-sha256 names, None if none.
func FormOf(contentSHA256 string) Form {
	for f, name := range names {
		if name != "" && name == contentSHA256 {
			return Form(f)
		}
	}
	return None
}

// String is the value of x-amz-content-sha256, "" for None.
func (f Form) String() string {
	if f < 0 || int(f) >= len(names) {
		return ""
	}
	return names[f]
}

// signed: each chunk bears a signature.
func (f Form) signed() bool { return f >= Signed && f <= AsymmetricSignedTrailer }

// trailing: the body ends in trailers.
func (f Form) trailing() bool {
	return f == UnsignedTrailer || f == SignedTrailer || f == AsymmetricSignedTrailer
}

// signature reports that s has the form of this form's signatures: 64 hex digits of
// an HMAC, or a DER signature in hex that SigV4A fills up with `*` to 144 characters.
func (f Form) signature(s string) bool {
	n := 0
	for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] >= 'a' && s[n] <= 'f') {
		n++
	}
	if f == Signed || f == SignedTrailer {
		return n == 64 && len(s) == 64
	}
	for _, c := range s[n:] {
		if c != '*' {
			return false
		}
	}
	return n >= 16 && n%2 == 0 && len(s) <= 144 && (n == len(s) || len(s) == 144)
}

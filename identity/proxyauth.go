package identity

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/refusal"
)

// ErrNoCredential says that the client sent none; it should be asked with a 407,
// since some clients (git) send theirs only then.
var ErrNoCredential = errors.New("no credential in Proxy-Authorization")

const (
	maxLabel = 128
	// maxProxyAuthorization has room for the longest label and token in base64.
	maxProxyAuthorization = (maxLabel+1+MaxTokenBytes)*4/3 + 64
)

// ParseProxyAuthorization takes the session label and the token from the values
// of the Proxy-Authorization fields of one CONNECT (RFC 9110 11.7.1):
//
//	Basic base64(label ":" token)   (RFC 7617), what clients make of HTTPS_PROXY=http://label:token@host
//	Bearer token                    (RFC 6750), with the empty label
//
// The label is at most 128 printable ASCII characters, without a colon, and may
// be empty. No field, and Basic with an empty password, give ErrNoCredential.
// Two fields, an unknown scheme, sloppy base64 and anything that cannot be a JWT
// are a *refusal.Error (Identity); it never holds what was sent.
func ParseProxyAuthorization(values []string) (label string, token secret.String, err error) {
	if len(values) == 0 {
		return "", secret.String{}, ErrNoCredential
	}
	if len(values) > 1 {
		return "", secret.String{}, refusal.New(refusal.Identity, "Proxy-Authorization came %d times; send it once", len(values))
	}
	v := values[0]
	if len(v) > maxProxyAuthorization {
		return "", secret.String{}, refusal.New(refusal.Identity, "Proxy-Authorization is %d bytes long; a token may have %d bytes", len(v), MaxTokenBytes)
	}
	scheme, rest, _ := strings.Cut(v, " ")
	rest = strings.Trim(rest, " ")
	switch {
	case strings.EqualFold(scheme, "basic"):
		return parseBasic(rest)
	case strings.EqualFold(scheme, "bearer"):
		token, err = asToken(rest)
		return "", token, err
	}
	return "", secret.String{}, refusal.New(refusal.Identity, "the scheme of Proxy-Authorization is not supported; use Basic with the session label as user and the OIDC token as password, or Bearer")
}

func parseBasic(encoded string) (string, secret.String, error) {
	if strings.ContainsAny(encoded, "\r\n") { // the decoder would skip them
		return "", secret.String{}, badBasic()
	}
	b, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", secret.String{}, badBasic()
	}
	label, password, colon := strings.Cut(string(b), ":")
	if !colon {
		return "", secret.String{}, badBasic()
	}
	if err := CheckLabel(label); err != nil {
		return "", secret.String{}, refusal.New(refusal.Identity, "the session label (the user of the proxy URL) cannot be used: %v", err)
	}
	if password == "" {
		return "", secret.String{}, fmt.Errorf("the password is empty: %w", ErrNoCredential)
	}
	token, err := asToken(password)
	if err != nil {
		return "", secret.String{}, err
	}
	return label, token, nil
}

func badBasic() error {
	return refusal.New(refusal.Identity, "Proxy-Authorization is not base64 of label:token; put them into the proxy URL as http://label:TOKEN@host:port")
}

// CheckLabel says why a text is no label of a session.
func CheckLabel(s string) error {
	if strings.Contains(s, ":") {
		return errors.New("it has a colon, which would end it")
	}
	if len(s) > maxLabel {
		return fmt.Errorf("it is longer than %d characters", maxLabel)
	}
	if strings.TrimSpace(s) != s {
		return errors.New("it begins or ends with a space")
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return errors.New("only printable ASCII is allowed")
		}
	}
	return nil
}

// asToken lets through only what can be a JWT; whether it is one, Verify says.
func asToken(s string) (secret.String, error) {
	switch {
	case s == "":
		return secret.String{}, ErrNoCredential
	case len(s) > MaxTokenBytes:
		return secret.String{}, refusal.New(refusal.Identity, "the token is %d bytes long, the limit is %d", len(s), MaxTokenBytes)
	case !jwtAlphabet(s):
		return secret.String{}, refusal.New(refusal.Identity, "the password in Proxy-Authorization is not an OIDC token (JWT)")
	}
	return secret.New(s), nil
}

// Package refusal is the one error type that reaches an agent. Every stage
// returns an *Error with a Reason; only the gateway turns it into an HTTP answer,
// in the wire format of the AWS protocol that the client spoke (Render), so that
// SDKs raise their ordinary exception and print the sentence.
//
// Message is written for the agent and never holds a secret, a token or a raw
// body. The cause, for the log, is in Err.
package refusal

import (
	"errors"
	"fmt"
)

// Reason says why, in one word; it is the value of x-sallyport-reason.
type Reason string

// The reasons. The comment is the HTTP status each becomes.
const (
	Denied       Reason = "denied"       // 403: policy says no
	Pending      Reason = "pending"      // 403: people are asked; the same call goes through once they agree
	Unidentified Reason = "unidentified" // 403: not exactly one known AWS operation
	Identity     Reason = "identity"     // 403: the caller's token is wrong, expired or revoked
	Credentials  Reason = "credentials"  // 403: STS would not give the credential (503 where Unavailable is true)
	Malformed    Reason = "malformed"    // 400: cannot be parsed, or can be read two ways
	Unavailable  Reason = "unavailable"  // 503: a dependency is away; nothing was sent unless the message says so
	Masking      Reason = "masking"      // 502: the answer could not be masked; no byte of it is passed on
)

// Error is a refusal. The zero value refuses as unavailable.
type Error struct {
	Reason  Reason
	Message string // one or two sentences for the agent, without the "sallyport: " prefix
	Err     error  // cause, for the log only; never shown to the agent
}

// New makes a refusal with a message for the agent.
func New(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Message: fmt.Sprintf(format, args...)}
}

// Wrap is New with a cause that goes to the log and not to the agent.
func Wrap(r Reason, cause error, format string, args ...any) *Error {
	return &Error{Reason: r, Message: fmt.Sprintf(format, args...), Err: cause}
}

// Error implements error: the message and, for the log, the cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return string(e.Reason) + ": " + e.Message + ": " + e.Err.Error()
	}
	return string(e.Reason) + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Of returns err as a refusal. An error of any other type is a fault of ours:
// it is refused as unavailable, and its text stays in the log.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Reason: Unavailable, Message: "the gateway could not handle this request; nothing was sent to AWS", Err: err}
}

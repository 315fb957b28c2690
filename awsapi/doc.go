// Package awsapi says which AWS API call an HTTP request is: service, operation,
// IAM actions, resources, parameters. It is pure: bytes in, a Call or a refusal
// out, no I/O, no clock. What cannot be parsed, or can be read two ways, is
// refused, never guessed.
//
// The tables come from awsapi/catalog.
package awsapi

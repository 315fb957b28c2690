// Package awstest is a small AWS that runs in this process: STS, S3, DynamoDB,
// Secrets Manager and EC2, as much of each as the demo and the tests use, for two
// accounts. It serves any AWS host name on one port, over TLS with its own CA or
// over plain HTTP.
//
// It is a referee, so it trusts nobody: each request's SigV4 signature is
// verified by code of its own (written after the AWS documentation, not with the
// SDK's signer), payload digests and checksum trailers are recomputed, and the
// session policy that came with AssumeRole is evaluated for every call. It
// refuses in AWS's error shapes what AWS would refuse. It keeps the bytes of
// every request it received, so that a test can say what was sent and what was
// not, and it can be told to fail in the ways AWS fails.
//
// It is not AWS: a role's own policy allows everything in both accounts, and
// what it does not know it answers with an error, never with a guess.
package awstest

// Package catalog holds facts about every AWS API operation: how it is bound to
// HTTP, which host names reach it, which IAM actions and resources it needs, and
// which of its members are secret. It serves awsapi and mask; it decides nothing.
//
// The tables are made by `make catalog` (build/ reads botocore's service models and
// the sources in build/sources, gen writes the tables and reports what changed) and
// embedded compressed. The index is decoded by Load,
// a service's bindings at its first use, an operation's details at theirs.
// A name that is not in the tables does not exist: nothing is guessed here.
package catalog

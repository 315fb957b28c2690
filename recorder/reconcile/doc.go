// Package reconcile holds AWS's own log against the record. CloudTrail writes what
// was done with a role's credentials, whoever held them; the record says which of it
// went through the gateway. What CloudTrail has and no record explains is a bypass:
// a credential that left the gateway, or a role that somebody else can assume.
//
// The join is by what both sides wrote down: AWS's request id, then the access key
// id that was minted for one call, then the role session name, which carries the
// request's id (CloudTrail user guide, "CloudTrail record contents").
package reconcile

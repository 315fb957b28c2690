// Package policy decides whether a call may happen, from rules that operators
// write. It does no I/O but reading the rule files (Load), and an Engine never
// changes after that.
//
// It accepts rules that allow or deny IAM actions on resources to people and
// groups for named targets. Deny beats allow, the order of rules does not matter,
// and what no rule allows is denied; so is everything by the zero Engine. It
// refuses, with file and line, whatever could quietly mean something else than
// its author thought: unknown keys, malformed actions and ARNs, rules for nobody.
//
// # How a call is judged
//
// A call needs one or more IAM actions, each on one or more resources.
//
//   - Every pair of a non-dependent action and a resource must be covered by an
//     allow rule; different rules may cover different pairs.
//   - One pair that a deny rule may match is enough to deny the call.
//   - A resource that the request tells only in part (awsapi.Resource.Partial)
//     has `*` where it is unknown. To allow it, a rule must match whatever may
//     stand there; to deny it, it is enough that something may.
//   - Dependent actions need no allow rule: not every call uses them, and the
//     credential made for the call can use them in that call only. A deny rule hits
//     them all the same. iam:PassRole is the exception: a call that passes a role
//     runs what it starts with that role's rights, so a rule must allow it.
//   - Twins are other operations that the same bytes could mean (docdb:X and
//     neptune:X beside rds:X). A rule for any of them is a rule for the call: one
//     that allows a twin covers it, one that denies a twin hits it.
//   - A call that needs no IAM permission (sts:GetCallerIdentity) is judged by the
//     name service:Operation on "*".
//   - An unknown access level is allowed by no rule with `access`, and denied by
//     every one.
//   - A call without a region is matched by rules without `regions` and by "*".
//   - An operation that hands out credentials is covered only by rules with
//     allow_credentials.
package policy

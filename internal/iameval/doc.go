// Package iameval evaluates IAM policies as AWS documents it: the referee for the
// session policies that jit writes. It is written from the IAM User Guide
// ("Policy evaluation logic", "IAM JSON policy elements", "IAM policy elements:
// Variables and tags") and shares no code with jit, so that a mistake about the
// language shows as a disagreement.
//
// It takes Allow and Deny, Action, NotAction, Resource, NotResource and the string,
// date, Bool and Null conditions with IfExists, ForAnyValue and ForAllValues.
// Everything else is an error and is not ignored: a condition that is overlooked
// would allow what AWS denies.
package iameval

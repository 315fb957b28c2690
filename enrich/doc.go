// Package enrich knows how to ask AWS what the things are that a call would be done
// to: which one cheap read tells the tags of a resource, by its ARN, and what the
// answer says. People who approve "terminate i-0abc" should read "web-1, env=prod".
//
// It accepts an identified call and makes the reads for its resources: services' own
// tag operations on exactly those resources, which a role with AWS's ReadOnlyAccess,
// or with the service's own permissions, has. tag:GetResources would serve all of them
// at once; but it needs a permission of its own that roles for one service lack, allows
// whoever holds its credential to list every tag in the region, and does not tell a
// resource without tags from one that is not there.
//
// Each read is identified from its own bytes like any request, and dropped unless that
// says the very operation of the table, at the access level List or Read, of no class,
// on no other resource. What the agent wrote gets into a read only as an ARN of a
// plain form. It does no I/O.
package enrich

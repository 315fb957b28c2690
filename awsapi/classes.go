package awsapi

import "github.com/sallyport/sallyport/awsapi/class"

// Class is a property of an operation that matters beyond its access level; the
// tables are in package class.
type Class = class.Class

// HandsOutCredentials marks operations whose answer carries AWS credentials or
// other bearer material: one such answer ends all control, so they are refused
// unless a rule says allow_credentials.
const HandsOutCredentials = class.HandsOutCredentials

// classesOf returns the classes of an operation, sorted.
func classesOf(service, operation string) []Class { return class.Of(service, operation) }

package config

import (
	"github.com/sallyport/sallyport/internal/strictyaml"
	"github.com/sallyport/sallyport/policy"
)

// Record is what is recorded of what agents do, and how it is kept.
type Record struct {
	// Bodies is full (the default: bodies of requests and answers are recorded, masked)
	// or digest (their digest and length). A rule's record may say otherwise.
	Bodies policy.Bodies `yaml:"bodies"`
	// BodyLimit is how many bytes of one body are recorded at the most, as masked and
	// without compression; of a longer one the digest and length go on to its end. 0:
	// all. Default 8MiB.
	BodyLimit strictyaml.Size `yaml:"body_limit"`
	// Name tells the recorders of one gateway apart: 1 to 32 lower-case letters, digits,
	// - and _. A store stays with its name. Default recorder.
	Name string `yaml:"name"`
	// Retention lets bodies go; what was recorded of them otherwise stays.
	Retention Retention `yaml:"retention"`
}

// Default is what holds for calls whose rules say nothing of their own.
func (r Record) Default() policy.Record {
	return policy.Record{Bodies: r.Bodies, BodyLimit: &r.BodyLimit}
}

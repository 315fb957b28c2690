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
	// Archive is a bucket for a copy of the record.
	Archive Archive `yaml:"archive"`
	// RequireRecorders is how many recorders must have been heard within 5 s and be no
	// more than 10 s behind, 0 to 16; else requests are refused. Default 0: requests go
	// on while recorders are away, for as long as WALLimit and the NATS server have room.
	RequireRecorders int `yaml:"require_recorders"`
	// WALLimit is how many bytes of events may wait in the gateway's own file for
	// recorders to confirm them, 256MiB to 1TiB; beyond it requests are refused. Default
	// 4GiB.
	WALLimit strictyaml.Size `yaml:"wal_limit"`
}

func (c *Config) validateRecorders() {
	r := c.Record
	if r.RequireRecorders < 0 || r.RequireRecorders > 16 {
		c.doc.Errorf("record.require_recorders", "%d is out of bounds; write 0 to 16", r.RequireRecorders)
	}
	// Less than a few segments could never be cut.
	if r.WALLimit != 0 && (r.WALLimit < 256<<20 || r.WALLimit > 1<<40) {
		c.doc.Errorf("record.wal_limit", "is out of bounds; write 256MiB to 1TiB")
	}
}

// Default is what holds for calls whose rules say nothing of their own.
func (r Record) Default() policy.Record {
	return policy.Record{Bodies: r.Bodies, BodyLimit: &r.BodyLimit}
}

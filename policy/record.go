package policy

import (
	"fmt"

	"github.com/sallyport/sallyport/internal/strictyaml"
)

// Bodies is how much of bodies is recorded. The zero value is unset.
type Bodies string

// The values of Bodies.
const (
	BodiesFull   Bodies = "full"   // the bodies, masked, up to a limit
	BodiesDigest Bodies = "digest" // their digest and length
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bodies) UnmarshalText(text []byte) error {
	*b = Bodies(text)
	if *b != BodiesFull && *b != BodiesDigest {
		return fmt.Errorf("%q is not known; write full (bodies are recorded, masked) or digest (their digest and length)", string(text))
	}
	return nil
}

// Record is what of a call's bodies is recorded. What is unset is as record of
// sallyport.yaml has it.
type Record struct {
	// Bodies is full or digest.
	Bodies Bodies `yaml:"bodies"`
	// BodyLimit is how many bytes of one body are recorded at the most: "8MiB", 0 for
	// all. It is of what is recorded, masked and without compression.
	BodyLimit *strictyaml.Size `yaml:"body_limit"`
}

func (r Record) isZero() bool { return r.Bodies == "" && r.BodyLimit == nil }

// RecordOr is what of the call's bodies is recorded, where def is sallyport.yaml's.
// Of several rules that cover a call the one that records more holds, as for masking:
// each was written without the others in mind, and one that says nothing means def.
// The result is set in both members, if def is.
func (d Decision) RecordOr(def Record) Record {
	if len(d.Records) == 0 {
		return def
	}
	var out Record
	for i, r := range d.Records {
		if r.Bodies == "" {
			r.Bodies = def.Bodies
		}
		if r.BodyLimit == nil {
			r.BodyLimit = def.BodyLimit
		}
		if i == 0 {
			out = r
			continue
		}
		if r.Bodies == BodiesFull {
			out.Bodies = r.Bodies
		}
		if out.BodyLimit != nil && r.BodyLimit != nil && *out.BodyLimit != 0 && (*r.BodyLimit == 0 || *r.BodyLimit > *out.BodyLimit) {
			out.BodyLimit = r.BodyLimit
		}
	}
	return out
}

// records is what each rule says, nothing where none says anything.
func records(rules []*Rule) []Record {
	out := make([]Record, len(rules))
	said := false
	for i, r := range rules {
		out[i] = r.Record
		said = said || !r.Record.isZero()
	}
	if !said {
		return nil
	}
	return out
}

package config

import (
	"regexp"
	"time"

	"github.com/sallyport/sallyport/internal/strictyaml"
)

// Retention is how long bodies are kept. What is under a legal hold (`sallyport sessions
// hold`) stays.
type Retention struct {
	// BodiesFor is how long, 24h or more. Default 0: for good.
	BodiesFor time.Duration `yaml:"bodies_for"`
	// BodiesSize is how much room they may take on disk, 256MiB or more; the oldest go
	// first. Default 0: any.
	BodiesSize strictyaml.Size `yaml:"bodies_size"`
}

var recorderName = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

const (
	minBodiesFor  = 24 * time.Hour
	minBodiesSize = 256 << 20
)

func (c *Config) validateRetention() {
	r := c.Record
	if !recorderName.MatchString(r.Name) {
		c.doc.Errorf("record.name", "%.40q is no name; use 1 to 32 lower-case letters, digits, - and _", r.Name)
	}
	if d := r.Retention.BodiesFor; d != 0 && d < minBodiesFor {
		c.doc.Errorf("record.retention.bodies_for", "%s is out of bounds; write 24h or more, or 0 to keep bodies for good", d)
	}
	if n := r.Retention.BodiesSize; n != 0 && n < minBodiesSize {
		c.doc.Errorf("record.retention.bodies_size", "%d bytes are out of bounds; write 256MiB or more, or 0 for any size", n)
	}
}

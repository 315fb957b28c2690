package awsapi

import "slices"

// Without returns c less the named headers (canonical form). Masking uses it to
// keep Range, conditions and checksum requests from AWS where the answer must be
// read whole. Taking headers away is the only change there is: what remains was
// judged.
func (c Canonical) Without(names ...string) Canonical {
	if len(names) == 0 || c.IsZero() {
		return c
	}
	c.header = slices.DeleteFunc(slices.Clone(c.header), func(f field) bool { return slices.Contains(names, f.name) })
	return c
}

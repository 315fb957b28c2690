package awsapi

import (
	"net/http"
	"slices"
	"strings"
)

const rangeHeader = "Range"

// Without returns c less the named headers (canonical form). Masking uses it to
// keep Range, conditions and checksum requests from AWS where the answer must be
// read whole. Taking headers away is the only change there is beside WithRange and
// WithoutPart: what remains was judged.
func (c Canonical) Without(names ...string) Canonical {
	if len(names) == 0 || c.IsZero() {
		return c
	}
	c.header = slices.DeleteFunc(slices.Clone(c.header), func(f field) bool { return slices.Contains(names, f.name) })
	return c
}

// WithRange returns c with another Range, if it has one: masking asks for a wider
// part of an object than the client does, and cuts the answer. No other header can
// be changed, and none is added, so that the answer is never more than part of what
// the judged request asks for.
func (c Canonical) WithRange(value string) Canonical {
	c.header = slices.Clone(c.header)
	for i := range c.header {
		if c.header[i].name == rangeHeader {
			c.header[i].value = value
		}
	}
	return c
}

// WithoutPart returns c less a partNumber=1 of a GET: the object in place of its first
// part, for masking, which needs what stands around a secret. Nothing else of the
// query can be taken away.
func (c Canonical) WithoutPart() Canonical {
	if c.method != http.MethodGet {
		return c
	}
	pairs := slices.DeleteFunc(strings.Split(c.rawQuery, "&"), func(s string) bool { return s == "partNumber=1" })
	c.rawQuery = strings.Join(pairs, "&")
	return c
}

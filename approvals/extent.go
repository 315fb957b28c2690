package approvals

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/awsapi"
)

// Extent is the lower-case hex SHA-256 of what a call does to what: service,
// operation, and every IAM action with every resource. Calls of one extent differ in
// their parameters alone. It is "" where the request does not name all it acts on:
// there the next call of the same extent may be about anything.
func Extent(c *awsapi.Call) string {
	if c == nil || len(c.Actions) == 0 {
		return ""
	}
	var does []string
	for _, a := range c.Actions {
		if len(a.Resources) == 0 {
			return ""
		}
		for _, r := range a.Resources {
			// A text that JSON cannot carry is another one to whoever is asked.
			if r.Partial || !strings.HasPrefix(r.ARN, "arn:") || !utf8.ValidString(r.ARN) {
				return ""
			}
			does = append(does, a.Name+" "+r.ARN) // an action has no space in it
		}
	}
	slices.Sort(does)
	does = slices.Compact(does)
	h := sha256.New()
	field(h, "sallyport.extent.v1")
	field(h, c.Service)
	field(h, c.Operation)
	for _, d := range does {
		field(h, d)
	}
	return hex.EncodeToString(h.Sum(nil))
}

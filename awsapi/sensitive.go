package awsapi

import (
	"cmp"
	"slices"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// Sensitive lists the output members to mask, for the call's protocol: what AWS
// marks sensitive and what the catalog knows to be secret, in the answer of the
// operation or of one of its Twins. A member that covers everything below it
// (structure, list, map) is listed itself. Where a shape contains itself, Recursions
// says where the same paths apply again.
func (c *Call) Sensitive() []catalog.Member {
	p := string(c.Protocol)
	var lists [][]catalog.Member
	for _, d := range c.details() {
		lists = append(lists, pick(d.SecretOutput, p), pick(d.SensitiveOutput, p))
	}
	return merge(lists)
}

// details are the call's and its twins': which of them is meant decides what is
// secret in it, and nothing but AWS knows.
func (c *Call) details() []*catalog.Detail {
	if c.detail == nil {
		return nil
	}
	return append([]*catalog.Detail{c.detail}, c.twinDetails...)
}

// merge is what is in any of the lists, sorted.
func merge(lists [][]catalog.Member) []catalog.Member {
	var out []catalog.Member
	seen := map[string]bool{}
	for _, list := range lists {
		for _, m := range list {
			key := m.In + "\x00" + m.Path + "\x00" + m.Type
			if !seen[key] {
				seen[key] = true
				out = append(out, m)
			}
		}
	}
	slices.SortFunc(out, func(a, b catalog.Member) int {
		return cmp.Or(cmp.Compare(a.In, b.In), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Type, b.Type))
	})
	return out
}

// pick takes a protocol's list. A protocol that the catalog has no list for (a
// JSON service spoken to in its old query form) gets every list: wire names
// differ, but masking too much is safe.
func pick(lists map[string][]catalog.Member, protocol string) []catalog.Member {
	if l, ok := lists[protocol]; ok {
		return l
	}
	var out []catalog.Member
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range lists {
			if !yield(k) {
				return
			}
		}
	}) {
		out = append(out, lists[k]...)
	}
	return out
}

// Recursions say where an output path re-enters a shape: whatever of Sensitive
// lies below At applies again at every depth.
func (c *Call) Recursions() []catalog.Recursion {
	var out []catalog.Recursion
	for _, d := range c.details() {
		for _, r := range d.RecursiveOutput {
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}

// ResultWrapper is the element around a query-protocol answer; "" for none.
func (c *Call) ResultWrapper() string {
	if c.detail == nil {
		return ""
	}
	return c.detail.ResultWrapper
}

// SensitiveInput lists the input members that must not be recorded in the clear.
func (c *Call) SensitiveInput() []catalog.Member {
	if len(c.twinDetails) == 0 && c.detail != nil {
		return pick(c.detail.SensitiveInput, string(c.Protocol))
	}
	var lists [][]catalog.Member
	for _, d := range c.details() {
		lists = append(lists, pick(d.SensitiveInput, string(c.Protocol)))
	}
	return merge(lists)
}

// SensitivePayload reports that AWS marks the request's whole body (Lambda's payload,
// a prompt to Bedrock): nothing of it may be recorded.
func (c *Call) SensitivePayload() bool {
	return slices.ContainsFunc(c.SensitiveInput(), func(m catalog.Member) bool { return m.In == "payload" && m.Path == "" })
}

// IdempotencyMembers are the top-level input members that clients fill with a
// fresh random token on every call (member -> wire name).
func (c *Call) IdempotencyMembers() map[string]string {
	if c.detail == nil {
		return nil
	}
	out := make(map[string]string, len(c.detail.Idempotency))
	for _, p := range c.detail.Idempotency {
		out[p.Key] = p.Value
	}
	return out
}

package awsapi

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// settle drops matches that the client's credential scope speaks against, and
// puts the service that AWS authorises first. What is left is one operation, or
// twins that no byte of the request tells apart.
func (h *Head) settle() error {
	for _, m := range h.matches {
		if m.op.EventStreamInput {
			h.cannotCarry(refusal.New(refusal.Unidentified, "%s:%s is a two-way event stream, which this gateway does not carry", m.svc.ID, m.op.Name))
		}
		if m.cand.multiRegion {
			h.cannotCarry(errSigV4A)
		}
		if m.svc.SigV4A {
			h.cannotCarry(refusal.New(refusal.Unidentified, "%s is signed with SigV4A, which this gateway does not carry", m.svc.ID))
		}
	}
	if h.scope.service != "" {
		keep := slices.DeleteFunc(slices.Clone(h.matches), func(m match) bool { return !h.agrees(m) })
		if len(keep) == 0 {
			m := h.matches[0]
			return refusal.New(refusal.Malformed, "the client signed for %s in %s, but %s is %s in %s; configure the client's region to match its endpoint",
				clip(h.scope.service), clip(h.scope.region), h.host.Name, m.signingName(), h.signingRegion(m))
		}
		h.matches = keep
	}
	// One service may be reached in several partitions by one name; the first
	// that fits the scope counts.
	slices.SortStableFunc(h.matches, func(a, b match) int {
		if d := preferred(a) - preferred(b); d != 0 {
			return d
		}
		if a.svc.ID != b.svc.ID {
			return strings.Compare(a.svc.ID, b.svc.ID)
		}
		return strings.Compare(a.op.Name, b.op.Name)
	})
	if m := h.matches[0]; m.cand.partition != h.host.partition {
		h.host.partition, h.host.Partition = m.cand.partition, h.id.cat.Partitions[m.cand.partition].ID
	}
	return nil
}

// preferred is 0 for the service whose name the IAM prefix bears: rds before
// docdb and neptune, which AWS authorises as rds too.
func preferred(m match) int {
	if slices.Contains(m.svc.IAMPrefixes, m.svc.ID) {
		return 0
	}
	return 1
}

func (m match) signingName() string {
	if m.cand.signingName != "" {
		return m.cand.signingName
	}
	return m.svc.SigningNames[0]
}

// serviceIn is a service in a partition.
type serviceIn struct{ service, partition int }

// agrees reports that the client's scope fits: the service is one of the
// service's signing names, the region is the host's. A global name has the
// catalog's signing region; where the catalog has none, any region of the
// partition will do.
func (h *Head) agrees(m match) bool {
	if h.scope.service != m.signingName() && !slices.Contains(m.svc.SigningNames, h.scope.service) {
		return false
	}
	switch {
	case h.scope.set:
		return true // valid in each region of the set; what it is sent to is the host's matter
	case m.cand.signingRegion != "":
		return h.scope.region == m.cand.signingRegion
	case m.cand.region != "":
		return h.scope.region == m.cand.region || h.scope.region == h.id.globals[serviceIn{m.cand.service, m.cand.partition}]
	}
	return slices.Contains(h.id.cat.Partitions[m.cand.partition].Regions, h.scope.region)
}

// signingRegion is the region to sign for.
func (h *Head) signingRegion(m match) string {
	switch {
	case h.scope.set:
		return h.scope.region
	case m.cand.signingRegion != "":
		return m.cand.signingRegion
	case m.cand.region != "":
		if g := h.id.globals[serviceIn{m.cand.service, m.cand.partition}]; g != "" && g == h.scope.region {
			return g // a global service by a regional name
		}
		return m.cand.region
	}
	p := &h.id.cat.Partitions[m.cand.partition]
	if slices.Contains(p.Regions, h.scope.region) {
		return h.scope.region
	}
	return p.GlobalRegion
}

package awsapi

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/awschunked"
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
		if h.chunks.Form != awschunked.None && h.payload != PayloadStreamingUnsignedTrailer && m.svc.ID != "s3" {
			h.cannotCarry(refusal.New(refusal.Unidentified, "%s:%s does not take signed chunks, which are S3's", m.svc.ID, m.op.Name))
		}
		if h.chunks.Form != awschunked.None && h.payload != PayloadStreamingUnsignedTrailer && h.asymmetric(m) {
			h.cannotCarry(refusal.New(refusal.Unidentified, "signed chunks are not carried to %s, which is signed for with SigV4A; let the client send UNSIGNED-PAYLOAD, a plain hash or a checksum trailer", h.host.Name))
		}
	}
	if h.scope.service != "" {
		keep := h.matches
		if slices.ContainsFunc(keep, func(m match) bool { return !h.agrees(m) }) {
			keep = slices.DeleteFunc(slices.Clone(keep), func(m match) bool { return !h.agrees(m) })
		}
		if len(keep) == 0 {
			m := h.matches[0]
			return refusal.New(refusal.Malformed, "the client signed for %s in %s, but %s is %s in %s; configure the client's region to match its endpoint",
				clip(h.scope.service), clip(h.scope.region), h.host.Name, m.signingName(), h.signingRegion(m))
		}
		h.matches = keep
	}
	// One service may be reached in several partitions by one name; the first
	// that fits the scope counts.
	if len(h.matches) > 1 {
		h.matches = slices.Clone(h.matches)
	}
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

// asymmetric reports what only SigV4A can sign for: names that stand for several
// regions, and services that take nothing else.
func (h *Head) asymmetric(m match) bool {
	return m.cand.multiRegion || m.svc.SigV4A || h.host.S3.Style == "mrap" && m.svc.ID == "s3"
}

// preferred is least for the service whose name the IAM prefix bears (rds before
// docdb and neptune, which AWS authorises as rds too) and for the operation that is
// not the old name of another (S3's PutBucketLifecycle).
func preferred(m match) int {
	return 2*boolInt(!slices.Contains(m.svc.IAMPrefixes, m.svc.ID)) + boolInt(m.op.Deprecated)
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

// signingRegion is the region that the client signs for, or its region set.
func (h *Head) signingRegion(m match) string {
	if h.scope.set {
		return h.scope.region
	}
	return h.oneRegion(m)
}

// oneRegion is the region to sign for, where one is signed for.
func (h *Head) oneRegion(m match) string {
	switch {
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

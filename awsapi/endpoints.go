package awsapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// CustomEndpoint is a host name that the operator vouches for: a VPC endpoint, a
// discovered cell, a customer's own domain. Their names belong to whoever made
// them, so none is known by its form. Host is exact, in lower case.
type CustomEndpoint struct {
	Host    string
	Service string // catalog id
	Region  string // "": the region that the client signs for, where it signs for one
}

// configure adds an endpoint; a host may stand for several services. Two forms of
// S3's VPC endpoints carry a bucket in front, which is accepted for hosts that
// begin with "bucket." (AWS PrivateLink for Amazon S3, "Accessing buckets").
func (id *Identifier) configure(e CustomEndpoint) error {
	if !canonicalHost(e.Host) || !strings.Contains(e.Host, ".") {
		return fmt.Errorf("the endpoint %q is not a plain lower-case host name", e.Host)
	}
	sfx, _, ok := id.split(e.Host)
	if !ok && !id.UnderAWSSuffix(e.Host) {
		return fmt.Errorf("the endpoint %s lies below no DNS suffix of AWS, so nothing may be signed for it", e.Host)
	}
	s := slices.IndexFunc(id.cat.Services, func(s catalog.ServiceInfo) bool { return s.ID == e.Service })
	if s < 0 {
		return fmt.Errorf("the endpoint %s is for the service %q, which is not in the API catalog; use the AWS CLI's name for it", e.Host, e.Service)
	}
	q := -1
	for i, p := range id.cat.Partitions {
		if e.Region != "" && slices.Contains(p.Regions, e.Region) || e.Region == "" && ok && "."+p.DNSSuffix == sfx.name && q < 0 {
			q = i
		}
	}
	if q < 0 && e.Region != "" {
		return fmt.Errorf("the endpoint %s is in %q, which is not a region of AWS", e.Host, e.Region)
	}
	q = max(q, 0)
	h := id.configured[e.Host]
	h.Name, h.Kind, h.Partition, h.partition, h.Region = e.Host, Endpoint, id.cat.Partitions[q].ID, q, e.Region
	if len(h.candidates) > 0 && (s == id.s3 || h.candidates[0].service == id.s3) {
		return fmt.Errorf("the endpoint %s is S3's and another service's; S3 shares its names with none", e.Host)
	}
	switch {
	case s == id.s3:
		h.Kind, h.S3 = S3Endpoint, S3Host{Style: "path"}
		h.candidates = append(h.candidates, candidate{service: s, partition: q, region: e.Region, signingName: "s3"})
	case e.Region != "":
		h.candidates = append(h.candidates, candidate{service: s, partition: q, region: e.Region})
	default:
		// The region that the client signs for tells the partition.
		h.candidates = append(h.candidates, candidate{service: s, partition: q})
		for i := range id.cat.Partitions {
			if i != q {
				h.candidates = append(h.candidates, candidate{service: s, partition: i})
			}
		}
	}
	id.configured[e.Host] = h
	return nil
}

// fromConfiguration finds a configured name.
func (id *Identifier) fromConfiguration(host string) (Host, bool) {
	if h, ok := id.configured[host]; ok {
		return h, true
	}
	i := strings.Index(host, ".bucket.")
	if i < 0 {
		return Host{}, false
	}
	h, ok := id.configured[host[i+1:]]
	if !ok || h.Kind != S3Endpoint || !bucketName(host[:i]) {
		return Host{}, false
	}
	h.Name, h.Kind, h.S3 = host, S3Bucket, S3Host{Style: "virtual", Bucket: host[:i]}
	return h, true
}

// multiRegion reads the names of multi-region endpoints, whose first labels are an
// endpoint's id: SES (ID.endpoints.email) and EventBridge (A.B.endpoint.events).
// They are signed for with SigV4A.
func (id *Identifier) multiRegion(h *Host, sfx suffix, rest string) {
	for _, m := range []struct {
		name, service string
		labels        int
	}{{".endpoints.email", "sesv2", 1}, {".endpoint.events", "events", 2}} {
		front, ok := strings.CutSuffix(rest, m.name)
		if !ok || front == "" || strings.Count(front, ".")+1 != m.labels {
			continue
		}
		q := id.partitionOf(sfx.name, "")
		s := slices.IndexFunc(id.cat.Services, func(s catalog.ServiceInfo) bool { return s.ID == m.service })
		if q < 0 || s < 0 {
			return
		}
		h.Kind, h.Partition, h.partition = Endpoint, id.cat.Partitions[q].ID, q
		h.candidates = []candidate{{service: s, partition: q, multiRegion: true}}
	}
}

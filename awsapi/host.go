package awsapi

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/refusal"
)

// HostKind says what a host name is.
type HostKind int

// The kinds. The zero value is not an AWS name at all.
const (
	NotAWS      HostKind = iota
	NeverSigned          // below an AWS suffix, but not an API endpoint: a third party may hold it
	Endpoint             // an API endpoint
	S3Endpoint           // S3, the bucket in the path
	S3Bucket             // S3, the bucket (or access point) in the name
)

// Host is a host name, understood.
type Host struct {
	Name      string
	Kind      HostKind
	Partition string
	Region    string // the region in the name; "" for a global name
	Account   string // the account id in the name; "" for none
	FIPS      bool
	DualStack bool
	S3        S3Host

	partition  int
	candidates []candidate
}

// S3Host is the S3 part of a host name.
type S3Host struct {
	Style   string // path, virtual, accesspoint, accelerate, object-lambda, object-lambda-route, outposts, outposts-control, mrap, express
	Bucket  string // bucket or access point name; "" in path style
	Outpost string // op-...
}

// candidate is a service that a host name may stand for.
type candidate struct {
	service       int
	partition     int
	region        string
	signingName   string // "" = the service's default
	signingRegion string // "" = region
	prefix        string // operation host prefix that the name carries
	base          string
	multiRegion   bool // signed for with SigV4A only
}

// suffix is a DNS suffix and the partitions that use it.
type suffix struct {
	name string // with the leading dot
	dual bool
}

// Classify says what a canonical (lower-case, no port, no trailing dot) host
// name is. It is anchored at the right: every label up to the DNS suffix must be
// accounted for, and a region label must be a known region of the partition. A
// name that no service is known by is refused as unidentified, with Kind
// NeverSigned when it lies below an AWS suffix: buckets' websites, load
// balancers, instances and function URLs belong to whoever made them.
func (id *Identifier) Classify(host string) (Host, error) {
	if h, ok := id.hosts.Get(host); ok {
		return h, nil
	}
	h, err := id.classify(host)
	if err == nil {
		id.hosts.Add(host, h)
	}
	return h, err
}

func (id *Identifier) classify(host string) (Host, error) {
	h := Host{Name: host}
	if !canonicalHost(host) {
		return h, refusal.New(refusal.Malformed, "the host name %q is not a plain lower-case DNS name", clip(host))
	}
	if h, ok := id.fromConfiguration(host); ok {
		return h, nil
	}
	sfx, rest, ok := id.split(host)
	if ok && id.classifyS3(&h, sfx, rest) {
		return h, nil
	}
	id.lookup(&h, sfx, rest)
	if ok && len(h.candidates) == 0 {
		id.multiRegion(&h, sfx, rest)
	}
	if len(h.candidates) > 0 {
		return h, nil
	}
	if ok || id.UnderAWSSuffix(host) {
		h.Kind = NeverSigned
		return h, refusal.New(refusal.Unidentified,
			"%s is not an AWS API endpoint known to this gateway, so nothing is signed for it; use the service's regional endpoint", clip(host))
	}
	return h, refusal.New(refusal.Unidentified, "%s is not an AWS host", clip(host))
}

// canonicalHost accepts letters, digits, hyphens and dots in lower case, no empty
// label, at most 253 bytes.
func canonicalHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] == '.' {
			l := s[start:i]
			if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
				return false
			}
			start = i + 1
			continue
		}
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// split takes off the longest DNS suffix of a partition.
func (id *Identifier) split(host string) (suffix, string, bool) {
	for _, s := range id.suffixes {
		if strings.HasSuffix(host, s.name) && len(host) > len(s.name) {
			return s, host[:len(host)-len(s.name)], true
		}
	}
	return suffix{}, host, false
}

// lookup tries the name against the catalog's patterns: as it is, with each
// region label replaced, with an account or caller label in front.
func (id *Identifier) lookup(h *Host, sfx suffix, rest string) {
	labels := strings.Split(rest, ".")
	if len(labels) > 10 {
		return
	}
	type variant struct {
		labels  []string
		account string
	}
	variants := []variant{{labels, ""}}
	if len(labels) > 1 {
		if isAccount(labels[0]) {
			variants = append(variants, variant{append([]string{"{a}"}, labels[1:]...), labels[0]})
		}
		variants = append(variants, variant{append([]string{"{v}"}, labels[1:]...), ""})
	}
	for _, v := range variants {
		id.match(h, sfx, strings.Join(v.labels, "."), "", v.account)
		for i, l := range v.labels {
			if !id.regions[l] {
				continue
			}
			key := strings.Join(v.labels[:i], ".")
			if i > 0 {
				key += "."
			}
			key += "{r}"
			if i+1 < len(v.labels) {
				key += "." + strings.Join(v.labels[i+1:], ".")
			}
			id.match(h, sfx, key, l, v.account)
		}
		if len(h.candidates) > 0 {
			return
		}
	}
}

func (id *Identifier) match(h *Host, sfx suffix, pattern, region, account string) {
	for _, e := range id.patterns[pattern+sfx.name] {
		p := &id.cat.Partitions[e.Partition]
		if region != "" && !slices.Contains(p.Regions, region) {
			continue
		}
		c := candidate{service: e.Service, partition: e.Partition, region: region, signingName: e.SigningName,
			signingRegion: e.SigningRegion, prefix: e.Prefix, base: e.Base}
		if slices.Contains(h.candidates, c) {
			continue
		}
		if h.Kind == NotAWS {
			h.Kind, h.Partition, h.partition, h.Region, h.Account = Endpoint, p.ID, e.Partition, region, account
			h.FIPS, h.DualStack = e.FIPS, e.DualStack
		}
		h.candidates = append(h.candidates, c)
	}
}

// UnderAWSSuffix reports that the host lies below a DNS suffix of AWS, endpoint
// or not. Label-anchored: evilamazonaws.com does not.
func (id *Identifier) UnderAWSSuffix(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if _, _, ok := id.split(host); ok {
		return true
	}
	for _, s := range otherSuffixes {
		if strings.HasSuffix(host, s) {
			return true
		}
	}
	return false
}

// otherSuffixes are AWS-owned names that carry no API endpoint of a partition's
// own suffixes. Most belong to customers' resources.
var otherSuffixes = []string{
	".on.aws", ".aws", ".amazonaws-us-gov.com", ".amazonaws.cn", ".aws.amazon.com", ".awsapps.com", ".cloudfront.net",
	".awsglobalaccelerator.com", ".elasticbeanstalk.com", ".awsapprunner.com", ".amplifyapp.com", ".amazoncognito.com", ".amazonwebservices.com.cn",
}

// DNSSuffixes lists the DNS suffixes of all partitions, without a leading dot,
// sorted.
func (id *Identifier) DNSSuffixes() []string {
	var out []string
	for _, p := range id.cat.Partitions {
		out = append(out, p.DNSSuffix, p.DualStack)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// DNSSuffix is that of a partition's endpoints: amazonaws.com; "" for an unknown one.
func (id *Identifier) DNSSuffix(partition string) string {
	for _, p := range id.cat.Partitions {
		if p.ID == partition {
			return p.DNSSuffix
		}
	}
	return ""
}

func isAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// clip bounds text of a request that is quoted in a message.
func clip(s string) string {
	const limit = 120
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}

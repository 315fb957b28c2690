package awsapi_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// hostTable finds what a host name stands for by the catalog's patterns.
type hostTable struct {
	cat     *catalog.Catalog
	regions map[string]bool
	by      map[string][]catalog.Host // by suffix and number of labels
	s3      *regexp.Regexp
	control []spot
	seen    map[string][]spot
}

// spot is one service that a name may be.
type spot struct {
	service      int
	prefix, base string
	signingName  string
	s3, express  bool
	chosen       bool // a label of the name is an account or of the caller's choosing
	bucket       string
	accessPoint  string // the ARN that clients give for the bucket, where the name is an access point's
}

// signs reports that a request signed for the service of that name is for s here.
func (p spot) signs(s *catalog.Service, name string) bool {
	return slices.Contains(s.SigningNames, name) || p.signingName == name
}

func newHostTable(t testing.TB, cat *catalog.Catalog) *hostTable {
	t.Helper()
	h := &hostTable{cat: cat, regions: map[string]bool{}, by: map[string][]catalog.Host{}, seen: map[string][]spot{}}
	var regions, suffixes []string
	for _, p := range cat.Partitions {
		for _, r := range p.Regions {
			h.regions[r] = true
			regions = append(regions, r)
		}
		suffixes = append(suffixes, regexp.QuoteMeta(p.DNSSuffix))
	}
	for _, x := range cat.Hosts {
		k := x.Suffix + "/" + strconv.Itoa(strings.Count(x.Pattern, "."))
		h.by[k] = append(h.by[k], x)
	}
	h.control = []spot{{service: slices.IndexFunc(cat.Services, func(s catalog.ServiceInfo) bool { return s.ID == "s3control" }), signingName: "s3express"}}
	r, sfx := "(?P<region>"+strings.Join(regions, "|")+")", "\\.(?P<suffix>"+strings.Join(suffixes, "|")+")$"
	h.s3 = regexp.MustCompile(`^(?:(?:(?P<bucket>.+)\.)?s3(?:-fips)?(?:\.dualstack)?(?:\.` + r + `)?|(?:(?P<bucket>.+)\.)?s3-` + r +
		`|(?P<bucket>[^.]+)\.s3-accelerate(?:\.dualstack)?|(?P<bucket>[^.]+)-(?P<account>\d{12})\.s3-accesspoint(?:-fips)?(?:\.dualstack)?\.` + r +
		`|(?P<bucket>[^.]+)\.s3express-[a-z0-9-]+(?:\.dualstack)?\.` + r + `|(?P<express>s3express-control)(?:-fips)?(?:\.dualstack)?\.` + r + `)` + sfx)
	return h
}

// Names of several regions, which SigV4A signs for.
var (
	multiRegionPoint = regexp.MustCompile(`^([^.]+\.mrap)\.accesspoint\.s3-global\.(amazonaws\.com|amazonaws\.com\.cn)$`)
	multiRegionBus   = regexp.MustCompile(`^[^.]+\.[^.]+\.endpoint\.events\.amazonaws\.com(\.cn)?$`)
	multiRegionMail  = regexp.MustCompile(`^[^.]+\.endpoints\.email\.(amazonaws\.com(\.cn)?|api\.aws)$`)
)

func (h *hostTable) service(id string) int {
	return slices.IndexFunc(h.cat.Services, func(s catalog.ServiceInfo) bool { return s.ID == id })
}

func (h *hostTable) find(host string) []spot {
	if s, ok := h.seen[host]; ok {
		return s
	}
	var out []spot
	if m := h.s3.FindStringSubmatch(host); m != nil {
		s := spot{s3: true, service: slices.IndexFunc(h.cat.Services, func(s catalog.ServiceInfo) bool { return s.ID == "s3" })}
		got := map[string]string{}
		for i, name := range h.s3.SubexpNames() {
			if m[i] != "" {
				got[name] = m[i]
			}
		}
		s.bucket, s.express = got["bucket"], got["express"] != ""
		i := slices.IndexFunc(h.cat.Partitions, func(p catalog.Partition) bool {
			return p.DNSSuffix == got["suffix"] && (got["region"] == "" || slices.Contains(p.Regions, got["region"]))
		})
		if i >= 0 && got["account"] != "" {
			s.accessPoint = "arn:" + h.cat.Partitions[i].ID + ":s3:" + got["region"] + ":" + got["account"] + ":accesspoint/" + s.bucket
		}
		if i >= 0 && len(s.bucket) <= 63 {
			out = append(out, s)
		}
	}
	if m := multiRegionPoint.FindStringSubmatch(host); m != nil {
		p := h.cat.Partitions[slices.IndexFunc(h.cat.Partitions, func(p catalog.Partition) bool { return p.DNSSuffix == m[2] })]
		out = append(out, spot{s3: true, service: h.service("s3"), bucket: m[1], accessPoint: "arn:" + p.ID + ":s3::111122223333:accesspoint/" + m[1]})
	}
	for id, name := range map[string]*regexp.Regexp{"events": multiRegionBus, "sesv2": multiRegionMail} {
		if name.MatchString(host) {
			out = append(out, spot{service: h.service(id)})
		}
	}
	labels := strings.Split(host, ".")
	// Literal names beat those with an account in front, and these those with a label
	// of the caller's choosing.
	var free [3][]spot
	for cut := 1; cut <= len(labels); cut++ {
		front, suffix := labels[:cut], strings.Join(labels[cut:], ".")
		for _, x := range h.by[suffix+"/"+strconv.Itoa(cut-1)] {
			if h.cat.Services[x.Service].ID != "s3" && h.fits(x, front) {
				k := 0
				if strings.HasPrefix(x.Pattern, "{a}") {
					k = 1
				} else if strings.HasPrefix(x.Pattern, "{v}") {
					k = 2
				}
				free[k] = append(free[k], spot{service: x.Service, prefix: x.Prefix, base: x.Base, signingName: x.SigningName, chosen: k > 0})
			}
		}
	}
	for k := 0; k < len(free) && len(out) == 0; k++ {
		out = free[k]
	}
	h.seen[host] = out
	return out
}

// services are the ids behind a name, sorted.
func (h *hostTable) services(host string) []string {
	var out []string
	for _, s := range h.find(host) {
		out = append(out, h.cat.Services[s.service].ID)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (h *hostTable) fits(x catalog.Host, labels []string) bool {
	for i, p := range strings.Split(x.Pattern, ".") {
		switch p {
		case "{r}":
			if !slices.Contains(h.cat.Partitions[x.Partition].Regions, labels[i]) {
				return false
			}
		case "{a}":
			if len(labels[i]) != 12 || strings.Trim(labels[i], "0123456789") != "" {
				return false
			}
		case "{v}":
		default:
			if p != labels[i] {
				return false
			}
		}
	}
	return true
}

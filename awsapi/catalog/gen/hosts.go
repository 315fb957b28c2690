package main

import (
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// hostTable collects a service's patterns without repeating one.
type hostTable struct {
	partitions []catalog.Partition
	service    int
	bases      map[string]string // pattern and suffix -> path that the endpoint URL ends in
	seen       map[catalog.Host]bool
	out        []catalog.Host
}

func (t *hostTable) add(h catalog.Host) {
	h.Service, h.Base = t.service, t.bases[strings.TrimPrefix(h.Pattern, hostPattern(h.Prefix))+"."+h.Suffix]
	key := h
	key.FIPS, key.DualStack = false, false
	if t.seen[key] {
		return
	}
	t.seen[key] = true
	t.out = append(t.out, h)
}

// hosts turns endpoint rules, legacy endpoints, account endpoints and operation
// host prefixes into patterns. S3's own host styles are a grammar of their own in
// awsapi; s3 is here only by its plain endpoints.
func (d *document) hosts(parts []catalog.Partition, service int, prefixes []string) ([]catalog.Host, error) {
	t := &hostTable{partitions: parts, service: service, seen: map[catalog.Host]bool{}}
	t.bases = map[string]string{}
	for _, u := range d.Templates {
		host, path, _ := strings.Cut(strings.TrimPrefix(u, "https://"), "/")
		if path == "" || strings.Contains(path, "{") {
			continue
		}
		for _, p := range parts {
			t.bases[strings.NewReplacer("{Region}", "{r}", "{PartitionResult#dnsSuffix}", p.DNSSuffix,
				"{PartitionResult#dualStackDnsSuffix}", p.DualStack).Replace(host)] = "/" + path
		}
	}
	for _, h := range d.Hosts {
		for _, id := range h.Partitions {
			q := partition(parts, id)
			if q < 0 {
				return nil, fmt.Errorf("host %s: unknown partition %s", h.Host, id)
			}
			p := parts[q]
			e := catalog.Host{Partition: q, SigningName: h.SigningName, SigningRegion: h.SigningRegion, FIPS: h.FIPS, DualStack: h.DualStack}
			name := strings.ReplaceAll(h.Host, "{region}", "{r}")
			// A global endpoint's signing region must be one of its partition.
			if e.SigningRegion != "" && !contains(p.Regions, e.SigningRegion) {
				continue
			}
			switch {
			case strings.HasSuffix(name, ".{dnsSuffix}"):
				e.Pattern, e.Suffix = strings.TrimSuffix(name, ".{dnsSuffix}"), p.DNSSuffix
			case strings.HasSuffix(name, ".{dualStackDnsSuffix}"):
				e.Pattern, e.Suffix = strings.TrimSuffix(name, ".{dualStackDnsSuffix}"), p.DualStack
			default:
				e.Pattern, e.Suffix = name, ""
			}
			t.add(e)
		}
	}
	for _, l := range d.Legacy {
		host := l.Host
		if host == "" {
			host = strings.NewReplacer("{region}", "{r}", "{dnsSuffix}", l.DNSSuffix).Replace(l.Template)
		}
		if strings.ContainsAny(strings.ReplaceAll(host, "{r}", ""), "{}") {
			continue
		}
		t.legacy(l.Partition, host, l.Scope.Region, l.Scope.Service)
	}
	if d.Service != "s3" && d.Service != "s3control" {
		for _, u := range d.Templates {
			t.account(strings.TrimPrefix(u, "https://"))
		}
	}
	if d.Service != "s3" && d.Service != "s3control" {
		for _, u := range d.Templates {
			t.template(strings.TrimPrefix(u, "https://"))
		}
		if u := extra[d.Service]; u != "" {
			t.template(u)
		}
	}
	for _, h := range append([]catalog.Host(nil), t.out...) {
		for _, p := range prefixes {
			e := h
			e.Prefix = p
			e.Pattern = hostPattern(p) + h.Pattern
			t.add(e)
		}
	}
	sort.SliceStable(t.out, func(i, j int) bool { return fmt.Sprint(t.out[i]) < fmt.Sprint(t.out[j]) })
	return t.out, nil
}

var memberLabel = regexp.MustCompile(`\{[A-Za-z]+\}`)

func hostPattern(prefix string) string {
	return memberLabel.ReplaceAllStringFunc(prefix, func(m string) string {
		if m == "{AccountId}" {
			return "{a}"
		}
		return "{v}"
	})
}

// legacy adds a host of endpoints.json. Where a label is the region of its
// scope, it stands for any region.
func (t *hostTable) legacy(id, host, region, name string) {
	q := partition(t.partitions, id)
	if q < 0 {
		return
	}
	p := t.partitions[q]
	e := catalog.Host{Partition: q, SigningName: name, FIPS: strings.Contains(host, "fips")}
	switch {
	case strings.HasSuffix(host, "."+p.DualStack):
		e.Suffix, e.DualStack = p.DualStack, true
	case strings.HasSuffix(host, "."+p.DNSSuffix):
		e.Suffix = p.DNSSuffix
	default:
		return
	}
	labels := strings.Split(strings.TrimSuffix(host, "."+e.Suffix), ".")
	folded := false
	for i, l := range labels {
		if l == "{r}" || contains(p.Regions, l) && (region == "" || region == l) {
			labels[i] = "{r}"
			folded = true
			break
		}
	}
	e.Pattern = strings.Join(labels, ".")
	if !folded {
		if region != "" && !contains(p.Regions, region) {
			return
		}
		e.SigningRegion = region
	}
	if folded {
		for _, h := range t.out {
			if h.Pattern == e.Pattern && h.Suffix == e.Suffix && h.Partition == q {
				return
			}
		}
	}
	t.add(e)
}

var accountLabel = regexp.MustCompile(`^\{[A-Za-z]*#?[aA]ccountId\}$`)

// account adds endpoints whose first label is an account id.
func (t *hostTable) account(template string) {
	if strings.Contains(template, "/") {
		return
	}
	first, rest, ok := strings.Cut(template, ".")
	if !ok || !accountLabel.MatchString(first) {
		return
	}
	for _, op := range []string{"data", "control"} {
		r := strings.ReplaceAll(rest, "{OperationType}", op)
		r = strings.ReplaceAll(r, "{Region}", "{r}")
		for q, p := range t.partitions {
			e := catalog.Host{Partition: q, FIPS: strings.Contains(r, "fips")}
			switch {
			case strings.HasSuffix(r, ".{PartitionResult#dnsSuffix}"):
				e.Suffix, e.Pattern = p.DNSSuffix, "{a}."+strings.TrimSuffix(r, ".{PartitionResult#dnsSuffix}")
			case strings.HasSuffix(r, ".{PartitionResult#dualStackDnsSuffix}"):
				e.Suffix, e.Pattern, e.DualStack = p.DualStack, "{a}."+strings.TrimSuffix(r, ".{PartitionResult#dualStackDnsSuffix}"), true
			case p.ID == "aws" && strings.HasSuffix(r, "."+p.DualStack):
				e.Suffix, e.Pattern, e.DualStack = p.DualStack, "{a}."+strings.TrimSuffix(r, "."+p.DualStack), true
			default:
				continue
			}
			if strings.ContainsAny(strings.NewReplacer("{a}", "", "{r}", "").Replace(e.Pattern), "{}#") {
				continue
			}
			t.add(e)
		}
	}
}

// extra are endpoints that only an answer of the service names.
var extra = map[string]string{"machinelearning": "realtime.machinelearning.{Region}.{PartitionResult#dnsSuffix}"}

// template adds regional endpoints that only some operations use
// (arc-region-switch-control-plane) and the rules over regions do not show.
func (t *hostTable) template(u string) {
	for _, s := range []string{".{PartitionResult#dnsSuffix}", ".{PartitionResult#dualStackDnsSuffix}"} {
		name, ok := strings.CutSuffix(u, s)
		name = strings.Replace(strings.Replace(name, "{PartitionResult#implicitGlobalRegion}", "{Region}", 1), "{Region}", "{r}", 1)
		if !ok || !strings.Contains(name, "{r}") || strings.ContainsAny(strings.Replace(name, "{r}", "", 1), "{}/") {
			continue
		}
		for q, p := range t.partitions {
			e := catalog.Host{Pattern: name, Suffix: p.DNSSuffix, Partition: q, FIPS: strings.Contains(name, "fips")}
			if strings.Contains(s, "dualStack") {
				e.Suffix, e.DualStack = p.DualStack, true
			}
			known := false
			for _, h := range t.out {
				known = known || (h.Pattern == e.Pattern && h.Suffix == e.Suffix && h.Partition == q)
			}
			if !known {
				t.add(e)
			}
		}
	}
}

func partition(parts []catalog.Partition, id string) int {
	for i, p := range parts {
		if p.ID == id {
			return i
		}
	}
	return -1
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

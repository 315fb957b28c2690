package enrich

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/event"
)

// Read is one call for the tags of some resources. Reads makes it.
type Read struct {
	Call *awsapi.Call // as identified from the bytes that are sent

	row      row
	subjects []arn
}

// Action is the IAM action that the read needs: ec2:DescribeTags.
func (r Read) Action() string { return r.row.action }

// arn is an ARN in parts.
type arn struct {
	text                                string
	partition, service, region, account string
	resource                            string
}

// plain is an ARN that is read of: no white space, nothing that means something in a
// URL's query, no wildcard.
var plain = regexp.MustCompile(`^arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:([0-9]{12})?:[A-Za-z0-9+=,.@_/:#!-]+$`)

// maxARN is beyond the longest that any service in the table gives.
const maxARN = 1024

func split(text string) (arn, bool) {
	f := strings.SplitN(text, ":", 6)
	if len(f) != 6 || f[0] != "arn" || f[5] == "" {
		return arn{}, false
	}
	return arn{text, f[1], f[2], f[3], f[4], f[5]}, true
}

// with is a with another resource part.
func (a arn) with(resource string) arn {
	a.resource = resource
	a.text = strings.Join([]string{"arn", a.partition, a.service, a.region, a.account, resource}, ":")
	return a
}

// Reads are the calls that tell of a call's resources, of the first event.MaxDescribed
// of them; unread is how many more there are, or are of a kind that nothing is known
// of. Resources that the request does not name whole are no resources here. account is
// the target's, as for any request.
func Reads(ids *awsapi.Identifier, call *awsapi.Call, account string) (reads []Read, unread int) {
	type group struct {
		row      *row
		region   string
		subjects []arn
	}
	var groups []*group
	var seen []string
	n := 0
	for _, a := range call.Actions {
		for _, res := range a.Resources {
			subject, r, nameable := subjectOf(res, call)
			switch {
			case !nameable || slices.Contains(seen, subject.text):
				continue
			case r == nil || n == event.MaxDescribed:
				seen = append(seen, subject.text)
				unread++
				continue
			}
			n++
			seen = append(seen, subject.text)
			i := slices.IndexFunc(groups, func(g *group) bool { return g.row == r && r.many && g.region == subject.region })
			if i < 0 {
				i, groups = len(groups), append(groups, &group{row: r, region: subject.region})
			}
			groups[i].subjects = append(groups[i].subjects, subject)
		}
	}
	for _, g := range groups {
		if r, ok := g.row.read(ids, g.subjects, call, account); ok {
			reads = append(reads, r)
		} else {
			unread += len(g.subjects)
		}
	}
	return reads, unread
}

// subjectOf is the resource that is asked about for res (of an object its bucket), and
// how; the row is nil where nothing is known of its kind.
func subjectOf(res awsapi.Resource, call *awsapi.Call) (arn, *row, bool) {
	a, ok := split(res.ARN)
	if !ok || a.partition != call.Partition || a.account == "aws" {
		return arn{}, nil, false
	}
	unknown := ""
	switch {
	case res.Partial && a.service == "secretsmanager" && strings.HasSuffix(a.resource, unknownSuffix): // named without its ARN
		unknown = unknownSuffix
	case res.Partial:
		return arn{}, nil, false
	}
	for i := range table {
		r := &table[i]
		if r.prefix != a.service {
			continue
		}
		if s, ok := r.subject(a); ok && len(s.text) <= maxARN && plain.MatchString(strings.TrimSuffix(s.text, unknown)) {
			return s, r, true
		}
	}
	return a, nil, true
}

// read makes the request and has it identified.
func (r *row) read(ids *awsapi.Identifier, subjects []arn, call *awsapi.Call, account string) (Read, bool) {
	s := subjects[0]
	region := s.region
	if region == "" && (s.service == "s3" || s.service == "iam") { // their ARNs have none
		region = call.Region
	}
	host, ok := r.hostIn(ids, s.partition, region)
	if !ok {
		return Read{}, false
	}
	req, body := r.request(host, subjects).request(host, account)
	head, err := ids.Head(req)
	if err != nil {
		return Read{}, false
	}
	c, err := head.Call(body)
	if err != nil || !r.is(c, subjects) || c.Partition != s.partition || s.region != "" && c.Region != s.region {
		return Read{}, false
	}
	return Read{Call: c, row: *r, subjects: subjects}, true
}

// is reports that c is what the row says, and nothing else.
func (r *row) is(c *awsapi.Call, subjects []arn) bool {
	if c.Service != r.service || c.Operation != r.operation || c.Uncarried() != nil || c.Permissionless || c.StreamingOutput || c.EventStreamOutput ||
		len(c.Classes) > 0 || len(c.Actions) != 1 || c.Actions[0].Name != r.action || c.Actions[0].Level != awsapi.List && c.Actions[0].Level != awsapi.Read {
		return false
	}
	return !slices.ContainsFunc(c.Actions[0].Resources, func(res awsapi.Resource) bool {
		return res.ARN != "*" && !slices.ContainsFunc(subjects, func(s arn) bool { return s.text == res.ARN })
	})
}

func (r *row) hostIn(ids *awsapi.Identifier, partition, region string) (string, bool) {
	suffix := ids.DNSSuffix(partition)
	if suffix == "" {
		return "", false
	}
	for _, pattern := range r.hosts {
		if strings.Contains(pattern, "{region}") && region == "" {
			continue
		}
		host := strings.ReplaceAll(pattern, "{region}", region) + "." + suffix
		if h, err := ids.Classify(host); err == nil && h.Partition == partition {
			return host, true
		}
	}
	return "", false
}

package awsapi

import (
	"slices"
	"strings"
)

// classifyS3 reads the S3 host styles from the right:
//
//	[bucket.]s3[-fips][.dualstack].region    [bucket.]s3   [bucket.]s3-region (old)
//	bucket.s3-accelerate[.dualstack]
//	name-account.s3-accesspoint[-fips][.dualstack].region
//	name-account.s3-object-lambda[-fips].region
//	route.s3-object-lambda.region            (WriteGetObjectResponse)
//	s3-outposts[-fips].region                (S3 Control for Outposts)
//	name-account.op-id.s3-outposts.region    bucket.s3express[-fips]-az.region
//	alias.mrap.accesspoint.s3-global
//
// A bucket may hold dots and may look like a host of another service
// (sts.amazonaws.com.s3.amazonaws.com is the bucket "sts.amazonaws.com"): what
// counts is the label next to the suffix. s3-website is not here on purpose:
// its pages are public and belong to whoever made them.
func (id *Identifier) classifyS3(h *Host, sfx suffix, rest string) bool {
	if sfx.dual {
		return false
	}
	labels := strings.Split(rest, ".")
	last := func() string {
		if len(labels) == 0 {
			return ""
		}
		return labels[len(labels)-1]
	}
	pop := func() { labels = labels[:len(labels)-1] }
	region := ""
	if id.regions[last()] {
		region = last()
		pop()
	}
	dual := false
	if last() == "dualstack" {
		dual = true
		pop()
	}
	q := id.partitionOf(sfx.name, region)
	if q < 0 || len(labels) == 0 {
		return false
	}
	svc := last()
	pop()
	fips := false
	if f, ok := strings.CutSuffix(svc, "-fips"); ok {
		svc, fips = f, true
	}
	set := func(style, bucket, signing string, kind HostKind) bool {
		p := &id.cat.Partitions[q]
		h.Kind, h.Partition, h.partition, h.Region, h.FIPS, h.DualStack = kind, p.ID, q, region, fips, dual
		h.S3 = S3Host{Style: style, Bucket: bucket}
		h.candidates = []candidate{{service: id.s3, partition: q, region: region, signingName: signing}}
		return true
	}
	name := strings.Join(labels, ".")
	if old, ok := strings.CutPrefix(svc, "s3-"); ok && region == "" && !dual && !fips && id.regions[old] {
		// s3-eu-west-1.amazonaws.com, from before 2019.
		if q = id.partitionOf(sfx.name, old); q < 0 {
			return false
		}
		svc, region = "s3", old
	}
	switch {
	case svc == "s3":
		if region == "" && (dual || fips) {
			return false
		}
		if name == "" {
			return set("path", "", "s3", S3Endpoint)
		}
		return bucketName(name) && set("virtual", name, "s3", S3Bucket)
	case svc == "s3-accelerate" && region == "" && !fips && bucketName(name) && !strings.Contains(name, "."):
		return set("accelerate", name, "s3", S3Bucket)
	case (svc == "s3-accesspoint" || svc == "s3-object-lambda") && region != "" && len(labels) == 1:
		i := strings.LastIndexByte(name, '-')
		if i <= 0 || !isAccount(name[i+1:]) {
			return svc == "s3-object-lambda" && set("object-lambda-route", name, "s3-object-lambda", S3Bucket)
		}
		h.Account = name[i+1:]
		if svc == "s3-object-lambda" {
			return set("object-lambda", name[:i], "s3-object-lambda", S3Bucket)
		}
		return set("accesspoint", name[:i], "s3", S3Bucket)
	case svc == "s3-outposts" && region != "" && len(labels) == 0:
		set("outposts-control", "", "s3-outposts", Endpoint)
		// Two APIs share the name; their paths tell them apart.
		control := h.candidates[0]
		control.service = id.s3control
		h.candidates[0].service = id.outposts
		h.candidates = append(h.candidates, control)
		return true
	case svc == "s3-outposts" && region != "" && len(labels) == 2 && strings.HasPrefix(labels[1], "op-"):
		i := strings.LastIndexByte(labels[0], '-')
		if i <= 0 || !isAccount(labels[0][i+1:]) {
			return false
		}
		h.Account = labels[0][i+1:]
		set("outposts", labels[0][:i], "s3-outposts", S3Bucket)
		h.S3.Outpost = labels[1]
		return true
	case svc == "s3-global" && region == "" && !fips && !dual && len(labels) == 3 && labels[1] == "mrap" && labels[2] == "accesspoint":
		return set("mrap", labels[0]+".mrap", "s3", S3Bucket)
	case svc == "s3express-control" && region != "" && len(labels) == 0:
		return set("express", "", "s3express", S3Endpoint)
	case strings.HasPrefix(svc, "s3express-") && region != "" && len(labels) == 1:
		zone := strings.TrimPrefix(strings.TrimPrefix(svc, "s3express-"), "fips-")
		fips = fips || strings.HasPrefix(svc, "s3express-fips-")
		if !strings.HasSuffix(name, "--"+zone+"--x-s3") && !strings.HasSuffix(name, "--"+zone+"--xa-s3") {
			return false
		}
		return set("express", name, "s3express", S3Bucket)
	}
	return false
}

// partitionOf finds the partition by suffix and region; a name without a region
// is of the first partition with that suffix.
func (id *Identifier) partitionOf(sfx, region string) int {
	for i, p := range id.cat.Partitions {
		if "."+p.DNSSuffix != sfx && "."+p.DualStack != sfx {
			continue
		}
		if region == "" || slices.Contains(p.Regions, region) {
			return i
		}
	}
	return -1
}

// bucketName accepts what can be a bucket in a host name (3-63 bytes, the host's
// own alphabet, at least one letter or digit at both ends of each label).
func bucketName(s string) bool { return len(s) >= 3 && len(s) <= 63 }

// pathBucket accepts what can be a bucket in a path: also the old names of
// us-east-1, up to 255 letters, digits, dots, hyphens and underscores.
func pathBucket(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return len(s) >= 3 && len(s) <= 255
}

package config

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/internal/strictyaml"
)

// partition is one of AWS's separate worlds, with the form of its region names
// (botocore's partitions.json).
type partition struct {
	id      string
	regions *regexp.Regexp
}

var partitions = []partition{
	{"aws", regexp.MustCompile(`^(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d+$`)},
	{"aws-cn", regexp.MustCompile(`^cn-[a-z]+-\d+$`)},
	{"aws-us-gov", regexp.MustCompile(`^us-gov-[a-z]+-\d+$`)},
	{"aws-eusc", regexp.MustCompile(`^eusc-de-[a-z]+-\d+$`)},
	{"aws-iso", regexp.MustCompile(`^us-iso-[a-z]+-\d+$`)},
	{"aws-iso-b", regexp.MustCompile(`^us-isob-[a-z]+-\d+$`)},
	{"aws-iso-e", regexp.MustCompile(`^eu-isoe-[a-z]+-\d+$`)},
	{"aws-iso-f", regexp.MustCompile(`^us-isof-[a-z]+-\d+$`)},
}

var anyRegion = regexp.MustCompile(`^[a-z]{2,5}(-[a-z]+){1,2}-\d{1,2}$`)

func partitionOf(arn string) *partition {
	for i := range partitions {
		if partitions[i].id == arnPart(arn, 1) {
			return &partitions[i]
		}
	}
	return nil
}

// arnPart returns a part of an ARN, "" where it has fewer.
func arnPart(arn string, i int) string {
	parts := strings.SplitN(arn, ":", 6)
	if i >= len(parts) {
		return ""
	}
	return parts[i]
}

// roleARN has the character sets of IAM's CreateRole (RoleName, Path).
var roleARN = regexp.MustCompile(`^arn:[a-z-]+:iam::[0-9]{12}:role/([!-~]{1,510}/)?[A-Za-z0-9_+=,.@-]{1,64}$`)

// CheckRoleARN says what is wrong with the ARN of a role that is assumed for agents.
func CheckRoleARN(s string) error {
	if why := badRoleARN(s); why != "" {
		return errors.New(why)
	}
	return nil
}

func badRoleARN(s string) string {
	const example = "arn:aws:iam::111122223333:role/agent-dev"
	switch {
	case s == "":
		return "name the role that is assumed for agents, such as " + example
	case !roleARN.MatchString(s):
		return fmt.Sprintf("%q is not the ARN of a role, such as %s", s, example)
	case partitionOf(s) == nil:
		return fmt.Sprintf("%q is not a partition of AWS; they are aws, aws-cn, aws-us-gov and the isolated ones", arnPart(s, 1))
	}
	return ""
}

// awsSuffixes are the names under which AWS serves its APIs, its consoles and its
// customers' content. A tunnel there would be a way to AWS without identity,
// policy or record: a presigned S3 URL is all it takes. Service endpoints are in
// botocore's partitions.json; the others are AWS's shared hosting domains.
var awsSuffixes = []string{
	"amazonaws.com", "amazonaws.com.cn", "amazonaws.eu",
	"amazonwebservices.com", "amazonwebservices.com.cn", "amazonwebservices.eu",
	"aws", "aws.dev", "aws.amazon.com", "amazonaws.cn", "amazonaws-us-gov.com", "amazonaws-us-gov.us",
	"c2s.ic.gov", "sc2s.sgov.gov", "hci.ic.gov", "aws.ic.gov", "aws.scloud", "adc-e.uk",
	"cloudfront.net", "awsapps.com", "awsapps.cn", "awsstatic.com", "a2z.com",
	"awsapprunner.com", "elasticbeanstalk.com", "amplifyapp.com", "awsglobalaccelerator.com",
	"amazoncognito.com", "signin.aws", "quicksight.aws", "media-amazon.com",
}

// badTunnel says why an address must not be passed through. A name is compared
// by its labels from the right, so that notamazonaws.com is not AWS.
func badTunnel(t strictyaml.HostPort) string {
	_, isIP := netip.ParseAddr(t.Host)
	switch {
	case t.IsZero():
		return "expected host:port such as api.example.com:443"
	case isIP == nil:
		return fmt.Sprintf("%s is an IP address; name the host, whose certificate the agent checks", t.Host)
	case t.Port == 0:
		return "port 0 cannot be connected to; write :443"
	case !strings.Contains(t.Host, ".") || strings.HasSuffix(t.Host, ".localhost") || strings.Contains(t.Host, "_"):
		return fmt.Sprintf("%q is not a full host name such as api.example.com", t.Host)
	}
	for _, s := range awsSuffixes {
		if t.Host == s || strings.HasSuffix(t.Host, "."+s) {
			return fmt.Sprintf("%s belongs to AWS (%s): passed through untouched, it would be a way around the gateway; remove it", t.Host, s)
		}
	}
	return ""
}

package awsapi_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/refusal"
)

func TestHostNeverSigned(t *testing.T) {
	id := identifier(t)
	for _, h := range []string{
		"ec2-1-2-3-4.compute-1.amazonaws.com", "ec2-1-2-3-4.eu-west-1.compute.amazonaws.com", "my-lb-123.us-east-1.elb.amazonaws.com",
		"b.s3-website-us-east-1.amazonaws.com", "b.s3-website.eu-west-1.amazonaws.com", "abc123.execute-api.us-east-1.amazonaws.com",
		"abc.lambda-url.us-east-1.on.aws", "x.appsync-api.us-east-1.amazonaws.com", "search-x.us-east-1.es.amazonaws.com",
		"d111.cloudfront.net", "vpce-1-x.vpce-svc-1.us-east-1.vpce.amazonaws.com", "bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com",
		"db.abc.us-east-1.rds.amazonaws.com", "x.gr7.us-east-1.eks.amazonaws.com", "c1.credentials.iot.us-east-1.amazonaws.com",
		"a1-ats.iot.us-east-1.amazonaws.com", "111122223333.dkr.ecr.us-east-1.amazonaws.com", "git-codecommit.us-east-1.amazonaws.com",
		"email-smtp.us-east-1.amazonaws.com", "ssmmessages.us-east-1.amazonaws.com", "sts.us-moon-1.amazonaws.com", "sts.us-east-1.evil.amazonaws.com",
		"sts.cn-north-1.amazonaws.com", "sts.us-east-1.amazonaws.com.cn", "iam.eu-west-1.evil.api.aws", "s3.us-east-1.us-east-1.amazonaws.com",
		"amazonaws.com", "evilamazonaws.com", "sts.amazonaws.com.evil.com", "example.com", "sts..amazonaws.com", "STS.amazonaws.com", "sts.amazonaws.com.", "",
	} {
		got, err := id.Classify(h)
		if err == nil {
			t.Errorf("%q is signed for: %+v", h, got)
			continue
		}
		if r := refusal.Of(err).Reason; r != refusal.Unidentified && r != refusal.Malformed {
			t.Errorf("%q: reason %s", h, r)
		}
	}
}

func TestHostSigned(t *testing.T) {
	id := identifier(t)
	for _, c := range []struct {
		host, partition, region, bucket, account string
		kind                                     awsapi.HostKind
	}{
		{"sts.amazonaws.com", "aws", "", "", "", awsapi.Endpoint},
		{"sts.us-gov-west-1.amazonaws.com", "aws-us-gov", "us-gov-west-1", "", "", awsapi.Endpoint},
		{"queue.amazonaws.com", "aws", "", "", "", awsapi.Endpoint},
		{"eu-west-1.queue.amazonaws.com", "aws", "eu-west-1", "", "", awsapi.Endpoint},
		{"111122223333.ddb.us-east-1.amazonaws.com", "aws", "us-east-1", "", "111122223333", awsapi.Endpoint},
		{"s3.eu-west-1.amazonaws.com", "aws", "eu-west-1", "", "", awsapi.S3Endpoint},
		{"s3-eu-west-1.amazonaws.com", "aws", "eu-west-1", "", "", awsapi.S3Endpoint},
		{"sts.amazonaws.com.s3.amazonaws.com", "aws", "", "sts.amazonaws.com", "", awsapi.S3Bucket},
		{"a.b.s3.dualstack.eu-west-1.amazonaws.com", "aws", "eu-west-1", "a.b", "", awsapi.S3Bucket},
		{"ap-111122223333.s3-accesspoint.eu-west-1.amazonaws.com", "aws", "eu-west-1", "ap", "111122223333", awsapi.S3Bucket},
		{"111122223333.s3-control.eu-west-1.amazonaws.com", "aws", "eu-west-1", "", "111122223333", awsapi.Endpoint},
	} {
		h, err := id.Classify(c.host)
		if err != nil {
			t.Errorf("%s: %v", c.host, err)
			continue
		}
		if h.Kind != c.kind || h.Partition != c.partition || h.Region != c.region || h.S3.Bucket != c.bucket || h.Account != c.account {
			t.Errorf("%s: got %d %s %q %q %q", c.host, h.Kind, h.Partition, h.Region, h.S3.Bucket, h.Account)
		}
	}
}

// A label put into a refused name must not make it one that is signed for,
// unless the result is a bucket of S3, which any label may be.
func TestHostLabelInsertion(t *testing.T) {
	id := identifier(t)
	rng := rand.New(rand.NewPCG(1, 2))
	words := []string{"evil", "us-east-1", "sts", "com", "amazonaws", "x", "compute", "vpce", "dualstack", "111122223333", "api"}
	bases := []string{"ec2-1-2-3-4.compute-1.amazonaws.com", "x.us-east-1.elb.amazonaws.com", "sts.us-moon-1.amazonaws.com", "abc.execute-api.us-east-1.amazonaws.com",
		"b.s3-website.eu-west-1.amazonaws.com", "abc.lambda-url.us-east-1.on.aws", "db.abc.us-east-1.rds.amazonaws.com", "vpce-1.sts.us-east-1.vpce.amazonaws.com"}
	for range 5000 {
		labels := strings.Split(bases[rng.IntN(len(bases))], ".")
		at := rng.IntN(len(labels) - 1)
		name := strings.Join(append(append(append([]string{}, labels[:at]...), words[rng.IntN(len(words))]), labels[at:]...), ".")
		if h, err := id.Classify(name); err == nil && !strings.HasPrefix(name, "sts.us-moon-1") {
			t.Fatalf("%s became %+v", name, h)
		}
	}
}

func FuzzHost(f *testing.F) {
	id := identifier(f)
	for _, s := range []string{"sts.amazonaws.com", "b.s3.us-east-1.amazonaws.com", "a..b", "111122223333.ddb.us-east-1.amazonaws.com", "s3express-control.us-east-1.amazonaws.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err1 := id.Classify(s)
		b, err2 := id.Classify(s)
		if (err1 == nil) != (err2 == nil) || a.Kind != b.Kind || a.Region != b.Region || a.S3 != b.S3 {
			t.Fatal("two answers for one name")
		}
		if err1 == nil && (s != strings.ToLower(s) || !id.UnderAWSSuffix(s)) {
			t.Fatalf("%q is signed for", s)
		}
	})
}

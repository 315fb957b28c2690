package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sallyport/sallyport/internal/awstest"
)

const twoAccounts = `
  dev: {role_arn: "arn:aws:iam::111122223333:role/agent-dev", regions: [us-east-1], default: true}
  both: {role_arn: "arn:aws:iam::111122223333:role/agent-wide", accounts: ["111122223333", "999988887777"]}
`

// S3 is told whose bucket it must be, by a header that is signed and that the
// client can neither change nor have removed.
func TestExpectedBucketOwner(t *testing.T) {
	r := newRig(t, rigOptions{targets: twoAccounts})
	bucket, key := aws.String("acme-dev-reports"), aws.String("2026/q3.csv")
	one, both := s3.NewFromConfig(r.sdk(r.token(), "dev")), s3.NewFromConfig(r.sdk(r.token(), "both"))
	own, foreign := aws.String(awstest.Account), aws.String(awstest.ForeignAccount)
	tests := []struct {
		name          string
		call          func() error
		sent          bool
		owner, source string
	}{
		{"get", func() error {
			_, err := one.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key})
			return err
		}, true, awstest.Account, ""},
		{"the same said by the client", func() error {
			_, err := one.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key, ExpectedBucketOwner: own})
			return err
		}, true, awstest.Account, ""},
		{"another said by the client", func() error {
			_, err := one.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key, ExpectedBucketOwner: foreign})
			return err
		}, false, "", ""},
		{"another source said by the client", func() error {
			_, err := one.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("x"), CopySource: aws.String("acme-dev-reports/2026/q3.csv"), ExpectedSourceBucketOwner: foreign})
			return err
		}, false, "", ""},
		{"copy", func() error {
			_, err := one.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("x"), CopySource: aws.String("acme-dev-reports/2026/q3.csv")})
			return err
		}, true, awstest.Account, awstest.Account},
		{"buckets", func() error { _, err := one.ListBuckets(t.Context(), &s3.ListBucketsInput{}); return err }, true, "", ""},
		{"two accounts", func() error {
			_, err := both.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key})
			return err
		}, true, "", ""},
		{"two accounts, one said by the client", func() error {
			_, err := both.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key, ExpectedBucketOwner: own})
			return err
		}, true, awstest.Account, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r.aws.Forget()
			err := tt.call()
			_, calls := r.upstream()
			if (err == nil) != tt.sent || len(calls) > 0 != tt.sent {
				t.Fatalf("%v, %d calls", err, len(calls))
			}
			if !tt.sent {
				r.nothingSent(t)
				return
			}
			h := calls[0].Header
			for name, want := range map[string]string{"X-Amz-Expected-Bucket-Owner": tt.owner, "X-Amz-Source-Expected-Bucket-Owner": tt.source} {
				if got := strings.Join(h.Values(name), ","); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
				if want != "" && !strings.Contains(h.Get("Authorization"), strings.ToLower(name)) {
					t.Errorf("%s is not signed", name)
				}
			}
		})
	}
	t.Run("a bucket of another account", func(t *testing.T) {
		r.aws.Forget()
		if _, err := one.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("partner-exfil"), Key: aws.String("inbox/readme.txt")}); err == nil {
			t.Fatal("read")
		}
	})
	t.Run("Connection cannot take it away", func(t *testing.T) {
		r.aws.Forget()
		for _, name := range []string{"x-amz-expected-bucket-owner", "close, X-Amz-Expected-Bucket-Owner"} {
			a := r.tunnel(t, s3Host, r.token()).do(t, http.MethodGet, "/acme-dev-reports/2026/q3.csv", "", "Connection: "+name)
			refused(t, a, http.StatusBadRequest, "malformed")
		}
		r.nothingSent(t)
	})
}

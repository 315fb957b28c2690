package awsapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// The headers by which S3 refuses a request when the bucket is not the named
// account's (S3 User Guide, "Verifying bucket ownership"). An ARN of S3 names no
// account, so without them a bucket of anyone's could be written to.
const (
	bucketOwner       = "x-amz-expected-bucket-owner"
	sourceBucketOwner = "x-amz-source-expected-bucket-owner"
)

// ownerNames are those of the two that an operation takes, as net/http writes them.
func ownerNames(op *catalog.Operation) []string {
	var out []string
	for _, b := range op.HeaderMembers {
		if l := strings.ToLower(b.Wire); l == bucketOwner || l == sourceBucketOwner {
			out = append(out, http.CanonicalHeaderKey(b.Wire))
		}
	}
	slices.Sort(out)
	return out
}

// ownerHeaders are those that the matched operation takes. Directory buckets
// (signing name s3express) answer them with 501; their ARNs name the account.
func (f *facts) ownerHeaders(m match) []string {
	if m.svc.ID != "s3" || m.signingName() != "s3" {
		return nil
	}
	return f.owners
}

// CheckBucketOwner refuses a call in which the client itself expects a bucket
// owner that is none of accounts: it means another target. A refusal is Denied.
func (c *Call) CheckBucketOwner(accounts []string) error {
	for _, name := range []string{bucketOwner, sourceBucketOwner} {
		for _, f := range c.canonical.header {
			v := f.value
			if strings.EqualFold(f.name, name) && !slices.Contains(accounts, v) {
				return refusal.New(refusal.Denied, "%s is %q, and the target reaches only %s; leave the header out or name another target", name, clip(v), strings.Join(accounts, ", "))
			}
		}
	}
	return nil
}

// WithBucketOwner is the call's Canonical with account as the expected owner of
// its bucket and of a copy's source, in place of what the client said; false where
// the operation takes neither header or account is no account id. They are
// signed, as all x-amz headers are, and a Connection header that names them is
// refused with the head, so that no hop removes them.
func (c *Call) WithBucketOwner(account string) (Canonical, bool) {
	if len(c.ownerHeaders) == 0 || !isAccount(account) || c.canonical.IsZero() {
		return c.canonical, false
	}
	out := c.canonical
	out.header = slices.DeleteFunc(slices.Clone(out.header), func(f field) bool { return slices.Contains(c.ownerHeaders, f.name) })
	for _, name := range c.ownerHeaders {
		out.header = append(out.header, field{name, account})
	}
	return out, true
}

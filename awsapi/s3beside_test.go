package awsapi_test

import (
	"slices"
	"testing"
)

// A header that sets more than content needs S3's action for that, too, on the same
// object; so does the field of a form and the copy's.
func TestActionsBesidePutObject(t *testing.T) {
	id := identifier(t)
	for name, c := range map[string]struct {
		target string
		header []string
		want   []string
	}{
		"content alone": {"/k", nil, []string{"s3:PutObject"}},
		"acl":           {"/k", []string{"X-Amz-Acl", "public-read"}, []string{"s3:PutObject", "s3:PutObjectAcl"}},
		"grant":         {"/k", []string{"X-Amz-Grant-Read", `uri="http://acs.amazonaws.com/groups/global/AllUsers"`}, []string{"s3:PutObject", "s3:PutObjectAcl"}},
		"tags and lock": {"/k", []string{"X-Amz-Tagging", "a=b", "X-Amz-Object-Lock-Legal-Hold", "ON", "X-Amz-Object-Lock-Mode", "GOVERNANCE"},
			[]string{"s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectRetention", "s3:PutObjectLegalHold"}},
		"copy":   {"/k", []string{"X-Amz-Copy-Source", "/other/k", "X-Amz-Acl", "public-read"}, []string{"s3:PutObject", "s3:GetObject", "s3:PutObjectAcl"}},
		"bucket": {"/", []string{"X-Amz-Acl", "public-read", "X-Amz-Bucket-Object-Lock-Enabled", "true"}, []string{"s3:CreateBucket", "s3:PutBucketAcl", "s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"}},
	} {
		r := request("PUT", "b1b.s3.us-east-1.amazonaws.com", c.target, c.header...)
		r.ContentLength = 0
		head, err := id.Head(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		call, err := head.Call([]byte{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, a := range call.Actions {
			got = append(got, a.Name)
			if a.Name != "s3:GetObject" && !slices.Equal(a.Resources, call.Actions[0].Resources) || a.Dependent {
				t.Errorf("%s: %+v", name, a)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

package awsapi

// besidePut are what S3 asks for beside s3:PutObject or s3:CreateBucket where a
// request sets more than content ("PutObject", "CopyObject", "CreateMultipartUpload"
// and "CreateBucket" in Amazon S3's API reference, Permissions). AWS's operation
// tables do not list them: a rule that allows s3:PutObject alone would let an agent
// make an object public by a header.
var besidePut = map[string][]struct {
	action  string
	level   AccessLevel
	members []string // any of
}{
	"PutObject": {
		{"s3:PutObjectAcl", Permissions, []string{"ACL", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWriteACP"}},
		{"s3:PutObjectTagging", Tagging, []string{"Tagging"}},
		{"s3:PutObjectRetention", Write, []string{"ObjectLockMode", "ObjectLockRetainUntilDate"}},
		{"s3:PutObjectLegalHold", Write, []string{"ObjectLockLegalHoldStatus"}},
	},
	"CreateBucket": {
		{"s3:PutBucketAcl", Permissions, []string{"ACL", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP"}},
		{"s3:PutBucketOwnershipControls", Write, []string{"ObjectOwnership"}},
		{"s3:PutBucketObjectLockConfiguration", Write, []string{"ObjectLockEnabledForBucket"}},
		{"s3:PutBucketVersioning", Write, []string{"ObjectLockEnabledForBucket"}},
	},
}

// beside appends them, on what the first action is on.
func (r *resolver) beside(out []Action) []Action {
	if r.call.Service != "s3" || len(out) == 0 || out[0].Name != "s3:PutObject" && out[0].Name != "s3:CreateBucket" {
		return out
	}
	name := r.call.Operation
	switch name {
	case "CopyObject", "CreateMultipartUpload":
		name = "PutObject"
	}
	for _, more := range besidePut[name] {
		for _, m := range more.members {
			if r.exists(m) {
				out = append(out, Action{Name: more.action, Level: more.level, Resources: out[0].Resources})
				break
			}
		}
	}
	return out
}

package awsapi

import (
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// special resolves what the operation map cannot say: S3's buckets, keys, copy
// sources and access points, names that stand for other ARNs (KMS aliases, SQS
// queue URLs, secrets' random suffixes, SSM paths), and PassRole.
func (r *resolver) special(row *catalog.Action) []Resource {
	switch r.call.Service {
	case "s3":
		if strings.HasPrefix(row.Action, "s3") { // not the role that replication passes
			return r.s3(row)
		}
	case "sqs":
		return r.sqs(row)
	case "kms":
		return r.kms(row)
	case "secretsmanager":
		return r.secret(row)
	case "ssm":
		return r.parameter(row)
	case "lambda":
		return r.function(row)
	case "events":
		return r.rule(row)
	case "ecs":
		return r.taskDefinition(row)
	}
	if row.Action == "iam:PassRole" && row.ARN == "" && len(row.ARNs) == 0 {
		return r.roles()
	}
	return nil
}

// versioned: the action has a form of its own for a named version.
func (r *resolver) versioned(action string) bool {
	return r.actionName(action) != action
}

var versionActions = map[string]string{
	"s3:GetObject": "s3:GetObjectVersion", "s3:DeleteObject": "s3:DeleteObjectVersion", "s3:GetObjectAcl": "s3:GetObjectVersionAcl",
	"s3:PutObjectAcl": "s3:PutObjectVersionAcl", "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
	"s3:PutObjectTagging": "s3:PutObjectVersionTagging", "s3:DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
}

// actionName gives S3's action for a version where the request names one.
func (r *resolver) actionName(action string) string {
	// Access points of these two are authorised as services of their own.
	if name, ok := strings.CutPrefix(action, "s3:"); ok && r.call.Service == "s3" {
		switch r.head.host.S3.Style {
		case "object-lambda":
			return "s3-object-lambda:" + name
		case "outposts":
			return "s3-outposts:" + name
		}
	}
	v, ok := versionActions[action]
	if !ok || r.call.Service != "s3" {
		return action
	}
	switch {
	case r.call.Operation == "DeleteObjects":
		if !r.exists("Delete.Objects.VersionId") {
			return action
		}
	case r.copySource() != "":
		if action != "s3:GetObject" || !strings.Contains(r.copySource(), "?versionId=") {
			return action
		}
	case !r.exists("VersionId"):
		return action
	}
	return v
}

func (r *resolver) copySource() string {
	return r.text("CopySource")
}

func (r *resolver) s3(row *catalog.Action) []Resource {
	p := "arn:" + r.call.Partition + ":"
	bucket, key := r.text("Bucket"), r.text("Key")
	hasKey := r.doc.child(0, "Key") != 0
	if row.Action == "s3:GetObject" && r.copySource() != "" {
		return r.source(p)
	}
	if bucket == "" {
		return nil
	}
	if strings.HasPrefix(row.Action, "s3express:") && !strings.HasPrefix(bucket, "arn:") {
		acct, missing := r.account(), false
		if acct == "" {
			acct, missing = "*", true
			r.wildcard(bucket)
		}
		return []Resource{r.resource(p+"s3express:"+r.call.Region+":"+acct+":bucket/"+bucket, "bucket", missing)}
	}
	onObject := false
	for _, t := range row.Resources {
		onObject = onObject || t.Name == "object"
	}
	if r.head.host.S3.Style == "express" {
		return nil
	}
	if ap := r.head.accessPoint(r.match); ap != "" {
		switch {
		case onObject && hasKey:
			return []Resource{r.resource(ap+"/object/"+key, "accesspointobject", false)}
		case onObject:
			return []Resource{r.resource(ap+"/object/*", "accesspointobject", true)}
		}
		return []Resource{r.resource(ap, "accesspoint", false)}
	}
	if strings.HasPrefix(bucket, "arn:") {
		return nil
	}
	switch {
	case onObject && r.call.Operation == "DeleteObjects":
		var out []Resource
		for _, k := range r.values("Delete.Objects.Key") {
			out = append(out, Resource{ARN: p + "s3:::" + bucket + "/" + k, Type: "object"})
		}
		if len(out) > 0 && len(out) <= 1000 {
			return out
		}
		return []Resource{{ARN: p + "s3:::" + bucket + "/*", Type: "object", Partial: true}}
	case onObject && hasKey:
		return []Resource{{ARN: p + "s3:::" + bucket + "/" + key, Type: "object"}}
	case onObject:
		return []Resource{{ARN: p + "s3:::" + bucket + "/*", Type: "object", Partial: true}}
	}
	for _, t := range row.Resources {
		if t.Name == "bucket" {
			return []Resource{{ARN: p + "s3:::" + bucket, Type: "bucket"}}
		}
	}
	return nil
}

// accessPoint is the ARN of the access point that the host names; "" where it
// names none (S3 User Guide, "Referencing access points"; an Object Lambda access
// point and one on Outposts are of services of their own).
func (h *Head) accessPoint(m match) string {
	if m.svc.ID != "s3" || h.host.S3.Bucket == "" {
		return ""
	}
	p, name := "arn:"+h.host.Partition+":", h.host.S3.Bucket
	switch h.host.S3.Style {
	case "accesspoint":
		return p + "s3:" + h.region(m) + ":" + h.host.Account + ":accesspoint/" + name
	case "object-lambda":
		return p + "s3-object-lambda:" + h.region(m) + ":" + h.host.Account + ":accesspoint/" + name
	case "outposts":
		return p + "s3-outposts:" + h.region(m) + ":" + h.host.Account + ":outpost/" + h.host.S3.Outpost + "/accesspoint/" + name
	case "mrap":
		acct := h.req.Account
		if acct == "" {
			acct = "*"
		}
		return p + "s3::" + acct + ":accesspoint/" + name
	}
	return ""
}

// source is what a copy reads: /bucket/key or bucket/key, percent-encoded, or an
// access point's ARN; ?versionId= may follow.
func (r *resolver) source(p string) []Resource {
	s, _, _ := strings.Cut(r.copySource(), "?versionId=")
	dec, err := url.PathUnescape(strings.TrimPrefix(s, "/"))
	if err != nil {
		return []Resource{{ARN: "*", Partial: true}}
	}
	if strings.HasPrefix(dec, "arn:") {
		return []Resource{r.resource(dec, "accesspointobject", false)}
	}
	b, k, ok := strings.Cut(dec, "/")
	if !ok || b == "" || k == "" {
		return []Resource{{ARN: "*", Partial: true}}
	}
	return []Resource{{ARN: p + "s3:::" + b + "/" + k, Type: "object"}}
}

// sqs reads account and name out of the queue URL. Its host is not looked at: SQS
// itself goes by the path.
func (r *resolver) sqs(row *catalog.Action) []Resource {
	if typeName(row) != "queue" {
		return nil
	}
	prefix := "arn:" + r.call.Partition + ":sqs:" + r.call.Region + ":"
	if urls := r.values("QueueUrl"); len(urls) > 0 {
		_, path, ok := strings.Cut(urls[0], "://")
		f := strings.Split(path, "/")
		if ok && len(f) == 3 && isAccount(f[1]) && f[2] != "" {
			return []Resource{{ARN: prefix + f[1] + ":" + f[2], Type: "queue", Account: f[1]}}
		}
		return nil
	}
	if names := r.values("QueueName"); len(names) > 0 {
		n, acct := names[0], r.account()
		if o := r.values("QueueOwnerAWSAccountId"); len(o) > 0 {
			acct = o[0]
		}
		if !isAccount(acct) {
			r.wildcard(n)
			return []Resource{{ARN: prefix + "*:" + n, Type: "queue", Partial: true}}
		}
		return []Resource{{ARN: prefix + acct + ":" + n, Type: "queue", Account: acct}}
	}
	return nil
}

// kms: an alias stands for a key that the request does not tell.
func (r *resolver) kms(row *catalog.Action) []Resource {
	if typeName(row) != "key" {
		return nil
	}
	for _, v := range r.values("KeyId") {
		_, alias, ok := strings.Cut(v, ":alias/")
		if strings.HasPrefix(v, "alias/") || (ok && alias != "") {
			acct, region := r.account(), r.call.Region
			if f := strings.SplitN(v, ":", 6); len(f) == 6 {
				region, acct = f[3], f[4]
			}
			if acct == "" {
				acct = "*"
			}
			return []Resource{{ARN: "arn:" + r.call.Partition + ":kms:" + region + ":" + acct + ":key/*", Type: "key", Partial: true}}
		}
	}
	return nil
}

// secret: a secret's ARN ends in six random characters that its name does not
// tell.
func (r *resolver) secret(row *catalog.Action) []Resource {
	if typeName(row) != "Secret" {
		return nil
	}
	var out []Resource
	// All of them: which one an operation takes is the operation's matter, and one
	// name too many only asks for more.
	for _, path := range []string{"SecretId", "SecretIdList[]", "Name"} {
		for _, v := range r.values(path) {
			if strings.HasPrefix(v, "arn:") {
				out = append(out, r.resource(v, "Secret", false))
				continue
			}
			acct := r.account()
			if acct == "" {
				acct = "*"
			}
			r.wildcard(v)
			out = append(out, r.resource("arn:"+r.call.Partition+":secretsmanager:"+r.call.Region+":"+acct+":secret:"+v+"-??????", "Secret", true))
		}
	}
	return out
}

// parameter: /a/b and a/b are parameter/a/b.
func (r *resolver) parameter(row *catalog.Action) []Resource {
	if typeName(row) != "parameter" {
		return nil
	}
	var out []Resource
	acct, missing := r.account(), false
	if acct == "" {
		acct, missing = "*", true
	}
	for _, path := range []string{"Name", "Names[]", "Path"} {
		for _, v := range r.values(path) {
			if strings.HasPrefix(v, "arn:") {
				out = append(out, r.resource(v, "parameter", false))
				continue
			}
			// name:3 and name:label are versions of the parameter.
			v, _, _ = strings.Cut(v, ":")
			arn := "arn:" + r.call.Partition + ":ssm:" + r.call.Region + ":" + acct + ":parameter/" + strings.TrimPrefix(v, "/")
			partial := missing
			out = append(out, r.resource(arn, "parameter", partial))
			if path == "Path" {
				out = append(out, r.resource(strings.TrimSuffix(arn, "/")+"/*", "parameter", true))
			}
		}
	}
	return out
}

// roles are all role ARNs in the input.
func (r *resolver) roles() []Resource {
	var out []Resource
	seen := map[string]bool{}
	for i := range r.doc.nodes {
		if v := r.doc.nodes[i].text; strings.HasPrefix(v, "arn:") && strings.Contains(v, ":iam::") && strings.Contains(v, ":role/") && !seen[v] {
			seen[v] = true
			out = append(out, r.resource(v, "role", false))
		}
	}
	return out
}

package awsapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// identifyS3 finds the S3 operation. The bucket may be in the name or in the
// path; the path is brought to the model's /{Bucket}/{Key} on raw segments. The
// query decides between many operations of one path, so every parameter must
// belong to the operation found: a sub-resource that is not its own could be the
// one that S3 acts on.
func (h *Head) identifyS3(ct string) error {
	switch h.host.S3.Style {
	case "outposts":
		h.cannotCarry(refusal.New(refusal.Unidentified, "S3 on Outposts is not carried by this gateway; use a bucket or an ordinary access point"))
	case "object-lambda", "object-lambda-route":
		h.cannotCarry(refusal.New(refusal.Unidentified, "S3 Object Lambda needs permission for a function that the request does not name, so it is not carried by this gateway; use the bucket or an ordinary access point"))
	}
	if h.req.Method == http.MethodPost && ct == "multipart/form-data" {
		return h.identifyUpload()
	}
	if h.host.S3.Style == "express" && h.host.S3.Bucket == "" && strings.HasPrefix(h.rawPath, "/v20180820/") {
		// S3 Control shares the name; no directory bucket can be called v20180820.
		h.host.candidates = []candidate{h.host.candidates[0]}
		h.host.candidates[0].service = h.id.s3control
		return h.identifyREST()
	}
	path := h.rawPath[1:]
	if h.host.S3.Style == "object-lambda-route" {
		// The function's answer to S3: no bucket, one operation.
		if path != "WriteGetObjectResponse" {
			return h.known("S3 Object Lambda " + h.req.Method + " " + clip(h.rawPath))
		}
	} else if h.host.S3.Bucket != "" {
		if path == "" {
			path = h.host.S3.Bucket
		} else {
			path = h.host.S3.Bucket + "/" + path
		}
	}
	bucket, key, hasKey := strings.Cut(path, "/")
	var segs []string
	switch {
	case path == "":
	case bucket == "":
		return refusal.New(refusal.Malformed, "the S3 path has no bucket")
	case !pathBucket(bucket):
		// S3 decodes the path before it looks for the bucket: `/b%2Fk` could be the
		// object k in b as well as a bucket with an odd name.
		return refusal.New(refusal.Malformed, "the first part of the S3 path cannot be a bucket's name")
	case !hasKey || key == "":
		segs = []string{bucket}
	default:
		// The key is one unit: it may hold empty and dot segments, which S3 keeps.
		segs = []string{bucket, key}
	}
	r, err := h.id.router(h.id.s3)
	if err != nil {
		return refusal.Wrap(refusal.Unavailable, err, "the gateway could not read its API catalog; nothing was sent to AWS")
	}
	h.segs = segs
	if key, ok := twice(h.query); ok {
		return duplicate("query", key)
	}
	list := r.find(nil, h.host.candidates[0], h.req.Method, segs, h.query, h.req.Header.Get(copySource) != "")
	xid, hasXID := find(h.query, "x-id")
	for _, m := range list {
		if (m.op.Name == "WriteGetObjectResponse") != (h.host.S3.Style == "object-lambda-route") || (m.op.Name == "ListDirectoryBuckets") != (m.op.Name == "ListDirectoryBuckets" && h.host.S3.Style == "express") {
			continue
		}
		if m.op.Name == "ListBuckets" && h.host.S3.Style == "express" {
			continue
		}
		h.matches = append(h.matches, m)
	}
	h.matches = best(h.matches)
	h.protocol = RestXML
	if err := h.known("S3 " + h.req.Method + " " + clip(h.rawPath)); err != nil {
		return err
	}
	op := h.matches[0].op
	if hasXID && xid != op.Name {
		return refusal.New(refusal.Malformed, "the request says x-id=%s but is %s", clip(xid), op.Name)
	}
	for _, p := range h.query {
		if p.key == "x-id" || slices.ContainsFunc(op.Query, func(q catalog.Pair) bool { return q.Key == p.key }) {
			continue
		}
		if _, ok := op.QueryMembers.Get(p.key); !ok {
			return refusal.New(refusal.Malformed, "the query parameter %q is not one of %s; S3 could act on it instead", clip(p.key), op.Name)
		}
	}
	if b, _ := op.HeaderMembers.Get(copySource); len(h.req.Header.Values(copySource)) > 0 && b.Member == "" {
		return refusal.New(refusal.Malformed, "x-amz-copy-source is not a header of %s", op.Name)
	}
	for _, name := range h.hoisted {
		if !goesOn(name, op) {
			return refusal.New(refusal.Malformed, "the query parameter %q is not one of %s; S3 could act on it instead", clip(name), op.Name)
		}
	}
	if strings.Contains(h.req.Header.Get(copySource), "+") {
		// S3 reads it as a space, others as a plus.
		return refusal.New(refusal.Malformed, "x-amz-copy-source has a bare plus; percent-encode it (%%2B)")
	}
	return nil
}

package awsapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/postform"
	"github.com/sallyport/sallyport/refusal"
)

// upload is what is known of a browser's form upload, S3's POST Object (Amazon S3 API
// Reference, "Browser-based uploads using POST"). Its fields are the request: with them
// it is the PutObject that would have them in its headers, and is judged as that.
type upload struct {
	boundary string
	bucket   string // in the host's name or the path
	rawPath  string // of the POST
	header   []field
	fields   []postform.Field // as judged and sent; nil: not read yet
	answer   []postform.Field // those of fields that say how S3 answers
	most     int64            // bytes of the file at the most, -1 if not known
}

// Upload is a form upload as it was judged: the fields that go on, without any that
// authenticate.
type Upload struct {
	Bucket string
	Fields []postform.Field
	Most   int64 // bytes of the file at the most, and at the least two less; -1 if not known
}

// Upload is the form of a form upload, whose file is the body that streams; false for
// every other request. S3 takes no signature in headers for it: what signs it is in a
// field, beside these.
func (c Canonical) Upload() (Upload, bool) {
	if c.upload == nil {
		return Upload{}, false
	}
	return Upload{Bucket: c.upload.bucket, Fields: slices.Clone(c.upload.fields), Most: c.upload.most}, true
}

// outsideForm are headers by which clients say something about an object or ask for a
// condition. S3 looks for these in the fields of a form, and some servers in both.
var outsideForm = set("authorization", "content-encoding", "content-disposition", "content-language", "content-md5", "expires", "range", "if-match", "if-none-match",
	"if-modified-since", "if-unmodified-since", "if-range")

// identifyUpload reads what the head of a form upload tells: the bucket.
func (h *Head) identifyUpload() error {
	switch h.host.S3.Style {
	case "path", "virtual", "accelerate":
	default:
		return refusal.New(refusal.Unidentified, "form uploads (POST multipart/form-data) are carried to ordinary buckets only; use PutObject")
	}
	bucket := h.host.S3.Bucket
	switch {
	case bucket != "" && h.rawPath == "/":
	case bucket == "" && pathBucket(strings.TrimSuffix(h.rawPath[1:], "/")):
		bucket = strings.TrimSuffix(h.rawPath[1:], "/")
	default:
		return refusal.New(refusal.Unidentified, "a form (multipart/form-data) is posted to a bucket, and its key is a field: %s is no bucket", clip(h.rawPath))
	}
	if strings.Contains(h.req.Target, "?") {
		return refusal.New(refusal.Malformed, "a form upload has everything in its fields, and no query")
	}
	u := &upload{bucket: bucket, rawPath: h.rawPath}
	for name, values := range h.req.Header {
		l := strings.ToLower(name)
		switch {
		case outsideForm[l] || strings.HasPrefix(l, "x-amz-") && l != "x-amz-user-agent":
			return refusal.New(refusal.Malformed, "a form upload has the header %s; what it says of the object, and what signs it, must be in the form's fields", clip(name))
		case (l == "content-type" || l == "accept" || l == "user-agent") && len(values) != 1:
			return refusal.New(refusal.Malformed, "the header %s comes %d times; send it once", clip(name), len(values))
		case l == "accept" || l == "user-agent":
			u.header = append(u.header, field{http.CanonicalHeaderKey(l), values[0]})
		}
	}
	var err error
	if u.boundary, err = postform.Boundary(h.req.Header.Get("Content-Type")); err != nil {
		return refusal.New(refusal.Malformed, "%s", err.Error())
	}
	h.upload, h.protocol = u, RestXML
	return nil
}

// FormUpload reports a form upload whose fields have not been read, and its boundary:
// the beginning of the body must be read with postform.Read and given to WithForm.
func (h *Head) FormUpload() (boundary string, ok bool) {
	if h.upload == nil || h.upload.fields != nil {
		return "", false
	}
	return h.upload.boundary, true
}

// WithForm is the head of a form upload whose fields are f's. account is that of the
// target that f names, see Request. The file stays unread, as an object does.
func (h *Head) WithForm(f *postform.Form, account string) (*Head, error) {
	if _, ok := h.FormUpload(); !ok || f == nil || f.File == nil {
		return nil, refusal.New(refusal.Malformed, "this is no form upload")
	}
	r, err := readForm(f, h.upload.bucket)
	if err != nil {
		return nil, err
	}
	put := Request{Method: http.MethodPut, Host: h.req.Host, Target: "/" + escapeKey(r.key), Header: r.header, ContentLength: f.File.Most(), Account: account}
	if h.host.S3.Bucket == "" {
		put.Target = "/" + h.upload.bucket + put.Target
	}
	if r.tagging != nil {
		tags, err := h.id.readTagging(r.tagging)
		if err != nil {
			return nil, err
		}
		put.Header.Set("X-Amz-Tagging", tags.header())
		r.set("tagging", tags.document())
	}
	out, err := h.id.Head(put)
	if err != nil {
		return nil, err
	}
	m := out.matches[0]
	if m.svc.ID != "s3" || m.op.Name != "PutObject" || out.chunks.Form.String() != "" {
		return nil, refusal.New(refusal.Malformed, "the form's fields do not make a PutObject")
	}
	for name := range put.Header {
		if name != "Authorization" && !goesOn(name, m.op) {
			return nil, refusal.New(refusal.Malformed, "the form has a field for %s, which is none of PutObject's", clip(name))
		}
	}
	u := *h.upload
	u.fields, u.answer, u.most = r.sent, r.answer, f.File.Most()
	out.upload = &u
	return out, nil
}

// describe adds what is asked of S3's answer to the parameters, under the fields' names.
func (u *upload) describe(d *document) error {
	if u == nil {
		return nil
	}
	for _, f := range u.answer {
		if _, err := d.add(0, node{name: f.Name, text: f.Value, kind: textNode, shape: noShape}); err != nil {
			return err
		}
	}
	return nil
}

// ofUpload makes the Canonical of a form upload out of that of its PutObject.
func (c *Canonical) ofUpload(u *upload) {
	c.method, c.rawPath, c.rawQuery, c.header, c.upload = http.MethodPost, u.rawPath, "", u.header, u
}

// escapeKey is a key as it stands in a path.
func escapeKey(key string) string {
	var b strings.Builder
	for i := range len(key) {
		c := key[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
